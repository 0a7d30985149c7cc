//! Going back in the conversation. Nothing is cut from the log: the fold drops what came after.
//!
//! It is about what the model sees. Grants, tokens, processes and files stay as they are: they are true of the
//! world, and not of the conversation.

use std::sync::Arc;

use crate::protocol::{Content, Context, Fact, Item, ProcessId, Rejection, Seq};

use super::{Compacting, Point, Process, ProcessState, Session, Undoable};

/// What the model is told when calls are dropped or commands run on: what it remembers of them may be old or gone.
const NOTICE: &str = "The user took back what followed here, and the conversation goes on from this point. What was \
                      done meanwhile is not undone: files may differ from what you have seen of them above.";
/// The same when the files went back as well.
const BACK: &str = "The user took back what followed here, and the conversation goes on from this point.";
/// Running commands that the notice names, and characters of each.
const NAMED: usize = 5;
const SHOWN: usize = 200;

/// What stays of a conversation and what goes.
struct Parted<'a> {
    kept: &'a [Arc<Item>],
    dropped: &'a [Arc<Item>],
}

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
        let Parted { kept, dropped } = self.parted(to)?;
        let mut facts = vec![Fact::Rewound { to, items: None }];
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

    /// What follows when the files went back as well: the conversation goes back, and the model is told only of what
    /// it would not find as it was. `stayed` are words for files that did not go back.
    #[must_use]
    pub fn rewound_with_files(&self, to: Seq, stayed: &[String]) -> Vec<Fact> {
        if self.parted(to).is_err() {
            return Vec::new();
        }
        let running = self.running().unwrap_or_default();
        let mut facts = vec![Fact::Rewound { to, items: None }];
        if !(stayed.is_empty() && running.is_empty()) {
            let files = match stayed {
                [] => "What was done to files is undone.".to_owned(),
                some => format!(
                    "What was done to files is undone, but for these, which may differ from what you have seen of \
                     them above: {}.",
                    some.join(", ")
                ),
            };
            let text = format!("{BACK} {files}{running}");
            facts.push(Fact::item(Item::Context { context: Context::Notice, text }));
        }
        facts
    }

    /// What the conversation keeps and what it drops when it goes back to before a message.
    fn parted(&self, to: Seq) -> Result<Parted<'_>, Rejection> {
        let point = self.points.iter().find(|point| point.seq == to).ok_or(Rejection::NoMessage(to))?;
        // Of a conversation that was compacted since, whoever has the log brings back what was before.
        let (kept, dropped) = self.items.split_at(point.item.unwrap_or(0).min(self.items.len()));
        Ok(Parted { kept, dropped })
    }

    /// Whether a message began a turn. Others came while one ran.
    #[must_use]
    pub fn began_turn(&self, message: Seq) -> bool {
        self.points.iter().any(|point| point.seq == message && point.began)
    }

    /// What would have to be put back for files to be as they were when the turn of this message began.
    ///
    /// # Errors
    /// When nothing that was done to files since can be undone, or there is no such message.
    pub fn files_before(&self, to: Seq) -> Result<Undoable, Rejection> {
        let point = self.points.iter().find(|point| point.seq == to).ok_or(Rejection::NoMessage(to))?;
        self.undo.undo(Some(point.turn))
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
        Point {
            seq: self.seq,
            said: Arc::clone(said),
            item: Some(self.items.len()),
            turn: self.turns,
            began: self.turn.as_ref().is_none_or(|turn| !turn.begun),
            plan: self.plan.clone(),
            counted: self.counted,
            left_out: self.left_out,
        }
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
                let same = self.items.iter().zip(items).take_while(|(old, new)| old == new).count();
                self.cache_rewritten(same);
                self.items = Arc::new(items.to_vec());
                // None of the messages before it has a place that is known.
                self.points.iter_mut().for_each(|point| point.item = None);
            }
            (None, Some(at)) => {
                self.cache_rewritten(at);
                Arc::make_mut(&mut self.items).truncate(at);
            }
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
