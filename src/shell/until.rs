//! What a look at a process waits for besides its end.

use std::{
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use regex::bytes::{Regex, RegexBuilder};
use tokio::sync::Notify;

use super::lock;

/// Bytes of an unfinished line in which a pattern is looked for.
const LINE: usize = 8 * 1024;
/// What a pattern may become in memory.
const PATTERN: usize = 1 << 20;

/// What ends a look before the process does.
#[derive(Debug, Clone, Default)]
pub enum Until {
    /// Only what ends every look.
    #[default]
    End,
    /// Any output that was not looked at yet.
    Output,
    /// Output, not looked at yet, with a line that fits.
    Match(Pattern),
}

/// A regular expression for lines of output.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// The pattern that is written so.
    ///
    /// # Errors
    /// When it is none; with a sentence that says where.
    pub fn new(text: &str) -> Result<Self, String> {
        let built = RegexBuilder::new(text).multi_line(true).crlf(true).size_limit(PATTERN).build();
        built.map(Self).map_err(|error| error.to_string())
    }
}

/// Sees output as it comes, and tells when what is waited for is there.
pub(super) struct Watcher {
    until: Until,
    /// The line that is not finished.
    line: Mutex<Vec<u8>>,
    met: AtomicBool,
    told: Notify,
}

impl Watcher {
    pub(super) fn new(until: Until) -> Self {
        Self { until, line: Mutex::default(), met: AtomicBool::new(false), told: Notify::new() }
    }

    /// Output has come.
    pub(super) fn saw(&self, bytes: &[u8]) {
        if bytes.is_empty() || self.met() {
            return;
        }
        let met = match &self.until {
            Until::End => false,
            Until::Output => true,
            Until::Match(Pattern(pattern)) => {
                let mut line = lock(&self.line);
                line.extend_from_slice(bytes);
                let met = pattern.is_match(&line);
                let begun =
                    memchr::memrchr(b'\n', &line).map_or(0, |at| at + 1).max(line.len().saturating_sub(LINE));
                line.drain(..begun);
                met
            }
        };
        if met {
            self.met.store(true, Ordering::Release);
            self.told.notify_one();
        }
    }

    /// Whether it is there.
    pub(super) fn met(&self) -> bool {
        self.met.load(Ordering::Acquire)
    }

    /// Returns when it is there.
    pub(super) async fn wait(&self) {
        while !self.met() {
            self.told.notified().await;
        }
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher")
            .field("until", &self.until)
            .field("met", &self.met())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(pattern: &str, pieces: &[&str]) -> bool {
        let watcher = Watcher::new(Until::Match(Pattern::new(pattern).unwrap()));
        pieces.iter().for_each(|piece| watcher.saw(piece.as_bytes()));
        watcher.met()
    }

    #[test]
    fn a_pattern_is_found_in_a_line_however_it_comes() {
        for (pattern, pieces, met) in [
            ("listening on .*:80", &["starting\nlisten", "ing on ", "0.0.0.0:8", "0\n"][..], true),
            ("^ready$", &["al", "ready\n"], false),
            ("^ready$", &["al\r\nre", "ady\r\n"], true),
            ("(?i)error", &["no ERR", "OR\n"], true),
            ("b.*a", &["a\nb\n", "a\n"], false),
            ("x", &[], false),
        ] {
            assert_eq!(watch(pattern, pieces), met, "{pattern} {pieces:?}");
        }
        let flood = "abc ".repeat(10_000);
        assert!(watch("the end$", &[&flood, &flood, "the ", "end"]));
        assert!(Pattern::new("a(b").unwrap_err().contains("unclosed group"));
        assert!(Pattern::new("(a{1000}){1000}").is_err(), "no pattern takes all memory");
    }
}
