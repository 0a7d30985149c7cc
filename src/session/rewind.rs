//! Going back in the conversation. Nothing is cut from the log: the fold drops what came after.
//!
//! It is about what the model sees. Grants, tokens, processes and files stay as they are: they are true of the
//! world, and not of the conversation.

use std::sync::Arc;

use crate::protocol::{Content, Context, Fact, Item, ProcessId, Rejection, Seq};

use super::{Compacting, Point, Process, ProcessState, Session};

/// What the model is told when calls are dropped or commands run on: what it remembers of them may be old or gone.
const NOTICE: &str = "The user took back what followed here, and the conversation goes on from this point. What was \
                      done meanwhile is not undone: files may differ from what you have seen of them above.";
/// Running commands that the notice names, and characters of each.
const NAMED: usize = 5;
const SHOWN: usize = 200;

impl Session {
    /// The messages of the person that the conversation holds, in order.
    pub fn said(&self) -> impl DoubleEndedIterator<Item = (Seq, &[Content])> {
        self.points.iter().filter_map(|point| match &*point.said {
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
        let mut facts = vec![Fact::Rewound { to, items: None }];
        // Of a conversation that was compacted since, whoever has the log brings back what was before.
        let at = point.item.unwrap_or(0).min(self.items.len());
        let (kept, dropped) = self.items.split_at(at);
        let running = self.running();
        let matters = running.is_some() || dropped.iter().any(|item| matches!(**item, Item::ToolCall { .. }));
        let text = NOTICE.to_owned() + &running.unwrap_or_default();
        let notice = Item::Context { context: Context::Notice, text };
        let told = kept.last().is_some_and(|last| **last == notice);
        if !told && matters {
            facts.push(Fact::item(notice));
        }
        Ok(facts)
    }

    /// The commands that run, if any do: the calls that began them may be gone from the conversation.
    fn running(&self) -> Option<String> {
        let running = self.processes.iter().filter(|(_, process)| process.state == ProcessState::Running);
        let running: Vec<_> = running.collect();
        let one = |(id, process): &(&ProcessId, &Process)| {
            let mut command = process.command.split_whitespace().collect::<Vec<_>>().join(" ");
            if let Some((end, _)) = command.char_indices().nth(SHOWN) {
                command.truncate(end);
                command.push('…');
            }
            format!("\n- session ID {id}: {command}")
        };
        let list: String = running.iter().take(NAMED).map(one).collect();
        let more = match running.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!("\n- and {more} more"),
        };
        (!running.is_empty()).then(|| format!(" These commands still run:{list}{more}"))
    }

    /// What is true before a message that comes now.
    pub(super) fn point(&self, said: &Arc<Item>) -> Point {
        let (said, item) = (Arc::clone(said), Some(self.items.len()));
        let (plan, left_out) = (self.plan.clone(), self.left_out);
        Point { seq: self.seq, said, item, plan, counted: self.counted, left_out }
    }

    /// Whether a compaction has made another conversation of the one that this message was said in, so that only the
    /// log has it.
    #[must_use]
    pub fn only_in_log(&self, to: Seq) -> bool {
        self.points.iter().any(|point| point.seq == to && point.item.is_none())
    }

    pub(super) fn rewound(&mut self, to: Seq, before: Option<&[Arc<Item>]>) {
        let Some(at) = self.points.iter().position(|point| point.seq == to) else { return };
        let Some(point) = self.points.drain(at..).next() else { return };
        match (before, point.item) {
            (Some(items), _) => {
                self.items = Arc::new(items.to_vec());
                // None of the messages before it has a place that is known.
                self.points.iter_mut().for_each(|point| point.item = None);
            }
            (None, Some(at)) => Arc::make_mut(&mut self.items).truncate(at),
            // Nobody who writes this fact leaves them out.
            (None, None) => {}
        }
        self.estimate_anew();
        self.compacting = Compacting::default();
        self.epoch += 1;
        self.plan = point.plan;
        self.left_out = point.left_out;
        self.counted = point.counted;
        // Only a log that no version of ours wrote has one here: its calls would be gone from the conversation.
        self.turn = None;
        self.outcome = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Command, Event, Time};

    fn applied(session: &mut Session, facts: Vec<Fact>) {
        for fact in facts {
            let seq = Seq(session.seq.0 + 1);
            session.apply(&Event { seq, at: Time::UNIX_EPOCH, fact });
        }
    }

    fn said(session: &mut Session) -> Seq {
        applied(session, vec![Fact::item(Item::user("hi"))]);
        session.seq
    }

    /// What the model is told when the person goes back.
    fn told(session: &mut Session, to: Seq) -> Vec<String> {
        let facts = session.decide(Command::Rewind { to }, Time::UNIX_EPOCH).unwrap();
        applied(session, facts.clone());
        let text = |fact: &Fact| match fact {
            Fact::ItemAdded { item, .. } => match &**item {
                Item::Context { text, .. } => Some(text.clone()),
                _ => None,
            },
            _ => None,
        };
        facts.iter().filter_map(text).collect()
    }

    #[test]
    fn what_runs_on_is_told_though_nothing_else_was_done() {
        let mut session = Session::default();
        let to = said(&mut session);
        assert_eq!(told(&mut session, to), [""; 0]);
        let start = |process, command: String| Fact::ProcessStarted {
            process: ProcessId(process),
            call: "c".into(),
            command,
        };
        let to = said(&mut session);
        let ended = Fact::ProcessExited { process: ProcessId(8), exit: Some(0), output: None };
        let facts = vec![start(7, "npm run\n\tdev".into()), start(8, "make".into()), ended];
        applied(&mut session, facts);
        let expected = format!("{NOTICE} These commands still run:\n- session ID 7: npm run dev");
        assert_eq!(told(&mut session, to), [expected]);
        let to = said(&mut session);
        assert_eq!(told(&mut session, to), [""; 0], "it is told once");

        let to = said(&mut session);
        applied(&mut session, (10..20).map(|id| start(id, "é".repeat(500))).collect());
        let all = told(&mut session, to).remove(0);
        let lines: Vec<&str> = all.lines().collect();
        assert_eq!(lines.len(), 1 + NAMED + 1, "{all}");
        assert_eq!(lines[2], format!("- session ID 10: {}…", "é".repeat(SHOWN)));
        assert_eq!(lines[NAMED + 1], "- and 6 more");
    }
}
