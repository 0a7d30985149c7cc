//! What the provider's cache can be expected to hold of the next request, and why it did not hold it.
//!
//! A request begins with the bytes of the one before it, and a provider that knows them asks a fraction of the price. It
//! forgets them after some minutes; and everything behind the first thing that is another is new to it. Folded from what
//! the provider counts: of one that never counts anything from a cache, nothing is expected.

use std::fmt;

use crate::protocol::{Cost, Event, Fact, ModelRef, Time, ToolStyle, Usage};

use super::Session;

/// Providers keep what was sent for so many seconds, as a rule.
const KEPT_S: i64 = 300;
/// Requests of fewer tokens are not cached by some, and cost too little to be worth a word.
const WORTH: u64 = 4_096;

/// What the cache holds, as far as can be told.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Cache {
    /// The last request that was answered.
    last: Option<Sent>,
    /// The request that is being answered, and why its beginning is another than that of the one before.
    asked: Option<(Sent, Option<Why>)>,
    /// Anything has ever come from a cache.
    counts: bool,
    /// The first item that is another since then.
    rewritten: Option<usize>,
    missed: Option<Missed>,
}

/// What a request began with.
#[derive(Debug, Clone, PartialEq)]
struct Sent {
    model: ModelRef,
    tools: Tools,
    at: Time,
    /// Tokens that it came to.
    input: u64,
}

/// What decides which tools are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tools {
    style: ToolStyle,
    compacted: bool,
    goals: bool,
    hosted: Option<bool>,
}

/// Why the cache has nothing, or little, of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Another model was asked before.
    Model(ModelRef),
    /// The tools are others, and stand before everything else.
    Tools,
    /// The conversation is another from this item on, counted from 1.
    Item(usize),
    /// Nothing was sent for so many minutes.
    Idle(i64),
    /// Nothing has changed.
    Forgotten,
}

/// A request of which little will come from the cache.
#[derive(Debug, Clone, PartialEq)]
pub struct Cold {
    pub why: Why,
    /// Tokens that it comes to.
    pub tokens: u64,
    /// What they cost, where that is known.
    pub cost: Option<Cost>,
}

/// A request of which little came from the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    pub why: Why,
    /// Tokens that it came to, and those of them that were in the cache.
    pub input: u64,
    pub cached: u64,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(before) => write!(f, "{before} was asked before"),
            Self::Tools => f.write_str("the tools that the model is offered are others"),
            Self::Item(at) => write!(f, "the conversation is another from its item {at} on"),
            Self::Idle(minutes) => write!(f, "nothing was sent for {minutes} minutes"),
            Self::Forgotten => f.write_str("nothing before it has changed: the provider has dropped it"),
        }
    }
}

impl Session {
    /// What the next request will cost when it is sent now, if the provider's cache has little of it.
    #[must_use]
    pub fn cold(&self, now: Time) -> Option<Cold> {
        let last = self.cache.last.as_ref().filter(|last| self.cache.counts && last.input >= WORTH)?;
        let why = self.changed(last, &self.sending(now)?)?;
        let usage = Usage { input: self.used(), ..Usage::default() };
        let cost = self.settings.as_ref().and_then(|settings| settings.price).map(|price| price.of(&usage));
        Some(Cold { why, tokens: usage.input, cost })
    }

    /// Why little of the last request came from the provider's cache, if much of it could have.
    #[must_use]
    pub fn missed_cache(&self) -> Option<&Missed> {
        self.cache.missed.as_ref()
    }

    /// A request as it would begin now.
    fn sending(&self, at: Time) -> Option<Sent> {
        let settings = self.settings.as_ref()?;
        let tools = Tools {
            style: settings.tools,
            compacted: self.compactions > 0,
            goals: self.goals > 0,
            hosted: self.hosted_settled(),
        };
        Some(Sent { model: settings.model.clone(), tools, at, input: 0 })
    }

    /// What of a request is another than in the one before.
    fn changed(&self, last: &Sent, next: &Sent) -> Option<Why> {
        let idle = next.at.as_second().saturating_sub(last.at.as_second());
        match () {
            () if last.model != next.model => Some(Why::Model(last.model.clone())),
            () if last.tools != next.tools => Some(Why::Tools),
            () if self.cache.rewritten.is_some() => self.cache.rewritten.map(|at| Why::Item(at + 1)),
            () if idle > KEPT_S => Some(Why::Idle(idle / 60)),
            () => None,
        }
    }

    /// The conversation is another from this item on, counted from 0.
    pub(super) fn cache_rewritten(&mut self, from: usize) {
        let first = self.cache.rewritten.map_or(from, |known| known.min(from));
        self.cache.rewritten = Some(first);
    }

    pub(super) fn cache_fact(&mut self, event: &Event) {
        match &event.fact {
            Fact::ResponseStarted { .. } => {
                let why = self.sending(event.at).map(|next| {
                    let why = self.cache.last.as_ref().and_then(|last| self.changed(last, &next));
                    (next, why)
                });
                self.cache.asked = why;
                self.cache.missed = None;
            }
            Fact::ResponseFinished { usage, .. } => {
                let Some((sent, why)) = self.cache.asked.take() else { return };
                let Some(Usage { input, cached, .. }) = *usage else { return };
                let could = self.cache.last.as_ref().map_or(0, |last| last.input.min(input));
                if self.cache.counts && could >= WORTH && cached < could / 2 {
                    self.cache.missed = Some(Missed { why: why.unwrap_or(Why::Forgotten), input, cached });
                }
                self.cache.counts |= cached > 0;
                self.cache.rewritten = None;
                self.cache.last = Some(Sent { at: event.at, input, ..sent });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ResponseId, ResponseOutcome, Seq, Settings};
    use crate::session::tests::settings;

    #[derive(Default)]
    struct World {
        session: Session,
        second: i64,
        responses: u32,
    }

    impl World {
        fn new() -> Self {
            let mut world = Self::default();
            world.configure("a/x");
            world
        }

        fn fact(&mut self, fact: Fact) {
            let at = Time::from_second(self.second).unwrap();
            self.session.apply(&Event { seq: Seq(1), at, fact });
        }

        fn configure(&mut self, model: &str) {
            let price = serde_json::from_str(r#"{"input": 5.0, "cached": 0.5, "output": 30.0}"#).unwrap();
            let settings = Settings { model: model.parse().unwrap(), price: Some(price), ..settings() };
            self.fact(Fact::Configured { settings });
        }

        /// A request that is answered at once; why it missed.
        fn ask(&mut self, input: u64, cached: u64) -> Option<Missed> {
            self.responses += 1;
            let response = ResponseId(self.responses);
            self.fact(Fact::ResponseStarted { response });
            let usage = Some(Usage { input, cached, output: 10, ..Usage::default() });
            self.fact(Fact::ResponseFinished { response, outcome: ResponseOutcome::Completed, usage });
            self.session.missed_cache().cloned()
        }

        fn cold(&self) -> Option<Why> {
            let now = Time::from_second(self.second).unwrap();
            self.session.cold(now).map(|cold| cold.why)
        }
    }

    #[test]
    fn a_conversation_that_only_grows_is_expected_in_the_cache_for_some_minutes() {
        let mut world = World::new();
        assert_eq!((world.ask(100_000, 0), world.cold()), (None, None));
        world.second = 10_000;
        assert_eq!(world.cold(), None, "nothing was ever counted from a cache");
        assert_eq!(world.ask(101_000, 100_000), None);
        world.second += 300;
        assert_eq!(world.cold(), None);
        world.second += 120;
        assert_eq!(world.cold(), Some(Why::Idle(7)));
        let cold = world.session.cold(Time::from_second(world.second).unwrap()).unwrap();
        assert_eq!((cold.tokens, cold.cost.unwrap().to_string().as_str()), (101_010, "$0.505"));
        assert_eq!(world.ask(102_000, 0), Some(Missed { why: Why::Idle(7), input: 102_000, cached: 0 }));
        assert_eq!(world.cold(), None);
    }

    #[test]
    fn what_of_the_beginning_is_another_is_told() {
        let mut world = World::new();
        world.ask(50_000, 0);
        world.ask(50_000, 49_000);
        world.configure("b/y");
        let before = Why::Model("a/x".parse().unwrap());
        assert_eq!(world.cold(), Some(before.clone()));
        assert_eq!(world.ask(50_000, 0).map(|missed| missed.why), Some(before));
        assert_eq!(world.ask(50_100, 50_000), None);
        world.session.cache_rewritten(7);
        world.session.cache_rewritten(3);
        assert_eq!(world.cold(), Some(Why::Item(4)));
        assert_eq!(world.ask(50_000, 1_000).map(|missed| missed.why), Some(Why::Item(4)));
        world.session.goals = 1;
        assert_eq!(world.cold(), Some(Why::Tools));
        // It was there all the same: nothing is to be said.
        assert_eq!(world.ask(50_000, 49_000), None);
        assert_eq!(world.ask(50_000, 0).map(|missed| missed.why), Some(Why::Forgotten));
    }

    #[test]
    fn little_requests_are_not_worth_a_word() {
        let mut world = World::new();
        world.ask(2_000, 0);
        world.ask(2_000, 1_900);
        world.second = 10_000;
        assert_eq!((world.cold(), world.ask(2_000, 0)), (None, None));
    }
}
