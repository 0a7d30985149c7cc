//! The book of connections: each is told once, and a flood of them as few that count many.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::protocol::{CallId, Connection, Passage};

/// Connections that are told at once, each for itself.
const BURST: u32 = 100;
/// After them, one in each of these times.
const PACE: Duration = Duration::from_millis(500);
/// Kinds of connections that are remembered apart while they wait to be told.
const KINDS: usize = 200;
/// Sentences that a result gets.
const TOLD: usize = 20;
/// In the place of hosts that are too many to be told apart.
const OTHERS: &str = "(others)";

/// What is still to be told.
pub(super) struct Ledger {
    room: u32,
    since: Instant,
    waiting: Vec<Connection>,
    refusals: HashMap<Option<CallId>, Vec<(String, u64)>>,
}

impl Ledger {
    pub(super) fn new(now: Instant) -> Self {
        Self { room: BURST, since: now, waiting: Vec::new(), refusals: HashMap::new() }
    }

    /// Takes in a connection that has ended. Gives what is to be told now.
    pub(super) fn ended(&mut self, connection: Connection, now: Instant) -> Vec<Connection> {
        self.note(&connection);
        self.wait(connection);
        let paces = now.duration_since(self.since).as_millis() / PACE.as_millis();
        if let Ok(paces @ 1..) = u32::try_from(paces) {
            self.room = self.room.saturating_add(paces).min(BURST);
            self.since = now;
        }
        let told = usize::try_from(self.room).unwrap_or(usize::MAX).min(self.waiting.len());
        self.room -= u32::try_from(told).unwrap_or(self.room);
        self.waiting.drain(..told).collect()
    }

    /// All that waits to be told.
    pub(super) fn rest(&mut self) -> Vec<Connection> {
        std::mem::take(&mut self.waiting)
    }

    /// What the result of a call is to say of connections that did not come about. Said once.
    pub(super) fn refusals(&mut self, call: Option<&CallId>) -> Vec<String> {
        let own = call.and_then(|call| self.refusals.remove(&Some(call.clone())));
        let anybodys = self.refusals.remove(&None);
        let sentence = |(text, count): (String, u64)| match count {
            1 => text,
            count => format!("{text} ({count} times)"),
        };
        own.into_iter().chain(anybodys).flatten().map(sentence).collect()
    }

    fn note(&mut self, connection: &Connection) {
        let Connection { host, port, call, passage, .. } = connection;
        let text = match passage {
            Passage::Refused { reason } => format!("network: {host}:{port} was refused: {reason}"),
            Passage::Failed { reason } => format!("network: {host}:{port} could not be reached: {reason}"),
            Passage::Passed | Passage::Unknown => return,
        };
        // Calls that nobody looks at any more are as few as those that run.
        if self.refusals.len() >= KINDS {
            self.refusals.clear();
        }
        let said = self.refusals.entry(call.clone()).or_default();
        if let Some((_, count)) = said.iter_mut().find(|(known, _)| *known == text) {
            *count += 1;
        } else if said.len() < TOLD {
            said.push((text, 1));
        }
    }

    fn wait(&mut self, mut connection: Connection) {
        if self.waiting.len() >= KINDS {
            connection.host = OTHERS.to_owned();
            connection.port = 0;
        }
        let alike = |known: &&mut Connection| {
            (&known.host, known.port, &known.call, &known.passage)
                == (&connection.host, connection.port, &connection.call, &connection.passage)
        };
        match self.waiting.iter_mut().find(alike) {
            Some(known) => {
                known.count += connection.count;
                known.sent += connection.sent;
                known.received += connection.received;
            }
            None => self.waiting.push(connection),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(host: &str, call: Option<&str>, passage: Passage) -> Connection {
        let call = call.map(CallId::from);
        Connection { host: host.into(), port: 443, call, passage, sent: 1, received: 2, count: 1 }
    }

    fn refused() -> Passage {
        Passage::Refused { reason: "no".into() }
    }

    #[test]
    fn a_flood_is_told_as_few_that_count_many_and_nothing_is_lost() {
        let now = Instant::now();
        let mut ledger = Ledger::new(now);
        let mut told = Vec::new();
        for n in 0..10_000_u32 {
            let host = format!("h{}", n % 1_000);
            told.extend(ledger.ended(connection(&host, None, refused()), now));
        }
        assert_eq!(told.len(), 100);
        assert_eq!(ledger.ended(connection("h1", None, refused()), now + PACE * 3).len(), 3);
        told.extend(ledger.rest());
        // Two of those three were left out above.
        assert!(told.len() <= 100 + KINDS + 1, "{}", told.len());
    }

    #[test]
    fn counts_and_bytes_add_up() {
        let now = Instant::now();
        let mut ledger = Ledger::new(now);
        let mut told = Vec::new();
        for n in 0..1_000_u32 {
            let passage = if n % 2 == 0 { refused() } else { Passage::Passed };
            told.extend(ledger.ended(connection("a", Some("c"), passage), now));
        }
        told.extend(ledger.rest());
        let sum = |of: fn(&Connection) -> u64| told.iter().map(of).sum::<u64>();
        assert_eq!((sum(|c| c.count), sum(|c| c.sent), sum(|c| c.received)), (1_000, 1_000, 2_000));
        assert_eq!(told.len(), 102);
    }

    #[test]
    fn a_result_says_what_its_own_call_was_refused_and_says_it_once() {
        let now = Instant::now();
        let mut ledger = Ledger::new(now);
        for (host, call) in [("a", Some("c1")), ("a", Some("c1")), ("b", Some("c2")), ("z", None)] {
            ledger.ended(connection(host, call, refused()), now);
        }
        ledger.ended(connection("fine", Some("c1"), Passage::Passed), now);
        let one = CallId::from("c1");
        assert_eq!(
            ledger.refusals(Some(&one)),
            ["network: a:443 was refused: no (2 times)", "network: z:443 was refused: no"]
        );
        assert_eq!(ledger.refusals(Some(&one)), Vec::<String>::new());
        assert_eq!(ledger.refusals(Some(&CallId::from("c2"))), ["network: b:443 was refused: no"]);
    }
}
