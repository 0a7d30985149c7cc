//! `/diff` with a git that takes its time.

use std::{fs, io::Write as _};

use super::terminal::{Place, Screen};

#[test]
fn a_git_that_does_not_answer_holds_nobody_up() {
    let mut place = Place::new(&[]);
    place
        .program("git", "case $* in *get-regexp*) read line < held;; esac; echo 'fatal: broken' >&2; exit 1");
    // Open at both ends: nobody waits for the other one, and what is written waits for whoever reads.
    let held = fs::OpenOptions::new().read(true).write(true).open(place.fifo("held")).unwrap();
    fs::create_dir(place.workspace.join(".git")).unwrap();
    let mut screen = Screen::start(place, &[]);
    screen.shows("›");
    screen.say("/diff");
    screen.shows("work tree: asking git…");
    // It says nothing; the view is left, and the conversation goes on.
    screen.press("q");
    screen.shows("› Say what to do");
    screen.press("typed meanwhile");
    screen.shows("› typed meanwhile");
    screen.press("\x15");
    screen.shows("› Say what to do");
    // Asked again, nobody waits for the first one any more.
    screen.say("/diff");
    screen.shows("work tree: asking git…");
    // A line for each of them: the first one may still be there.
    (&held).write_all(b"\n\n").unwrap();
    screen.shows("(git: fatal: broken)");
    screen.press("q");
    screen.shows("› Say what to do");
    screen.leave_unsaid();
}
