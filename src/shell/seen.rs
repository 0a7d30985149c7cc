//! What is asked of a shell, and what it gives back.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{Answered, Shot, Size, Until, Waiting, process::Env, text};
use crate::protocol::{BlobId, Excerpt, ProcessId};

/// A command to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Text for the shell.
    pub command: String,
    pub workdir: PathBuf,
    /// Another shell than the user's.
    pub shell: Option<PathBuf>,
    /// With the environment that the login files make.
    pub login: bool,
    pub tty: bool,
    /// Outside the sandbox. Whoever sets this has the permission of a person.
    pub outside: bool,
}

/// How long to look, and how much to bring back.
#[derive(Clone)]
pub struct Look {
    pub wait: Duration,
    /// Bytes of output at most; longer output keeps its head and its tail.
    pub max_bytes: usize,
    /// Live output as it comes, twenty times a second at most, and of a flood only the latest. Not called any
    /// more when the look ends: the rest is in what was seen. Line ends are as they came.
    pub sink: Arc<dyn Fn(&str) + Send + Sync>,
    /// Ends the look, and kills the process that this call started.
    pub cancel: CancellationToken,
    /// What ends the look besides the end of the process.
    pub until: Until,
}

/// What was seen of a process in one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What the process was started with.
    pub command: String,
    pub workdir: PathBuf,
    pub wall: Duration,
    pub state: State,
    /// What it waits for somebody to type, as far as the system tells.
    pub waiting: Option<Waiting>,
    /// What a full-screen program shows; it is in the output, too.
    pub screen: Option<Shot>,
    /// What came of asking a person for it, if one was asked meanwhile.
    pub answered: Option<Answered>,
    /// The look ended because what it waited for was there.
    pub met: bool,
    pub output: Captured,
    /// Processes that were ended to make room for this one.
    pub pruned: Vec<ProcessId>,
    /// What the sandbox kept back of what it changed, or wants to be looked at.
    pub warnings: Vec<String>,
}

/// Whether a process still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Running(ProcessId),
    /// With the code of the shell (128 + signal when it was killed by one).
    Exited(i32),
    /// Ended by us: it is dead, or will be in two seconds at most.
    Killed,
}

/// Output since the last look, as text, cut to what was asked for.
///
/// Secrets are taken out. The text has U+FFFD where the output was not UTF-8, and on a terminal CRLF at line ends;
/// blobs hold the bytes as they came otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Captured {
    /// Everything, or the first part of it. Whole characters.
    pub head: String,
    /// The last part, when something between was left out.
    pub tail: String,
    /// Bytes since the last look, before anything was left out.
    pub bytes: u64,
    /// Lines since the last look.
    pub lines: u64,
    /// Bytes that were not even kept in memory (they are in the blob).
    pub dropped: u64,
    /// The whole output of the process, if it ended and was too long to be all in results.
    pub blob: Option<BlobId>,
}

impl Captured {
    /// Adds text at the end, as far as it fits into `max` bytes.
    pub(super) fn add(&mut self, text: &str, max: usize) {
        let shown = text::first(text, max.saturating_sub(self.head.len() + self.tail.len()));
        let end = if self.tail.is_empty() { &mut self.head } else { &mut self.tail };
        end.push_str(shown);
        self.bytes += text.len() as u64;
        self.lines += text::line_feeds(text.as_bytes());
    }

    /// The beginning and the end, at most `max` bytes of them.
    #[must_use]
    pub fn excerpt(&self, max: usize) -> Excerpt {
        let Self { bytes, lines, .. } = *self;
        let blob = self.blob.clone();
        if self.tail.is_empty() && self.head.len() <= max {
            return Excerpt { head: self.head.clone(), tail: String::new(), lines, bytes, blob };
        }
        let end = if self.tail.is_empty() { &self.head } else { &self.tail };
        let (head, tail) = (text::first(&self.head, max / 2), text::last(end, max / 2));
        Excerpt { head: head.to_owned(), tail: tail.to_owned(), lines, bytes, blob }
    }
}

/// A process that outlived its call has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    pub process: ProcessId,
    /// Missing when it was killed by us.
    pub code: Option<i32>,
    pub blob: Option<BlobId>,
}

/// A live process, for lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub process: ProcessId,
    pub command: String,
    pub tty: bool,
    pub running_for: Duration,
}

/// What can be seen of a process without taking anything away from the next look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peek {
    /// Whether it can be typed into.
    pub tty: bool,
    /// Whether what is typed is not to be seen: its terminal takes lines and does not echo them, as for a password.
    pub hidden: bool,
    /// The latest output, some kilobytes of it; of a full-screen program what it shows.
    pub latest: String,
    /// The size of its terminal, while a full-screen program has it.
    pub full_screen: Option<Size>,
}

/// What a command would find around it.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The shell that reads it.
    pub shell: PathBuf,
    pub env: Arc<Env>,
    /// The environment is all that there is: login files have been asked, and add nothing to it.
    pub whole: bool,
}
