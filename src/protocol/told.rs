//! Facts of the program in a sentence, for every face alike.

use super::{Budget, Claim, Fact, Goal, GoalStatus, Level, grouped, span};

impl Fact {
    /// What a person is told of a budget, a command that has to pass, checks or a goal; nothing for other facts, and for
    /// those that only begin something.
    #[must_use]
    pub fn in_words(&self) -> Option<(Level, String)> {
        let info = |text: String| Some((Level::Info, text));
        let warning = |text: String| Some((Level::Warning, text));
        match self {
            Self::Budgeted { budget } => info(format!("budget: {}", budget.in_words())),
            Self::BudgetReached { reason, hard: false, .. } => {
                warning(format!("paused, because the budget is reached: {reason}"))
            }
            Self::VerifyFinished { command, exit: Some(0), duration_ms, .. } => {
                info(format!("`{command}` passed ({:.1} s)", *duration_ms as f64 / 1000.0))
            }
            Self::VerifyFinished { command, exit, stopped: false, .. } => {
                let how =
                    exit.map_or_else(|| "did not end by itself".to_owned(), |code| format!("exit {code}"));
                warning(format!("`{command}`, which has to pass, did not: {how}"))
            }
            Self::Checked(checked) => info(checked.in_words()),
            Self::GoalSet { goal } => info(format!("goal: {}", goal.in_words())),
            Self::GoalChanged { status, reason } => {
                let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                let text = match status {
                    GoalStatus::Active => "the goal goes on".to_owned(),
                    GoalStatus::Cleared => "the goal is cleared".to_owned(),
                    status => format!("the goal is {}{why}", status.in_words()),
                };
                match status {
                    GoalStatus::Blocked | GoalStatus::OutOfBudget => {
                        warning(format!("{text}; /goal resume goes on with it"))
                    }
                    GoalStatus::Paused => info(format!("{text}; /goal resume goes on with it")),
                    GoalStatus::Active | GoalStatus::Met | GoalStatus::Cleared | GoalStatus::Unknown => {
                        info(text)
                    }
                }
            }
            _ => None,
        }
    }
}

impl Budget {
    /// What is limited.
    #[must_use]
    pub fn in_words(&self) -> String {
        let mut words = Vec::new();
        words.extend(self.max_usd.map(|usd| usd.to_string()));
        words.extend(self.max_tokens.map(|tokens| format!("{} tokens", grouped(tokens))));
        words.extend(self.max_turns.map(|turns| match turns {
            1 => "1 request to the model".to_owned(),
            turns => format!("{turns} requests to the model"),
        }));
        words.extend(self.deadline.map(|deadline| {
            let local = deadline.to_zoned(jiff::tz::TimeZone::system());
            format!("until {}", local.strftime("%Y-%m-%d %H:%M:%S"))
        }));
        match (words.is_empty(), self.hard) {
            (true, _) => "no limit".to_owned(),
            (false, false) => words.join(", "),
            (false, true) => format!("{} (the turn ends then)", words.join(", ")),
        }
    }
}

impl Goal {
    /// The goal with its limits, on one line.
    #[must_use]
    pub fn in_words(&self) -> String {
        let text = self.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut limits = Vec::new();
        limits.extend(self.tokens.map(|tokens| format!("{} tokens", grouped(tokens))));
        limits.extend(self.seconds.map(span));
        limits.extend(self.verify.as_ref().map(|command| format!("`{command}` has to pass")));
        if limits.is_empty() { text } else { format!("{text} ({})", limits.join(", ")) }
    }
}

impl Claim {
    /// What the model says.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Complete => "the goal is met",
            Self::Blocked => "blocked",
            Self::Unknown => "something of a newer version about the goal",
        }
    }
}
