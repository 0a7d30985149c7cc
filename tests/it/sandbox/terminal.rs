//! Commands on a terminal: theirs, whole, and nobody else's.

use std::io::{Read as _, Write as _};

use agent::{
    protocol::SandboxMode,
    sandbox::{CommandLine, outside},
};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::support::program;

use super::world::World;

pub struct Terminal {
    pub child: Box<dyn Child + Send + Sync>,
    pub master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    fn start(world: &World, sandbox: &agent::sandbox::SharedSandbox, script: &str) -> Self {
        Self::of(&sandbox.wrap(world.script(script, true)).unwrap())
    }

    pub fn of(line: &CommandLine) -> Self {
        let pair = native_pty_system()
            .openpty(PtySize { rows: 24, cols: 91, pixel_width: 0, pixel_height: 0 })
            .unwrap();
        let mut command = CommandBuilder::new(&line.program);
        command.args(&line.args);
        command.env_clear();
        for (name, value) in &line.env {
            command.env(name, value);
        }
        command.cwd(&line.cwd);
        command.set_controlling_tty(false);
        let child = pair.slave.spawn_command(command).unwrap();
        Self { child, master: pair.master }
    }

    /// Everything up to the end, or up to `until`.
    pub fn read(&self, until: Option<&str>) -> String {
        let mut reader = self.master.try_clone_reader().unwrap();
        let (mut text, mut buffer) = (String::new(), [0; 1024]);
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            text.push_str(&String::from_utf8_lossy(buffer.get(..count).unwrap()));
            if until.is_some_and(|until| text.contains(until)) {
                break;
            }
        }
        text
    }
}

#[test]
fn a_command_on_a_terminal_controls_it() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    for sandbox in [&world.sandbox, &outside(program())] {
        let script = "test -t 0 && test -t 1 && echo terminal; stty size; echo direct > /dev/tty; \
                      set -m; sleep 600 & kill %1; wait; jobs; sleep 0.01; echo foreground; exit 3";
        let mut terminal = Terminal::start(&world, sandbox, script);
        let text = terminal.read(None).replace('\r', "");
        for want in ["terminal\n", "24 91\n", "direct\n", "foreground\n"] {
            assert!(text.contains(want), "{want:?} in {text:?}");
        }
        assert!(!text.contains("no job control") && !text.contains("cannot set"), "{text:?}");
        assert_eq!(terminal.child.wait().unwrap().exit_code(), 3, "{}", sandbox.describe());
    }
}

#[test]
fn control_c_reaches_the_command_in_front() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    for sandbox in [&world.sandbox, &outside(program())] {
        let mut terminal = Terminal::start(
            &world,
            sandbox,
            "trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.01; done",
        );
        terminal.read(Some("ready"));
        terminal.master.take_writer().unwrap().write_all(b"\x03").unwrap();
        let text = terminal.read(None);
        assert!(text.contains("interrupted"), "{text:?}");
        assert_eq!(terminal.child.wait().unwrap().exit_code(), 9, "{}", sandbox.describe());
    }
}

#[test]
fn a_terminal_that_closes_ends_the_command() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    for sandbox in [&world.sandbox, &outside(program())] {
        let mut terminal = Terminal::start(&world, sandbox, "echo ready; sleep 600");
        terminal.read(Some("ready"));
        let Terminal { child, master } = &mut terminal;
        *master = native_pty_system()
            .openpty(PtySize { rows: 1, cols: 1, pixel_width: 0, pixel_height: 0 })
            .unwrap()
            .master;
        assert_eq!(child.wait().unwrap().exit_code(), 129, "{}", sandbox.describe());
    }
}

#[test]
fn nobody_types_into_a_terminal_by_request() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let script =
        "perl -e 'for (split //, qq(echo typed\\n)) { ioctl(STDIN, 0x5412, $_) or die qq(refused: $!\\n) }'";
    let mut terminal = Terminal::start(&world, &world.sandbox, script);
    let text = terminal.read(None);
    assert!(text.contains("refused"), "{text:?}");
    assert_ne!(terminal.child.wait().unwrap().exit_code(), 0);
}
