//! What sessions have used, by day and model: summed up from their logs, and only from those that have changed since
//! the last time.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use jiff::{civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::protocol::{Event, Fact, SessionId, Time, Usage};

use super::{Sessions, known::Seen, listing::kind, read};

const VERSION: u32 = 1;

/// What a session has used of one model on one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    pub day: Date,
    pub model: String,
    pub usage: Usage,
    /// The cost lacks something of unknown price: it is not written with the number.
    #[serde(default)]
    at_least: bool,
}

/// What a session has used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedIn {
    pub workspace: PathBuf,
    pub used: Vec<Used>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    id: SessionId,
    seen: Seen,
    #[serde(flatten)]
    used: UsedIn,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    /// Days begin elsewhere in another one.
    zone: String,
    sessions: Vec<Entry>,
}

impl Sessions {
    /// What all sessions have used, by the days of a time zone. What a fork took over counts for its parent alone. Sums
    /// are kept in the file `kept`, which may be lost.
    ///
    /// # Errors
    /// When the folder of sessions can't be read. A log that can't be read counts as far as it can.
    pub fn usage(&self, kept: &Path, zone: &TimeZone) -> io::Result<Vec<UsedIn>> {
        let now = SystemTime::now();
        let name = format!("{zone:?}");
        let read = || -> Option<Kept> { serde_json::from_slice(&fs::read(kept).ok()?).ok() };
        let known = read().filter(|kept| kept.version == VERSION && kept.zone == name);
        let mut known: HashMap<SessionId, Entry> =
            known.into_iter().flat_map(|kept| kept.sessions).map(|entry| (entry.id, entry)).collect();
        let before = known.len();
        let (mut entries, mut unsettled) = (Vec::new(), Vec::new());
        let mut fresh = 0;
        for id in self.ids()? {
            // One without a log has used nothing.
            let Some(seen) = Seen::of(&self.folder(id)) else { continue };
            match known.remove(&id).filter(|entry| entry.seen == seen) {
                Some(mut entry) => {
                    entry.used.used.iter_mut().for_each(Used::loaded);
                    entries.push(entry);
                }
                None => {
                    let used = sum(&self.log(id), id, zone);
                    if seen.settled(now) {
                        fresh += 1;
                        entries.push(Entry { id, seen, used });
                    } else {
                        unsettled.push(used);
                    }
                }
            }
        }
        let all = Kept { version: VERSION, zone: name, sessions: entries };
        if fresh > 0 || before != all.sessions.len() {
            // Without it the next time takes longer.
            let _ = save(kept, &all);
        }
        Ok(all.sessions.into_iter().map(|entry| entry.used).chain(unsettled).collect())
    }
}

impl Used {
    fn loaded(&mut self) {
        if self.at_least {
            self.usage.cost = self.usage.cost.map(crate::protocol::Cost::at_least);
        }
    }
}

fn save(to: &Path, kept: &Kept) -> io::Result<()> {
    let folder = to.parent().unwrap_or_else(|| Path::new("."));
    let mut beside = tempfile::Builder::new().prefix(".usage-").tempfile_in(folder)?;
    beside.write_all(&serde_json::to_vec(kept)?)?;
    beside.persist(to)?;
    Ok(())
}

/// Reads a log. Most lines are passed over for what stands at their beginning.
fn sum(path: &Path, id: SessionId, zone: &TimeZone) -> UsedIn {
    let mut used = UsedIn { workspace: PathBuf::new(), used: Vec::new() };
    let Ok(file) = File::open(path) else { return used };
    let (mut model, mut since) = (String::new(), Time::MIN);
    let mut days: BTreeMap<(Date, String), Usage> = BTreeMap::new();
    let mut reader = BufReader::with_capacity(64 << 10, file);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let kind = kind(&line);
        let counts = [&b"session_started"[..], b"configured", b"response_finished", b"compacted"];
        if counts.iter().any(|counted| kind.starts_with(counted))
            && let Ok(Event { at, fact, .. }) = read::decode(&line)
        {
            let usage = match fact {
                Fact::SessionStarted { workspace, parent, .. } => {
                    used.workspace = workspace;
                    if parent.is_some() {
                        since = began(id);
                    }
                    None
                }
                Fact::Configured { settings } => {
                    model = settings.model.to_string();
                    None
                }
                Fact::ResponseFinished { usage, .. } => usage,
                Fact::Compacted(compaction) => compaction.usage,
                _ => None,
            };
            if let Some(usage) = usage.filter(|_| at >= since) {
                let day = at.to_zoned(zone.clone()).date();
                *days.entry((day, model.clone())).or_default() += usage;
            }
        }
        line.clear();
    }
    let one = |((day, model), usage): ((Date, String), Usage)| {
        let at_least = usage.cost.is_some_and(|cost| cost.exactly() != cost);
        Used { day, model, usage, at_least }
    };
    used.used = days.into_iter().map(one).collect();
    used
}

/// When a session was made, by its id.
fn began(id: SessionId) -> Time {
    let (seconds, nanos) = id.0.get_timestamp().map_or((0, 0), |stamp| stamp.to_unix());
    let seconds = i64::try_from(seconds).unwrap_or(0);
    Time::new(seconds, i32::try_from(nanos).unwrap_or(0)).unwrap_or(Time::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Cost, ResponseId, ResponseOutcome, Settings};
    use crate::store::Log;

    fn settings(model: &str) -> Fact {
        let settings: Settings = serde_json::from_value(serde_json::json!({
            "model": model, "approval": "never", "sandbox": "read-only", "backend": "local",
            "limits": { "window": 1, "tool_output": 1 },
        }))
        .unwrap();
        Fact::Configured { settings }
    }

    fn answer(input: u64, usd: Option<f64>) -> Fact {
        let cost = usd.map(|usd| Cost::try_from(usd).unwrap());
        let usage = Usage { input, output: 1, cost, ..Usage::default() };
        let outcome = ResponseOutcome::Completed;
        Fact::ResponseFinished { response: ResponseId(1), outcome, usage: Some(usage) }
    }

    fn begin(sessions: &Sessions, id: SessionId, parent: Option<SessionId>) -> Log {
        let mut log = Log::create(&sessions.log(id)).unwrap();
        let started = Fact::SessionStarted {
            session: id,
            version: 1,
            agent: "test".into(),
            workspace: "/w".into(),
            parent,
        };
        log.append(vec![started], at("2026-11-20T10:00:00Z")).unwrap();
        log
    }

    fn at(text: &str) -> Time {
        text.parse().unwrap()
    }

    /// Every time that is told of a session lies far in the past.
    fn settle(sessions: &Sessions, id: SessionId) {
        let past = SystemTime::now() - std::time::Duration::from_secs(60);
        for path in [sessions.log(id), sessions.folder(id)] {
            File::open(path).unwrap().set_modified(past).unwrap();
        }
    }

    fn told(sessions: &Sessions, kept: &Path) -> Vec<String> {
        let words = |used: &Used| {
            let cost = used.usage.cost.map(|cost| cost.to_string()).unwrap_or_default();
            format!("{} {} {} {cost}", used.day, used.model, used.usage.input)
        };
        let all = sessions.usage(kept, &TimeZone::fixed(jiff::tz::offset(2))).unwrap();
        let mut words: Vec<String> = all.iter().flat_map(|one| one.used.iter().map(words)).collect();
        words.sort();
        words
    }

    #[test]
    fn sums_are_by_day_and_model_and_are_kept_until_a_log_changes() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("usage.index");
        let sessions = Sessions::new(folder.path().join("sessions"));
        let id = SessionId(uuid::Uuid::from_u128(1));
        let mut log = begin(&sessions, id, None);
        log.append(
            vec![settings("a/x"), answer(10, Some(1.0)), answer(20, None)],
            at("2026-11-20T21:59:59Z"),
        )
        .unwrap();
        // Two hours to the east it is the next day already.
        log.append(
            vec![answer(40, Some(2.0)), settings("b/y"), answer(80, None)],
            at("2026-11-20T22:00:00Z"),
        )
        .unwrap();
        drop(log);
        let expected = ["2026-11-20 a/x 30 $1.00+", "2026-11-21 a/x 40 $2.00", "2026-11-21 b/y 80 "];
        assert_eq!(told(&sessions, &kept), expected);
        assert!(
            !kept.exists() || !fs::read_to_string(&kept).unwrap().contains("a/x"),
            "it has just been written"
        );
        settle(&sessions, id);
        assert_eq!(told(&sessions, &kept), expected);
        // That it is not read again is seen by what stands in the file.
        let text = fs::read_to_string(&kept).unwrap();
        fs::write(&kept, text.replace("\"a/x\"", "\"a/known\"")).unwrap();
        assert_eq!(told(&sessions, &kept)[0], "2026-11-20 a/known 30 $1.00+");
        let mut log = Log::open(&sessions.log(id)).unwrap().0;
        log.append(vec![answer(1, None)], at("2026-11-22T10:00:00Z")).unwrap();
        assert_eq!(told(&sessions, &kept).last().unwrap(), "2026-11-22 b/y 1 ");
        for damage in ["", "{", "{\"version\":9}"] {
            fs::write(&kept, damage).unwrap();
            assert_eq!(told(&sessions, &kept).len(), 4);
        }
    }

    #[test]
    fn what_a_fork_took_over_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = Sessions::new(folder.path().join("sessions"));
        let parent = SessionId(uuid::Uuid::from_u128(1));
        let second = std::time::Duration::from_secs(at("2026-11-21T10:00:00Z").as_second().cast_unsigned());
        let stamp = uuid::Timestamp::from_unix(uuid::NoContext, second.as_secs(), 0);
        let fork = SessionId(uuid::Uuid::new_v7(stamp));
        drop(begin(&sessions, parent, None));
        let mut log = begin(&sessions, fork, Some(parent));
        log.append(vec![settings("a/x"), answer(10, None)], at("2026-11-20T11:00:00Z")).unwrap();
        log.append(vec![answer(20, None)], at("2026-11-21T11:00:00Z")).unwrap();
        assert_eq!(told(&sessions, &folder.path().join("usage.index")), ["2026-11-21 a/x 20 "]);
    }
}
