//! Connections of commands: those that wait for somebody, and those that are over.

use crate::policy::{self, Judgement};
use crate::protocol::{By, CallId, Fact, Intent, RequestId};
use crate::sandbox::network::{Question, Report, Reports};

use super::Harness;

/// Characters of a command that a question repeats.
const REPEATED: usize = 200;

/// What is told of the network, if there is one.
pub(super) async fn told(reports: &mut Option<Reports>) -> Option<Report> {
    match reports {
        Some(reports) => reports.recv().await,
        None => None,
    }
}

/// A connection that waits.
pub(super) struct Knock {
    request: RequestId,
    question: Question,
}

impl Harness {
    pub(super) fn reported(&mut self, report: Report) {
        match report {
            Report::Ended(connection) => self.record(vec![Fact::ConnectionEnded(connection)]),
            Report::Asked(question) => self.knocked(question),
            Report::Withdrawn(number) => {
                let knock = self.knocks.iter().find(|knock| knock.question.number == number);
                if let Some(request) = knock.map(|knock| knock.request) {
                    let reason = "the command does not wait for it any more".to_owned();
                    self.record(vec![Fact::HostRefused { request, by: By::Policy, reason }]);
                }
            }
        }
    }

    /// Answers a connection that is in no list, or has a person asked.
    fn knocked(&mut self, question: Question) {
        let (host, port) = (question.target.host.to_string(), question.target.port);
        let call = question.call.clone();
        let intent = Intent::Connect { host: host.clone(), port };
        let answer = match policy::judge(&intent, &self.policy(), &self.session.rules) {
            Judgement::Allow(_) => Ok(()),
            Judgement::Refuse { reason } => Err(reason),
            Judgement::Ask { reason } => match self.session.host_settled(call.as_ref(), &host, port) {
                Some(settled) => settled,
                None if self.unwritable.is_some() || !self.permissions.network.asks() => {
                    Err(format!("{}, and nobody is asked", policy::HOST_UNLISTED))
                }
                None if self.session.hosts_full() => {
                    Err("too many hosts wait for the user's answer".to_owned())
                }
                None => {
                    let request = self.session.next_request();
                    let grants = policy::proposals(&intent, &self.policy());
                    let reason = self.about(call.as_ref(), reason);
                    self.knocks.push(Knock { request, question });
                    return self.record(vec![Fact::HostRequested { request, call, intent, reason, grants }]);
                }
            },
        };
        // Whoever has gone hears nothing.
        let _ = question.answer.send(answer);
    }

    /// The question, with the command that it is about.
    fn about(&self, call: Option<&CallId>, reason: String) -> String {
        let Some(call) = call else { return reason };
        let running = self.session.call(call).and_then(|call| call.intent());
        let lasting = self.session.processes.values().find(|process| process.call == *call);
        let command = match (running, lasting) {
            (Some(Intent::Command { command, .. }), _) => command,
            (_, Some(process)) => &process.command,
            _ => return reason,
        };
        let cut: String = command.trim().chars().take(REPEATED).collect();
        let more = if cut.len() < command.trim().len() { "…" } else { "" };
        format!("`{cut}{more}` connects to it, and {reason}")
    }

    /// A question was answered, however that came about: its connection hears of it.
    pub(super) fn answer_knock(&mut self, fact: &Fact) {
        let (request, answer) = match fact {
            Fact::HostAllowed { request, .. } => (*request, Ok(())),
            Fact::HostRefused { request, reason, .. } => (*request, Err(reason.clone())),
            _ => return,
        };
        if let Some(at) = self.knocks.iter().position(|knock| knock.request == request) {
            // Whoever has gone hears nothing.
            let _ = self.knocks.remove(at).question.answer.send(answer);
        }
    }

    /// Answers what needs no answer any more, since a rule or a word for all of them has come.
    pub(super) fn settle_knocks(&mut self) {
        let mut facts = Vec::new();
        for Knock { request, question } in &self.knocks {
            let (host, port) = (question.target.host.to_string(), question.target.port);
            let settled = self.session.host_settled(question.call.as_ref(), &host, port);
            let intent = Intent::Connect { host, port };
            let request = *request;
            match (policy::judge(&intent, &self.policy(), &self.session.rules), settled) {
                (Judgement::Allow(by), _) => facts.push(Fact::HostAllowed { request, by }),
                (Judgement::Refuse { reason }, _) => {
                    facts.push(Fact::HostRefused { request, by: By::Policy, reason });
                }
                (Judgement::Ask { .. }, Some(Ok(()))) => {
                    facts.push(Fact::HostAllowed { request, by: By::Policy });
                }
                (Judgement::Ask { .. }, Some(Err(reason))) => {
                    facts.push(Fact::HostRefused { request, by: By::Policy, reason });
                }
                (Judgement::Ask { .. }, None) => {}
            }
        }
        self.record(facts);
    }
}
