//! Keys in the keyring of the operating system, of which a stand-in is in the path.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use crate::support::{
    mock::Step,
    world::{Run, Running, World},
};

const SECRET: &str = "sk-of-the-keyring-7f3a";

/// A `secret-tool` that keeps what it is given in files beside itself, and what it was called with.
const STAND_IN: &str = r#"#!/bin/sh
here="$(dirname "$0")"
echo "$@" >> "$here/calls"
for last; do :; done
case "$1" in
    store) cat > "$here/ring.$last" ;;
    lookup) [ -f "$here/ring.$last" ] && cat "$here/ring.$last" ;;
    clear) rm -f "$here/ring.$last" ;;
esac
"#;

fn install(world: &World, script: &str) -> PathBuf {
    let folder = world.root.join("bin");
    fs::create_dir_all(&folder).unwrap();
    let program = folder.join("secret-tool");
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// A run with that in the path, and without a key in the environment.
fn command(world: &World, bin: &Path, args: &[&str]) -> Command {
    let path = std::env::var("PATH").unwrap();
    let mut command = world.command(args);
    command.env("PATH", format!("{}:{path}", bin.display())).env_remove("MOCK_KEY");
    command
}

async fn run(world: &World, bin: &Path, args: &[&str]) -> Run {
    Running::spawn(command(world, bin, args)).end().await
}

async fn login(world: &World, bin: &Path) -> Run {
    let file = world.root.join("key");
    fs::write(&file, format!("{SECRET}\n")).unwrap();
    let mut login = command(world, bin, &["login", "--keyring"]);
    login.stdin(fs::File::open(file).unwrap());
    Running::spawn(login).end().await
}

#[tokio::test]
async fn a_key_in_the_keyring_is_found_there_and_is_nowhere_else() {
    let world = World::new([Step::text("hello"), Step::text("hello")]).await;
    let bin = install(&world, STAND_IN);
    let said = login(&world, &bin).await.expect(0);
    assert!(said.stdout.contains("the key of mock is kept in the keyring"), "{said:?}");
    let file = fs::read_to_string(world.home.join("auth.json")).unwrap();
    assert!(file.contains("\"keyring\": true") && !file.contains(SECRET), "{file}");
    let whoami = run(&world, &bin, &["whoami"]).await.expect(0);
    assert!(whoami.stdout.contains("* mock         keyring"), "{}", whoami.stdout);

    let told = run(&world, &bin, &["exec", "--json", "hi"]).await.expect(0);
    assert_eq!(world.mock.requests()[0].headers["authorization"], format!("Bearer {SECRET}"));
    assert!(!told.all().contains(SECRET));
    let calls = fs::read_to_string(bin.join("calls")).unwrap();
    assert!(calls.contains("store") && !calls.contains(SECRET), "{calls}");

    let gone = run(&world, &bin, &["logout"]).await.expect(0);
    assert!(gone.stdout.contains("is gone from the keyring"), "{gone:?}");
    assert!(!bin.join("ring.mock").exists());
    run(&world, &bin, &["exec", "hi"]).await.expect(5);
}

#[tokio::test]
async fn a_keyring_that_does_not_answer_blocks_no_run_and_one_that_is_not_there_is_said() {
    let world = World::new([]).await;
    let bin = install(&world, STAND_IN);
    login(&world, &bin).await.expect(0);
    // It waits for a window that nobody sees.
    install(&world, "#!/bin/sh\nexec tail -f /dev/null\n");
    let told = run(&world, &bin, &["exec", "hi"]).await.expect(5);
    assert!(
        told.stderr.contains("has not answered within") && told.stderr.contains("agent login mock"),
        "{told:?}"
    );
    fs::remove_file(bin.join("secret-tool")).unwrap();
    let mut alone = command(&world, &bin, &["exec", "hi"]);
    alone.env("PATH", &bin);
    let told = Running::spawn(alone).end().await.expect(5);
    assert!(told.stderr.contains("there is no `secret-tool` here"), "{told:?}");
}
