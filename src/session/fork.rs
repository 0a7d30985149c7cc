//! What a session begins with that goes on from an earlier point of another one, or in another directory.

use std::path::Path;

use crate::protocol::{Command, Context, Event, Fact, GoalStatus, Item, Seq, Time, TurnId};

use super::Session;

/// The facts up to the end of a turn; all of them, if it is the last one and has not ended. Nothing, if there is no such
/// turn.
#[must_use]
pub fn until(events: &[Event], turn: TurnId) -> Option<&[Event]> {
    let is = |event: &Event| matches!(event.fact, Fact::TurnStarted { turn: started } if started == turn);
    let begun = events.iter().position(is)?;
    let ended = |event: &Event| matches!(event.fact, Fact::TurnFinished { turn: ended, .. } if ended == turn);
    let Some(end) = events.iter().skip(begun).position(ended) else { return Some(events) };
    let after = begun + end + 1;
    // How the files were at its end may have been kept after it.
    let of_turn = |event: &&Event| match event.fact {
        Fact::SnapshotStarted { turn: of, .. }
        | Fact::SnapshotTaken { turn: of, .. }
        | Fact::SnapshotFailed { turn: of, .. } => of == turn,
        _ => false,
    };
    let more = events.iter().skip(after).take_while(of_turn).count();
    events.get(..after + more)
}

/// The same facts with the goal at rest, if there is one that is worked on: else two sessions would work on it.
#[must_use]
pub fn with_goal_at_rest(mut events: Vec<Event>, now: Time) -> Vec<Event> {
    let session = Session::replay(&events);
    if session.pursues() {
        let reason = "this session is a fork".to_owned();
        let fact = Fact::GoalChanged { status: GoalStatus::Paused, reason };
        events.push(Event { seq: Seq(session.seq.0 + 1), at: now, fact });
    }
    events
}

/// The facts of a session that goes on in another directory: the first one names it, a turn that goes on ends (what it
/// waits for is about the other directory), and the model is told.
#[must_use]
pub fn moved(events: &[Event], to: &Path, now: Time) -> Vec<Event> {
    let mut events = events.to_vec();
    let mut session = Session::replay(&events);
    let from = session.workspace.clone();
    for event in &mut events {
        if let Fact::SessionStarted { workspace, .. } = &mut event.fact {
            to.clone_into(workspace);
        }
    }
    let mut add = |session: &mut Session, facts: Vec<Fact>| {
        for fact in facts {
            let event = Event { seq: Seq(session.seq.0 + 1), at: now, fact };
            session.apply(&event);
            events.push(event);
        }
    };
    let closing = session.reconcile();
    add(&mut session, closing);
    if let Ok(facts) = session.decide(Command::Interrupt, now) {
        add(&mut session, facts);
    }
    let text = format!(
        "This conversation goes on in another directory: {}. It was {} before; what you know of files there is about \
         the files here, at the same places below it. Work only here.",
        to.display(),
        from.display()
    );
    add(&mut session, vec![Fact::item(Item::Context { context: Context::Environment, text })]);
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Content, Moment, Outcome, SnapshotId};

    fn events(facts: Vec<Fact>) -> Vec<Event> {
        let event = |(at, fact)| Event { seq: Seq(at as u64 + 1), at: Time::UNIX_EPOCH, fact };
        facts.into_iter().enumerate().map(event).collect()
    }

    fn turn(number: u32, said: &str) -> [Fact; 2] {
        let item = Item::User { content: vec![Content::text(said)], input: None };
        [Fact::TurnStarted { turn: TurnId(number) }, Fact::item(item)]
    }

    fn end(number: u32) -> Fact {
        Fact::TurnFinished { turn: TurnId(number), outcome: Outcome::Interrupted, duration_ms: 1 }
    }

    fn kept(number: u32) -> [Fact; 2] {
        let (turn, moment) = (TurnId(number), Moment::After);
        let snapshot = SnapshotId("s".into());
        [
            Fact::SnapshotStarted { turn, moment },
            Fact::SnapshotTaken { turn, moment, snapshot, files: 1, bytes: 1, stored: 1 },
        ]
    }

    fn started() -> Fact {
        Fact::SessionStarted {
            session: crate::protocol::SessionId(uuid::Uuid::from_u128(1)),
            version: 1,
            agent: "a".into(),
            workspace: "/old".into(),
            parent: None,
        }
    }

    #[test]
    fn a_turn_is_taken_to_its_end_and_what_was_kept_of_it() {
        let mut facts = vec![started()];
        facts.extend(turn(1, "one"));
        facts.push(end(1));
        facts.extend(kept(1));
        facts.extend(turn(2, "two"));
        let all = events(facts);
        assert_eq!(until(&all, TurnId(1)).unwrap().len(), 6);
        assert_eq!(until(&all, TurnId(2)).unwrap().len(), all.len());
        assert_eq!(until(&all, TurnId(3)), None);
    }

    #[test]
    fn of_two_sessions_only_the_first_works_on_the_goal() {
        let mut facts = vec![started()];
        facts.extend(turn(1, "one"));
        let all = events(facts.clone());
        assert_eq!(with_goal_at_rest(all.clone(), Time::UNIX_EPOCH), all);
        let goal = crate::protocol::Goal { text: "g".into(), tokens: None, seconds: None, verify: None };
        facts.push(Fact::GoalSet { goal });
        for forked in [
            with_goal_at_rest(events(facts.clone()), Time::UNIX_EPOCH),
            moved(&events(facts), Path::new("/new"), Time::UNIX_EPOCH),
        ] {
            let session = Session::replay(&forked);
            assert!(session.goal.is_some() && !session.pursues());
        }
    }

    #[test]
    fn elsewhere_no_turn_goes_on_and_the_model_knows_where_it_is() {
        let mut facts = vec![started()];
        facts.extend(turn(1, "one"));
        let moved = moved(&events(facts), Path::new("/new"), Time::UNIX_EPOCH);
        let session = Session::replay(&moved);
        assert_eq!(session.workspace, Path::new("/new"));
        assert!(session.idle() && session.reconcile().is_empty());
        assert_eq!(session.outcome, Some(Outcome::Interrupted));
        let Some(Item::Context { text, .. }) = session.items.last().map(|item| &**item) else { panic!() };
        assert!(text.contains("/new") && text.contains("/old"), "{text}");
        let numbers: Vec<u64> = moved.iter().map(|event| event.seq.0).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    }
}
