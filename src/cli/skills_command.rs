//! `agent skills`: which there are, and taking them from git repositories.

use std::{
    io::{self, Write as _},
    path::Path,
    process::Command,
};

use serde_json::{Value, json};

use crate::context::hidden;
use crate::protocol::printable;
use crate::sandbox::Git;
use crate::skills::{self, Change, Origin, Skill, git::Source};

use super::{args::SkillsArgs, error::CliError, start::Start};

/// What git needs to reach a repository as the person does.
const PASSED: [&str; 9] = [
    "PATH",
    "SSH_AUTH_SOCK",
    "GIT_SSH_COMMAND",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
];

pub(super) fn run(start: &Start, command: &SkillsArgs) -> Result<(), CliError> {
    match command {
        SkillsArgs::List { json, all } => list(start, *json, *all),
        SkillsArgs::Show { name } => show(start, name),
        SkillsArgs::Add { source, json } => add(start, source, *json),
        SkillsArgs::Update { names, json } => update(start, names, *json),
        SkillsArgs::Use { name } => choose(start, name),
        SkillsArgs::Rm { names } => remove(start, names),
    }
}

fn list(start: &Start, json: bool, all: bool) -> Result<(), CliError> {
    let found = start.skills();
    let hidden: &[Skill] = if all { &found.hidden } else { &[] };
    let mut problems: Vec<String> = found.problems.iter().map(ToString::to_string).collect();
    problems.extend(found.clashes());
    if json {
        let one = |skill: &Skill, hidden: bool| {
            json!({
                "name": skill.name, "description": skill.description, "origin": skill.origin.word(),
                "version": skill.version, "place": skill.folder, "license": skill.license,
                "compatibility": skill.compatibility, "allowed_tools": skill.allowed,
                "only_person": skill.only_person, "hidden": hidden,
            })
        };
        let skills: Vec<Value> = found
            .skills
            .iter()
            .map(|skill| one(skill, false))
            .chain(hidden.iter().map(|skill| one(skill, true)))
            .collect();
        let problems: Vec<Value> = found
            .problems
            .iter()
            .map(|problem| {
                json!({
                    "path": problem.path, "line": problem.line, "reason": problem.reason, "used": problem.harmless,
                })
            })
            .collect();
        return say(
            &json!({ "skills": skills, "problems": problems, "clashes": found.clashes() }).to_string()
        );
    }
    let mut lines = Vec::new();
    for (skill, aside) in
        found.skills.iter().map(|skill| (skill, "")).chain(hidden.iter().map(|skill| (skill, ", hidden")))
    {
        let version = skill.version.as_ref().map(|version| format!("@{version}")).unwrap_or_default();
        let person = if skill.only_person { ", only by $name" } else { "" };
        lines.push(format!("{}{version}  ({}{person}{aside})", skill.name, skill.origin.word()));
        lines.push(format!("    {}", skill.description));
        lines.push(format!("    {}", skill.folder.display()));
    }
    say(&lines.join("\n"))?;
    warn(&problems);
    Ok(())
}

fn show(start: &Start, name: &str) -> Result<(), CliError> {
    let found = start.skills();
    let skill = found
        .named(name.trim_start_matches('$'))
        .ok_or_else(|| CliError::usage(format!("there is no skill `{name}`")).hint("agent skills list"))?;
    let text = std::fs::read_to_string(skill.file())
        .map_err(|error| CliError::failed(format!("{} can't be read: {error}", skill.file().display())))?;
    say(&text)
}

fn add(start: &Start, source: &str, json: bool) -> Result<(), CliError> {
    let source = Source::read(source).map_err(|why| {
        CliError::usage(format!("`{source}` is no place for skills: {why}"))
            .hint("agent skills add https://example.com/some/skills.git@main#folder")
    })?;
    let ask = git(start)?;
    let (changes, left_out) = start.installed().add(&source, &ask).map_err(CliError::failed)?;
    told(&changes, &[], &left_out, json)
}

fn update(start: &Start, names: &[String], json: bool) -> Result<(), CliError> {
    let ask = git(start)?;
    let (changes, failures) = start
        .installed()
        .update(names, &ask)
        .map_err(|why| CliError::usage(why).hint("agent skills list says which came from git"))?;
    told(&changes, &failures, &[], json)?;
    match failures.len() {
        0 => Ok(()),
        count => Err(CliError::failed(format!(
            "{count} of the skills could not be fetched; they are as they were"
        ))),
    }
}

fn choose(start: &Start, name: &str) -> Result<(), CliError> {
    let Some((name, version)) = name.split_once('@') else {
        return Err(CliError::usage("which version? NAME@VERSION").hint("agent skills list --all"));
    };
    let commit = start.installed().choose(name, version).map_err(CliError::usage)?;
    say(&format!("`{name}` is the version of commit {commit} now"))
}

fn remove(start: &Start, names: &[String]) -> Result<(), CliError> {
    for name in names {
        let (bare, version) = match name.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (name.as_str(), None),
        };
        start.installed().remove(bare, version).map_err(|why| {
            let known = start.skills().named(bare).map(|skill| (skill.origin, skill.folder.clone()));
            let error = CliError::usage(why);
            match known {
                Some((Origin::Shipped, _)) => {
                    error.hint("it ships with the program; a skill of yours with its name goes before it")
                }
                Some((Origin::Person | Origin::Project, folder)) => {
                    error.hint(format!("it is a folder of yours: {}", folder.display()))
                }
                _ => error.hint("agent skills list --all"),
            }
        })?;
        say(&format!("removed {name}"))?;
    }
    Ok(())
}

/// Git, with everything off that a repository could have run.
fn git(start: &Start) -> Result<impl Fn(&Path, &[&str]) -> Command + use<>, CliError> {
    let git = Git::find(&start.workspace).ok_or_else(|| {
        CliError::failed("git is not there: skills are taken from repositories with it").hint("install git")
    })?;
    Ok(move |folder: &Path, args: &[&str]| {
        let mut command = git.command(folder, args);
        command.envs(PASSED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command
    })
}

fn told(
    changes: &[Change],
    failures: &[(String, String)],
    left_out: &[String],
    json: bool,
) -> Result<(), CliError> {
    if json {
        let changes: Vec<Value> = changes
            .iter()
            .map(|change| {
                json!({
                    "name": change.name, "version": change.version, "before": change.before,
                    "place": change.place, "hidden_text": hides(change),
                })
            })
            .collect();
        let failures: Vec<Value> =
            failures.iter().map(|(name, why)| json!({ "name": name, "reason": why })).collect();
        return say(&json!({ "changes": changes, "failures": failures, "left_out": left_out }).to_string());
    }
    let mut lines: Vec<String> = changes
        .iter()
        .map(|change| {
            let before = change.before.as_ref().map(|before| format!(" (was {before})")).unwrap_or_default();
            format!("{}@{}{before}  {}", change.name, change.version, change.place.display())
        })
        .collect();
    if changes.is_empty() && failures.is_empty() {
        lines.push("Nothing has changed.".to_owned());
    } else if !changes.is_empty() {
        lines.push("Look at what they say before you use them: agent skills show NAME.".to_owned());
    }
    say(&lines.join("\n"))?;
    let mut problems: Vec<String> =
        changes.iter().flat_map(|change| change.problems.iter().map(ToString::to_string)).collect();
    problems.extend(changes.iter().flat_map(hides));
    problems.extend(left_out.iter().map(|what| format!("{what}, and was left out")));
    problems.extend(failures.iter().map(|(name, why)| format!("{name}: {why}")));
    warn(&problems);
    Ok(())
}

/// What hides in the text of a skill.
fn hides(change: &Change) -> Vec<String> {
    let text = std::fs::read_to_string(change.place.join(skills::SKILL)).unwrap_or_default();
    hidden::find(&text)
        .iter()
        .map(|hidden| format!("{} has text that people don't see: {hidden}", change.name))
        .collect()
}

fn say(text: &str) -> Result<(), CliError> {
    match writeln!(io::stdout(), "{}", printable(text.trim_end())) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::failed(error)),
        _ => Ok(()),
    }
}

fn warn(problems: &[String]) {
    for problem in problems {
        // A closed stream is nobody's concern.
        let _ = writeln!(io::stderr(), "warning: {}", printable(problem));
    }
}
