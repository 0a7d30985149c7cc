//! What making notes has cost: a file of its own, apart from what sessions cost.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::protocol::{ModelRef, Time, Usage};

use super::{MemoryError, Settings, make_folder, read_file, write_file};

/// A file of this size loses its oldest half.
const MOST_BYTES: u64 = 512 << 10;

/// One request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    pub at: Time,
    pub phase: Phase,
    /// The session, or whose notes were put together.
    pub of: String,
    pub model: ModelRef,
    #[serde(default)]
    pub usage: Usage,
}

/// What a request was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Notes of one session.
    Extract,
    /// What has gathered was put together.
    Consolidate,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// The file, one request a line.
#[derive(Debug, Clone)]
pub struct Ledger {
    path: PathBuf,
}

impl Ledger {
    /// The ledger of the memory in this folder.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { path: folder.join("spent.jsonl") }
    }

    /// Notes a request down.
    ///
    /// # Errors
    /// When it can't be written: nothing more may be spent then.
    pub fn add(&self, spent: &Spent) -> Result<(), MemoryError> {
        let failed = |error| MemoryError::io(&self.path, error);
        if let Some(folder) = self.path.parent() {
            make_folder(folder)?;
        }
        if fs::metadata(&self.path).is_ok_and(|meta| meta.len() > MOST_BYTES) {
            let text = read_file(&self.path)?.unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let kept: String = lines.iter().skip(lines.len() / 2).map(|line| format!("{line}\n")).collect();
            write_file(&self.path, &kept)?;
        }
        let line = serde_json::to_string(spent).map_err(|error| failed(error.into()))?;
        let mut file = File::options().create(true).append(true).open(&self.path).map_err(failed)?;
        writeln!(file, "{line}").map_err(failed)
    }

    /// All requests that are noted down, the oldest first. Lines that can't be read are passed over.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn read(&self) -> Result<Vec<Spent>, MemoryError> {
        let text = read_file(&self.path)?.unwrap_or_default();
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// What was used since a moment.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn since(&self, from: Time) -> Result<Usage, MemoryError> {
        let mut all = Usage::default();
        self.read()?.into_iter().filter(|spent| spent.at >= from).for_each(|spent| all += spent.usage);
        Ok(all)
    }

    /// Why nothing more may be spent at this time; nothing while there is room.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn exhausted(&self, settings: &Settings, now: Time) -> Result<Option<String>, MemoryError> {
        let day = now.checked_sub(jiff::SignedDuration::from_hours(24)).unwrap_or(Time::UNIX_EPOCH);
        let used = self.since(day)?;
        let tokens = used.input.saturating_add(used.output);
        if tokens >= settings.daily_tokens {
            return Ok(Some(format!(
                "{tokens} tokens were spent on memory in 24 hours, and memory.daily_tokens is {}",
                settings.daily_tokens
            )));
        }
        Ok(used.cost.filter(|cost| f64::from(*cost) >= settings.daily_usd).map(|cost| {
            format!("{cost} was spent on memory in 24 hours, and memory.daily_usd is {}", settings.daily_usd)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(at: &str, input: u64, usd: Option<f64>) -> Spent {
        let cost = usd.map(|usd| usd.try_into().unwrap());
        let usage = Usage { input, cost, ..Usage::default() };
        let model = "a/b".parse().unwrap();
        Spent { at: at.parse().unwrap(), phase: Phase::Extract, of: "s".into(), model, usage }
    }

    #[test]
    fn what_was_spent_in_a_day_stops_further_requests() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(&folder.path().join("memory"));
        let now: Time = "2026-11-20T12:00:00Z".parse().unwrap();
        let settings = Settings { daily_tokens: 100, daily_usd: 0.5, ..Settings::default() };
        assert_eq!(ledger.exhausted(&settings, now).unwrap(), None);
        ledger.add(&spent("2026-11-19T11:00:00Z", 1_000, Some(9.0))).unwrap();
        ledger.add(&spent("2026-11-20T11:00:00Z", 99, Some(0.1))).unwrap();
        assert_eq!(ledger.exhausted(&settings, now).unwrap(), None, "the first one is too long ago");
        ledger.add(&spent("2026-11-20T11:30:00Z", 0, Some(0.4))).unwrap();
        assert!(ledger.exhausted(&settings, now).unwrap().unwrap().contains("$0.500 was spent"));
        ledger.add(&spent("2026-11-20T11:40:00Z", 1, None)).unwrap();
        assert!(ledger.exhausted(&settings, now).unwrap().unwrap().contains("100 tokens"));
        fs::write(folder.path().join("memory/spent.jsonl"), "{\"at\":1}\nx\n").unwrap();
        assert_eq!(ledger.read().unwrap(), []);
    }
}
