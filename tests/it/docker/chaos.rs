//! Containers that are killed, paused and removed in the middle, and what a full disk does.

use agent::protocol::SandboxMode;

use super::world::{World, docker, image, of_image};
use crate::sandbox::world::{becomes_true, gave};

/// A command that has begun, in a workspace with one file that was brought out and one that was not.
fn begun() -> Option<(World, std::process::Child, String, String)> {
    let world = World::new(SandboxMode::WorkspaceWrite)?;
    world.run("echo kept > kept");
    let mut child = world.start("echo lost > lost; echo begun; sleep 600; echo never");
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0; 6]).unwrap();
    let container = world.container();
    let volume = world.inspect()["Mounts"][0]["Name"].as_str().unwrap().to_owned();
    Some((world, child, container, volume))
}

#[test]
fn a_container_that_is_killed_is_replaced() {
    let Some((world, child, container, volume)) = begun() else { return };
    assert!(docker(&["kill", &container]).status.success());
    loses(world, child, &container, &volume);
}

#[test]
fn a_container_that_is_paused_is_replaced() {
    let Some((world, child, container, volume)) = begun() else { return };
    assert!(docker(&["pause", &container]).status.success());
    loses(world, child, &container, &volume);
}

#[test]
fn a_container_that_is_removed_is_replaced() {
    let Some((world, child, container, volume)) = begun() else { return };
    docker(&["rm", "-f", &container]);
    loses(world, child, &container, &volume);
}

#[test]
fn a_container_that_is_stopped_is_replaced() {
    let Some((world, child, container, volume)) = begun() else { return };
    docker(&["stop", "-t", "0", &container]);
    loses(world, child, &container, &volume);
}

/// The command has one result, the session goes on in another container, and the loss is told once.
#[expect(clippy::needless_pass_by_value, reason = "the world ends with it")]
fn loses(world: World, child: std::process::Child, container: &str, volume: &str) {
    let gave = gave(child);
    assert_eq!((gave.code, gave.out.as_str()), (Some(137), ""), "{gave:?}");
    assert!(gave.err.contains("the container was ended while the command ran"), "{gave:?}");
    let warnings = world.publish();
    assert!(warnings.len() == 1 && warnings[0].starts_with("the container was lost"), "{warnings:?}");
    assert_eq!(world.run("cat kept; ls").out, "kept\nkept\n");
    assert_eq!(world.publish(), Vec::<String>::new());
    assert_ne!(world.container(), container);
    assert_eq!(world.names(), ["kept"]);
    assert!(becomes_true(|| !super::world::volumes().contains(volume)));
}

#[test]
fn a_command_that_kills_everything_that_it_can_kills_nobody_else() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let container = world.container();
    world.run("echo a > a");
    let gave = world.run("echo b > b; kill -9 -1");
    assert_eq!(gave.code, Some(137), "{gave:?}");
    assert_eq!(world.run("cat a b").out, "a\nb\n");
    assert_eq!(world.read("b"), "b\n");
    assert_eq!(world.container(), container);
}

#[test]
fn a_full_disk_is_an_error_of_the_command_and_what_fitted_comes_out() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let gave = world.run("echo before > before; dd if=/dev/zero of=/tmp/full bs=1M 2>&1 | tail -c 200; echo after > after; rm /tmp/full");
    assert!(gave.out.contains("No space left on device"), "{gave:?}");
    assert_eq!(world.names(), ["after", "before"]);
    assert_eq!(world.run("echo again").out, "again\n");
}

#[test]
fn an_image_that_is_not_there_is_said_and_how_to_get_it() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    image().unwrap();
    let docker = of_image("no.such/image:1");
    let error = agent::sandbox::contain(world.settings, docker, None, &|_| {}).err().unwrap();
    assert!(
        error.message.contains("has no image `no.such/image:1`") && error.message.contains("docker pull"),
        "{error}"
    );
}

#[test]
fn an_engine_that_is_not_there_is_said() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    for host in ["unix:///no/such.sock", "tcp://127.0.0.1:9", "nonsense"] {
        let docker = agent::sandbox::DockerSettings {
            image: None,
            host: Some(host.into()),
            certificates: None,
            keep: false,
        };
        let error = agent::sandbox::contain(world.settings.clone(), docker, None, &|_| {}).err().unwrap();
        assert!(error.message.contains("DOCKER_HOST"), "{host}: {error}");
    }
}
