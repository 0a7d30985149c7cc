//! A command that the person runs beside the screen: in a shell of their own, with what they may see and do.

use std::{
    collections::VecDeque,
    io,
    os::fd::OwnedFd,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::AsyncReadExt as _,
    net::unix::pipe,
    process::{Child, Command},
    time::timeout,
};

/// What a token is worth, as an estimate.
const BYTES_PER_TOKEN: u64 = 4;
/// What a command of the person may show to the model, in bytes: the beginning and the end of it, half each.
const SHOWN: usize = 32 << 10;
/// For those who hold the output of an ended command open.
const DRAIN: Duration = Duration::from_millis(50);

/// Runs a command, and gives what it came to in words for the model. All of it is killed when this is dropped. The
/// variables in `hidden` stay out of it: its output goes to the model.
pub(super) async fn run(command: String, workspace: PathBuf, hidden: Vec<String>) -> String {
    match Running::start(&command, workspace, &hidden) {
        Err(error) => format!("I ran `{command}`, but it could not be started: {error}"),
        Ok(running) => match running.end().await {
            Err(error) => format!("I ran `{command}`, but lost it: {error}"),
            Ok((status, output)) => {
                format!("I ran `{command}` ({status}):\n```\n{}\n```", output.text().trim_end())
            }
        },
    }
}

/// A command with everything that it started.
struct Running {
    child: Child,
    output: pipe::Receiver,
    group: Group,
}

impl Running {
    fn start(command: &str, workspace: PathBuf, hidden: &[String]) -> io::Result<Self> {
        // One pipe for both streams keeps their order.
        let (ours, theirs) = io::pipe()?;
        let mut shell = Command::new(super::start::shell());
        shell
            .args(["-c", command])
            .current_dir(workspace)
            .stdin(Stdio::null())
            .stdout(theirs.try_clone()?)
            .stderr(theirs)
            .process_group(0)
            .kill_on_drop(true);
        for name in hidden {
            shell.env_remove(name);
        }
        let child = shell.spawn()?;
        let group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
        let output = pipe::Receiver::from_owned_fd(OwnedFd::from(ours))?;
        Ok(Self { child, output, group })
    }

    async fn end(mut self) -> io::Result<(ExitStatus, Ends)> {
        let mut ends = Ends::default();
        let mut bytes = vec![0; 64 << 10];
        let status = loop {
            tokio::select! {
                read = self.output.read(&mut bytes) => match read? {
                    0 => break self.child.wait().await?,
                    size => ends.push(bytes.get(..size).unwrap_or_default()),
                },
                status = self.child.wait() => {
                    let status = status?;
                    while let Ok(Ok(size @ 1..)) = timeout(DRAIN, self.output.read(&mut bytes)).await {
                        ends.push(bytes.get(..size).unwrap_or_default());
                    }
                    break status;
                }
            }
        };
        // What it left running in the background was meant to go on, as in any shell.
        self.group.0 = None;
        Ok((status, ends))
    }
}

/// The processes of a command, killed when this is dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // All of them may be gone, which is what is wanted.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// The beginning and the end of an output.
#[derive(Default)]
struct Ends {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    left_out: u64,
}

impl Ends {
    fn push(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(SHOWN / 2 - self.head.len()));
        self.head.extend(head);
        self.tail.extend(rest);
        let more = self.tail.len().saturating_sub(SHOWN / 2);
        self.tail.drain(..more);
        self.left_out += more as u64;
    }

    fn text(mut self) -> String {
        if self.left_out == 0 {
            self.head.extend(&self.tail);
            return String::from_utf8_lossy(&self.head).into_owned();
        }
        let (head, tail) = (String::from_utf8_lossy(&self.head), self.tail.make_contiguous());
        let tail = String::from_utf8_lossy(tail);
        // A character that was cut is left out as well.
        let (head, tail) = (head.trim_end_matches('\u{FFFD}'), tail.trim_start_matches('\u{FFFD}'));
        format!("{head}…{} tokens truncated…{tail}", self.left_out.div_ceil(BYTES_PER_TOKEN))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{BufRead as _, BufReader, Read as _},
        time::Instant,
    };

    use super::*;

    async fn gives(command: &str, hidden: &[&str]) -> String {
        let hidden = hidden.iter().map(|name| (*name).to_owned()).collect();
        run(command.to_owned(), std::env::temp_dir(), hidden).await
    }

    #[tokio::test]
    async fn it_is_told_what_ran_how_it_ended_and_what_it_said_in_order() {
        let said = gives("echo out; echo err >&2; echo out; exit 3", &[]).await;
        assert!(said.starts_with("I ran `echo out;") && said.contains("(exit status: 3)"), "{said}");
        assert!(said.ends_with("```\nout\nerr\nout\n```"), "{said}");
    }

    #[tokio::test]
    async fn of_a_flood_the_beginning_and_the_end_are_kept() {
        let said = gives("echo BEGIN; head -c 9000000 /dev/zero | tr '\\0' x; echo END", &[]).await;
        assert!(said.len() < SHOWN + 200, "{}", said.len());
        assert!(
            said.contains("BEGIN\nx") && said.contains("tokens truncated…x") && said.ends_with("END\n```")
        );
    }

    #[tokio::test]
    async fn what_is_hidden_is_not_in_its_environment() {
        let command = "echo \"[${CARGO_MANIFEST_DIR-none}] [${PATH:+some}]\"";
        let said = gives(command, &["CARGO_MANIFEST_DIR"]).await;
        assert!(said.contains("[none] [some]"), "{said}");
        let said = gives(command, &[]).await;
        assert!(!said.contains("[none]"), "{said}");
    }

    #[tokio::test]
    async fn what_goes_on_in_the_background_is_not_waited_for() {
        let since = Instant::now();
        assert!(gives("sleep 20 & echo $!; echo done", &[]).await.ends_with("done\n```"));
        assert!(since.elapsed() < Duration::from_secs(15));
    }

    #[tokio::test]
    async fn all_of_it_dies_when_nobody_wants_it_any_more() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let (up, is_up) = tokio::sync::oneshot::channel();
        let gone = tokio::task::spawn_blocking(move || {
            let mut reader = BufReader::new(File::open(pipe).unwrap());
            reader.read_line(&mut String::new()).unwrap();
            up.send(()).unwrap();
            // Ends when the last of them is gone.
            reader.read_to_end(&mut Vec::new()).unwrap();
        });
        let command = "exec 3> pipe; (sleep 600) & echo up >&3; wait".to_owned();
        tokio::select! {
            said = run(command, folder.path().to_owned(), Vec::new()) => panic!("{said}"),
            up = is_up => up.unwrap(),
        }
        timeout(Duration::from_secs(30), gone).await.unwrap().unwrap();
    }
}
