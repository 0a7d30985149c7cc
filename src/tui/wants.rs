//! `/budget` and `/goal`: what a session may spend, and what it is to come to.

use jiff::tz::TimeZone;

use crate::protocol::{self, Budget, Command, Cost, Goal, GoalStatus, Time};
use crate::session::Session;

use super::{action::Action, slash::Run};

const BUDGET: &str = "/budget usd 2.50, /budget tokens 500k, /budget turns 50 (requests to the model), /budget deadline 30m, /budget off";
const GOAL: &str =
    "/goal TEXT [--tokens 500k] [--time 2h] [--verify CMD], /goal pause, /goal resume, /goal clear";

/// Shows the budget, or changes a part of it.
pub(super) fn budget(args: &str, session: &Session, now: Time) -> Run {
    let words: Vec<&str> = args.split_whitespace().collect();
    let budget = session.spending.budget.clone();
    let changed = match words[..] {
        [] => {
            let mut lines = session.budget_in_words();
            if lines.is_empty() {
                lines.push("There is no limit.".to_owned());
            }
            lines.push(BUDGET.to_owned());
            return Run::Print(lines);
        }
        ["off"] => Ok(Budget::default()),
        ["usd", usd] => dollars(usd).map(|usd| Budget { max_usd: Some(usd), ..budget }),
        ["tokens", count] => {
            protocol::count(count).map(|tokens| Budget { max_tokens: Some(tokens), ..budget })
        }
        ["turns", count] => match count.parse() {
            Ok(turns @ 1..) => Ok(Budget { max_turns: Some(turns), ..budget }),
            _ => Err(format!("`{count}` is no number of requests")),
        },
        ["deadline", _, ..] => {
            let when = args.trim_start().trim_start_matches("deadline");
            let deadline = protocol::deadline(when, now, TimeZone::system());
            deadline.map(|deadline| Budget { deadline: Some(deadline), ..budget })
        }
        _ => Err("what is to be limited?".to_owned()),
    };
    match changed {
        Ok(_) if session.id.is_none() => Run::Print(vec![
            "There is no session yet: say something first, or begin with agent --max-usd 2.50".to_owned(),
        ]),
        Ok(budget) => Run::Do(vec![Action::Send(Command::SetBudget { budget })]),
        Err(problem) => Run::Print(vec![problem, BUDGET.to_owned()]),
    }
}

fn dollars(text: &str) -> Result<Cost, String> {
    let wrong = || format!("`{text}` is no amount of dollars");
    let usd: f64 = text.trim_start_matches('$').parse().map_err(|_| wrong())?;
    Cost::try_from(usd).ok().filter(|cost| cost.nano_usd() > 0).ok_or_else(wrong)
}

/// Shows the goal, sets one, or changes how it stands.
pub(super) fn goal(args: &str, session: &Session) -> Run {
    let change = |status| Run::Do(vec![Action::Send(Command::ChangeGoal { status })]);
    match args.trim() {
        "" => Run::Print(state(session)),
        "pause" => change(GoalStatus::Paused),
        "resume" => change(GoalStatus::Active),
        "clear" => change(GoalStatus::Cleared),
        text => match parse(text) {
            Ok(goal) => Run::Do(vec![Action::Send(Command::SetGoal { goal })]),
            Err(problem) => Run::Print(vec![problem, GOAL.to_owned()]),
        },
    }
}

fn state(session: &Session) -> Vec<String> {
    let Some(goal) = &session.goal else { return vec!["There is no goal.".to_owned(), GOAL.to_owned()] };
    let turns = if goal.turns == 1 { "1 turn".to_owned() } else { format!("{} turns", goal.turns) };
    let why = if goal.reason.is_empty() { String::new() } else { format!(": {}", goal.reason) };
    vec![
        goal.goal.in_words(),
        format!(
            "{}{why} · {turns} · {} tokens",
            goal.status.in_words(),
            protocol::grouped(session.goal_tokens())
        ),
    ]
}

/// The text, and the options behind it. What a command holds may have blanks: it goes to the next option, or is quoted.
fn parse(text: &str) -> Result<Goal, String> {
    const OPTIONS: [&str; 3] = ["--tokens", "--time", "--verify"];
    // An option is a word of its own.
    let mut places: Vec<(usize, &str)> = OPTIONS
        .iter()
        .flat_map(|option| text.match_indices(option))
        .filter(|(at, option)| {
            let before = text
                .get(..*at)
                .is_some_and(|before| before.is_empty() || before.ends_with(char::is_whitespace));
            let after =
                text.get(at + option.len()..).is_some_and(|after| after.starts_with(char::is_whitespace));
            before && after
        })
        .collect();
    places.sort_unstable();
    let end = places.first().map_or(text.len(), |(at, _)| *at);
    let words = text.get(..end).unwrap_or_default().trim().to_owned();
    let mut goal = Goal { text: words, tokens: None, seconds: None, verify: None };
    for (index, (at, option)) in places.iter().enumerate() {
        let end = places.get(index + 1).map_or(text.len(), |(at, _)| *at);
        let value = super::slash::unquoted(text.get(at + option.len()..end).unwrap_or_default().trim());
        match *option {
            "--tokens" => goal.tokens = Some(protocol::count(value)?),
            "--time" => goal.seconds = Some(protocol::seconds(value)?),
            _ if value.is_empty() => return Err("--verify needs a command".to_owned()),
            _ => goal.verify = Some(value.to_owned()),
        }
    }
    if goal.text.is_empty() {
        return Err("what is the goal?".to_owned());
    }
    Ok(goal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_read_with_its_options() {
        let goal = |text: &str, tokens, seconds, verify: Option<&str>| Goal {
            text: text.into(),
            tokens,
            seconds,
            verify: verify.map(str::to_owned),
        };
        for (text, expected) in [
            ("port it to Rust", goal("port it to Rust", None, None, None)),
            (
                "all tests pass --tokens 500k --time 1h30m --verify cargo test --workspace",
                goal("all tests pass", Some(500_000), Some(5400), Some("cargo test --workspace")),
            ),
            ("x --verify 'make  check' --time 5m", goal("x", None, Some(300), Some("make  check"))),
            ("say what --tokens-left means", goal("say what --tokens-left means", None, None, None)),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        for (text, problem) in [
            ("--tokens 5k", "what is the goal?"),
            ("x --tokens many", "`many` is no number"),
            ("x --time soon", "`soon` is no duration"),
            ("x --verify ''", "--verify needs a command"),
        ] {
            assert!(parse(text).unwrap_err().contains(problem), "{text}");
        }
    }

    #[test]
    fn a_budget_is_changed_part_by_part_once_there_is_a_session() {
        let mut session = Session::default();
        let now = Time::from_second(1_000).unwrap();
        let print = |args, session: &Session| match budget(args, session, now) {
            Run::Print(lines) => lines.join("\n"),
            other => format!("{other:?}"),
        };
        assert!(print("usd 2", &session).contains("There is no session yet"));
        session.id = Some(protocol::SessionId(uuid::Uuid::nil()));
        session.spending.budget.max_tokens = Some(7);
        let Run::Do(actions) = budget("usd $2.50", &session, now) else { panic!() };
        let [Action::Send(Command::SetBudget { budget })] = &actions[..] else { panic!("{actions:?}") };
        assert_eq!(budget.in_words(), "$2.50, 7 tokens");
        let Run::Do(actions) = super::budget("deadline 1h 30m", &session, now) else { panic!() };
        let [Action::Send(Command::SetBudget { budget })] = &actions[..] else { panic!("{actions:?}") };
        assert_eq!(budget.deadline, Some(Time::from_second(1_000 + 5_400).unwrap()));
        assert!(print("", &session).starts_with("0 of 7 tokens used\n"));
        for wrong in ["usd", "usd x", "usd 0", "turns 0", "tokens -3", "time 3", "deadline", "deadline soon"]
        {
            assert!(print(wrong, &session).contains(BUDGET), "{wrong}");
        }
    }
}
