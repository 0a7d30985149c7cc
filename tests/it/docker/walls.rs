//! What a container is made of, and what a command can't do there.

use agent::protocol::SandboxMode;

use super::world::{World, podman};

#[test]
fn a_container_has_no_rights_no_network_and_limits() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    if !podman() {
        is_told_so(&world);
    }
    let gave = world
        .run("id -u; grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; ulimit -c; ulimit -n");
    let said: Vec<String> = gave.out.lines().skip(1).map(|line| line.replace('\t', "")).collect();
    let none = "0".repeat(16);
    let expected =
        [&format!("CapEff:{none}"), &format!("CapBnd:{none}"), "NoNewPrivs:1", "Seccomp:2", "0", "8192"];
    assert_eq!(said, expected, "{gave:?}");
    assert_ne!(gave.out.lines().next(), Some("0"), "commands are not root");
}

/// What Docker says of it, whose words these are.
fn is_told_so(world: &World) {
    let container = world.inspect();
    let host = &container["HostConfig"];
    assert_eq!(host["NetworkMode"], "none");
    assert_eq!(host["CapDrop"], serde_json::json!(["ALL"]));
    assert_eq!(host["ReadonlyRootfs"], true);
    assert_eq!(host["Privileged"], false);
    assert_eq!(host["PidsLimit"], 512);
    assert_eq!(host["AutoRemove"], true);
    assert_eq!(host["LogConfig"]["Type"], "none");
    assert!(host["Memory"].as_i64().unwrap() > 0 && host["Memory"] == host["MemorySwap"]);
    assert!(host["Binds"].is_null() && host["Devices"].as_array().is_none_or(Vec::is_empty));
    let options = host["SecurityOpt"].to_string();
    assert!(options.contains("no-new-privileges") && options.contains("io_uring_setup"), "{options}");
    let mounts = container["Mounts"].as_array().unwrap();
    assert!(mounts.iter().all(|mount| mount["Type"] != "bind"), "{mounts:?}");
    assert_eq!(container["Config"]["User"], "65534:65534");
}

#[test]
fn what_the_local_sandbox_refuses_is_refused_in_a_container() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let call = |number: i64, args: &str| {
        let script = format!("perl -e '$r=syscall({number}, {args}); print $r < 0 ? 0+$! : \"done\"'");
        world.run(&script).out
    };
    for (name, number, args, errno) in [
        ("keyctl", libc::SYS_keyctl, "0, 0, 0", libc::EPERM),
        ("bpf", libc::SYS_bpf, "0, 0, 0", libc::EPERM),
        ("io_uring_setup", libc::SYS_io_uring_setup, "1, 0", libc::ENOSYS),
        ("clone3", libc::SYS_clone3, "0, 0", libc::ENOSYS),
        ("unshare(CLONE_NEWUSER)", libc::SYS_unshare, "0x10000000", libc::EPERM),
        ("socket(AF_VSOCK)", libc::SYS_socket, "40, 1, 0", libc::EPERM),
        ("socket(AF_ALG)", libc::SYS_socket, "38, 5, 0", libc::EPERM),
        ("socket(AF_PACKET)", libc::SYS_socket, "17, 3, 0", libc::EPERM),
        ("mount", libc::SYS_mount, "0, 0, 0, 0, 0", libc::EPERM),
        ("personality(READ_IMPLIES_EXEC)", libc::SYS_personality, "0x0400000", libc::EPERM),
        ("ioctl(TIOCSTI)", libc::SYS_ioctl, "0, 0x5412, 0", libc::EPERM),
    ] {
        assert_eq!(call(number, args), errno.to_string(), "{name}");
    }
    assert_eq!(call(libc::SYS_personality, "0xffffffff"), "done");
    assert_eq!(
        world.run("chmod 4755 /tmp 2>/dev/null; touch s; chmod u+s s 2>&1 | grep -c 'not permitted'").out,
        "1\n"
    );
}

#[test]
fn commands_reach_neither_this_machine_nor_its_files() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let outside = world.root().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "canary").unwrap();
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let gave = world.run(&format!(
        "cat {0}/secret; echo x > {0}/new; ls /var/run/docker.sock; echo x > /usr/new; echo x > /etc/new; \
         for host in 127.0.0.1 172.17.0.1 10.0.0.1; do timeout 2 bash -c \"echo > /dev/tcp/$host/{port}\" && echo reached; done; \
         kill -9 1; cat /proc/1/environ; ls -d /proc/[0-9]* | wc -l",
        outside.display()
    ));
    assert!(!gave.out.contains("canary") && !gave.out.contains("reached"), "{gave:?}");
    let processes: usize = gave.out.trim().parse().unwrap();
    assert!(processes < 12, "{gave:?}");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(world.run("echo alive").out, "alive\n");
}

#[test]
fn processes_and_memory_are_bounded() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let gave = world.run("for n in $(seq 600); do sleep 100 & done 2>&1 | grep -c -m1 'Resource temporarily unavailable'; true");
    assert!(gave.out.starts_with('1'), "{gave:?}");
    assert_eq!(world.run("echo again").out, "again\n");
}

#[test]
fn a_sandbox_in_a_container_says_what_it_is() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let text = world.sandbox.describe();
    for words in
        ["workspace-write", "container of the image agent-test:", "no network", "copy of the workspace"]
    {
        assert!(text.contains(words), "{text}");
    }
    let mut settings = world.settings;
    settings.mode = SandboxMode::DangerFullAccess;
    let docker = agent::sandbox::DockerSettings::default();
    let error = agent::sandbox::contain(settings, docker, None, &|_| {}).err().unwrap();
    assert!(error.message.contains("--sandbox workspace-write"), "{error}");
}
