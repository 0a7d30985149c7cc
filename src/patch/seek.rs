//! Finding blocks of lines in a file, exactly first and then more and more loosely.
//!
//! The lines of a file are numbered by their text once for each pass, so that a search compares numbers and
//! starts from the rarest line of the block. A search that turns out to be hard goes on with a scan in linear
//! time, and all searches in one file together have a budget, so that no patch can take minutes.

use std::{
    borrow::Cow,
    cell::{Cell, OnceCell},
    collections::HashMap,
    ops::Range,
};

/// How strictly lines are compared. Each pass goes over the whole rest of the file before the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    Exact,
    /// Without blanks at the end.
    TrimEnd,
    /// Without blanks at both ends.
    Trim,
    /// As `Trim`, with typographic punctuation made plain.
    Punctuation,
}

impl Pass {
    /// In the order in which they are tried.
    pub const ALL: [Self; 4] = [Self::Exact, Self::TrimEnd, Self::Trim, Self::Punctuation];

    fn normal(self, line: &str) -> Cow<'_, str> {
        match self {
            Self::Exact => Cow::Borrowed(line),
            Self::TrimEnd => Cow::Borrowed(line.trim_end()),
            Self::Trim => Cow::Borrowed(line.trim()),
            Self::Punctuation => plain(line.trim()),
        }
    }
}

/// Typographic dashes, quotes and spaces as their ASCII relatives.
fn plain(line: &str) -> Cow<'_, str> {
    if line.is_ascii() {
        return Cow::Borrowed(line);
    }
    let mapped: String = line
        .chars()
        .map(|c| match c {
            '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
            '\u{2018}'..='\u{201b}' => '\'',
            '\u{201c}'..='\u{201f}' => '"',
            '\u{a0}' | '\u{2002}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => ' ',
            other => other,
        })
        .collect();
    Cow::Owned(mapped)
}

/// The searches of one patch in one file took more work than any honest patch.
#[derive(Debug, PartialEq, Eq)]
pub struct TooHard;

/// Lines compared at most, for all searches in one file. Takes under a second.
const BUDGET: u64 = 1 << 27;

/// A file that is being searched.
pub struct Seeker<'a> {
    lines: Vec<&'a str>,
    indexes: [OnceCell<Index<'a>>; 4],
    work: Cell<u64>,
    budget: u64,
}

impl<'a> Seeker<'a> {
    pub fn new(lines: Vec<&'a str>) -> Self {
        Self { lines, indexes: Default::default(), work: Cell::new(0), budget: BUDGET }
    }

    pub fn len(&self) -> usize {
        self.lines.len()
    }

    pub fn line(&self, index: usize) -> Option<&'a str> {
        self.lines.get(index).copied()
    }

    /// The strictest pass in which the block stands within `range`, and its first place there.
    pub fn find(&self, block: &[&str], range: &Range<usize>) -> Result<Option<(Pass, usize)>, TooHard> {
        for pass in Pass::ALL {
            if let Some(start) = self.first(pass, block, range.clone())? {
                return Ok(Some((pass, start)));
            }
        }
        Ok(None)
    }

    /// Where the block first stands within `range`.
    pub fn first(&self, pass: Pass, block: &[&str], range: Range<usize>) -> Result<Option<usize>, TooHard> {
        let Some(search) = self.search(pass, block, range) else { return Ok(None) };
        let mut patience = self.patience(&search);
        for place in search.candidates() {
            if search.holds_at(place, &mut patience) {
                self.spend(&search, patience)?;
                return Ok(Some(place));
            }
            if patience == 0 {
                self.spend(&search, patience)?;
                return Ok(search.scan(place).next());
            }
        }
        self.spend(&search, patience)?;
        Ok(None)
    }

    /// Where the block last stands within `range`.
    pub fn last(&self, pass: Pass, block: &[&str], range: Range<usize>) -> Result<Option<usize>, TooHard> {
        let Some(search) = self.search(pass, block, range) else { return Ok(None) };
        let mut patience = self.patience(&search);
        for place in search.candidates().rev() {
            if search.holds_at(place, &mut patience) {
                self.spend(&search, patience)?;
                return Ok(Some(place));
            }
            if patience == 0 {
                self.spend(&search, patience)?;
                return Ok(search.scan(search.range.start).last());
            }
        }
        self.spend(&search, patience)?;
        Ok(None)
    }

    /// Where a line stands, loosely, at most `most` places.
    pub fn places(&self, line: &str, most: usize) -> Vec<usize> {
        let index = self.index(Pass::Punctuation);
        let Some(id) = index.ids.get(&Pass::Punctuation.normal(line)) else { return Vec::new() };
        index.places(*id).iter().take(most).map(|place| *place as usize).collect()
    }

    /// How often a line stands in the file, loosely.
    pub fn count(&self, line: &str) -> usize {
        let index = self.index(Pass::Punctuation);
        index.ids.get(&Pass::Punctuation.normal(line)).map_or(0, |id| index.places(*id).len())
    }

    /// Whether two lines are the same, loosely.
    pub fn alike(one: &str, other: &str) -> bool {
        Pass::Punctuation.normal(one) == Pass::Punctuation.normal(other)
    }

    fn index(&self, pass: Pass) -> &Index<'a> {
        self.indexes[pass as usize].get_or_init(|| Index::new(pass, &self.lines))
    }

    fn search(&self, pass: Pass, block: &[&str], range: Range<usize>) -> Option<Search<'_>> {
        if block.is_empty() || range.len() < block.len() {
            return None;
        }
        let index = self.index(pass);
        let block: Option<Vec<u32>> =
            block.iter().map(|line| index.ids.get(&pass.normal(line)).copied()).collect();
        let block = block?;
        let (offset, rarest) = block
            .iter()
            .enumerate()
            .min_by_key(|(_, id)| index.places(**id).len())
            .map(|(at, id)| (at, *id))?;
        Some(Search { file: &index.lines, places: index.places(rarest), offset, block, range })
    }

    /// Comparisons that a search may make before the linear scan is the better way.
    fn patience(&self, search: &Search<'_>) -> u64 {
        2 * (search.range.len() + search.block.len()) as u64
    }

    fn spend(&self, search: &Search<'_>, left: u64) -> Result<(), TooHard> {
        let scanned = if left == 0 { self.patience(search) } else { 0 };
        let work = self.work.get() + search.block.len() as u64 + self.patience(search) - left + scanned;
        self.work.set(work);
        if work > self.budget { Err(TooHard) } else { Ok(()) }
    }
}

/// The lines of a file as numbers: equal numbers, equal lines (in the eyes of one pass).
struct Index<'a> {
    ids: HashMap<Cow<'a, str>, u32>,
    lines: Vec<u32>,
    /// Where in `sorted` the places of each number begin; one more than there are numbers.
    starts: Vec<u32>,
    sorted: Vec<u32>,
}

impl<'a> Index<'a> {
    fn new(pass: Pass, texts: &[&'a str]) -> Self {
        let mut ids: HashMap<Cow<'a, str>, u32> = HashMap::new();
        let mut lines = Vec::with_capacity(texts.len());
        let mut counts: Vec<u32> = Vec::new();
        for text in texts {
            let next = counts.len() as u32;
            let id = *ids.entry(pass.normal(text)).or_insert(next);
            if id == next {
                counts.push(0);
            }
            counts[id as usize] += 1;
            lines.push(id);
        }
        let mut starts = Vec::with_capacity(counts.len() + 1);
        let mut total = 0;
        starts.push(0);
        for count in counts {
            total += count;
            starts.push(total);
        }
        let mut free = starts.clone();
        let mut sorted = vec![0; lines.len()];
        for (place, id) in lines.iter().enumerate() {
            let slot = &mut free[*id as usize];
            sorted[*slot as usize] = place as u32;
            *slot += 1;
        }
        Self { ids, lines, starts, sorted }
    }

    /// Where a line stands, in order.
    fn places(&self, id: u32) -> &[u32] {
        let id = id as usize;
        &self.sorted[self.starts[id] as usize..self.starts[id + 1] as usize]
    }
}

/// One search: a block of numbers within a range of a file of numbers.
struct Search<'s> {
    file: &'s [u32],
    /// Where the rarest line of the block stands.
    places: &'s [u32],
    /// Which line of the block that is.
    offset: usize,
    block: Vec<u32>,
    range: Range<usize>,
}

impl Search<'_> {
    /// Where the block may start.
    fn candidates(&self) -> impl DoubleEndedIterator<Item = usize> + '_ {
        let low = self.range.start + self.offset;
        let high = self.range.end - self.block.len() + self.offset;
        let from = self.places.partition_point(|place| (*place as usize) < low);
        let to = self.places.partition_point(|place| (*place as usize) <= high);
        self.places[from..to.max(from)].iter().map(|place| *place as usize - self.offset)
    }

    fn holds_at(&self, place: usize, patience: &mut u64) -> bool {
        let file = &self.file[place..place + self.block.len()];
        let same = self.block.iter().zip(file).take_while(|(one, other)| one == other).count();
        *patience = patience.saturating_sub(same as u64 + 1);
        same == self.block.len()
    }

    /// All places from `from` on, in linear time (Knuth, Morris and Pratt).
    fn scan(&self, from: usize) -> impl Iterator<Item = usize> + '_ {
        let mut borders = vec![0_usize; self.block.len()];
        let mut border = 0;
        for at in 1..self.block.len() {
            while border > 0 && self.block[border] != self.block[at] {
                border = borders[border - 1];
            }
            border += usize::from(self.block[border] == self.block[at]);
            borders[at] = border;
        }
        let mut matched = 0;
        (from..self.range.end).filter_map(move |at| {
            if matched == self.block.len() {
                matched = borders[matched - 1];
            }
            while matched > 0 && self.block[matched] != self.file[at] {
                matched = borders[matched - 1];
            }
            matched += usize::from(self.block[matched] == self.file[at]);
            (matched == self.block.len()).then(|| at + 1 - matched)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_exact_place_later_beats_a_loose_one_earlier() {
        let seeker = Seeker::new(vec!["  x  ", "x ", " x", "x"]);
        assert_eq!(seeker.find(&["x"], &(0..4)), Ok(Some((Pass::Exact, 3))));
        assert_eq!(seeker.find(&["x"], &(0..3)), Ok(Some((Pass::TrimEnd, 1))));
        assert_eq!(seeker.find(&["x"], &(0..1)), Ok(Some((Pass::Trim, 0))));
    }

    #[test]
    fn punctuation_is_compared_plainly_in_the_last_pass() {
        let seeker = Seeker::new(vec!["a \u{2013} \u{2018}b\u{2019}\u{a0}\u{201c}c\u{201d}"]);
        assert_eq!(seeker.find(&["a - 'b' \"c\""], &(0..1)), Ok(Some((Pass::Punctuation, 0))));
        assert_eq!(seeker.find(&["a \u{2212} 'b' \u{201f}c\""], &(0..1)), Ok(Some((Pass::Punctuation, 0))));
    }

    #[test]
    fn a_block_that_almost_stands_everywhere_is_found_in_linear_time() {
        let mut file = vec!["a"; 200_000];
        file.push("b");
        let mut block = vec!["a"; 50_000];
        block.push("b");
        let seeker = Seeker::new(file.clone());
        assert_eq!(seeker.first(Pass::Exact, &block, 0..200_001), Ok(Some(150_000)));
        // "b" is the rarest line, and leads straight to the place. Without it every place looks good for long.
        file[100_000] = "c";
        file.extend(std::iter::repeat_n("b", 150_000));
        let seeker = Seeker::new(file);
        assert_eq!(seeker.last(Pass::Exact, &block, 0..350_001), Ok(Some(150_000)));
        assert!(seeker.work.get() < 4_000_000, "{}", seeker.work.get());
    }

    #[test]
    fn searches_that_never_end_are_given_up() {
        let file: Vec<&str> = (0..100_000).map(|at| if at % 2 == 0 { "a" } else { "a " }).collect();
        let seeker = Seeker { budget: 1 << 21, ..Seeker::new(file) };
        let gave_up = (0..10_000).any(|_| seeker.find(&["a", "a"], &(0..100_000)).is_err());
        assert!(gave_up);
    }

    proptest! {
        #[test]
        fn first_and_last_agree_with_the_plain_search(
            file in prop::collection::vec(0..3_u8, 0..60),
            block in prop::collection::vec(0..3_u8, 1..6),
            from in 0..60_usize,
            to in 0..60_usize,
        ) {
            const NAMES: [&str; 3] = ["a", "b", "c"];
            let file: Vec<&str> = file.iter().map(|id| NAMES[*id as usize]).collect();
            let block: Vec<&str> = block.iter().map(|id| NAMES[*id as usize]).collect();
            let range = from.min(file.len())..to.min(file.len());
            let plain: Vec<usize> = (range.start..=range.end.saturating_sub(block.len()))
                .filter(|at| range.len() >= block.len() && file[*at..*at + block.len()] == block)
                .collect();
            let seeker = Seeker::new(file);
            prop_assert_eq!(seeker.first(Pass::Exact, &block, range.clone()).unwrap(), plain.first().copied());
            prop_assert_eq!(seeker.last(Pass::Exact, &block, range.clone()).unwrap(), plain.last().copied());
            if let Some(search) = seeker.search(Pass::Exact, &block, range.clone()) {
                prop_assert_eq!(search.scan(range.start).collect::<Vec<_>>(), plain);
            }
        }
    }
}
