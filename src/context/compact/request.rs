//! What the model is asked for a summary with.

use std::sync::Arc;

use crate::protocol::{Context, Item};
use crate::session::{Session, Wanted};

use super::{piece, shrink};

/// What is asked for.
const INSTRUCTION: &str = include_str!("../../../assets/prompts/compact.md");

/// A request for a summary.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The conversation, or as much of it as fits.
    pub items: Arc<Vec<Arc<Item>>>,
    /// What is asked for. It comes last.
    pub instruction: Item,
}

/// What to ask for a summary of at most `most` tokens, where an earlier one was refused for `problem`.
///
/// The conversation goes out as it is where that fits, so that the provider's cache has it. `tighter` halves the room
/// as often: what fits is not known where the provider has said that it does not.
#[must_use]
pub fn request(
    session: &Session,
    wanted: &Wanted,
    most: u64,
    problem: Option<&str>,
    tighter: u32,
) -> Request {
    let mut text = INSTRUCTION.trim_end().to_owned();
    text += &format!("\n\nThe summary has at most {} words.", most.saturating_mul(7) / 10);
    if !wanted.note.is_empty() {
        text += &format!("\nThe user says what matters for it: {}", wanted.note);
    }
    if let Some(problem) = problem {
        text += &format!("\nAn earlier try was refused: {problem}");
    }
    let instruction = Item::user(text);
    let window = session.limits().window >> tighter.min(16);
    let room = window.saturating_sub(most + session.cost(&instruction));
    Request { items: fitting(session, room, tighter), instruction }
}

/// The conversation in so many tokens.
fn fitting(session: &Session, room: u64, tighter: u32) -> Arc<Vec<Arc<Item>>> {
    let items = &session.items;
    if tighter == 0 && session.used() <= room {
        return Arc::clone(items);
    }
    let used = |items: &[Arc<Item>]| session.used_by(items.iter().map(|item| session.estimate(item)).sum());
    let shrunk = shrink::all(items, piece::tail(session, room / 4));
    if used(&shrunk) <= room {
        return Arc::new(shrunk);
    }
    // Everything is cut to its ends; then the middle goes.
    let shrunk = shrink::all(items, items.len());
    let is_opening =
        |item: &&Arc<Item>| matches!(&***item, Item::Context { context, .. } if *context != Context::Notice);
    let opening: Vec<Arc<Item>> = shrunk.iter().filter(is_opening).cloned().collect();
    let first = shrunk.iter().find(|item| matches!(***item, Item::User { .. })).cloned();
    let gap = Item::Context {
        context: Context::Notice,
        text: "What followed here does not fit any more.".to_owned(),
    };
    let mut head: Vec<Arc<Item>> = opening.into_iter().chain(first).collect();
    head.push(Arc::new(gap));
    let seams = piece::seams(&shrunk);
    let rest = |from: usize| shrunk.iter().skip(from).filter(|item| !is_opening(item)).cloned();
    let fits = |seam: &usize| {
        let all: Vec<Arc<Item>> = head.iter().cloned().chain(rest(*seam)).collect();
        used(&all) <= room
    };
    // The later the seam the less there is: the first one that fits keeps most.
    let at = seams.partition_point(|seam| !fits(seam));
    let from = seams.get(at).copied().unwrap_or(shrunk.len());
    Arc::new(head.into_iter().chain(rest(from)).collect())
}

/// Whether a text holds what was asked for, in the words of the question.
pub(super) fn echoes(text: &str) -> bool {
    INSTRUCTION.lines().filter(|line| line.len() > 40).any(|line| text.contains(line))
}
