//! `agent permissions`: the rules that are kept, and taking them back.

use std::io::{self, Write as _};

use crate::config::rules::{self, Kept};
use crate::protocol::printable;

use super::{args::PermissionsArgs, error::CliError, start::Start};

pub(super) fn run(start: &Start, command: &PermissionsArgs) -> Result<(), CliError> {
    let kept = start.config.kept_rules();
    match command {
        PermissionsArgs::List { json } => list(&kept, *json),
        PermissionsArgs::Revoke { number } => revoke(start, &kept, *number),
    }
}

fn list(kept: &[Kept], json: bool) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    let mut text = String::new();
    for (at, rule) in kept.iter().enumerate() {
        let number = at + 1;
        let line = match json {
            true => serde_json::json!({
                "number": number, "grant": rule.grant, "project": rule.project, "origin": rule.origin,
            })
            .to_string(),
            false => format!("{number:>3}  {}", said(rule)),
        };
        text.push_str(&line);
        text.push('\n');
    }
    if kept.is_empty() && !json {
        text = "No rules are kept. An approval in a session offers them.\n".to_owned();
    }
    match out.write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::failed(error)),
        _ => Ok(()),
    }
}

fn revoke(start: &Start, kept: &[Kept], number: usize) -> Result<(), CliError> {
    let Some(chosen) = number.checked_sub(1).and_then(|at| kept.get(at)) else {
        return Err(CliError::usage(format!("there is no rule {number}")).hint("agent permissions list"));
    };
    if rules::revoke(&start.home, chosen).map_err(CliError::failed)? == 0 {
        let file = start.home.config_file();
        return Err(CliError::failed(format!(
            "rule {number} is not in {}: {}",
            file.display(),
            said(chosen)
        ))
        .hint(format!("take it out where it comes from: {}", chosen.origin)));
    }
    let _ = writeln!(
        io::stdout(),
        "{}: {}\nSessions that are open now go by that from their next call on.",
        if chosen.grant.limits() { "no longer a rule" } else { "no longer allowed" },
        said(chosen)
    );
    Ok(())
}

/// A rule, where it holds, and where it stands.
fn said(rule: &Kept) -> String {
    let place = rule.project.as_ref().map_or("everywhere".to_owned(), |dir| format!("in {}", dir.display()));
    printable(&format!("{}, {place}  ({})", rule.grant, rule.origin)).replace('\n', " ")
}
