//! `agent sandbox explain`: what commands may touch, in words, and whether it holds; and what would become of one.

use std::{process::ExitCode, sync::Arc};

use ratatui::{style::Style, text::Span};

use crate::config::Backend;
use crate::context::Person;
use crate::harness::Disk;
use crate::policy::{self, Judgement, Policy};
use crate::protocol::{Approval, By, Intent, Rule, SandboxMode, printable, quoted};
use crate::sandbox;
use crate::shell;
use crate::tui::text::{Break, Prefix, Text};

use super::{
    error::{CliError, Kind},
    selftest::{Trial, Tried, print},
    start::{self, Start},
};
/// Columns of a page.
const WIDTH: u16 = 100;

/// Says what the policy is, and tries each promise of it.
pub(super) async fn policy(start: &Start, json: bool) -> Result<ExitCode, CliError> {
    let scratch = tempfile::tempdir().map_err(CliError::failed)?;
    let (settings, mode) = (start.prospect(), start.config.sandbox);
    let parts = start.sandbox_settings(mode, scratch.path())?;
    let none = |error: sandbox::SandboxError| CliError::new(Kind::Sandbox, error);
    let contained = start.config.backend != Backend::Local;
    let policy = if contained { Ok(Vec::new()) } else { sandbox::policy(&parts) };
    let mut articles: Vec<(&str, String)> =
        policy.map_err(none)?.into_iter().map(|article| (article.about, article.text)).collect();
    articles.push(("environment", environment(start, mode)));
    let backend = start.config.backend.clone();
    let sandbox = start.sandbox_in(&backend, mode, scratch.path(), start.listed_network())?;
    let described = sandbox.describe();
    if let Some(words) = start.network_in_words().filter(|_| sandbox.can_reach()) {
        articles
            .iter_mut()
            .filter(|(about, _)| *about == "network")
            .for_each(|(_, text)| text.clone_from(&words));
    }
    articles.push(("asked", asked(start, sandbox.weakness().is_some())));
    let trial = Trial { start, mode, sandbox: std::sync::Arc::clone(&sandbox), attacker: sandbox.attacker() };
    let tried = trial.run().await;
    sandbox.stop().await;
    let tried = tried
        .map_err(|error| CliError::new(Kind::Sandbox, format!("whether it holds can't be tried: {error}")))?;
    let promised = mode != SandboxMode::DangerFullAccess;
    let broken = broken(&tried, promised);
    if json {
        let policy: Vec<_> =
            articles.iter().map(|(about, text)| serde_json::json!({"about": about, "text": text})).collect();
        let whole = serde_json::json!({
            "mode": mode, "backend": settings.backend, "describes": described, "policy": policy, "tried": tried,
            "ok": !broken,
        });
        print([whole.to_string()]);
    } else {
        print(page(&described, &articles, &tried, promised));
    }
    Ok(ExitCode::from(u8::from(broken)))
}

/// Whether a promise does not hold.
fn broken(tried: &[Tried], promised: bool) -> bool {
    promised && tried.iter().any(|tried| tried.holds == Some(false))
}

fn page(described: &str, articles: &[(&str, String)], tried: &[Tried], promised: bool) -> Vec<String> {
    let mut lines = hanging("", described);
    lines.extend([String::new(), "Commands of the model".to_owned()]);
    lines.extend(articles.iter().flat_map(|(about, text)| hanging(&format!("  {about:<12} "), text)));
    let head =
        if promised { "Tried just now, from inside" } else { "Tried just now; nothing of it is promised" };
    if !tried.is_empty() {
        lines.extend([String::new(), head.to_owned()]);
    }
    lines.extend(tried.iter().flat_map(|tried| {
        let mark = match (tried.holds, promised) {
            (Some(true), _) => "✓",
            (Some(false), true) => "✗",
            // Without a sandbox it is only told what succeeds.
            (Some(false), false) => "!",
            (None, _) => "·",
        };
        hanging(&format!("  {mark} {:<43} ", tried.promise), &tried.detail)
    }));
    lines
}

/// A text behind a head, under which nothing else stands.
fn hanging(head: &str, text: &str) -> Vec<String> {
    let blank = " ".repeat(head.chars().count());
    let prefix = Prefix { first: vec![Span::raw(head.to_owned())], rest: vec![Span::raw(blank)] };
    let rows = Text::of(&printable(text), Style::default()).rows(WIDTH, Break::Words, &prefix);
    rows.iter().map(|row| row.to_string().trim_end().to_owned()).collect()
}

fn environment(start: &Start, mode: SandboxMode) -> String {
    let own = start.environment(mode).len();
    let keys = start.key_names().len();
    format!("{own} variables by a list, and none of the {keys} that may hold a provider's key")
}

/// When somebody is asked.
fn asked(start: &Start, weak: bool) -> String {
    let on = |person| match start::approval(&start.config, person) {
        Approval::Never if weak => "never, so that every command is refused",
        Approval::Untrusted | Approval::OnRequest if weak => "before every command",
        Approval::Untrusted => "before every command that is not known to be harmless",
        Approval::OnRequest => "when the model asks to leave the sandbox, or a patch does",
        Approval::Never => "never, and what would need a yes is refused",
    };
    let (screen, exec) = (on(Person::Present), on(Person::Absent));
    match screen == exec {
        true => screen.to_owned(),
        false => format!("{screen}; in `agent exec`, {exec}"),
    }
}

/// Why each command of this mode is asked for here, if that is so. Where there is no sandbox, nothing runs anyway.
fn weakness(start: &Start) -> Option<String> {
    let scratch = tempfile::tempdir().ok()?;
    let parts = start.sandbox_settings(start.config.sandbox, scratch.path()).ok()?;
    if start.config.backend != Backend::Local {
        return None;
    }
    sandbox::pick(parts).ok()?.weakness()
}

/// Says what would become of a command of the model.
pub(super) fn command(start: &Start, words: &[String], json: bool) -> Result<ExitCode, CliError> {
    let text = match words {
        [line] => line.clone(),
        words => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
    };
    let rules = start.rules_now().map_err(CliError::usage)?;
    let mut roots = vec![start.workspace.clone()];
    roots.extend(start.writable_roots());
    let weak = weakness(start);
    let policy = |person| Policy {
        approval: start::approval(&start.config, person),
        sandbox: start.config.sandbox,
        weak: weak.clone(),
        roots: roots.clone(),
        scripts: std::collections::BTreeMap::new(),
        configured: std::collections::BTreeSet::new(),
    };
    let intent = |escalated| Intent::Command {
        command: text.clone(),
        workdir: start.workspace.clone(),
        escalated,
        justification: Some("why, in the model's words".to_owned()),
        prefix: Vec::new(),
        shell: None,
    };
    let around = shell::Surroundings {
        shell: start::shell(),
        env: Arc::new(start.environment(start.config.sandbox)),
        whole: false,
    };
    let calls = policy::effects::calls(&text, &start.workspace, &Disk::new(around, &start.workspace));
    let mut lines = vec![format!("$ {}", printable(&text))];
    let mut cases = Vec::new();
    let ways: &[(bool, &str)] = match start.config.sandbox {
        SandboxMode::DangerFullAccess => &[(false, "There is no sandbox")],
        SandboxMode::ReadOnly | SandboxMode::WorkspaceWrite => {
            &[(false, "In the sandbox"), (true, "If it asks to leave the sandbox")]
        }
    };
    for (escalated, name) in ways {
        for (person, place) in [(Person::Present, "on the screen"), (Person::Absent, "in `agent exec`")] {
            let policy = policy(person);
            let limited = policy::limited(&calls, &rules, &policy);
            let judgement = limited.unwrap_or_else(|| policy::judge(&intent(*escalated), &policy, &rules));
            let (verdict, why) = said(&judgement);
            let offered = match judgement {
                Judgement::Ask { .. } => policy::proposals(&intent(*escalated), &policy),
                Judgement::Allow(_) | Judgement::Refuse { .. } => Vec::new(),
            };
            let offered: Vec<String> = offered.iter().map(ToString::to_string).collect();
            lines.extend(hanging("  ", &format!("{name}, {place}: {verdict}{why}")));
            lines.extend(offered.iter().flat_map(|rule| hanging("    a rule to choose: ", rule)));
            cases.push(serde_json::json!({
                "escalated": escalated, "person": person == Person::Present, "verdict": verdict,
                "why": why.trim_start_matches(": "), "rules": offered,
            }));
        }
    }
    if start.config.sandbox != SandboxMode::DangerFullAccess {
        lines.extend(hanging(
            "",
            "What it can touch in the sandbox is decided by the kernel, and not by its words: see agent sandbox explain.",
        ));
    }
    if json {
        print([serde_json::json!({"command": text, "cases": cases}).to_string()]);
    } else {
        print(lines);
    }
    Ok(ExitCode::SUCCESS)
}

/// A verdict, and why.
fn said(judgement: &Judgement) -> (&'static str, String) {
    match judgement {
        Judgement::Allow(By::Grant { grant, scope }) => {
            let rule = Rule { grant: grant.clone(), scope: *scope };
            ("runs", format!(", by a rule ({}): {}", rule.scope, rule.grant))
        }
        Judgement::Allow(_) => ("runs", " without a question".to_owned()),
        Judgement::Ask { reason } => ("asks", format!(": {reason}")),
        Judgement::Refuse { reason } => ("is refused", format!(": {reason}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_hold_is_marked_where_it_was_promised() {
        let tried =
            |holds| Tried { promise: "reaches no network", holds, detail: "tried: \x1b[2J".to_owned() };
        for (holds, promised, mark) in
            [(Some(true), true, '✓'), (Some(false), true, '✗'), (Some(false), false, '!'), (None, true, '·')]
        {
            let lines = page("a sandbox", &[("network", "none ".repeat(30))], &[tried(holds)], promised);
            assert_eq!(lines.last().unwrap().trim_start().chars().next(), Some(mark), "{lines:#?}");
            assert!(
                lines.iter().all(|line| line.chars().count() <= 100 && !line.contains('\x1b')),
                "{lines:#?}"
            );
            assert_eq!(
                lines[3..5].iter().map(|line| line.find("none")).collect::<Vec<_>>(),
                [Some(15), Some(15)]
            );
        }
        assert!(broken(&[tried(Some(true)), tried(Some(false))], true));
        assert!(!broken(&[tried(Some(true)), tried(None)], true) && !broken(&[tried(Some(false))], false));
    }
}
