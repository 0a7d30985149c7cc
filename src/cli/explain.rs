//! `agent sandbox explain`: what commands may touch, in words, and whether it holds; and what would become of one.

use std::process::ExitCode;

use crate::policy::{self, Judgement, Policy};
use crate::protocol::{Approval, By, Intent, Rule, SandboxMode, obeyed_names, printable, quoted};
use crate::sandbox;

use super::{
    error::{CliError, Kind},
    selftest::{Trial, Tried, print},
    start::{self, Start},
};
use crate::context::Person;

/// Says what the policy is, and tries each promise of it.
pub(super) async fn policy(start: &Start, json: bool) -> Result<ExitCode, CliError> {
    let scratch = tempfile::tempdir().map_err(CliError::failed)?;
    let (settings, mode) = (start.prospect(), start.config.sandbox);
    let parts = start.sandbox_settings(mode, scratch.path())?;
    let none = |error: sandbox::SandboxError| CliError::new(Kind::Sandbox, error);
    let mut articles: Vec<(&str, String)> =
        sandbox::policy(&parts).map_err(none)?.into_iter().map(|article| (article.about, article.text)).collect();
    articles.push(("environment", environment(start, mode)));
    articles.push(("asked", asked(start)));
    let sandbox = start.sandbox(&settings, scratch.path())?;
    let described = sandbox.describe();
    let trial =
        Trial { start, mode, sandbox: std::sync::Arc::clone(&sandbox), attacker: sandbox::attacker(&parts) };
    let tried = trial.run().await;
    sandbox.stop().await;
    let tried = tried.map_err(|error| {
        CliError::new(Kind::Sandbox, format!("whether it holds can't be tried: {error}"))
    })?;
    let promised = mode != SandboxMode::DangerFullAccess;
    let broken = promised && tried.iter().any(|tried| tried.holds == Some(false));
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

fn page(described: &str, articles: &[(&str, String)], tried: &[Tried], promised: bool) -> Vec<String> {
    let line = |text: String| printable(&text).into_owned();
    let mut lines = vec![line(described.to_owned()), String::new(), "Commands of the model".to_owned()];
    lines.extend(articles.iter().map(|(about, text)| line(format!("  {about:<12} {text}"))));
    let head = if promised { "Tried just now, from inside" } else { "Tried just now; nothing of it is promised" };
    lines.extend([String::new(), head.to_owned()]);
    lines.extend(tried.iter().map(|tried| line(tried.line(promised))));
    lines
}

fn environment(start: &Start, mode: SandboxMode) -> String {
    let own = start.environment(mode).len();
    let keys = start.key_names().len();
    format!("{own} variables by a list, and none of the {keys} that may hold a provider's key")
}

/// When somebody is asked.
fn asked(start: &Start) -> String {
    let on = |person| match start::approval(&start.config, person) {
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

/// Says what would become of a command of the model.
pub(super) fn command(start: &Start, words: &[String], json: bool) -> Result<ExitCode, CliError> {
    let text = match words {
        [line] => line.clone(),
        words => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
    };
    let rules = start.rules_now().map_err(CliError::usage)?;
    let mut roots = vec![start.workspace.clone()];
    roots.extend(start.writable_roots());
    let policy = |person| Policy {
        approval: start::approval(&start.config, person),
        sandbox: start.config.sandbox,
        roots: roots.clone(),
    };
    let intent = |escalated| Intent::Command {
        command: text.clone(),
        workdir: start.workspace.clone(),
        escalated,
        justification: None,
        prefix: Vec::new(),
    };
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
            let judgement = policy::judge(&intent(*escalated), &policy, &rules);
            let (verdict, why) = said(&judgement);
            let offered = match judgement {
                Judgement::Ask { .. } => policy::proposals(&intent(*escalated), &policy),
                Judgement::Allow(_) | Judgement::Refuse { .. } => Vec::new(),
            };
            let offered: Vec<String> = offered.iter().map(ToString::to_string).collect();
            lines.push(format!("{name}, {place}: {verdict}{}", printable(&why)));
            lines.extend(offered.iter().map(|rule| format!("  a rule to choose: {}", printable(rule))));
            cases.push(serde_json::json!({
                "escalated": escalated, "person": person == Person::Present, "verdict": verdict,
                "why": why.trim_start_matches(": "), "rules": offered,
            }));
        }
    }
    if start.config.sandbox != SandboxMode::DangerFullAccess {
        let names: Vec<&str> = obeyed_names().take(3).collect();
        lines.push(format!(
            "What it touches in the sandbox is decided by the kernel, not by its words: `agent sandbox explain` says what \
             that is ({} and the like are kept from it).",
            names.join(", ")
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
