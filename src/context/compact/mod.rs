//! Making the conversation smaller, so that a session works past the model's window.
//!
//! What holds is never summarised: the opening, the messages of the person, the plan, the files that were changed, the
//! commands that run. It is put there anew each time, from its source. Of the rest the end stays as it is, with the
//! results that the model has not seen; what lies between becomes a summary of the model, or a list of what was done.
//! Before any of that, old results are cut to their beginning and end, and often this is enough.
//!
//! Pure: who asks the model, and how often, is the harness's affair. The last way of all needs no model and can't fail.

mod digest;
mod piece;
mod request;
mod shrink;
mod state;
mod summary;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::protocol::{
    Compaction, CompactionMeans as Means, CompactionReason as Reason, Content, Context, Counts, Item, Usage,
};
use crate::session::{Session, Wanted};

use piece::Pieces;

use super::skills::in_use;

pub use request::{Request, request};
pub use shrink::shrink;
pub use state::State;
pub use summary::{Checks, PREFIX, check};

/// Each level leaves half of what the one before left.
const LEVELS: u32 = 5;

/// What there is to build from beside the conversation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pinned {
    /// What a session begins with, as it stands now. Empty: what this one was last told.
    pub opening: Vec<Item>,
    pub state: State,
}

/// What stands for what is left out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Summary {
    /// The model's own; none: a list of what was done.
    pub text: Option<String>,
    /// The provider's, which only it can read, and the host that it is. It goes before a text.
    pub sealed: Option<(String, serde_json::Value)>,
    pub usage: Option<Usage>,
    /// Why the model's is not there, or is not good enough.
    pub problem: Option<String>,
}

/// How many tokens each part of the new conversation may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    pub messages: u64,
    pub skills: u64,
    pub summary: u64,
    pub state: u64,
    pub tail: u64,
}

impl Budget {
    fn of(session: &Session, level: u32) -> Self {
        let room = session.limits().room() >> level.min(16);
        Self {
            messages: (room / 8).min(20_000),
            skills: (room / 8).min(24_000),
            summary: (room / 10).min(8_000),
            state: (room / 16).min(4_000),
            tail: (room / 5).min(24_000),
        }
    }
}

/// The tokens that a summary may take.
#[must_use]
pub fn summary_budget(session: &Session) -> u64 {
    Budget::of(session, session.compaction_tries()).summary
}

/// Whether there is anything that a summary could stand for.
#[must_use]
pub fn has_past(session: &Session) -> bool {
    let tail = piece::tail(session, Budget::of(session, session.compaction_tries()).tail);
    session.items.iter().take(tail).any(|item| item.is_made())
}

/// What the provider is to put something smaller in the place of: all that the model has answered to.
#[must_use]
pub fn past(session: &Session) -> Arc<Vec<Arc<Item>>> {
    let items = &session.items;
    Arc::new(items.iter().take(piece::tail(session, 0)).cloned().collect())
}

/// The conversation without what lies between the messages of the person and its end.
///
/// None when nothing would be gained. Each try since the model last answered leaves less, and so does a level that is
/// still too large.
#[must_use]
pub fn build(session: &Session, wanted: &Wanted, pinned: &Pinned, summary: &Summary) -> Option<Compaction> {
    let (built, enough) = smallest(session, wanted, pinned, summary);
    if summary.sealed.is_some() && !enough {
        // What the provider gave can't be cut: it makes enough room, or it is of no use.
        let problem = Some("what the provider gave is too large".to_owned());
        return build(session, wanted, pinned, &Summary { sealed: None, problem, ..summary.clone() });
    }
    built
}

/// What makes enough room; or else what makes most, where it is worth anything. And whether it is enough.
fn smallest(
    session: &Session,
    wanted: &Wanted,
    pinned: &Pinned,
    summary: &Summary,
) -> (Option<Compaction>, bool) {
    let (from, room) = (session.used(), session.limits().room());
    // What a provider has sealed and does not take back has to go, whatever is gained by it.
    let unseals = wanted.reason == Reason::Overflow
        && summary.sealed.is_none()
        && session.items.iter().any(|item| matches!(**item, Item::Sealed { .. }));
    let mut least: Option<Compaction> = None;
    for level in session.compaction_tries()..LEVELS + session.compaction_tries() {
        let built = at_level(session, wanted, pinned, summary, Budget::of(session, level));
        let smaller = built.to < from;
        if unseals && from <= room {
            return (Some(built), true);
        }
        let enough = built.to <= room / 4 * 3
            && (built.to <= from / 10 * 8 || wanted.reason == Reason::Asked && smaller);
        if enough {
            return (Some(built), true);
        }
        // A gain of nothing but a few words is none.
        if built.to < from - from / 20 && least.as_ref().is_none_or(|least| built.to < least.to) {
            least = Some(built);
        }
    }
    (least, false)
}

fn at_level(
    session: &Session,
    wanted: &Wanted,
    pinned: &Pinned,
    summary: &Summary,
    budget: Budget,
) -> Compaction {
    let items = &session.items;
    let tail = piece::tail(session, budget.tail);
    let mut pieces = Pieces::new(items);
    opening(items, &pinned.opening, &mut pieces);
    skills(session, tail, budget.skills, &mut pieces);
    messages(session, tail, budget.messages, &mut pieces);
    let context = |context, text| Item::Context { context, text };
    let (text, how) = match (&summary.sealed, &summary.text) {
        (None, Some(text)) => (piece::within(text, budget.summary, session), Means::Summary),
        (sealed, _) => {
            let how = if sealed.is_some() { Means::Sealed } else { Means::Digest };
            (digest::of(session, tail, budget.summary), how)
        }
    };
    let text = format!("{PREFIX}\n{}", text.trim());
    match &summary.sealed {
        Some((by, item)) => pieces.add(Item::Sealed { by: by.clone(), item: item.clone(), instead: text }),
        None if text.len() > PREFIX.len() + 1 => pieces.add(context(Context::Summary, text)),
        None => {}
    }
    if let Some(text) = pinned.state.text(session, budget.state) {
        pieces.add(context(Context::State, text));
    }
    end(session, tail, budget, &mut pieces);
    let Summary { usage, problem, .. } = summary.clone();
    Compaction { usage, problem, ..pieces.finish(session, wanted.reason, how) }
}

/// What the session begins with: as it stands now, or else as the model was last told.
fn opening(items: &[Arc<Item>], now: &[Item], pieces: &mut Pieces<'_>) {
    const KINDS: [Context; 6] = [
        Context::System,
        Context::Permissions,
        Context::Instructions,
        Context::Skills,
        Context::Memory,
        Context::Environment,
    ];
    if now.is_empty() {
        for kind in KINDS {
            let told = |item: &Arc<Item>| matches!(**item, Item::Context { context, .. } if context == kind);
            if let Some(at) = items.iter().rposition(told) {
                pieces.keep(at..at + 1);
            }
        }
    }
    for item in now {
        match items.iter().position(|old| **old == *item) {
            Some(at) => pieces.keep(at..at + 1),
            None => pieces.add(item.clone()),
        }
    }
}

/// The skills in use that the end does not hold, whole: the last one first, as far as they fit.
fn skills(session: &Session, tail: usize, budget: u64, pieces: &mut Pieces<'_>) {
    let context = |context, text| Item::Context { context, text };
    let mut room = budget;
    let (mut kept, mut gone) = (Vec::new(), Vec::new());
    for skill in in_use(&session.items).into_iter().rev().filter(|skill| skill.at < tail) {
        let item = context(Context::Skill, skill.text);
        let cost = session.cost(&item);
        if cost > room {
            gone.push(skill.name);
            continue;
        }
        room -= cost;
        kept.push((skill.at, item));
    }
    for (at, item) in kept.into_iter().rev() {
        match session.items.get(at) {
            Some(old) if **old == item => pieces.keep(at..at + 1),
            _ => pieces.add(item),
        }
    }
    if !gone.is_empty() {
        let text = format!(
            "These skills were in use and are left out to save room: {}. Call load_skill again for those that are still \
             needed.",
            gone.join(", ")
        );
        pieces.add(context(Context::Notice, text));
    }
}

/// The messages of the person before the end: the first and the last one always, the others from the newest on as far
/// as they fit.
fn messages(session: &Session, tail: usize, budget: u64, pieces: &mut Pieces<'_>) {
    let items = &session.items;
    let said: Vec<usize> = (0..tail).filter(|at| matches!(*items[*at], Item::User { .. })).collect();
    let (Some(first), Some(last)) = (said.first().copied(), said.last().copied()) else { return };
    let mut room = budget;
    let mut kept: Vec<(usize, Option<Item>)> = Vec::new();
    let must = [Some(last), (first != last).then_some(first)];
    for at in must.into_iter().flatten() {
        let item = cut_message(session, &items[at], budget / 2);
        room = room.saturating_sub(session.cost(item.as_ref().unwrap_or(&items[at])));
        kept.push((at, item));
    }
    for at in said.iter().rev().copied().filter(|at| *at != first && *at != last) {
        let cost = session.cost(&items[at]);
        if cost > room {
            break;
        }
        room -= cost;
        kept.push((at, None));
    }
    kept.sort_by_key(|(at, _)| *at);
    let in_tail = items.iter().skip(tail).filter(|item| matches!(***item, Item::User { .. })).count();
    let missing = session.said().count().saturating_sub(kept.len() + in_tail);
    for (at, cut) in kept {
        match cut {
            Some(item) => pieces.add_for(at, item),
            None => pieces.keep(at..at + 1),
        }
        if at == first && missing > 0 {
            let text = format!(
                "{missing} messages of the user that followed here are left out to save room. `recall` finds them."
            );
            pieces.add(Item::Context { context: Context::Notice, text });
        }
    }
}

/// A message that is too long for its budget, with its beginning and end.
fn cut_message(session: &Session, item: &Item, budget: u64) -> Option<Item> {
    let Item::User { content, input } = item else { return None };
    if session.cost(item) <= budget {
        return None;
    }
    let texts = content.iter().filter(|part| matches!(part, Content::Text { .. })).count() as u64;
    let content = content.iter().map(|part| match part {
        Content::Text { text } => Content::text(piece::within(text, budget / texts.max(1), session)),
        other => other.clone(),
    });
    Some(Item::User { content: content.collect(), input: *input })
}

/// The end of the conversation. Results and messages that are too large for it are cut, and none is lost.
fn end(session: &Session, tail: usize, budget: Budget, pieces: &mut Pieces<'_>) {
    let items = &session.items;
    let cost: u64 = items.iter().skip(tail).map(|item| session.cost(item)).sum();
    let results =
        items.iter().skip(tail).filter(|item| matches!(***item, Item::ToolResult { .. })).count() as u64;
    for (at, item) in items.iter().enumerate().skip(tail) {
        // What holds beside the conversation was told anew.
        if piece::is_anew(item) {
            continue;
        }
        let result = || shrink::result(item, session, budget.tail / results.max(1));
        let cut = if cost > budget.tail { result() } else { None };
        match cut.or_else(|| cut_message(session, item, budget.messages)) {
            Some(cut) => pieces.add_for(at, cut),
            None => pieces.keep(at..at + 1),
        }
    }
}

/// Counts what is in the old conversation and not in the new one.
pub(crate) fn missing(all: Counts, kept: Counts) -> Counts {
    Counts {
        messages: all.messages.saturating_sub(kept.messages),
        calls: all.calls.saturating_sub(kept.calls),
        answers: all.answers.saturating_sub(kept.answers),
    }
}
