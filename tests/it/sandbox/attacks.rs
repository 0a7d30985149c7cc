//! Commands that try to get out. Each is first shown to succeed without the sandbox, so that its failure inside
//! means something.

use std::{
    net::{TcpListener, UdpSocket},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener},
    },
    process::{Command, Stdio},
};

use agent::protocol::SandboxMode;

use crate::support::{PROGRAM, program, skip};

use super::world::{CANARY, World};

/// Name, and a script for bash that prints PWNED when it succeeds. It finds in its environment: OUTSIDE, a
/// directory with `secret` and `victim`; PORT of a TCP and UDP listener; NAME of an abstract socket; VICTIM, a
/// process.
const ATTACKS: &[(&str, &str)] = &[
    // Writing outside.
    ("write a neighbour", "echo x > $OUTSIDE/new && echo PWNED"),
    ("overwrite a neighbour", "echo x >> $OUTSIDE/victim && echo PWNED"),
    ("write through ..", "echo x > ../outside/new && echo PWNED"),
    ("write through a link", "ln -sfn $OUTSIDE l && echo x > l/new && echo PWNED"),
    ("write through a hard link", "ln -f $OUTSIDE/victim h && echo x >> h && echo PWNED"),
    ("write through /proc/self/root", "echo x > /proc/self/root$OUTSIDE/new && echo PWNED"),
    ("write through /proc/self/cwd", "echo x > /proc/self/cwd/../outside/new && echo PWNED"),
    ("write through the parent's root", "echo x > /proc/$PPID/root$OUTSIDE/new && echo PWNED"),
    ("remove a neighbour", "rm $OUTSIDE/spare && echo PWNED"),
    ("rename a neighbour", "mv $OUTSIDE/spare2 $OUTSIDE/moved && echo PWNED"),
    ("change a neighbour's mode", "chmod 777 $OUTSIDE/victim && echo PWNED"),
    (
        "change a neighbour's time",
        "touch -d 2001-01-01 $OUTSIDE/victim && [ $(stat -c %Y $OUTSIDE/victim) -lt 1000000000 ] && echo PWNED",
    ),
    ("bring a neighbour in", "mv $OUTSIDE/spare3 . && echo PWNED"),
    ("write the real home", "d=$(mktemp -d $OUTSIDE/../h.XXXX) && echo x > $d/f && echo PWNED"),
    ("write the git configuration", "echo x >> .git/config && echo PWNED"),
    ("add a git hook", "mkdir -p .git/hooks && echo x > .git/hooks/post-checkout && echo PWNED"),
    ("write what a shell obeys", "echo x >> .envrc && echo PWNED"),
    ("write what an editor obeys", "echo x > .vscode/tasks.json && echo PWNED"),
    ("put another file there", "echo x > e && mv e .envrc && echo PWNED"),
    (
        "put another .git there",
        "mv .git .git-old && mkdir .git && echo PWNED && rmdir .git && mv .git-old .git",
    ),
    ("write the system", "test -w /usr/bin && echo PWNED"),
    ("write the configuration", "test -w /etc/passwd && echo PWNED"),
    ("write the root", "d=$(mktemp -d /x.XXXX) && rmdir $d && echo PWNED"),
    ("write kernel settings", "test -w /proc/sys/kernel/core_pattern && echo PWNED"),
    ("make a set-user-id program", "cp /bin/true t && chmod 4755 t && [ -u t ] && echo PWNED"),
    ("make a set-group-id program", "cp /bin/true t && chmod g+s t && [ -g t ] && echo PWNED"),
    (
        "create a file set-user-id",
        "perl -MFcntl -e 'umask 0; sysopen F,\"suid\",O_CREAT|O_WRONLY,04755 or die $!; exit !(-u \"suid\")' && echo PWNED",
    ),
    ("install a file set-user-id", "install -m 4755 /bin/true i && [ -u i ] && echo PWNED"),
    // Reading secrets.
    ("read a neighbour", "grep -q canary $OUTSIDE/secret && echo PWNED"),
    ("read the home", "grep -q canary ~/.canary && echo PWNED"),
    ("read through a link", "ln -sfn $OUTSIDE l && grep -q canary l/secret && echo PWNED"),
    (
        "read the environments of others",
        "grep -lz AGENT_TEST_ /proc/[0-9]*/environ 2>/dev/null | grep -q . && echo PWNED",
    ),
    ("read the parent's environment", "tr '\\0' '\\n' < /proc/$PPID/environ | grep -q . && echo PWNED"),
    ("read the password hashes", "test -s /etc/shadow && head -c1 /etc/shadow | grep -q . && echo PWNED"),
    ("read the host's ssh configuration", "ls /etc/ssh/* && echo PWNED"),
    ("look around the host", "ls -d /sys/class /sys/kernel && echo PWNED"),
    ("look at runtime sockets", "[ -n \"$(ls -A /run)\" ] && echo PWNED"),
    ("read the kernel log", "dmesg | grep -q . && echo PWNED"),
    ("see the host's disks", "ls /dev | grep -Eq '^(vd|sd|nvme|mem|kmsg|loop)' && echo PWNED"),
    ("see the host's /tmp", "ls -d $OUTSIDE && echo PWNED"),
    // Processes.
    ("list the processes of others", "test -e /proc/$VICTIM && echo PWNED"),
    ("signal a process of others", "kill -0 $VICTIM && echo PWNED"),
    ("map a process of others", "cat /proc/$VICTIM/maps | grep -q . && echo PWNED"),
    ("see more than twenty processes", "[ $(ls -d /proc/[0-9]* | wc -l) -gt 20 ] && echo PWNED"),
    // Network.
    ("reach a listener on loopback", "echo x > /dev/tcp/127.0.0.1/$PORT && echo PWNED"),
    (
        "send a datagram",
        "perl -MIO::Socket::INET -e '$s=IO::Socket::INET->new(Proto=>\"udp\",PeerAddr=>\"127.0.0.1\",PeerPort=>$ENV{PORT}); $s->send(\"x\"); $s->recv($b,9); exit($b ne \"pong\")' && echo PWNED",
    ),
    (
        "reach an abstract socket",
        "perl -MSocket -e 'socket S,AF_UNIX,SOCK_STREAM,0 or die; connect S,pack_sockaddr_un(\"\\0$ENV{NAME}\") or die $!' && echo PWNED",
    ),
    (
        "reach a socket by path",
        "perl -MSocket -e 'socket S,AF_UNIX,SOCK_STREAM,0 or die; connect S,pack_sockaddr_un(\"$ENV{OUTSIDE}/socket\") or die $!' && echo PWNED",
    ),
    ("open a packet socket", "perl -MSocket -e 'socket S,17,3,0 or die $!' && echo PWNED"),
    ("open a raw socket", "perl -MSocket -e 'socket S,AF_INET,SOCK_RAW,1 or die $!' && echo PWNED"),
    (
        "open a socket to the hypervisor",
        "perl -MSocket -e 'socket S,40,SOCK_STREAM,0 or die $!' && echo PWNED",
    ),
    ("open a socket to the kernel's ciphers", "perl -MSocket -e 'socket S,38,5,0 or die $!' && echo PWNED"),
    ("see the host's interfaces", "[ $(grep -c : /proc/net/dev) -gt 1 ] && echo PWNED"),
    // The kernel.
    ("make a user namespace", "unshare -U true && echo PWNED"),
    ("make a mount namespace", "unshare -rm true && echo PWNED"),
    ("mount something", "unshare -rm mount -t tmpfs none /mnt && echo PWNED"),
    ("enter the first process", "nsenter -t $VICTIM -m true && echo PWNED"),
    ("change the root", "unshare -r chroot / true && echo PWNED"),
    (
        "open a performance counter",
        "perl -e '$a=pack(\"LLQx100\",1,112,0); exit(syscall(298,$a,0,-1,-1,0)==-1)' && echo PWNED",
    ),
    (
        "load a kernel program",
        "perl -e '$a=pack(\"LLLLx100\",2,4,4,1); exit(syscall(321,0,$a,72)==-1)' && echo PWNED",
    ),
    (
        "turn a path into a handle",
        "perl -e '$h=pack(\"LLx128\",128,0); $m=\"\\0\"x8; $p=\"/usr\"; exit(syscall(303,-100,$p,$h,$m,0)==-1)' && echo PWNED",
    ),
    (
        "use 32-bit calls",
        "perl -e 'exit 0' && printf 'int main(){int r;__asm__ volatile(\"int $0x80\":\"=a\"(r):\"a\"(20));return r<=0;}' > c.c && gcc c.c -o c && ./c && echo PWNED",
    ),
    (
        "use the old open with set-id bits",
        "perl -e 'umask 0; $p=\"creat\"; syscall(85,$p,04755); exit !(-u $p)' && echo PWNED",
    ),
    ("gain rights by set-id programs", "su -c 'test -w /usr/bin' < /dev/null && echo PWNED"),
];

/// The same, with the numbers that calls have on x86-64.
#[cfg(target_arch = "x86_64")]
const NUMBERED: &[(&str, &str)] = &[
    ("join a keyring", "perl -e 'exit(syscall(250,0,-3,1)==-1)' && echo PWNED"),
    ("trace a process of others", "perl -e 'exit(syscall(101,0x4206,0+$ENV{VICTIM},0,0)==-1)' && echo PWNED"),
    ("watch page faults", "perl -e 'exit(syscall(323,1)==-1)' && echo PWNED"),
    ("queue calls for the kernel", "perl -e '$p=\"\\0\"x120; exit(syscall(425,1,$p)==-1)' && echo PWNED"),
];
#[cfg(not(target_arch = "x86_64"))]
const NUMBERED: &[(&str, &str)] = &[];

#[test]
fn no_attack_succeeds_inside_that_succeeds_outside() {
    let (mut proven, mut pwned) = (0, Vec::new());
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    for name in ["spare", "spare2", "spare3"] {
        std::fs::write(world.outside().join(name), "").unwrap();
    }
    std::fs::create_dir(world.settings.workspace.join(".vscode")).unwrap();
    std::fs::write(world.settings.workspace.join(".envrc"), "whole").unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap().port();
    let udp = UdpSocket::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 16];
        while let Ok((_, from)) = udp.recv_from(&mut buffer) {
            udp.send_to(b"pong", from).unwrap();
        }
    });
    let name = format!("agent-test-{}", std::process::id());
    let _abstract = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let _path = UnixListener::bind(world.outside().join("socket")).unwrap();
    let mut victim = Command::new("sleep").arg("600").env("AGENT_TEST_SECRET", CANARY).spawn().unwrap();
    let setting = format!("export PORT={port} NAME={name} VICTIM={};", victim.id());

    for (what, attack) in ATTACKS.iter().chain(NUMBERED) {
        // Inside first: outside it leaves traces.
        let script = format!("{setting} {attack}");
        let inside = world.run(&script);
        if inside.out.contains("PWNED") {
            pwned.push((what, inside));
        }
        if world.run_outside(&script).out.contains("PWNED") {
            proven += 1;
        } else {
            eprintln!("not possible here without a sandbox either: {what}");
        }
    }
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert!(pwned.is_empty(), "{pwned:#?}");
    eprintln!("{proven} of {} attacks were shown to succeed outside", ATTACKS.len() + NUMBERED.len());
    assert!(proven >= 30, "only {proven} attacks could be shown to succeed outside");
}

#[test]
fn no_descriptor_of_the_harness_is_inherited() {
    use std::os::unix::process::CommandExt as _;
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let secret = std::fs::File::open(world.outside().join("secret")).unwrap();
    let line = world
        .sandbox
        .wrap(world.script("ls /proc/self/fd | tr '\\n' ' '; cat <&7 2>/dev/null", false))
        .unwrap();
    let mut command = Command::new(&line.program);
    command.args(&line.args).env_clear().envs(line.env).current_dir("/").stdin(Stdio::null());
    let fd = std::os::fd::AsRawFd::as_raw_fd(&secret);
    #[expect(unsafe_code, reason = "a leak like this one can only be made by hand")]
    // SAFETY: dup2 may be called between fork and exec.
    let leaky = unsafe {
        command.pre_exec(move || {
            libc::dup2(fd, 7);
            Ok(())
        })
    };
    let output = leaky.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!text.contains(CANARY), "{text}");
    assert_eq!(text.trim(), "0 1 2 3", "the last one is of `ls` itself");
}

#[test]
fn the_same_holds_for_an_ordinary_user() {
    if rustix::process::geteuid().as_raw() != 0 {
        skip("the sandbox as root starts it: these tests run as an ordinary user");
        return;
    }
    let alone = &super::refused::ONE_AT_A_TIME;
    let _alone = alone.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let directory = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .unwrap();
    let [copy, tests, home] = ["agent", "tests", "home"].map(|name| directory.path().join(name));
    std::fs::copy(program(), &copy).unwrap();
    std::fs::copy(std::env::current_exe().unwrap(), &tests).unwrap();
    // The workspaces lie in the user's home, as most do.
    let projects = home.join("projects");
    std::fs::create_dir_all(&projects).unwrap();
    std::fs::write(home.join(".canary"), CANARY).unwrap();
    for path in [&home, &projects, &home.join(".canary")] {
        std::os::unix::fs::chown(path, Some(65534), Some(65534)).unwrap();
    }
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&tests)
        // Those of other ways are tried by themselves.
        .args(["sandbox::", "--skip", "the_same_holds_for_an_ordinary_user", "--skip", "contained"])
        .args(["--skip", "sandbox::refused", "--skip", "alone"])
        .env(PROGRAM, &copy)
        .env("HOME", &home)
        .env("TMPDIR", &projects)
        .current_dir("/")
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            skip(&format!("the sandbox as an ordinary user starts it: setpriv: {error}"));
            return;
        }
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("no_attack_succeeds_inside_that_succeeds_outside ... ok"), "{text}");
}

#[test]
fn no_command_takes_over_its_own_first_process() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let gave = world.run(
        "tr '\\0' ' ' < /proc/1/environ; ls /proc/1/root/ /proc/1/fd/ | head -1; cat /proc/1/maps | head -1; \
         kill -9 1; kill -STOP 1; echo still here",
    );
    assert_eq!((gave.code, gave.out.as_str()), (Some(0), "still here\n"), "{gave:?}");
    if cfg!(target_arch = "x86_64") {
        let gave = world.run("perl -e 'print syscall(101,0x4206,1,0,0)'");
        assert_eq!(gave.out, "-1", "{gave:?}");
    }
}
