//! What the user's login files make of the environment, asked for once a session.
//!
//! Login files may take long (version managers, prompts), so that no command should pay for them: the
//! environment of a login shell is captured once, and commands run in a plain shell with it.

use std::{
    collections::HashMap,
    ffi::OsStr,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use tokio::sync::OnceCell;

use super::{lock, process::Env};
use crate::sandbox::{CommandLine, env::may_be_secret};

/// Stands between what login files print and the environment.
const MARK: &str = "--- environment of the login shell ---";
/// Names that are about the capturing shell itself.
const ITS_OWN: [&str; 5] = ["PWD", "OLDPWD", "SHLVL", "_", "TERM"];

/// A shell, and whether it runs outside of the sandbox.
pub(super) type Kind = (PathBuf, bool);

/// The environments that were captured.
#[derive(Default)]
pub(super) struct Logins {
    cells: Mutex<HashMap<Kind, Arc<OnceCell<Arc<Env>>>>>,
}

impl Logins {
    /// Where the environment of this kind is, or will be.
    pub(super) fn cell(&self, kind: Kind) -> Arc<OnceCell<Arc<Env>>> {
        Arc::clone(lock(&self.cells).entry(kind).or_default())
    }
}

/// The command whose output [`parse`] reads.
pub(super) fn command_line(shell: PathBuf, env: &Env, cwd: PathBuf) -> CommandLine {
    let print = format!("printf '%s' '{MARK}'; command env -0");
    CommandLine {
        program: shell.into(),
        args: vec!["-l".into(), "-c".into(), print.into()],
        env: env.clone(),
        cwd,
        tty: false,
    }
}

/// The environment in the output of the login shell; `None` when it did not come to that.
pub(super) fn parse(output: &str) -> Option<Env> {
    let (_, listed) = output.rsplit_once(MARK)?;
    // The last entry ends with NUL as well: without it, the shell was killed while it wrote.
    let listed = listed.strip_suffix('\0')?;
    let entry = |entry: &str| {
        let (name, value) = entry.split_once('=')?;
        (!name.is_empty() && !entry.contains('\u{FFFD}')).then(|| (name.into(), value.into()))
    };
    Some(listed.split('\0').filter_map(entry).collect())
}

/// What login files add to `base`. What the harness has set stays as it is; of the search path its entries
/// come first. Login files may hold keys that a program of the user needs; commands of a model don't.
pub(super) fn merge(base: &Env, login: Env, forbidden: &[String]) -> Env {
    let mut merged = base.clone();
    for (name, value) in login {
        match merged.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) if name == "PATH" => {
                *known = join_paths(known, &value);
            }
            Some(_) => {}
            None if unwanted(&name, forbidden) => {}
            None => merged.push((name, value)),
        }
    }
    merged
}

fn unwanted(name: &OsStr, forbidden: &[String]) -> bool {
    let name = name.to_string_lossy();
    ITS_OWN.contains(&&*name) || may_be_secret(&name) || forbidden.iter().any(|forbidden| *forbidden == name)
}

fn join_paths(first: &OsStr, second: &OsStr) -> std::ffi::OsString {
    let (first, second) = (first.to_string_lossy(), second.to_string_lossy());
    let mut entries: Vec<&str> = first.split(':').filter(|entry| !entry.is_empty()).collect();
    for entry in second.split(':').filter(|entry| !entry.is_empty()) {
        if !entries.contains(&entry) {
            entries.push(entry);
        }
    }
    entries.join(":").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Env {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn the_environment_is_what_follows_the_mark() {
        let output = format!("Welcome!\nA=not this{MARK}A=1\0B=two\nlines\0C==\0");
        assert_eq!(parse(&output), Some(env(&[("A", "1"), ("B", "two\nlines"), ("C", "=")])));
        assert_eq!(parse("Welcome!"), None);
        assert_eq!(parse(&format!("{MARK}A=1\0B=cut o")), None, "cut off in the middle");
    }

    #[test]
    fn what_the_harness_has_set_wins_and_secrets_stay_out() {
        let base = env(&[("PATH", "/ours:/bin"), ("PAGER", "cat"), ("OUR_TOKEN", "wanted")]);
        let login = env(&[
            ("PATH", "/home/bin:/bin:/ours"),
            ("PAGER", "less"),
            ("OUR_TOKEN", "other"),
            ("GOPATH", "/go"),
            ("api_key", "hidden"),
            ("DB_PASSWORD_FILE", "hidden"),
            ("NPM_CONFIG__AUTH", "hidden"),
            ("PGPASSWD", "hidden"),
            ("MY_MODEL", "hidden: the name of a provider's key"),
            ("SHLVL", "1"),
        ]);
        let expected = env(&[
            ("PATH", "/ours:/bin:/home/bin"),
            ("PAGER", "cat"),
            ("OUR_TOKEN", "wanted"),
            ("GOPATH", "/go"),
        ]);
        assert_eq!(merge(&base, login, &["MY_MODEL".to_owned()]), expected);
    }
}
