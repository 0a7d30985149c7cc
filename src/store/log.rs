//! The log of a session: one fact a line, appended, never changed.
//!
//! A line is the event as JSON, with a field `sum` at its end: the first 128 bits of the BLAKE3 hash over the
//! sum of the line before (nothing, for the first) and this line without its sum. So a line that was cut,
//! changed, lost or put elsewhere is found, and lines stay readable with ordinary tools.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use serde::Serialize as _;
use serde_json::{Serializer, ser::Formatter};

use crate::protocol::{Event, Fact, Seq, Time};

use super::read::{MAX_LINE, SUM_DIGITS, chain, decode, read};

/// Lists and objects in one another, at most: what the reader of JSON takes.
const MAX_DEPTH: u32 = 127;

/// The log of an open session. There is one writer: the file is locked as long as this lives.
#[derive(Debug)]
pub struct Log {
    file: File,
    path: PathBuf,
    /// Bytes that are known to be whole lines.
    len: u64,
    seq: Seq,
    sum: [u8; SUM_DIGITS],
    /// Set when a line could not be written and could not be taken back either.
    broken: Option<String>,
    buffer: Vec<u8>,
    unsynced: bool,
}

/// Why a log can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("the session is open in another process")]
    Locked,
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error("{}: {damage}", path.display())]
    Damaged { path: PathBuf, damage: Damage },
    /// The fact can't be a line of a log. The log is as it was, and takes others.
    #[error("{0}")]
    Unfit(String),
}

/// A line that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is damaged: {what}. Lines before it are whole")]
pub struct Damage {
    /// Counted from 1.
    pub line: u64,
    pub what: String,
}

impl Log {
    /// Begins a log in a folder that is made for it. That it is there is on the disk when this returns.
    ///
    /// # Errors
    /// When there is one already, or it can't be made.
    pub fn create(path: &Path) -> Result<Self, LogError> {
        let io = |error| LogError::Io { path: path.to_owned(), error };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(io)?;
        }
        let file = private().create_new(true).open(path).map_err(io)?;
        flock(&file, path)?;
        // The folder of the session is new as a rule, and the folder of all sessions once.
        for folder in path.ancestors().skip(1).take(3) {
            sync_folder(folder).map_err(io)?;
        }
        Ok(Self::at(file, path, 0, Seq(0), [b'0'; SUM_DIGITS]))
    }

    /// Opens a log, reads it, and cuts off a torn last line: what it was about to say never became true.
    ///
    /// # Errors
    /// When somebody else has it open, it can't be read, or a line that is not the last one is damaged.
    pub fn open(path: &Path) -> Result<(Self, Vec<Event>), LogError> {
        let io = |error| LogError::Io { path: path.to_owned(), error };
        let file = private().open(path).map_err(io)?;
        flock(&file, path)?;
        let read = read(&file).map_err(io)?;
        if let Some(damage) = read.damage {
            return Err(LogError::Damaged { path: path.to_owned(), damage });
        }
        if read.len < file.metadata().map_err(io)?.len() {
            file.set_len(read.len).map_err(io)?;
        }
        let seq = read.events.last().map_or(Seq(0), |event| event.seq);
        let log = Self::at(file, path, read.len, seq, read.sum);
        log.title(&read.events);
        Ok((log, read.events))
    }

    /// Writes the last name of the session beside the log, for lists that do not read all of it.
    fn title(&self, events: &[Event]) {
        let name = events.iter().rev().find_map(|event| match &event.fact {
            Fact::Renamed { title } => Some(title),
            _ => None,
        });
        if let (Some(name), Some(folder)) = (name, self.path.parent()) {
            // Without it a list shows the beginning of the first message.
            let _ = fs::write(folder.join(super::listing::TITLE), name);
        }
    }

    fn at(file: File, path: &Path, len: u64, seq: Seq, sum: [u8; SUM_DIGITS]) -> Self {
        Self { file, path: path.to_owned(), len, seq, sum, broken: None, buffer: Vec::new(), unsynced: false }
    }

    /// Writes facts, all or none, and gives them their places in the log.
    ///
    /// # Errors
    /// When they can't be written (the disk is full, say), or one of them [can't be a line](LogError::Unfit). None
    /// of them has then become true, and the log takes more as soon as there is room again.
    pub fn append(&mut self, facts: Vec<Fact>, at: Time) -> Result<Vec<Event>, LogError> {
        if let Some(reason) = &self.broken {
            return Err(self.io(io::Error::other(reason.clone())));
        }
        self.buffer.clear();
        let mut sum = self.sum;
        let mut seq = self.seq;
        let mut events = Vec::with_capacity(facts.len());
        for fact in facts {
            seq = Seq(seq.0 + 1);
            let event = Event { seq, at, fact };
            let start = self.buffer.len();
            event
                .serialize(&mut Serializer::with_formatter(&mut self.buffer, Shallow::default()))
                .map_err(|error| LogError::Unfit(error.to_string()))?;
            // The closing brace comes after the sum.
            self.buffer.pop();
            sum = chain(&sum, self.buffer.get(start..).unwrap_or_default());
            self.buffer.extend_from_slice(b",\"sum\":\"");
            self.buffer.extend_from_slice(&sum);
            self.buffer.extend_from_slice(b"\"}\n");
            if (self.buffer.len() - start) as u64 > MAX_LINE {
                return Err(LogError::Unfit(format!("it is longer than {} MiB", MAX_LINE >> 20)));
            }
            events.push(event);
        }
        if let Err(error) =
            self.file.seek(SeekFrom::Start(self.len)).and_then(|_| self.file.write_all(&self.buffer))
        {
            if let Err(worse) = self.file.set_len(self.len) {
                self.broken =
                    Some(format!("{error}; and what was half written could not be taken back: {worse}"));
            }
            return Err(self.io(error));
        }
        self.len += self.buffer.len() as u64;
        self.seq = seq;
        self.sum = sum;
        self.unsynced = true;
        self.title(&events);
        Ok(events)
    }

    /// Returns when all that was appended is on the disk.
    ///
    /// # Errors
    /// When the disk says no. What was appended may then be lost by a power failure, and nothing more is taken:
    /// a second try could claim success for pages that the kernel has dropped.
    pub fn sync(&mut self) -> Result<(), LogError> {
        if let Some(reason) = &self.broken {
            return Err(self.io(io::Error::other(reason.clone())));
        }
        if self.unsynced {
            if let Err(error) = self.file.sync_data() {
                self.broken = Some(format!("the disk refused to keep it: {error}"));
                return Err(self.io(error));
            }
            self.unsynced = false;
        }
        Ok(())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn io(&self, error: io::Error) -> LogError {
        LogError::Io { path: self.path.clone(), error }
    }
}

/// Reads a log that somebody may be writing. A torn last line is left out.
///
/// # Errors
/// When it can't be read, or a line that is not the last one is damaged.
pub fn read_events(path: &Path) -> Result<Vec<Event>, LogError> {
    match read_whole_lines(path)? {
        (_, Some(damage)) => Err(damage),
        (events, None) => Ok(events),
    }
}

/// Reads as much of a log as is whole: its facts, and what is wrong with the line after them, if anything is.
///
/// # Errors
/// When it can't be read at all.
pub fn read_whole_lines(path: &Path) -> Result<(Vec<Event>, Option<LogError>), LogError> {
    let io = |error| LogError::Io { path: path.to_owned(), error };
    let read = read(&File::open(path).map_err(io)?).map_err(io)?;
    let damage = read.damage.map(|damage| LogError::Damaged { path: path.to_owned(), damage });
    Ok((read.events, damage))
}

/// Shows the facts of a log one after the other, while only one of them is in memory. It ends before the first line
/// that is not whole; sums are not looked at.
///
/// # Errors
/// When it can't be read.
pub fn visit_events(path: &Path, mut visit: impl FnMut(Event)) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(256 << 10, File::open(path)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        let size = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
        let Some(Ok(event)) = (size > 0 && line.ends_with(b"\n")).then(|| decode(&line)) else {
            return Ok(());
        };
        visit(event);
    }
}

/// The same of a log that is no file here.
///
/// # Errors
/// When it can't be read at all.
pub fn read_stream(source: impl io::Read) -> io::Result<(Vec<Event>, Option<Damage>)> {
    read(source).map(|read| (read.events, read.damage))
}

/// Locks a log without reading it.
pub(super) fn lock(path: &Path) -> Result<File, LogError> {
    let file = private().open(path).map_err(|error| LogError::Io { path: path.to_owned(), error })?;
    flock(&file, path)?;
    Ok(file)
}

/// JSON without spaces, and no deeper than it can be read.
#[derive(Default)]
struct Shallow {
    depth: u32,
}

impl Shallow {
    fn enter<W: io::Write + ?Sized>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(io::Error::other(format!("it is nested deeper than {MAX_DEPTH} levels")));
        }
        writer.write_all(bracket)
    }

    fn leave<W: io::Write + ?Sized>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        writer.write_all(bracket)
    }
}

impl Formatter for Shallow {
    fn begin_array<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.enter(writer, b"[")
    }

    fn end_array<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.leave(writer, b"]")
    }

    fn begin_object<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.enter(writer, b"{")
    }

    fn end_object<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.leave(writer, b"}")
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn flock(file: &File, path: &Path) -> Result<(), LogError> {
    use rustix::{
        fs::{FlockOperation, flock},
        io::Errno,
    };
    use std::os::unix::fs::MetadataExt as _;
    let io = |error| LogError::Io { path: path.to_owned(), error };
    flock(file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
        Errno::WOULDBLOCK => LogError::Locked,
        error => io(io::Error::other(format!("it can't be locked here: {error}"))),
    })?;
    // Whoever held the lock until now may have deleted it.
    match file.metadata().map_err(io)?.nlink() {
        0 => Err(io(io::ErrorKind::NotFound.into())),
        _ => Ok(()),
    }
}

/// Has the names in a folder kept on the disk. A folder that can't be read, or a file system that does not know
/// this, is no reason to fail.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    let Ok(folder) = File::open(folder) else { return Ok(()) };
    match folder.sync_all() {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EROFS | libc::ENOTSUP)) => {
            Ok(())
        }
        synced => synced,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::{FORMAT_VERSION, Item, Level, TurnId};

    fn facts() -> Vec<Fact> {
        vec![
            Fact::TurnStarted { turn: TurnId(1) },
            Fact::item(Item::user("é\n\"x\"")),
            Fact::Noted { level: Level::Info, text: "n".into() },
        ]
    }

    fn written() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s/log.jsonl");
        let mut log = Log::create(&path).unwrap();
        log.append(facts(), Time::UNIX_EPOCH).unwrap();
        log.sync().unwrap();
        let bytes = fs::read(&path).unwrap();
        (folder, path, bytes)
    }

    #[test]
    fn what_was_appended_is_read_back_and_goes_on() {
        let (_folder, path, _) = written();
        let (mut log, events) = Log::open(&path).unwrap();
        assert_eq!(events.iter().map(|event| event.fact.clone()).collect::<Vec<_>>(), facts());
        let more = log.append(vec![Fact::Renamed { title: "t".into() }], Time::UNIX_EPOCH).unwrap();
        assert_eq!(more.first().unwrap().seq, Seq(4));
        assert_eq!(read_events(&path).unwrap().len(), 4);
    }

    #[test]
    fn a_log_cut_at_any_byte_opens_with_its_whole_lines() {
        let (_folder, path, bytes) = written();
        for cut in 0..=bytes.len() {
            let kept = bytes.get(..cut).unwrap();
            fs::write(&path, kept).unwrap();
            let whole = kept.iter().filter(|byte| **byte == b'\n').count();
            let (mut log, events) = Log::open(&path).unwrap();
            assert_eq!(events.len(), whole, "cut at {cut}");
            log.append(vec![Fact::Renamed { title: "t".into() }], Time::UNIX_EPOCH).unwrap();
            assert_eq!(read_events(&path).unwrap().len(), whole + 1);
        }
    }

    #[test]
    fn a_changed_byte_in_a_line_that_is_not_the_last_is_damage() {
        let (_folder, path, bytes) = written();
        let last_line = bytes.iter().rposition(|byte| *byte == b'{').unwrap();
        let first_lines = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1).unwrap().0;
        assert!(last_line > first_lines);
        for at in 0..=first_lines {
            let mut changed = bytes.clone();
            *changed.get_mut(at).unwrap() ^= 1;
            fs::write(&path, changed).unwrap();
            assert!(matches!(Log::open(&path), Err(LogError::Damaged { .. })), "at {at}");
        }
    }

    #[test]
    fn a_lost_line_and_a_foreign_line_are_damage() {
        let (_folder, path, bytes) = written();
        let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        for order in [vec![1, 2], vec![0, 2], vec![1, 0, 2], vec![0, 0, 1, 2], vec![0, 1, 1, 2]] {
            let mixed: Vec<u8> = order.iter().flat_map(|at| lines.get(*at).unwrap().to_vec()).collect();
            fs::write(&path, &mixed).unwrap();
            let read = read_events(&path);
            assert!(read.is_err() || read.unwrap().len() < order.len(), "{order:?}");
        }
    }

    #[test]
    fn a_fact_that_can_not_be_a_line_changes_nothing() {
        use std::os::unix::ffi::OsStrExt as _;
        let (_folder, path, bytes) = written();
        let (mut log, _) = Log::open(&path).unwrap();
        let paths = vec![PathBuf::from(std::ffi::OsStr::from_bytes(b"/d\xff"))];
        let intent = crate::protocol::Intent::Read { paths };
        let unfit = Fact::CallAllowed { call: "c".into(), by: crate::protocol::By::Policy, intent };
        let renamed = || Fact::Renamed { title: "t".into() };
        let refused = log.append(vec![renamed(), unfit], Time::UNIX_EPOCH);
        assert!(matches!(&refused, Err(LogError::Unfit(why)) if why.contains("UTF-8")), "{refused:?}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
        log.append(vec![renamed()], Time::UNIX_EPOCH).unwrap();
        assert_eq!(read_events(&path).unwrap().len(), facts().len() + 1);
    }

    #[test]
    fn a_second_writer_is_refused() {
        let (_folder, path, _) = written();
        let first = Log::open(&path).unwrap();
        assert!(matches!(Log::open(&path), Err(LogError::Locked)));
        drop(first);
        assert!(Log::open(&path).is_ok());
    }

    #[test]
    fn a_log_that_was_deleted_while_it_was_opened_is_not_there() {
        let (_folder, path, _) = written();
        let late = private().open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let opened = flock(&late, &path);
        let Err(LogError::Io { error, .. }) = opened else { panic!("{opened:?}") };
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn after_a_sync_that_failed_nothing_is_claimed_to_be_kept() {
        let (_folder, path, _) = written();
        let (mut log, _) = Log::open(&path).unwrap();
        log.append(vec![Fact::Renamed { title: "t".into() }], Time::UNIX_EPOCH).unwrap();
        // A pipe can't be synced.
        let file =
            std::mem::replace(&mut log.file, File::from(std::os::fd::OwnedFd::from(io::pipe().unwrap().1)));
        assert!(log.sync().is_err());
        log.file = file;
        assert!(log.sync().is_err());
        assert!(log.append(vec![Fact::Renamed { title: "t".into() }], Time::UNIX_EPOCH).is_err());
    }

    #[test]
    fn a_newer_format_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let mut log = Log::create(&path).unwrap();
        let fact = Fact::SessionStarted {
            session: crate::protocol::SessionId(uuid::Uuid::nil()),
            version: FORMAT_VERSION + 1,
            agent: "9".into(),
            workspace: "/".into(),
            parent: None,
        };
        log.append(vec![fact, Fact::Renamed { title: "t".into() }], Time::UNIX_EPOCH).unwrap();
        drop(log);
        assert!(Log::open(&path).unwrap_err().to_string().contains("written in format 2"));
    }

    proptest! {
        #[test]
        fn what_is_taken_is_read_again(
            facts in prop::collection::vec(
                prop_oneof![
                    "\\PC{0,20}".prop_map(|title| Fact::Renamed { title }),
                    // Around the longest line, with text that grows when it is written.
                    (1000..11_000usize, "[a\u{1}é\"]{6}").prop_map(|(times, text)| {
                        Fact::item(Item::user(text.repeat(times)))
                    }),
                    (0..140u32, any::<bool>()).prop_map(|(depth, list)| {
                        let deep = (0..depth).fold(serde_json::json!(1), |inner, _| match list {
                            true => serde_json::json!([inner]),
                            false => serde_json::json!({ "in": inner }),
                        });
                        Fact::item(Item::Unknown(serde_json::json!({ "type": "odd", "of": deep })))
                    }),
                ],
                1..6,
            ),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("log.jsonl");
            let mut log = Log::create(&path).unwrap();
            let mut taken = Vec::new();
            for fact in facts {
                match log.append(vec![fact], Time::UNIX_EPOCH) {
                    Ok(events) => taken.extend(events),
                    Err(refused) => prop_assert!(matches!(refused, LogError::Unfit(_)), "{}", refused),
                }
            }
            drop(log);
            prop_assert!(read_events(&path).unwrap() == taken);
        }
    }

    #[test]
    fn a_line_is_taken_up_to_the_longest_and_to_the_deepest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let mut log = Log::create(&path).unwrap();
        let mut lines = 0;
        let mut takes = |fact: Fact| {
            let taken = log.append(vec![fact], Time::UNIX_EPOCH).is_ok();
            lines += usize::from(taken);
            assert_eq!(read_events(&path).unwrap().len(), lines);
            taken
        };
        let longest =
            (0..=MAX_LINE as usize).rev().find(|size| takes(Fact::Renamed { title: "x".repeat(*size) }));
        assert!(longest.unwrap() + 200 > MAX_LINE as usize);
        let deep = |depth| (0..depth).fold(serde_json::json!(1), |inner, _| serde_json::json!([inner]));
        let item = |depth| Fact::item(Item::Unknown(deep(depth)));
        assert_eq!([126, 127].map(|depth| takes(item(depth))), [true, false]);
    }
}
