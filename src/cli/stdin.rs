//! The task: what was typed, what came on standard input, or both.

use std::{
    io::{self, IsTerminal as _, Read as _, Write as _},
    sync::mpsc,
    thread,
    time::Duration,
};

use super::error::CliError;

/// A pipe that has said nothing for so long is not waited for, when there is a task without it.
const SILENCE: Duration = Duration::from_secs(1);

/// More than this is not a task. 16 MiB.
const MOST: u64 = 16 << 20;

/// The task from the argument and standard input.
pub(super) fn task(argument: Option<&str>) -> Result<String, CliError> {
    let stdin = io::stdin();
    match argument {
        Some(text) if text.trim().is_empty() => {
            Err(CliError::usage("no task was given: it is empty").hint("agent exec \"TASK\""))
        }
        Some(text) if text != "-" => {
            if stdin.is_terminal() {
                return Ok(text.to_owned());
            }
            let piped = if may_be_silent() { read_unless_silent()? } else { read_all()? };
            if piped.trim().is_empty() {
                return Ok(text.to_owned());
            }
            Ok(joined(text, &piped))
        }
        dash => {
            if dash.is_none() && stdin.is_terminal() {
                return Err(CliError::usage("no task was given")
                    .hint("agent exec \"TASK\", or pipe the task in: agent exec - < task.md"));
            }
            let text = read_all()?;
            if text.trim().is_empty() {
                return Err(CliError::usage("no task was given: standard input is empty"));
            }
            Ok(text)
        }
    }
}

fn joined(text: &str, piped: &str) -> String {
    format!("{text}\n\n<stdin>\n{}\n</stdin>", piped.trim_end_matches('\n'))
}

fn read_all() -> Result<String, CliError> {
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .take(MOST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| CliError::failed(format!("can't read standard input: {error}")))?;
    if bytes.len() as u64 > MOST {
        return Err(CliError::usage("standard input is longer than 16 MiB")
            .hint("put it into a file, and name the file in the task"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        CliError::usage(format!("standard input is not UTF-8 text (byte {at})"))
    })
}

/// Pipes and sockets can be left open by somebody who never writes; files and devices can't.
fn may_be_silent() -> bool {
    use rustix::fs::{FileType, fstat};
    let kind = fstat(io::stdin()).map(|stat| FileType::from_raw_mode(stat.st_mode));
    !matches!(kind, Ok(FileType::RegularFile | FileType::CharacterDevice))
}

/// Reads a pipe to its end, unless nothing at all comes for a while.
fn read_unless_silent() -> Result<String, CliError> {
    let (first, told) = mpsc::channel();
    let (whole, rest) = mpsc::channel();
    // Reading can't be called off, so a thread does it; it ends with the program.
    thread::spawn(move || {
        let ready = {
            use rustix::event::{PollFd, PollFlags, poll};
            let stdin = io::stdin();
            poll(&mut [PollFd::new(&stdin, PollFlags::IN)], None)
        };
        // The other end has given up waiting.
        let _ = first.send(ready.is_ok());
        let _ = whole.send(read_all());
    });
    match told.recv_timeout(SILENCE) {
        Ok(_) => rest.recv().unwrap_or_else(|_| Ok(String::new())),
        Err(_) => {
            // Whoever meant to pipe something in has to know.
            let _ = writeln!(
                io::stderr(),
                "· standard input is a pipe that has said nothing for 1 s: going on without it \
                 (give `-` as the task to wait for it)"
            );
            Ok(String::new())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_and_what_was_piped_are_told_apart() {
        assert_eq!(joined("explain", "a\nb\n\n"), "explain\n\n<stdin>\na\nb\n</stdin>");
    }
}
