//! Commands on a terminal inside, seen through a terminal outside.

use agent::protocol::SandboxMode;

use std::io::Write as _;

use super::world::World;
use crate::sandbox::terminal::Terminal;

fn start(world: &World, script: &str) -> Terminal {
    Terminal::of(&world.sandbox.wrap(world.line(script, true)).unwrap())
}

#[test]
fn a_command_on_a_terminal_controls_it() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let script = "test -t 0 && test -t 1 && echo terminal; stty size; echo direct > /dev/tty; \
                  set -m; sleep 600 & kill %1; wait; jobs; sleep 0.01; echo foreground; exit 3";
    let mut terminal = start(&world, script);
    let text = terminal.read(None).replace('\r', "");
    assert!(text.starts_with("terminal\n24 91\ndirect\n"), "{text:?}");
    assert!(text.contains("foreground\n") && !text.contains("no job control"), "{text:?}");
    assert_eq!(terminal.child.wait().unwrap().exit_code(), 3);
}

#[test]
fn what_is_typed_arrives_and_its_size_follows() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let mut terminal = start(
        &world,
        "echo ready; read line; echo \"got $line\"; trap 'stty size; exit 4' WINCH; echo set; while :; do sleep 0.01; done",
    );
    terminal.read(Some("ready"));
    let mut writer = terminal.master.take_writer().unwrap();
    writer.write_all(b"hello\r").unwrap();
    let text = terminal.read(Some("set"));
    assert!(text.contains("got hello"), "{text:?}");
    terminal
        .master
        .resize(portable_pty::PtySize { rows: 30, cols: 70, pixel_width: 0, pixel_height: 0 })
        .unwrap();
    let text = terminal.read(None);
    assert!(text.contains("30 70"), "{text:?}");
    assert_eq!(terminal.child.wait().unwrap().exit_code(), 4);
}

#[test]
fn any_byte_can_be_the_first_on_a_terminal() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let mut terminal = start(&world, r"printf '\1\0\0\0\0\0\0\377whole'; sleep 0.05; printf '\2end'");
    let text = terminal.read(None);
    assert!(text.starts_with("\u{1}\0\0\0\0\0\0") && text.contains("whole\u{2}end"), "{text:?}");
    assert_eq!(terminal.child.wait().unwrap().exit_code(), 0);
}

#[test]
fn control_c_reaches_the_command_in_front() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let mut terminal =
        start(&world, "trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.01; done");
    terminal.read(Some("ready"));
    terminal.master.take_writer().unwrap().write_all(b"\x03").unwrap();
    let text = terminal.read(None);
    assert!(text.contains("interrupted"), "{text:?}");
    assert_eq!(terminal.child.wait().unwrap().exit_code(), 9);
}

#[test]
fn a_terminal_that_closes_ends_the_command() {
    let Some(world) = World::new(SandboxMode::WorkspaceWrite) else { return };
    let mut terminal = start(&world, "echo ready; sleep 600");
    terminal.read(Some("ready"));
    let Terminal { child, master } = &mut terminal;
    *master = portable_pty::native_pty_system()
        .openpty(portable_pty::PtySize { rows: 1, cols: 1, pixel_width: 0, pixel_height: 0 })
        .unwrap()
        .master;
    assert_eq!(child.wait().unwrap().exit_code(), 129);
}
