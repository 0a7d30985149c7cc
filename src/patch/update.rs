//! Changing the lines of one file: every chunk gets its place first, then the new text is put together.

use std::{ops::Range, path::Path};

use super::{
    miss::{Sight, wrong},
    parse::{Chunk, Line},
    seek::{Pass, Seeker},
    text::Text,
};

/// A file that is to be changed, for error texts.
#[derive(Clone, Copy)]
pub struct Subject<'s> {
    pub path: &'s Path,
    /// Error texts may show lines of it.
    pub quotable: bool,
}

/// The bytes of the file after the chunks.
///
/// # Errors
/// When a chunk has no place, or several; the text says where it nearly fits.
pub fn update(bytes: &[u8], chunks: &[Chunk<'_>], subject: Subject<'_>) -> Result<Vec<u8>, String> {
    let text = Text::read(bytes).map_err(|why| wrong(subject.path, &why))?;
    let seeker = Seeker::new(text.texts());
    let search = Search { seeker: &seeker, chunks, subject };
    let places = search.leftmost()?;
    let result = build(&text, places.iter().map(|place| (place.start, place.lines.as_slice())));
    if let Some((choices, others)) = search.rightmost(&places)? {
        // Places that lead to the same text are no choice (one of two equal lines that stand together).
        let other = build(&text, places.iter().zip(&others).map(|(place, start)| (*start, &place.lines[..])));
        if other != result {
            return Err(choices);
        }
    }
    Ok(result)
}

/// Where a chunk goes.
struct Place<'a> {
    start: usize,
    /// Without a trailing empty line that the file does not have.
    lines: Vec<Line<'a>>,
    old: Vec<&'a str>,
    /// How strictly it was found; nothing when there was nothing to find.
    pass: Option<Pass>,
    /// Chunks before this one end here at the latest.
    limit: usize,
}

struct Search<'s, 'a> {
    seeker: &'s Seeker<'a>,
    chunks: &'s [Chunk<'s>],
    subject: Subject<'s>,
}

impl<'s, 'a> Search<'s, 'a> {
    /// The first place of every chunk, one after the other.
    fn leftmost(&self) -> Result<Vec<Place<'s>>, String> {
        let mut cursor = 0;
        let mut places = Vec::with_capacity(self.chunks.len());
        for (index, chunk) in self.chunks.iter().enumerate() {
            let sight = self.sight(index);
            let mut first_anchor = None;
            for anchor in &chunk.anchors {
                let rest = cursor..self.seeker.len();
                match self.seeker.find(&[*anchor], &rest).map_err(|_| sight.too_hard())? {
                    Some((_, line)) => {
                        first_anchor.get_or_insert(line);
                        cursor = line + 1;
                    }
                    None => return Err(sight.no_anchor(anchor, cursor)),
                }
            }
            let Some(mut place) = self.place(chunk, cursor).map_err(|_| sight.too_hard())? else {
                return Err(sight.no_block(chunk, cursor));
            };
            if !place.old.is_empty() {
                cursor = place.start + place.old.len();
            }
            if let Some(line) = first_anchor {
                place.limit = line;
            }
            places.push(place);
        }
        Ok(places)
    }

    fn place(&self, chunk: &Chunk<'s>, cursor: usize) -> Result<Option<Place<'s>>, super::seek::TooHard> {
        let mut lines = chunk.lines.clone();
        let mut old = chunk.old();
        let end = self.seeker.len();
        loop {
            if old.is_empty() {
                let start = if chunk.anchors.is_empty() || chunk.end_of_file { end } else { cursor };
                return Ok(Some(Place { start, lines, old, pass: None, limit: end }));
            }
            let range =
                if chunk.end_of_file { cursor.max(end.saturating_sub(old.len()))..end } else { cursor..end };
            if let Some((pass, start)) = self.seeker.find(&old, &range)? {
                return Ok(Some(Place { start, lines, old, pass: Some(pass), limit: start }));
            }
            // An empty line at the end is often only a gap in the patch. Once.
            if old.last() != Some(&"") || old.len() != chunk.old().len() {
                return Ok(None);
            }
            old.pop();
            if let Some(last) = lines.iter().rposition(|line| line.old().is_some()) {
                lines.remove(last);
            }
        }
    }

    /// Looks whether every chunk could only go where it went: pushes all chunks as far down as they go.
    /// When one moves, gives the error that names its places, and where all the chunks could start instead.
    fn rightmost(&self, places: &[Place<'_>]) -> Result<Option<(String, Vec<usize>)>, String> {
        let mut limit = self.seeker.len();
        let mut starts: Vec<usize> = places.iter().map(|place| place.start).collect();
        let mut moved: Option<(usize, Range<usize>)> = None;
        for (index, (chunk, place)) in self.chunks.iter().zip(places).enumerate().rev() {
            let free = chunk.anchors.is_empty() && !chunk.end_of_file && chunk.changes();
            match place.pass {
                Some(pass) if free => {
                    let last = self
                        .seeker
                        .last(pass, &place.old, place.start..limit)
                        .map_err(|_| self.sight(index).too_hard())?
                        .unwrap_or(place.start);
                    if last > place.start {
                        moved = Some((index, place.start..limit));
                    }
                    starts[index] = last;
                    limit = last;
                }
                _ => limit = limit.min(place.limit),
            }
        }
        let Some((index, range)) = moved else { return Ok(None) };
        let place = &places[index];
        let pass = place.pass.unwrap_or(Pass::Exact);
        let mut found = Vec::new();
        let mut from = range.start;
        while found.len() <= Sight::MOST_PLACES
            && let Ok(Some(start)) = self.seeker.first(pass, &place.old, from..range.end)
        {
            found.push(start);
            from = start + 1;
        }
        Ok(Some((self.sight(index).several(&self.chunks[index], &found), starts)))
    }

    fn sight(&self, index: usize) -> Sight<'_, 'a> {
        Sight {
            seeker: self.seeker,
            subject: self.subject,
            number: index + 1,
            of: self.chunks.len(),
            row: self.chunks[index].row,
        }
    }
}

/// The file with the chunks at their places.
fn build<'p>(text: &Text<'_>, places: impl Iterator<Item = (usize, &'p [Line<'p>])>) -> Vec<u8> {
    let mut places: Vec<_> = places.collect();
    // Lines for the end of the file may be named before changes in the middle.
    places.sort_by_key(|(start, _)| *start);
    let mut out = Out::new(text);
    for (start, lines) in places {
        out.keep_until(start);
        let mut removed: Vec<usize> = Vec::new();
        let mut added: Vec<&str> = Vec::new();
        for line in lines {
            match line {
                Line::Context(_) => {
                    out.replace(&removed, &added);
                    removed.clear();
                    added.clear();
                    out.keep_until(out.at + 1);
                }
                Line::Removed(_) => {
                    removed.push(out.at);
                    out.at += 1;
                }
                Line::Added(text) => added.push(text),
            }
        }
        out.replace(&removed, &added);
    }
    out.keep_until(text.lines.len());
    out.bytes
}

/// The new text as it grows.
struct Out<'t> {
    text: &'t Text<'t>,
    /// The next line of the old text.
    at: usize,
    /// How the line before ends, as long as there is one.
    before: Option<&'t str>,
    bytes: Vec<u8>,
}

impl<'t> Out<'t> {
    fn new(text: &'t Text<'t>) -> Self {
        let size: usize = text.lines.iter().map(|line| line.text.len() + line.ending.len()).sum();
        let mut bytes = Vec::with_capacity(size + 1024);
        bytes.extend_from_slice(text.bom.as_bytes());
        Self { text, at: 0, before: None, bytes }
    }

    fn keep_until(&mut self, end: usize) {
        let text = self.text;
        for line in &text.lines[self.at..end] {
            self.push(line.text, line.ending);
        }
        self.at = end;
    }

    /// Writes added lines; each ends as the line that it replaces, or else as its neighbour.
    fn replace(&mut self, removed: &[usize], added: &[&str]) {
        for (index, line) in added.iter().enumerate() {
            let replaced = removed.get(index).map(|at| self.text.lines[*at].ending);
            let ending = replaced.filter(|ending| !ending.is_empty()).unwrap_or_else(|| self.neighbour());
            self.push(line, ending);
        }
    }

    fn push(&mut self, line: &str, ending: &'t str) {
        if self.before == Some("") {
            // The old last line lacked its newline, and is not the last any more.
            self.bytes.extend_from_slice(self.usual().as_bytes());
        }
        self.bytes.extend_from_slice(line.as_bytes());
        self.bytes.extend_from_slice(ending.as_bytes());
        self.before = Some(ending);
    }

    fn neighbour(&self) -> &'t str {
        let next = self.text.lines.get(self.at).map(|line| line.ending);
        [self.before, next]
            .into_iter()
            .flatten()
            .find(|ending| !ending.is_empty())
            .unwrap_or_else(|| self.usual())
    }

    /// How lines near the end of the file end.
    fn usual(&self) -> &'t str {
        let mut endings = self.text.lines.iter().rev().take(2).map(|line| line.ending);
        endings.find(|ending| !ending.is_empty()).unwrap_or("\n")
    }
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
