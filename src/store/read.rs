//! Reading a log: whole lines, each checked against the one before it, on all processors.
//!
//! A line is checked against the sum that the line before it *says*. If that is not the right one, that line is the
//! damaged one, so that lines can be checked in any order. Their order is made again at the end.

use std::{
    io::{self, BufRead, BufReader, Read as _},
    ops::ControlFlow,
    sync::{
        Mutex, PoisonError,
        mpsc::{self, Receiver},
    },
    thread,
};

use serde::Deserialize;

use crate::protocol::{Event, FORMAT_VERSION, Fact, Seq, Time};

use super::log::Damage;

/// Bytes of `,"sum":"` + 32 hex digits + `"}`.
const SUM_FIELD: usize = 8 + SUM_DIGITS + 2;
pub(super) const SUM_DIGITS: usize = 32;
/// A longer line is not written, and damage where it is read. Larger content belongs into blobs.
pub(super) const MAX_LINE: u64 = if cfg!(test) { 64 << 10 } else { 64 << 20 };
/// Bytes of lines that one thread takes at a time.
const BATCH: usize = if cfg!(test) { 1 << 10 } else { 512 << 10 };
/// More threads than this wait for the disk, or for memory.
const THREADS: usize = 8;

pub(super) type Sum = [u8; SUM_DIGITS];

/// What the first line is checked against.
pub(super) const NO_SUM: Sum = [b'0'; SUM_DIGITS];

/// A log that was read.
pub(super) struct Read {
    pub(super) events: Vec<Event>,
    /// Bytes up to the end of the last whole line.
    pub(super) len: u64,
    /// Of that line.
    pub(super) sum: Sum,
    pub(super) damage: Option<Damage>,
}

/// Lines that are checked together.
struct Batch {
    bytes: Vec<u8>,
    /// Lines before it.
    before: u64,
    /// What the last of those says that its sum is.
    sum: Sum,
}

/// What came of a batch: as much of it as is whole.
struct Part {
    events: Vec<Event>,
    len: u64,
    sum: Sum,
    bad: Option<Bad>,
}

/// A line that is not whole.
struct Bad {
    damage: Damage,
    /// It may be one that a crash has cut: it has no end, or holes where the disk did not get to.
    torn: bool,
    /// Nothing of its batch stands behind it.
    last: bool,
}

/// The lines of a log, batch after batch.
struct Lines<R> {
    reader: BufReader<R>,
    lines: u64,
    sum: Sum,
    /// There are no more lines, or none that could be one.
    ended: bool,
    /// Something stands behind the last of them.
    more: bool,
}

/// Reads a log. A torn last line is left out.
pub(super) fn read(source: impl io::Read) -> io::Result<Read> {
    let reader = BufReader::with_capacity(256 << 10, source);
    let mut lines = Lines { reader, lines: 0, sum: NO_SUM, ended: false, more: false };
    let mut read = Read { events: Vec::new(), len: 0, sum: NO_SUM, damage: None };
    let first = lines.batch()?.check();
    let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    let whole = first.bad.is_none();
    let mut parts = vec![first];
    // Most logs have no more.
    if whole && !lines.ended {
        parts.extend(on_threads(&mut lines, threads)?);
    }
    let count = parts.len();
    for (number, part) in (1..).zip(parts) {
        let nothing_behind = number == count && lines.ended && !lines.more;
        if read.add(part, nothing_behind).is_break() {
            break;
        }
    }
    Ok(read)
}

/// Checks all that is to come. Gives it in its order.
fn on_threads(lines: &mut Lines<impl io::Read>, threads: usize) -> io::Result<Vec<Part>> {
    // Not more of them lie about than are worked at, and one each that waits.
    let (batches, waiting) = mpsc::sync_channel::<(usize, Batch)>(threads);
    let (checked, parts) = mpsc::channel();
    let waiting: Mutex<Receiver<_>> = Mutex::new(waiting);
    let mut parts: Vec<(usize, Part)> = thread::scope(|scope| {
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        for _ in 0..threads {
            let checked = checked.clone();
            scope.spawn(move || {
                while let Ok((number, batch)) = next() {
                    // Who has left does not want it any more.
                    let _ = checked.send((number, batch.check()));
                }
            });
        }
        drop(checked);
        let mut number = 0;
        let read = loop {
            match lines.batch() {
                Ok(batch) => drop(batches.send((number, batch))),
                Err(error) => break Err(error),
            }
            if lines.ended {
                break Ok(());
            }
            number += 1;
        };
        drop(batches);
        let parts = parts.iter().collect();
        read.map(|()| parts)
    })?;
    parts.sort_unstable_by_key(|(number, _)| *number);
    Ok(parts.into_iter().map(|(_, part)| part).collect())
}

impl Read {
    /// Takes in what comes next, if all before it was whole.
    fn add(&mut self, part: Part, nothing_behind: bool) -> ControlFlow<()> {
        self.events.extend(part.events);
        self.len += part.len;
        self.sum = part.sum;
        let Some(bad) = part.bad else { return ControlFlow::Continue(()) };
        // A torn last line is a crash in the middle of writing: the fact never became true.
        let torn = bad.torn && bad.last && nothing_behind;
        self.damage = (!torn).then_some(bad.damage);
        ControlFlow::Break(())
    }
}

impl<R: io::Read> Lines<R> {
    fn batch(&mut self) -> io::Result<Batch> {
        let (before, sum) = (self.lines, self.sum);
        let mut bytes = Vec::with_capacity(BATCH + BATCH / 8);
        while bytes.len() < BATCH && !self.ended {
            if self.reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes)? == 0 {
                self.ended = true;
                break;
            }
            self.lines += 1;
            if !bytes.ends_with(b"\n") {
                self.ended = true;
                self.more = !self.reader.fill_buf()?.is_empty();
            }
        }
        if !self.ended {
            self.ended = self.reader.fill_buf()?.is_empty();
        }
        // A line that says nothing is refused itself.
        self.sum = said(bytes.strip_suffix(b"\n").unwrap_or(&bytes)).unwrap_or(NO_SUM);
        Ok(Batch { bytes, before, sum })
    }
}

impl Batch {
    fn check(mut self) -> Part {
        let mut part = Part { events: Vec::new(), len: 0, sum: self.sum, bad: None };
        let all = self.bytes.len() as u64;
        let mut number = self.before;
        for line in self.bytes.split_inclusive_mut(|byte| *byte == b'\n') {
            let size = line.len() as u64;
            match parse(line, &part.sum, number) {
                Ok((event, sum)) => {
                    part.events.push(event);
                    part.sum = sum;
                    part.len += size;
                }
                Err(what) => {
                    let torn = !line.ends_with(b"\n") || line.contains(&0);
                    let last = part.len + size == all;
                    part.bad = Some(Bad { damage: Damage { line: number + 1, what }, torn, last });
                    break;
                }
            }
            number += 1;
        }
        part
    }
}

/// What a line, without its end, says that its sum is.
fn said(line: &[u8]) -> Option<Sum> {
    let tail = line.get(line.len().checked_sub(SUM_FIELD)?..)?;
    tail.strip_prefix(b",\"sum\":\"")?.strip_suffix(b"\"}")?.try_into().ok()
}

/// Reads a line that comes after `last` others. What it was written as is not there any more then.
fn parse(line: &mut [u8], before: &Sum, last: u64) -> Result<(Event, Sum), String> {
    let size = line.strip_suffix(b"\n").ok_or("it has no end")?.len();
    let line = line.get_mut(..size).unwrap_or_default();
    let end = size.checked_sub(SUM_FIELD).ok_or("it is too short")?;
    let sum = said(line).ok_or("it has no checksum")?;
    if chain(before, line.get(..end).unwrap_or_default()) != sum {
        return Err("its checksum does not fit".to_owned());
    }
    let event =
        decode_whole(line, end).map_err(|error| format!("it is whole, but can't be understood: {error}"))?;
    if event.seq.0 != last + 1 {
        return Err(format!("it has number {}, after number {last}", event.seq.0));
    }
    if let Fact::SessionStarted { version, .. } = &event.fact
        && *version > FORMAT_VERSION
    {
        // Newer facts fold to nothing; a newer *format* is a promise that this is not enough.
        return Err(format!("it was written in format {version}; this program knows up to {FORMAT_VERSION}"));
    }
    Ok((event, sum))
}

/// Decodes a line whose sum begins at `end`. What stands around its fact is read here, and taken out of it: it would
/// be collected again and again for the fact.
fn decode_whole(line: &mut [u8], end: usize) -> serde_json::Result<Event> {
    let Some((seq, at, comma)) = head(line) else { return decode(line) };
    if let Some(byte) = line.get_mut(comma) {
        *byte = b'{';
    }
    if let Some(byte) = line.get_mut(end) {
        *byte = b'}';
    }
    let fact = serde_json::from_slice(line.get(comma..=end).unwrap_or_default())?;
    Ok(Event { seq, at, fact })
}

/// The same as deserialising an [`Event`], without collecting its fields twice.
pub(super) fn decode(line: &[u8]) -> serde_json::Result<Event> {
    #[derive(Deserialize)]
    struct Head {
        seq: Seq,
        at: Time,
    }
    let (seq, at) = match head(line) {
        Some((seq, at, _)) => (seq, at),
        None => serde_json::from_slice(line).map(|Head { seq, at }| (seq, at))?,
    };
    let mut fact: Fact = serde_json::from_slice(line)?;
    if let Fact::Unknown(fields) = &mut fact {
        for field in ["seq", "at", "sum"] {
            fields.shift_remove(field);
        }
    }
    Ok(Event { seq, at, fact })
}

/// The number and the time of a line, where they stand as this program writes them, and the place of the comma behind
/// them.
fn head(line: &[u8]) -> Option<(Seq, Time, usize)> {
    let rest = line.strip_prefix(b"{\"seq\":")?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let seq = std::str::from_utf8(rest.get(..digits)?).ok()?.parse().ok()?;
    let rest = rest.get(digits..)?.strip_prefix(b",\"at\":\"")?;
    let quote = rest.iter().position(|byte| *byte == b'"')?;
    let at = std::str::from_utf8(rest.get(..quote)?).ok()?.parse().ok()?;
    let rest = rest.get(quote + 1..)?;
    rest.starts_with(b",\"type\":").then_some((Seq(seq), at, line.len() - rest.len()))
}

/// The sum of a line: over that of the line before it, and all of it but its sum.
pub(super) fn chain(before: &Sum, body: &[u8]) -> Sum {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before);
    hasher.update(body);
    let hex = hasher.finalize().to_hex();
    let mut sum = NO_SUM;
    for (digit, hex) in sum.iter_mut().zip(hex.as_bytes()) {
        *digit = *hex;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        protocol::{Item, Level},
        store::Log,
    };

    /// A log of several batches.
    fn written() -> (Vec<Fact>, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let note = |number: usize| match number % 3 {
            0 => Fact::Noted { level: Level::Info, text: "n".repeat(number) },
            1 => Fact::item(Item::user(format!("é\n\"{number}\""))),
            _ => serde_json::from_value(serde_json::json!({ "type": "newer", "seq_of": number })).unwrap(),
        };
        let facts: Vec<Fact> = (0..60).map(note).collect();
        Log::create(&path).unwrap().append(facts.clone(), Time::UNIX_EPOCH).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.len() > 5 * BATCH, "{}", bytes.len());
        (facts, bytes)
    }

    fn facts(read: &Read) -> Vec<Fact> {
        read.events.iter().map(|event| event.fact.clone()).collect()
    }

    #[test]
    fn many_threads_read_what_was_written_in_its_order() {
        let (written, bytes) = written();
        let read = read(&bytes[..]).unwrap();
        assert_eq!((facts(&read), read.damage, read.len), (written, None, bytes.len() as u64));
        let each: Vec<Event> =
            bytes.split(|byte| *byte == b'\n').filter_map(|line| decode(line).ok()).collect();
        assert_eq!(read.events, each);
        let numbers: Vec<u64> = read.events.iter().map(|event| event.seq.0).collect();
        assert_eq!(numbers, (1..=60).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_line_that_is_not_whole_is_the_one_that_is_told_in_whatever_batch_it_is() {
        let (written, bytes) = written();
        let last = bytes.len() - 1;
        for at in (0..last).step_by(11).chain([last]) {
            let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count();
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let read = read(&changed[..]).unwrap();
            assert_eq!(facts(&read), written[..line], "at {at}");
            // Without its end, the last one may have been cut.
            let damage = (at != last).then_some(line as u64 + 1);
            assert_eq!(read.damage.map(|damage| damage.line), damage, "at {at}");
            let end = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(end, _)| end + 1);
            assert_eq!(read.len, if line == 0 { 0 } else { end.clone().nth(line - 1).unwrap() as u64 });
        }
    }

    #[test]
    fn a_line_with_holes_is_torn_at_the_end_and_damage_elsewhere() {
        let (written, bytes) = written();
        let starts: Vec<usize> = [0]
            .into_iter()
            .chain(bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(end, _)| end + 1))
            .collect();
        for line in 0..60 {
            let mut holes = bytes.clone();
            holes[starts[line] + 9..starts[line + 1] - 1].fill(0);
            let read_all = read(&holes[..]).unwrap();
            assert_eq!(facts(&read_all), written[..line]);
            assert_eq!(read_all.damage.is_some(), line != 59, "{line}");
            let cut = read(&bytes[..starts[line] + 20]).unwrap();
            assert_eq!((facts(&cut), cut.damage), (written[..line].to_vec(), None), "{line}");
        }
    }
}
