//! The new conversation, piece by piece, and where the old one can be cut.

use std::{collections::HashSet, ops::Range, sync::Arc};

use crate::protocol::{CallId, Compaction, CompactionMeans, CompactionReason, Context, Counts, Item, Part};
use crate::session::{Session, room};

/// A conversation that is being put together from another one.
pub(super) struct Pieces<'a> {
    old: &'a [Arc<Item>],
    parts: Vec<Part>,
    kept: Counts,
    shrunk: u64,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(old: &'a [Arc<Item>]) -> Self {
        Self { old, parts: Vec::new(), kept: Counts::default(), shrunk: 0 }
    }

    /// Goes on with these items of the old one.
    pub(super) fn keep(&mut self, range: Range<usize>) {
        for item in self.old.get(range.clone()).unwrap_or_default() {
            self.kept.add(item);
        }
        match self.parts.last_mut() {
            Some(Part::Keep(_, end)) if *end == range.start => *end = range.end,
            _ => self.parts.push(Part::Keep(range.start, range.end)),
        }
    }

    /// Goes on with a new item.
    pub(super) fn add(&mut self, item: Item) {
        self.parts.push(Part::Item(Arc::new(item)));
    }

    /// Goes on with a shorter form of the item at this place.
    pub(super) fn add_for(&mut self, at: usize, item: Item) {
        if let Some(old) = self.old.get(at) {
            self.kept.add(old);
        }
        self.shrunk += u64::from(matches!(item, Item::ToolResult { .. }));
        self.add(item);
    }

    pub(super) fn finish(
        self,
        session: &Session,
        reason: CompactionReason,
        how: CompactionMeans,
    ) -> Compaction {
        let mut all = Counts::default();
        self.old.iter().for_each(|item| all.add(item));
        let estimate = |part: &Part| match part {
            Part::Keep(from, to) => {
                let kept = self.old.get(*from..*to).unwrap_or_default();
                kept.iter().map(|item| session.estimate(item)).sum::<u64>()
            }
            Part::Item(item) => session.estimate(item),
        };
        let estimated = self.parts.iter().map(estimate).sum();
        Compaction {
            reason,
            how,
            from: session.used(),
            to: session.used_by(estimated),
            kept: self.kept,
            dropped: super::missing(all, self.kept),
            shrunk: self.shrunk,
            parts: self.parts,
            usage: None,
            problem: None,
        }
    }
}

/// The places where a conversation can be cut in two: no call is apart from its result, and no thought from what it
/// led to.
pub(super) fn seams(items: &[Arc<Item>]) -> Vec<usize> {
    let mut open: HashSet<&CallId> = HashSet::new();
    let mut seams = Vec::new();
    let mut thought = false;
    for (at, item) in items.iter().enumerate() {
        let result = matches!(**item, Item::ToolResult { .. });
        if open.is_empty() && !thought && !result {
            seams.push(at);
        }
        thought = matches!(**item, Item::Reasoning { .. });
        match &**item {
            Item::ToolCall { call, .. } => {
                open.insert(call);
            }
            Item::ToolResult { call, .. } => {
                open.remove(call);
            }
            _ => {}
        }
    }
    seams
}

/// Where the end of the conversation begins that stays as it is: as much as the budget holds, and in any case what the
/// model has not answered to.
pub(super) fn tail(session: &Session, budget: u64) -> usize {
    let items = &session.items;
    let seams = seams(items);
    let made = |item: &Arc<Item>| matches!(**item, Item::ToolCall { .. } | Item::Assistant { .. });
    // Where the last answer of the model begins. What follows it is not answered yet.
    let last = items.iter().rposition(made);
    let must = match last {
        Some(last) => seams.iter().rev().find(|seam| **seam <= last).copied().unwrap_or(last),
        None => items.len(),
    };
    let mut begin = items.len();
    let mut cost = 0;
    for seam in seams.into_iter().rev() {
        let more: u64 = items[seam..begin].iter().map(|item| session.cost(item)).sum();
        if cost + more > budget && seam < must {
            break;
        }
        cost += more;
        begin = seam;
    }
    // What stands for what was left out before is no part of the end: it would be told anew, and lost.
    let anew = items.iter().rposition(|item| is_anew(item)).map_or(0, |at| at + 1);
    begin.max(anew.min(must))
}

/// Whether each compaction tells it anew.
pub(super) fn is_anew(item: &Item) -> bool {
    matches!(item, Item::Context { context: Context::Summary | Context::State, .. } | Item::Sealed { .. })
}

/// The beginning and the end of a text, in so many tokens.
pub(super) fn within(text: &str, tokens: u64, session: &Session) -> String {
    let bytes = room::bytes_of(text, tokens, session.limits().tokens_per_kb);
    ends(text, bytes, |left_out| format!("[… {left_out} bytes are left out here …]"))
}

/// The beginning and the end of a text, of at most so many bytes, with words between that say what is missing.
pub(super) fn ends(text: &str, bytes: usize, words: impl Fn(usize) -> String) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let (head, tail) = (beginning(text, bytes / 2), end(text, bytes / 2));
    // Whole lines, where that costs little.
    let whole = |(head, _): &(&str, &str)| head.len() > bytes / 4;
    let head = head.rsplit_once('\n').filter(whole).map_or(head, |(lines, _)| lines);
    let whole = |(_, tail): &(&str, &str)| tail.len() > bytes / 4;
    let tail = tail.split_once('\n').filter(whole).map_or(tail, |(_, lines)| lines);
    format!("{}\n{}\n{tail}", head.trim_end(), words(text.len().saturating_sub(head.len() + tail.len())))
}

/// At most so many bytes of the beginning, and no half of a character.
fn beginning(text: &str, bytes: usize) -> &str {
    let cut = (0..=bytes.min(text.len())).rev().find_map(|at| text.get(..at));
    cut.unwrap_or_default()
}

/// At most so many bytes of the end, and no half of a character.
fn end(text: &str, bytes: usize) -> &str {
    let cut = (text.len().saturating_sub(bytes)..=text.len()).find_map(|at| text.get(at..));
    cut.unwrap_or_default()
}
