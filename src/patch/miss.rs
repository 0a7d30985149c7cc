//! Error texts for chunks without a place: what was looked for, what comes nearest, and what differs.
//!
//! The first words are those that models know. Lines of files that the model may not read are never shown.

use std::{collections::HashMap, fmt::Write as _, path::Path};

use super::{parse::Chunk, seek::Seeker, update::Subject};

/// An error about a file as a whole.
pub fn wrong(path: &Path, why: &str) -> String {
    format!("{}: {why}", path.display())
}

/// Where the search for a chunk stood when it failed.
pub struct Sight<'s, 'a> {
    pub seeker: &'s Seeker<'a>,
    pub subject: Subject<'s>,
    /// Which chunk of the file this is, counted from 1, and of how many.
    pub number: usize,
    pub of: usize,
    /// The line of the patch where it begins.
    pub row: usize,
}

/// Lines of the patch that an error repeats at most.
const MOST_LINES: usize = 40;
/// Characters of a line that an error shows at most.
const MOST_CHARS: usize = 160;
/// Lines of a chunk that are looked at for the nearest place.
const MOST_VOTERS: usize = 2_000;
/// A line that stands more often than this says little about where a block is meant.
const COMMON: usize = 16;

impl Sight<'_, '_> {
    /// Places that an error names at most.
    pub const MOST_PLACES: usize = 5;

    /// No line is the text of the `@@` line.
    pub fn no_anchor(&self, text: &str, cursor: usize) -> String {
        let mut error = format!("Failed to find context '{}' in {}\n", cut(text), self.path());
        self.where_searched(&mut error, cursor);
        if !self.subject.quotable {
            return error;
        }
        let trimmed = text.trim();
        if trimmed.starts_with('-') && trimmed.contains(" +") && trimmed.trim_end_matches('@') != trimmed {
            error.push_str(
                "Line numbers mean nothing after `@@`: write a whole line of the file, or `@@` alone.\n",
            );
            return error;
        }
        let stands = self.seeker.places(text, 1);
        if let Some(line) = stands.first().filter(|line| **line < cursor) {
            let _ = writeln!(
                error,
                "It stands at line {}, before the place where the search began: write the chunks in the order of \
                 the file.",
                line + 1
            );
            return error;
        }
        let holders: Vec<usize> =
            (cursor..self.seeker.len()).filter(|line| self.line(*line).contains(trimmed)).take(3).collect();
        if holders.is_empty() {
            self.similar(&mut error, text);
        } else {
            error.push_str("`@@ ` takes a whole line of the file. Lines that contain the text:\n");
            for line in holders {
                let _ = writeln!(error, "  line {}: {}", line + 1, cut(self.line(line)));
            }
        }
        error
    }

    /// The old lines of the chunk stand nowhere in the rest of the file.
    pub fn no_block(&self, chunk: &Chunk<'_>, cursor: usize) -> String {
        let old = chunk.old();
        let mut error = self.lines("Failed to find expected lines in", &old);
        self.where_searched(&mut error, cursor);
        if !self.subject.quotable {
            return error;
        }
        if chunk.end_of_file {
            let _ = writeln!(
                error,
                "The chunk has `*** End of File`, so it must end with the last line of the file, line {}: {}",
                self.seeker.len(),
                cut(self.line(self.seeker.len().saturating_sub(1)))
            );
        }
        let nearest = self.nearest(&old);
        if nearest.is_empty()
            && let Some(longest) = old.iter().max_by_key(|line| line.trim().len())
        {
            self.similar(&mut error, longest);
        }
        for start in nearest {
            self.compare(&mut error, &old, start, cursor);
        }
        error
    }

    /// The old lines of the chunk stand in several places, and nothing says which is meant.
    pub fn several(&self, chunk: &Chunk<'_>, places: &[usize]) -> String {
        let mut error = self.lines("Found the expected lines more than once in", &chunk.old());
        let named: Vec<String> =
            places.iter().take(Self::MOST_PLACES).map(|place| (place + 1).to_string()).collect();
        let more = if places.len() > Self::MOST_PLACES { " and more" } else { "" };
        let _ = writeln!(
            error,
            "This is {}, and it fits equally well at lines {}{more}. Say which is meant: add lines above or below as context, or a \
             line `@@ ` with a whole line that stands above the place.",
            self.chunk(),
            named.join(", ")
        );
        error
    }

    /// Too much work.
    pub fn too_hard(&self) -> String {
        format!(
            "{}: {} takes too long to place, because its lines stand almost everywhere: use fewer and more distinct \
             lines",
            self.path(),
            self.chunk()
        )
    }

    fn path(&self) -> std::path::Display<'_> {
        self.subject.path.display()
    }

    fn chunk(&self) -> String {
        format!("chunk {} of {} (line {} of the patch)", self.number, self.of, self.row)
    }

    fn line(&self, index: usize) -> &str {
        self.seeker.line(index).unwrap_or_default()
    }

    fn lines(&self, problem: &str, old: &[&str]) -> String {
        let mut error = format!("{problem} {}:\n", self.path());
        for line in old.iter().take(MOST_LINES) {
            let _ = writeln!(error, "{}", cut(line));
        }
        if old.len() > MOST_LINES {
            let _ = writeln!(error, "… and {} lines more", old.len() - MOST_LINES);
        }
        error.push('\n');
        error
    }

    fn where_searched(&self, error: &mut String, cursor: usize) {
        let _ = write!(error, "This is {}", self.chunk());
        let _ = match (cursor, self.seeker.len()) {
            (_, 0) => writeln!(error, "; the file is empty."),
            (0, 1) => writeln!(error, "; the file has one line."),
            (0, lines) => writeln!(error, "; the file has {lines} lines."),
            (_, lines) => writeln!(error, "; searched from line {} to {lines}.", cursor + 1),
        };
    }

    /// Where the most lines of the block stand at the right distance from each other: at most three places.
    fn nearest(&self, old: &[&str]) -> Vec<usize> {
        let mut votes: HashMap<usize, usize> = HashMap::new();
        for (offset, line) in old.iter().enumerate().take(MOST_VOTERS) {
            if line.trim().is_empty() || self.seeker.count(line) > COMMON {
                continue;
            }
            for place in self.seeker.places(line, COMMON) {
                if let Some(start) = place.checked_sub(offset) {
                    *votes.entry(start).or_default() += 1;
                }
            }
        }
        let mut starts: Vec<(usize, usize)> = votes.into_iter().collect();
        starts.sort_by_key(|(start, votes)| (std::cmp::Reverse(*votes), *start));
        // A far worse place is no help beside a good one.
        let best = starts.first().map_or(0, |(_, votes)| *votes);
        starts.into_iter().take(3).filter(|(_, votes)| votes * 2 > best).map(|(start, _)| start).collect()
    }

    /// Says how the block differs from the file at a place.
    fn compare(&self, error: &mut String, old: &[&str], start: usize, cursor: usize) {
        let differs: Vec<usize> = (0..old.len()).filter(|at| !self.is_alike(start + at, old[*at])).collect();
        if differs.is_empty() {
            let why = if start < cursor {
                "but that is before the place where the search began: write the chunks in the order of the file"
            } else {
                "but not where the chunk must end"
            };
            let _ = writeln!(error, "All these lines stand at line {}, {why}.", start + 1);
            return;
        }
        let _ = writeln!(
            error,
            "Nearest is line {}, where {} of {} lines are the same. What differs:",
            start + 1,
            old.len() - differs.len(),
            old.len()
        );
        for at in differs.into_iter().take(2) {
            match self.seeker.line(start + at) {
                Some(line) => {
                    let _ = writeln!(
                        error,
                        "  line {} of the file: {}\n  but the patch has: {}{}",
                        start + at + 1,
                        visible(line),
                        visible(old[at]),
                        difference(line, old[at])
                    );
                }
                None => {
                    let _ = writeln!(error, "  the file ends before: {}", visible(old[at]));
                    break;
                }
            }
        }
    }

    fn is_alike(&self, index: usize, line: &str) -> bool {
        self.seeker.line(index).is_some_and(|other| Seeker::alike(other, line))
    }

    /// Names the lines of the file that look most like a line of the patch.
    fn similar(&self, error: &mut String, text: &str) {
        const LINES: usize = 50_000;
        let likeness = Likeness::to(text.trim());
        let mut best: Vec<(u32, usize)> = Vec::new();
        for index in 0..self.seeker.len().min(LINES) {
            let score = likeness.of(self.line(index).trim());
            if score >= 55 && best.last().is_none_or(|(worst, _)| score > *worst || best.len() < 3) {
                best.push((score, index));
                best.sort_by_key(|(score, index)| (std::cmp::Reverse(*score), *index));
                best.truncate(3);
            }
        }
        if best.is_empty() {
            error.push_str("Nothing in the file looks like it: read the file again before the next patch.\n");
            return;
        }
        let _ = writeln!(error, "Lines of the file that look most like {}:", visible(text));
        for (_, index) in best {
            let line = self.line(index);
            let _ = writeln!(error, "  line {}: {}{}", index + 1, visible(line), difference(line, text));
        }
    }
}

/// How much lines look like one given line, by the pairs of bytes that they share.
struct Likeness {
    pairs: Vec<bool>,
    count: usize,
}

impl Likeness {
    const MOST_BYTES: usize = 300;

    fn to(line: &str) -> Self {
        let mut pairs = vec![false; 1 << 16];
        let mut count = 0;
        for pair in Self::pairs(line) {
            pairs[pair] = true;
            count += 1;
        }
        Self { pairs, count }
    }

    /// Per cent.
    fn of(&self, line: &str) -> u32 {
        let (mut shared, mut count) = (0, 0);
        for pair in Self::pairs(line) {
            shared += usize::from(self.pairs[pair]);
            count += 1;
        }
        (200 * shared.min(self.count)).checked_div(self.count + count).unwrap_or(0) as u32
    }

    fn pairs(line: &str) -> impl Iterator<Item = usize> + '_ {
        let bytes = line.as_bytes();
        bytes.get(..Self::MOST_BYTES).unwrap_or(bytes).windows(2).map(|pair| {
            usize::from(pair[0].to_ascii_lowercase()) << 8 | usize::from(pair[1].to_ascii_lowercase())
        })
    }
}

/// What kind of difference it is, when that is hard to see.
fn difference(line: &str, wanted: &str) -> &'static str {
    let bare = |text: &str| text.split_whitespace().collect::<String>();
    if bare(line) == bare(wanted) {
        " (only white space differs)"
    } else if line.trim().to_lowercase() == wanted.trim().to_lowercase() {
        " (only upper and lower case differ)"
    } else {
        ""
    }
}

fn visible(line: &str) -> String {
    format!("`{}`", cut(line).replace('\t', "\\t").replace('\r', "\\r"))
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line.to_owned(),
    }
}
