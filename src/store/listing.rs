//! Sessions as a list shows them: read from the ends of their logs, and only of those that have changed since
//! the last list, so that ten thousand of them list at once.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use crate::protocol::{Content, Event, Fact, Item, SessionId, Time, words};

use super::{
    Sessions, changed,
    known::{self, Known, Seen},
    read,
};

/// Holds the name of a session, if it was given one.
pub(super) const TITLE: &str = "title";
/// Stands in the folder of a session that was put away.
pub(super) const ARCHIVED: &str = "archived";
/// Stands in the folder of a session that is kept however old it is.
pub(super) const PINNED: &str = "pinned";

/// The first message stands in the first part of a log, if anywhere.
const HEAD: u64 = 256 << 10;
/// Where the last turn is looked for at first, and at most.
const TAIL: u64 = 8 << 10;
const LONGEST_TAIL: u64 = 512 << 10;
/// Where the last words are looked for.
const WORDS: u64 = 256 << 10;

/// A session as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub id: SessionId,
    pub folder: PathBuf,
    pub workspace: PathBuf,
    /// The name that was given, else the beginning of the first message.
    pub title: String,
    pub started: Time,
    /// When its log was last written.
    pub changed: SystemTime,
    /// Bytes of everything in its folder.
    pub size: u64,
    /// How many turns it had. Unknown of one whose end can't be read.
    pub turns: Option<u32>,
    /// It was put away.
    pub archived: bool,
    /// It is kept however old it is.
    pub pinned: bool,
    /// The session that it was forked from.
    pub parent: Option<SessionId>,
}

impl Sessions {
    /// All sessions, the one that was written to last first. Reads no more than the ends of each log.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn list(&self) -> io::Result<Vec<Listed>> {
        let ids = self.ids()?;
        let now = SystemTime::now();
        let known = Known::load(self.known.as_deref());
        let (same, fresh) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let one = |id: &SessionId| {
            let seen = Seen::of(&self.folder(*id));
            if let Some(listed) = seen.as_ref().and_then(|seen| known.get(self, *id, seen)) {
                same.fetch_add(1, Ordering::Relaxed);
                return Some((seen, listed));
            }
            let settled = seen.is_some_and(|seen| seen.settled(now));
            fresh.fetch_add(usize::from(settled), Ordering::Relaxed);
            Some((seen, self.describe(*id)?))
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
        let mut listed: Vec<(Option<Seen>, Listed)> = std::thread::scope(|scope| {
            let parts: Vec<_> = ids
                .chunks(ids.len().div_ceil(threads).max(1))
                .map(|part| scope.spawn(|| part.iter().filter_map(one).collect::<Vec<_>>()))
                .collect();
            // A part whose thread has crashed is missing from the list, which is better than no list.
            parts.into_iter().filter_map(|part| part.join().ok()).flatten().collect()
        });
        if let Some(file) = &self.known
            && (fresh.into_inner() > 0 || known.len() > same.into_inner())
        {
            // Without it the next list takes longer.
            let _ = known::save(file, &listed, now);
        }
        listed.sort_by(|(_, a), (_, b)| b.changed.cmp(&a.changed).then(b.id.cmp(&a.id)));
        Ok(listed.into_iter().map(|(_, listed)| listed).collect())
    }

    /// The last messages of a session, at most `most`, the oldest first.
    ///
    /// # Errors
    /// When its log can't be read.
    pub fn last_words(&self, id: SessionId, most: usize) -> io::Result<Vec<Arc<Item>>> {
        let mut said = Vec::new();
        let bytes = tail(&mut File::open(self.log(id))?, WORDS)?;
        for line in bytes.split(|byte| *byte == b'\n').rev() {
            if said.len() == most {
                break;
            }
            let kind = kind(line);
            if (kind.starts_with(USER) || kind.starts_with(ASSISTANT))
                && let Some(Fact::ItemAdded { item }) = fact(line)
            {
                said.push(item);
            }
        }
        said.reverse();
        Ok(said)
    }

    pub(super) fn describe(&self, id: SessionId) -> Option<Listed> {
        let path = self.log(id);
        let folder = self.folder(id);
        let changed = changed(&path).or_else(|| changed(&folder))?;
        // One that can't be read, or was never begun, is there all the same, and may have to be deleted.
        let ends = File::open(&path).and_then(|mut file| Ends::read(&mut file)).unwrap_or_default();
        let started = ends.started.map_or_else(|| Time::try_from(changed), Ok).ok()?;
        let name = fs::read_to_string(folder.join(TITLE)).ok().filter(|name| !name.trim().is_empty());
        Some(Listed {
            id,
            workspace: ends.workspace,
            title: name.unwrap_or(ends.first),
            started,
            changed,
            size: size(&folder),
            turns: ends.turns,
            archived: folder.join(ARCHIVED).exists(),
            pinned: folder.join(PINNED).exists(),
            parent: ends.parent,
            folder,
        })
    }
}

/// What the two ends of a log tell.
#[derive(Default)]
struct Ends {
    started: Option<Time>,
    workspace: PathBuf,
    parent: Option<SessionId>,
    /// The beginning of the first message.
    first: String,
    turns: Option<u32>,
}

impl Ends {
    fn read(file: &mut File) -> io::Result<Self> {
        let mut ends = Self::default();
        let mut reader = BufReader::with_capacity(16 << 10, file.take(HEAD));
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            if ends.started.is_none() {
                let Ok(Event { at, fact, .. }) = read::decode(&line) else { break };
                ends.started = Some(at);
                if let Fact::SessionStarted { workspace, parent, .. } = fact {
                    (ends.workspace, ends.parent) = (workspace, parent);
                }
            } else if kind(&line).starts_with(USER) {
                if let Some(Fact::ItemAdded { item }) = fact(&line) {
                    ends.first = first_words(&item);
                }
                break;
            }
            line.clear();
        }
        ends.turns = turns(file)?;
        Ok(ends)
    }
}

/// The number of the last turn.
fn turns(file: &mut File) -> io::Result<Option<u32>> {
    let mut most = TAIL;
    loop {
        let bytes = tail(file, most)?;
        let found = bytes.split(|byte| *byte == b'\n').rev().find_map(|line| {
            let of_turn = kind(line).starts_with(TURN);
            match of_turn.then(|| fact(line))?? {
                Fact::TurnStarted { turn } | Fact::TurnFinished { turn, .. } => Some(turn.0),
                _ => None,
            }
        });
        if found.is_some() {
            return Ok(found);
        }
        if (bytes.len() as u64) < most {
            // That was all of it.
            return Ok(Some(0));
        }
        if most >= LONGEST_TAIL {
            return Ok(None);
        }
        most *= 8;
    }
}

pub(super) const USER: &[u8] = br#"item_added","item":{"type":"user""#;
pub(super) const ASSISTANT: &[u8] = br#"item_added","item":{"type":"assistant""#;
const TURN: &[u8] = b"turn_";

/// A line from the name of its fact on. Most lines are passed over for what stands there, and never parsed.
pub(super) fn kind(line: &[u8]) -> &[u8] {
    const NAME: &[u8] = br#","type":""#;
    let head = line.get(..line.len().min(100)).unwrap_or_default();
    let at = head.windows(NAME.len()).position(|window| window == NAME);
    at.and_then(|at| line.get(at + NAME.len()..)).unwrap_or_default()
}

pub(super) fn fact(line: &[u8]) -> Option<Fact> {
    read::decode(line).ok().map(|event| event.fact)
}

/// The last bytes of a file, at most `most`.
fn tail(file: &mut File, most: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn first_words(item: &Item) -> String {
    let Item::User { content, .. } = item else { return String::new() };
    let pictures = content.iter().any(|part| matches!(part, Content::Image { .. }));
    let text = words(content);
    let text = if text.trim().is_empty() && pictures { "(a picture)" } else { &text };
    text.split_whitespace().take(12).collect::<Vec<_>>().join(" ").chars().take(80).collect()
}

fn size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::protocol::{Outcome, TurnId};
    use crate::store::Log;

    fn id(number: u128) -> SessionId {
        SessionId(uuid::Uuid::from_u128(number))
    }

    pub(in crate::store) fn begin(sessions: &Sessions, number: u128, message: &str) -> Log {
        let mut log = Log::create(&sessions.log(id(number))).unwrap();
        let facts = vec![
            Fact::SessionStarted {
                session: id(number),
                version: 1,
                agent: "test".into(),
                workspace: "/w".into(),
                parent: None,
            },
            Fact::item(Item::Context {
                context: crate::protocol::Context::Instructions,
                text: r#"{"type":"user"}"#.repeat(3000),
            }),
            Fact::TurnStarted { turn: TurnId(1) },
            Fact::item(Item::user(message)),
        ];
        log.append(facts, Time::UNIX_EPOCH).unwrap();
        log
    }

    fn end(log: &mut Log, turn: u32) {
        let finished = Fact::TurnFinished { turn: TurnId(turn), outcome: Outcome::Done, duration_ms: 1 };
        log.append(vec![finished], Time::UNIX_EPOCH).unwrap();
    }

    #[test]
    fn the_ends_of_a_log_tell_what_a_list_shows() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = Sessions::new(folder.path());
        let mut log = begin(&sessions, 1, "mend the\n login");
        let one = |sessions: &Sessions| sessions.list().unwrap().remove(0);
        let listed = one(&sessions);
        assert_eq!((listed.title.as_str(), listed.turns), ("mend the login", Some(1)));
        assert_eq!((listed.workspace.as_path(), listed.archived), (Path::new("/w"), false));
        // Far from the ends of the log.
        log.append(vec![Fact::Renamed { title: "Login".into() }], Time::UNIX_EPOCH).unwrap();
        end(&mut log, 1);
        for turn in 2..=30 {
            let long = "x".repeat(30_000);
            let said = Item::Assistant { id: None, text: long, partial: false };
            log.append(vec![Fact::TurnStarted { turn: TurnId(turn) }, Fact::item(said)], Time::UNIX_EPOCH)
                .unwrap();
        }
        let listed = one(&sessions);
        assert_eq!(
            (listed.title.as_str(), listed.turns),
            ("Login", Some(30)),
            "the last turn is behind 30 kB"
        );
        assert!(listed.size > 900_000);
    }

    #[test]
    fn a_name_is_found_again_where_only_the_log_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = Sessions::new(folder.path());
        drop(begin(&sessions, 1, "hi"));
        sessions.rename(id(1), "Name".into(), Time::UNIX_EPOCH).unwrap();
        fs::remove_file(sessions.folder(id(1)).join(TITLE)).unwrap();
        assert_eq!(sessions.describe(id(1)).unwrap().title, "hi");
        drop(Log::open(&sessions.log(id(1))).unwrap());
        assert_eq!(sessions.describe(id(1)).unwrap().title, "Name");
    }

    #[test]
    fn one_that_is_put_away_is_marked_and_is_not_the_last_one() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = Sessions::new(folder.path());
        drop(begin(&sessions, 1, "hi"));
        sessions.archive(id(1), true).unwrap();
        assert!(sessions.describe(id(1)).unwrap().archived && sessions.last(None).is_err());
        sessions.archive(id(1), false).unwrap();
        sessions.archive(id(1), false).unwrap();
        assert_eq!(sessions.last(None).unwrap(), id(1));
    }

    #[test]
    fn one_that_is_open_is_neither_deleted_nor_renamed() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = Sessions::new(folder.path());
        let log = begin(&sessions, 1, "hi");
        assert!(matches!(sessions.remove(id(1)), Err(crate::store::LogError::Locked)));
        let renamed = sessions.rename(id(1), "x".into(), Time::UNIX_EPOCH);
        assert!(matches!(renamed, Err(crate::store::LogError::Locked)));
        drop(log);
        sessions.remove(id(1)).unwrap();
        assert_eq!(sessions.list().unwrap(), []);
    }

    #[test]
    fn the_last_words_are_those_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = Sessions::new(folder.path());
        let mut log = begin(&sessions, 1, "question");
        let said = |text: &str| Fact::item(Item::Assistant { id: None, text: text.into(), partial: false });
        log.append(vec![said("one"), said("two")], Time::UNIX_EPOCH).unwrap();
        let words = sessions.last_words(id(1), 2).unwrap();
        let words: Vec<&str> = words
            .iter()
            .map(|item| match &**item {
                Item::Assistant { text, .. } => text.as_str(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(words, ["one", "two"]);
        assert_eq!(sessions.last_words(id(1), 9).unwrap().len(), 3);
    }
}
