//! Hosts that commands wanted to reach, and what a person said to that.

use crate::protocol::{By, CallId, Event, Fact, Grant, Intent, Rejection, RequestId, Scope, TurnId, Verdict};

use super::Session;

/// Hosts that a person refuses in one turn before nobody is asked any more.
const PATIENCE: usize = 3;
/// Questions that may wait at once.
const WAITING: usize = 8;

/// What became of hosts that no list has.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Hosts {
    asked: Vec<HostQuestion>,
    /// What was allowed for one command.
    allowed: Vec<(Wanted, Option<CallId>)>,
    /// What was refused in the last turn that was started.
    refused: Vec<(Wanted, String)>,
    requests: u32,
    turn: TurnId,
    /// Whether the provider may use tools of its own; none while nobody has said.
    hosted: Option<bool>,
}

/// A host and a port.
type Wanted = (String, u16);

/// A connection that waits for a person.
#[derive(Debug, Clone, PartialEq)]
pub struct HostQuestion {
    pub request: RequestId,
    pub call: Option<CallId>,
    /// Which host it is.
    pub intent: Intent,
    pub reason: String,
    pub grants: Vec<Grant>,
}

impl HostQuestion {
    fn wanted(&self) -> Option<Wanted> {
        match &self.intent {
            Intent::Connect { host, port } => Some((host.clone(), *port)),
            _ => None,
        }
    }

    /// Whether it is about tools of the provider, and not about a host.
    #[must_use]
    pub fn hosted(&self) -> bool {
        matches!(self.intent, Intent::Hosted { .. })
    }
}

impl Hosts {
    pub(super) fn apply(&mut self, event: &Event) {
        match &event.fact {
            Fact::TurnStarted { turn } => {
                self.turn = *turn;
                self.refused.clear();
                // Whose it was is not known, so that it ends with the turn.
                self.allowed.retain(|(_, call)| call.is_some());
            }
            Fact::HostRequested { request, call, intent, reason, grants } => {
                self.requests = self.requests.max(request.0);
                self.asked.push(HostQuestion {
                    request: *request,
                    call: call.clone(),
                    intent: intent.clone(),
                    reason: reason.clone(),
                    grants: grants.clone(),
                });
            }
            Fact::HostAllowed { request, by } => {
                let Some(question) = self.answered(*request) else { return };
                self.hosted = question.hosted().then_some(true).or(self.hosted);
                if let (By::Person { grant: None, .. }, Some(wanted)) = (by, question.wanted()) {
                    self.allowed.push((wanted, question.call));
                }
            }
            Fact::HostRefused { request, by, reason } => {
                let Some(question) = self.answered(*request) else { return };
                if question.hosted() && matches!(by, By::Person { .. }) {
                    self.hosted = Some(false);
                }
                if let (By::Person { .. }, Some(wanted)) = (by, question.wanted()) {
                    self.refused.push((wanted, reason.clone()));
                }
            }
            _ => {}
        }
    }

    fn answered(&mut self, request: RequestId) -> Option<HostQuestion> {
        let at = self.asked.iter().position(|question| question.request == request)?;
        Some(self.asked.remove(at))
    }
}

impl Session {
    /// The connections that wait for a person, the oldest first.
    pub fn hosts_asked(&self) -> impl Iterator<Item = &HostQuestion> {
        self.hosts.asked.iter()
    }

    /// The number of the next question about a host.
    #[must_use]
    pub fn next_request(&self) -> RequestId {
        RequestId(self.hosts.requests + 1)
    }

    /// What a person has said of a host that a command wants to reach, when it need not be said again: yes, or why not.
    #[must_use]
    pub fn host_settled(&self, call: Option<&CallId>, host: &str, port: u16) -> Option<Result<(), String>> {
        let is = |(name, number): &Wanted| name == host && *number == port;
        let Hosts { allowed, refused, .. } = &self.hosts;
        if allowed.iter().any(|(wanted, whose)| is(wanted) && whose.as_ref() == call) {
            return Some(Ok(()));
        }
        if let Some((_, reason)) = refused.iter().find(|(wanted, _)| is(wanted)) {
            return Some(Err(reason.clone()));
        }
        if refused.len() >= PATIENCE {
            return Some(Err(format!(
                "the user refused {} hosts in this turn, and is asked about no more of them",
                refused.len()
            )));
        }
        None
    }

    /// What a person has said of the tools that the provider runs, in this session.
    #[must_use]
    pub fn hosted_settled(&self) -> Option<bool> {
        self.hosts.hosted
    }

    /// Whether so many connections wait for a person that no further one can.
    #[must_use]
    pub fn hosts_full(&self) -> bool {
        self.hosts.asked.len() >= WAITING
    }

    /// The fact that answers the question about a host.
    pub(super) fn host_verdict(&self, request: RequestId, verdict: Verdict) -> Result<Vec<Fact>, Rejection> {
        let question = self.hosts_asked().find(|question| question.request == request);
        let question = question.ok_or(Rejection::NoRequest(request))?;
        let by = |grant, scope| By::Person { grant, scope };
        Ok(vec![match verdict {
            Verdict::Allow => Fact::HostAllowed { request, by: by(None, Scope::Session) },
            // Only what was shown can be allowed for longer.
            Verdict::AllowAlways { grant, scope }
                if !question.grants.contains(&grant) || !grant.fits(scope) =>
            {
                return Err(Rejection::NotOfferedForHost(request));
            }
            Verdict::AllowAlways { grant, scope } => {
                Fact::HostAllowed { request, by: by(Some(grant), scope) }
            }
            Verdict::Deny { note } => {
                let done = if question.hosted() { "used" } else { "reached" };
                let reason = match note.trim() {
                    "" => format!("the user does not want it to be {done}"),
                    note => format!("the user does not want it to be {done}, and says: {note}"),
                };
                Fact::HostRefused { request, by: by(None, Scope::Session), reason }
            }
        }])
    }

    /// The facts that close all questions about hosts, without an answer of a person.
    pub(super) fn close_hosts(&self, reason: &str) -> impl Iterator<Item = Fact> {
        self.hosts_asked().map(move |question| Fact::HostRefused {
            request: question.request,
            by: By::Policy,
            reason: reason.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Command, Rule, Seq, Time};

    #[derive(Default)]
    struct World(Session);

    impl World {
        fn record(&mut self, fact: Fact) {
            self.0.apply(&Event { seq: Seq(1), at: Time::UNIX_EPOCH, fact });
        }

        fn turn(&mut self, turn: u32) {
            self.record(Fact::TurnStarted { turn: TurnId(turn) });
        }

        fn asked(&mut self, host: &str, call: Option<&str>) -> RequestId {
            let request = self.0.next_request();
            let grants = vec![Grant::Host { host: host.into(), port: 443 }];
            let intent = Intent::Connect { host: host.into(), port: 443 };
            let call = call.map(CallId::from);
            self.record(Fact::HostRequested { request, call, intent, reason: String::new(), grants });
            request
        }

        fn decide(&mut self, request: RequestId, verdict: Verdict) -> Result<(), Rejection> {
            let facts = self.0.decide(Command::DecideHost { request, verdict }, Time::UNIX_EPOCH)?;
            facts.into_iter().for_each(|fact| self.record(fact));
            Ok(())
        }

        fn settled(&self, host: &str, call: Option<&str>) -> Option<Result<(), String>> {
            self.0.host_settled(call.map(CallId::from).as_ref(), host, 443)
        }
    }

    fn no() -> Verdict {
        Verdict::Deny { note: String::new() }
    }

    #[test]
    fn a_yes_holds_for_the_command_and_one_of_nobody_for_the_turn() {
        let mut world = World::default();
        world.turn(1);
        for call in [Some("c1"), None] {
            let request = world.asked("a.b", call);
            assert_eq!(world.decide(request, Verdict::Allow), Ok(()));
            assert_eq!(world.decide(request, Verdict::Allow), Err(Rejection::NoRequest(request)));
        }
        assert_eq!(world.settled("a.b", Some("c1")), Some(Ok(())));
        assert_eq!(world.settled("a.b", Some("c2")), None);
        assert_eq!(world.settled("a.c", Some("c1")), None);
        assert_eq!(world.settled("a.b", None), Some(Ok(())));
        world.turn(2);
        assert_eq!((world.settled("a.b", Some("c1")), world.settled("a.b", None)), (Some(Ok(())), None));
    }

    #[test]
    fn a_no_holds_for_the_turn_and_after_three_nobody_is_asked() {
        let mut world = World::default();
        world.turn(1);
        for (number, host) in ["a.b", "c.d", "e.f"].into_iter().enumerate() {
            assert_eq!(world.settled("new.host", None), None, "{number}");
            let request = world.asked(host, Some("c1"));
            world.decide(request, no()).unwrap();
            assert!(matches!(world.settled(host, Some("c2")), Some(Err(_))));
        }
        assert!(matches!(world.settled("new.host", None), Some(Err(why)) if why.contains("3 hosts")));
        world.turn(2);
        assert_eq!(world.settled("a.b", Some("c1")), None);
    }

    #[test]
    fn a_longer_yes_is_a_rule_and_only_the_one_that_was_offered() {
        let mut world = World::default();
        let request = world.asked("a.b", None);
        let other = Grant::Host { host: "evil.com".into(), port: 443 };
        let wrong = Verdict::AllowAlways { grant: other, scope: Scope::Project };
        assert_eq!(world.decide(request, wrong), Err(Rejection::NotOfferedForHost(request)));
        let grant = Grant::Host { host: "a.b".into(), port: 443 };
        world.decide(request, Verdict::AllowAlways { grant: grant.clone(), scope: Scope::Project }).unwrap();
        assert_eq!(world.0.rules, [Rule { grant, scope: Scope::Project }]);
    }

    #[test]
    fn questions_end_with_the_turn_and_with_the_program_and_are_not_the_persons_no() {
        for interrupted in [true, false] {
            let mut world = World::default();
            world.turn(1);
            world.asked("a.b", Some("c1"));
            world.asked("c.d", None);
            let facts = match interrupted {
                true => world.0.decide(Command::Interrupt, Time::UNIX_EPOCH).unwrap(),
                false => world.0.reconcile(),
            };
            facts.into_iter().for_each(|fact| world.record(fact));
            assert_eq!(world.0.hosts_asked().count(), 0);
            assert_eq!(world.settled("a.b", Some("c1")), None);
        }
    }

    #[test]
    fn what_a_person_says_of_tools_of_the_provider_holds_for_the_session() {
        for (verdict, expected) in [(Verdict::Allow, true), (no(), false)] {
            let mut world = World::default();
            world.turn(1);
            let ask = |world: &mut World| {
                let request = world.0.next_request();
                let intent = Intent::Hosted { tools: vec!["web search".into()] };
                world.record(Fact::HostRequested {
                    request,
                    call: None,
                    intent,
                    reason: String::new(),
                    grants: vec![],
                });
                request
            };
            ask(&mut world);
            // Nobody has said anything when the turn was interrupted.
            let facts = world.0.decide(Command::Interrupt, Time::UNIX_EPOCH).unwrap();
            facts.into_iter().for_each(|fact| world.record(fact));
            assert_eq!((world.0.hosted_settled(), world.0.hosts_asked().count()), (None, 0));
            world.turn(2);
            let request = ask(&mut world);
            assert!(world.0.hosts_asked().any(HostQuestion::hosted));
            world.decide(request, verdict).unwrap();
            world.turn(3);
            assert_eq!(world.0.hosted_settled(), Some(expected));
        }
    }

    #[test]
    fn many_at_once_do_not_all_wait() {
        let mut world = World::default();
        for number in 0..WAITING {
            assert!(!world.0.hosts_full());
            world.asked(&format!("h{number}.com"), None);
        }
        assert!(world.0.hosts_full());
    }
}
