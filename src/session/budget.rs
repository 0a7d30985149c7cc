//! What a session may spend: what is left of it, and what happens when nothing is.
//!
//! A soft budget stops before the next request, and waits for a person; a hard one ends the turn. Neither looks at a
//! clock: the harness tells when the deadline is there.

use crate::protocol::{Budget, Fact, GoalStatus, Limit, Outcome, Rejection, Time, Usage, grouped, span};

use super::Session;

/// What may be spent, and whether it was.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spending {
    pub budget: Budget,
    /// Since when it holds.
    since: Time,
    /// What was reached, with its reason. Until there is a larger budget or the turn ends, the model is not asked.
    pub reached: Option<(Limit, String)>,
}

impl Session {
    /// What of the budget is used up, by what was spent. The deadline is not looked at.
    #[must_use]
    pub fn over_budget(&self) -> Option<Limit> {
        let Budget { max_usd, max_tokens, max_turns, .. } = &self.spending.budget;
        let cost = self.usage.cost.unwrap_or_default().nano_usd();
        if max_usd.is_some_and(|max| cost >= max.nano_usd()) {
            return Some(Limit::Usd);
        }
        if max_tokens.is_some_and(|max| all(self.usage) >= max) {
            return Some(Limit::Tokens);
        }
        max_turns.is_some_and(|max| self.responses >= max).then_some(Limit::Turns)
    }

    /// How much of a limit is used, in words.
    #[must_use]
    pub fn used_of(&self, limit: Limit) -> String {
        let Budget { max_usd, max_tokens, max_turns, deadline, .. } = &self.spending.budget;
        match limit {
            Limit::Usd => {
                let spent = self.usage.cost.unwrap_or_default();
                format!("{spent} of {} spent", max_usd.unwrap_or_default())
            }
            Limit::Tokens => {
                let most = max_tokens.unwrap_or_default();
                format!("{} of {} tokens used", grouped(all(self.usage)), grouped(most))
            }
            Limit::Turns => {
                format!("the model was asked {} of {} times", self.responses, max_turns.unwrap_or_default())
            }
            Limit::Deadline => match deadline {
                Some(deadline) => {
                    format!("the {} until the deadline are over", span(self.allowed(*deadline)))
                }
                None => "the deadline has passed".to_owned(),
            },
            Limit::Unknown => "a limit of a newer version".to_owned(),
        }
    }

    /// What is limited, each with how much of it is used.
    #[must_use]
    pub fn budget_in_words(&self) -> Vec<String> {
        let Budget { max_usd, max_tokens, max_turns, deadline, .. } = &self.spending.budget;
        let mut words = Vec::new();
        words.extend(max_usd.map(|_| self.used_of(Limit::Usd)));
        words.extend(max_tokens.map(|_| self.used_of(Limit::Tokens)));
        words.extend(max_turns.map(|_| self.used_of(Limit::Turns)));
        words.extend(deadline.map(|deadline| format!("until {deadline}")));
        words
    }

    /// What waits for a larger budget, and nothing else: the limit that was reached, and how.
    #[must_use]
    pub fn out_of_budget(&self) -> Option<&(Limit, String)> {
        let reached = self.spending.reached.as_ref()?;
        let turn = self.turn.as_ref()?;
        let still = turn.due
            && turn.response.is_none()
            && self.calls().next().is_none()
            && self.verifying.running.is_none()
            && self.next().is_none();
        still.then_some(reached)
    }

    /// When somebody has to look at the clock: nothing may go on after that.
    #[must_use]
    pub fn alarm(&self) -> Option<Time> {
        let deadline = self.spending.budget.deadline.filter(|_| self.spending.reached.is_none());
        self.turn.as_ref()?;
        deadline.into_iter().chain(self.goal_alarm()).min()
    }

    /// What has become true because it is so late, and whether it ends the turn.
    #[must_use]
    pub fn time_is_up(&self, now: Time) -> Option<(Vec<Fact>, bool)> {
        self.alarm().filter(|alarm| *alarm <= now)?;
        let deadline = self.spending.budget.deadline.filter(|_| self.spending.reached.is_none());
        if deadline.is_some_and(|deadline| deadline <= now) {
            let hard = self.spending.budget.hard;
            return Some((self.run_out(Limit::Deadline, now), hard));
        }
        Some((vec![self.goal_out_of_time()], false))
    }

    /// That a limit was reached. A hard one ends the turn, with a result for each call.
    #[must_use]
    pub fn run_out(&self, limit: Limit, now: Time) -> Vec<Fact> {
        let (reason, hard) = (self.used_of(limit), self.spending.budget.hard);
        let mut facts = vec![Fact::BudgetReached { limit, reason: reason.clone(), hard }];
        if hard {
            let message = format!("the budget is used up: {reason}");
            if self.pursues() {
                // Else the next turn would begin, and end, for ever.
                let (status, reason) = (GoalStatus::OutOfBudget, message.clone());
                facts.push(Fact::GoalChanged { status, reason });
            }
            let outcome = Outcome::Failed { kind: "budget".to_owned(), message };
            facts.extend(self.closed("aborted because the budget is used up", outcome, now));
        }
        facts
    }

    /// The budget with as much again of all that is used up.
    pub(super) fn extended(&self, now: Time) -> Result<Vec<Fact>, Rejection> {
        let (limit, _) = self.spending.reached.as_ref().ok_or(Rejection::WithinBudget)?;
        let mut budget = self.spending.budget.clone();
        let cost = self.usage.cost.unwrap_or_default();
        if let Some(max) = budget.max_usd.as_mut().filter(|max| cost.nano_usd() >= max.nano_usd()) {
            let more = *max;
            *max = cost.exactly();
            *max += more;
        }
        if let Some(max) = budget.max_tokens.as_mut().filter(|max| all(self.usage) >= **max) {
            *max = max.saturating_add(all(self.usage));
        }
        if let Some(max) = budget.max_turns.as_mut().filter(|max| self.responses >= **max) {
            *max = max.saturating_add(self.responses);
        }
        if let (Limit::Deadline, Some(deadline)) = (limit, budget.deadline) {
            let more = i64::try_from(self.allowed(deadline)).unwrap_or(i64::MAX);
            budget.deadline = now.checked_add(jiff::SignedDuration::from_secs(more)).ok();
        }
        Ok(vec![Fact::Budgeted { budget }])
    }

    /// The seconds from when the budget was set to its deadline; a minute at least.
    fn allowed(&self, deadline: Time) -> u64 {
        let seconds = deadline.as_second().saturating_sub(self.spending.since.as_second());
        u64::try_from(seconds).unwrap_or(0).max(60)
    }

    pub(super) fn budgeted(&mut self, budget: &Budget, at: Time) {
        self.spending = Spending { budget: budget.clone(), since: at, reached: None };
    }
}

/// What was sent and received.
pub(super) fn all(usage: Usage) -> u64 {
    usage.input.saturating_add(usage.output)
}
