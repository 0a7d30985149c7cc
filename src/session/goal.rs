//! A goal: turn follows turn until it is met, the model is blocked, or what may be spent on it is spent.

use crate::protocol::{
    Claim, Context, Fact, Goal, GoalStatus as Status, Item, Rejection, Shown, Time, TurnId, grouped, span,
};

use super::{Session, budget};

/// Turns in a row without a way on, after which the model is blocked.
const STUCK: u32 = 3;
/// How often the model may say that it is done while the goal's command says that it is not.
const REFUTED: u32 = 10;

/// A goal, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pursuit {
    pub goal: Goal,
    pub status: Status,
    /// Why it is in this state.
    pub reason: String,
    /// Turns that were begun for it.
    pub turns: u32,
    /// Tokens of the session when it was set, or went on after what may be spent was spent.
    tokens_before: u64,
    /// Milliseconds of the turns since then that have ended.
    worked_ms: u64,
    /// The turn that goes on was begun for it.
    own_turn: bool,
    /// The model has done something in it.
    acted: bool,
    /// What the model said of it in this turn.
    claim: Option<(Claim, String)>,
    /// Turns in a row that led nowhere.
    stuck: u32,
    /// What blocked the model in the last turn, if it said so.
    obstacle: String,
    /// How often it said that it was done, and was not.
    refuted: u32,
}

impl Pursuit {
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.status == Status::Active
    }

    pub(super) fn claims(&self, claim: Claim) -> bool {
        self.claim.as_ref().is_some_and(|(claimed, _)| *claimed == claim)
    }

    /// The goal's command says that it is not met.
    pub(super) fn refuted(&mut self) {
        self.claim = None;
        self.refuted += 1;
    }

    /// The turn leads nowhere, if it ends now.
    fn is_stuck(&self) -> bool {
        self.own_turn && (self.claims(Claim::Blocked) || !self.acted)
    }
}

impl Session {
    /// Whether a goal is worked on.
    #[must_use]
    pub fn pursues(&self) -> bool {
        self.goal.as_ref().is_some_and(Pursuit::is_active)
    }

    /// Tokens that were spent on the goal.
    #[must_use]
    pub fn goal_tokens(&self) -> u64 {
        let before = self.goal.as_ref().map_or(0, |goal| goal.tokens_before);
        budget::all(self.usage).saturating_sub(before)
    }

    /// How the goal stands when the turn is about to end; nothing where it stands as it did.
    pub(super) fn goal_settled(&self) -> Option<(Status, String)> {
        let goal = self.goal.as_ref().filter(|goal| goal.is_active())?;
        if let Some((kind, message)) = self.turn.as_ref().and_then(|turn| turn.failed.as_ref()) {
            // It says so itself.
            let status = if kind == "budget" { Status::OutOfBudget } else { Status::Paused };
            return Some((status, message.clone()));
        }
        if goal.claims(Claim::Complete) {
            // Where a command has to pass, it has: else the claim would be gone.
            return Some((Status::Met, goal.claim.clone().map(|(_, note)| note).unwrap_or_default()));
        }
        if goal.refuted >= REFUTED {
            return Some((Status::Blocked, format!("its command failed {REFUTED} times")));
        }
        if goal.is_stuck() && goal.stuck + 1 >= STUCK {
            let why = match &goal.claim {
                Some((_, note)) if !note.is_empty() => note.clone(),
                _ => format!("nothing was done in {STUCK} turns in a row"),
            };
            return Some((Status::Blocked, why));
        }
        None
    }

    /// What may be spent on the goal is spent.
    pub(super) fn goal_spent(&self) -> Option<String> {
        let goal = self.goal.as_ref().filter(|goal| goal.is_active())?;
        let most = goal.goal.tokens.filter(|most| self.goal_tokens() >= *most)?;
        let (used, most) = (grouped(self.goal_tokens()), grouped(most));
        Some(format!("the goal's budget is used up: {used} of {most} tokens used"))
    }

    /// When the time for the goal is over, if that is during this turn.
    pub(super) fn goal_alarm(&self) -> Option<Time> {
        let goal = self.goal.as_ref().filter(|goal| goal.is_active())?;
        let turn = self.turn.as_ref().filter(|turn| turn.failed.is_none())?;
        let left = goal.goal.seconds?.saturating_mul(1000).saturating_sub(goal.worked_ms);
        let left = jiff::SignedDuration::from_millis(i64::try_from(left).unwrap_or(i64::MAX));
        turn.started.checked_add(left).ok()
    }

    pub(super) fn goal_out_of_time(&self) -> Fact {
        let seconds = self.goal.as_ref().and_then(|goal| goal.goal.seconds).unwrap_or_default();
        let reason = format!("the goal's budget is used up: {} are over", span(seconds));
        Fact::GoalChanged { status: Status::OutOfBudget, reason }
    }

    /// The facts that begin the next turn for the goal.
    #[must_use]
    pub fn pursue(&self) -> Vec<Fact> {
        let Some(goal) = &self.goal else { return Vec::new() };
        let turn = TurnId(self.turns.0 + 1);
        let mut facts = vec![Fact::TurnStarted { turn }];
        let text = if goal.turns == 0 {
            facts.push(Fact::item(Item::user(&goal.goal.text)));
            "This is a goal: when you end your turn, you are asked to go on, until it is met.".to_owned()
        } else {
            format!("Go on with the goal:\n{}", goal.goal.text)
        };
        let text = [Some(text), goal.hint(), self.goal_left(), Some(goal.terms())];
        let text = text.into_iter().flatten().collect::<Vec<_>>().join("\n\n");
        facts.push(Fact::item(Item::Context { context: Context::Notice, text }));
        facts.push(Fact::GoalContinued { turn });
        facts
    }

    /// The goal for the model, after what was said of it is gone.
    #[must_use]
    pub fn goal_pinned(&self) -> Option<String> {
        let goal = self.goal.as_ref().filter(|goal| goal.is_active())?;
        let parts = [Some(format!("The goal:\n{}", goal.goal.text)), self.goal_left(), Some(goal.terms())];
        Some(parts.into_iter().flatten().collect::<Vec<_>>().join("\n"))
    }

    fn goal_left(&self) -> Option<String> {
        let goal = self.goal.as_ref()?;
        let tokens = goal
            .goal
            .tokens
            .map(|most| format!("{} of {} tokens are used.", grouped(self.goal_tokens()), grouped(most)));
        let time = goal
            .goal
            .seconds
            .map(|most| format!("{} of {} are over.", span(goal.worked_ms / 1000), span(most)));
        let words: Vec<String> = tokens.into_iter().chain(time).collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    pub(super) fn set_goal(&self, goal: Goal) -> Result<Vec<Fact>, Rejection> {
        if goal.text.trim().is_empty() {
            return Err(Rejection::Empty);
        }
        Ok(vec![Fact::GoalSet { goal }])
    }

    pub(super) fn change_goal(&self, status: Status) -> Result<Vec<Fact>, Rejection> {
        let goal = self.goal.as_ref().ok_or(Rejection::NoGoal)?;
        let over = matches!(goal.status, Status::Met);
        match status {
            Status::Paused if !goal.is_active() => Err(Rejection::GoalIs(goal.status.in_words())),
            Status::Active if goal.is_active() || over => Err(Rejection::GoalIs(goal.status.in_words())),
            Status::Paused | Status::Active | Status::Cleared => {
                Ok(vec![Fact::GoalChanged { status, reason: String::new() }])
            }
            Status::Blocked | Status::OutOfBudget | Status::Met | Status::Unknown => Err(Rejection::NoGoal),
        }
    }

    /// What an interrupt makes of the goal.
    pub(super) fn goal_interrupted(&self) -> Option<Fact> {
        let fact = || Fact::GoalChanged { status: Status::Paused, reason: "you interrupted it".to_owned() };
        self.pursues().then(fact)
    }

    pub(super) fn goal_fact(&mut self, fact: &Fact) {
        let spent = budget::all(self.usage);
        match fact {
            Fact::GoalSet { goal } => {
                self.goals += 1;
                self.goal = Some(Pursuit {
                    goal: goal.clone(),
                    status: Status::Active,
                    reason: String::new(),
                    turns: 0,
                    tokens_before: spent,
                    worked_ms: 0,
                    own_turn: false,
                    acted: false,
                    claim: None,
                    stuck: 0,
                    obstacle: String::new(),
                    refuted: 0,
                });
            }
            Fact::GoalContinued { .. } => {
                if let Some(goal) = &mut self.goal {
                    (goal.turns, goal.own_turn) = (goal.turns + 1, true);
                }
                if let Some(turn) = &mut self.turn {
                    (turn.begun, turn.due) = (true, true);
                }
            }
            Fact::GoalChanged { status: Status::Cleared, .. } => self.goal = None,
            Fact::GoalChanged { status, reason } => {
                let Some(goal) = &mut self.goal else { return };
                if *status == Status::Active {
                    if goal.status == Status::OutOfBudget {
                        (goal.tokens_before, goal.worked_ms) = (spent, 0);
                    }
                    (goal.stuck, goal.refuted, goal.claim) = (0, 0, None);
                }
                (goal.status, goal.reason) = (*status, reason.clone());
                let ends = *status == Status::OutOfBudget;
                if let Some(turn) = self.turn.as_mut().filter(|turn| ends && turn.failed.is_none()) {
                    turn.failed = Some(("budget".to_owned(), reason.clone()));
                }
            }
            _ => {}
        }
    }

    /// A call has ended: the model does something, or says how the goal stands.
    pub(super) fn goal_heard(&mut self, shown: &Shown) {
        let Some(goal) = &mut self.goal else { return };
        match shown {
            Shown::Goal { claim, note } => goal.claim = Some((*claim, note.clone())),
            _ => goal.acted = true,
        }
    }

    /// A turn has ended.
    pub(super) fn goal_turn_over(&mut self, duration_ms: u64) {
        let Some(goal) = &mut self.goal else { return };
        let nowhere = goal.is_stuck();
        if goal.own_turn {
            goal.worked_ms = goal.worked_ms.saturating_add(duration_ms);
            goal.stuck = if nowhere { goal.stuck + 1 } else { 0 };
        }
        let blocked = goal.claim.take_if(|(claim, _)| *claim == Claim::Blocked);
        goal.obstacle = blocked.map(|(_, note)| note).unwrap_or_default();
        (goal.own_turn, goal.acted, goal.claim) = (false, false, None);
    }
}

impl Pursuit {
    /// What to think of when the last turn led nowhere.
    fn hint(&self) -> Option<String> {
        let (stuck, most) = (self.stuck, STUCK);
        match (stuck, self.obstacle.as_str()) {
            (0, _) => None,
            (_, "") => Some(format!(
                "Nothing was done in the last turn ({stuck} of {most}): do the next step, or say with update_goal how \
                 it stands."
            )),
            (_, why) => Some(format!(
                "You said that you are blocked ({stuck} of {most}): {why}\nTry another way. If the same thing still \
                 blocks you, say so again."
            )),
        }
    }

    /// What ends it.
    fn terms(&self) -> String {
        let checked = match &self.goal.verify {
            Some(command) => format!(" `{command}` is run then, and has to pass."),
            None => String::new(),
        };
        format!(
            "When all of it is done and you have looked at it yourself, call update_goal with the status \
             complete.{checked} Call it with blocked only when you can do nothing without the user."
        )
    }
}
