//! Going back in the conversation. Nothing is cut from the log: the fold drops what came after.
//!
//! It is about what the model sees. Grants, tokens, processes and files stay as they are: they are true of the
//! world, and not of the conversation.

use std::sync::Arc;

use crate::protocol::{Content, Context, Fact, Item, Rejection, Seq};

use super::{Point, Session};

/// What the model is told when calls are dropped: what it remembers of the files may be old.
const NOTICE: &str = "The user took back what followed here, and the conversation goes on from this point. What was \
                      done meanwhile is not undone: files may differ from what you have seen of them above.";

impl Session {
    /// The messages of the person that the conversation holds, in order.
    pub fn said(&self) -> impl DoubleEndedIterator<Item = (Seq, &[Content])> {
        self.points.iter().filter_map(|point| match &**self.items.get(point.item)? {
            Item::User { content, .. } => Some((point.seq, &content[..])),
            _ => None,
        })
    }

    /// The message that was fact `seq`, if the conversation still holds it.
    #[must_use]
    pub fn said_at(&self, seq: Seq) -> Option<&[Content]> {
        self.said().find(|(at, _)| *at == seq).map(|(_, content)| content)
    }

    pub(super) fn rewind(&self, to: Seq) -> Result<Vec<Fact>, Rejection> {
        if !self.idle() {
            return Err(Rejection::Busy);
        }
        let point = self.points.iter().find(|point| point.seq == to).ok_or(Rejection::NoMessage(to))?;
        let mut facts = vec![Fact::Rewound { to }];
        let (kept, dropped) = self.items.split_at(point.item.min(self.items.len()));
        let notice = Item::Context { context: Context::Notice, text: NOTICE.to_owned() };
        let told = kept.last().is_some_and(|last| **last == notice);
        if !told && dropped.iter().any(|item| matches!(**item, Item::ToolCall { .. })) {
            facts.push(Fact::item(notice));
        }
        Ok(facts)
    }

    /// What is true before a message that comes now.
    pub(super) fn point(&self) -> Point {
        Point { seq: self.seq, item: self.items.len(), plan: self.plan.clone(), counted: self.counted }
    }

    pub(super) fn rewound(&mut self, to: Seq) {
        let Some(at) = self.points.iter().position(|point| point.seq == to) else { return };
        let Some(point) = self.points.drain(at..).next() else { return };
        Arc::make_mut(&mut self.items).truncate(point.item);
        self.epoch += 1;
        self.plan = point.plan;
        self.counted = point.counted;
        // Only a log that no version of ours wrote has one here: its calls would be gone from the conversation.
        self.turn = None;
        self.outcome = None;
    }
}
