//! `agent login`, `agent logout` and `agent whoami`: keys of providers in the file that only their owner can read, or in
//! the keyring of the operating system.
//!
//! A key is never an argument: others can read those.

use std::{
    io::{self, BufRead, IsTerminal as _, Read as _, Write as _},
    process::ExitCode,
};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use secrecy::SecretString;

use crate::model::{ModelError, auth::Place};

use super::{
    error::{CliError, Kind},
    start::Start,
};

/// No key is longer. 64 KiB.
const LONGEST: u64 = 64 << 10;

/// What ^C types.
const CTRL_C: u8 = 3;

/// Keeps a key: typed without being shown on a terminal, else all that comes on standard input.
pub(super) fn login(start: &Start, provider: Option<String>, keyring: bool) -> Result<ExitCode, CliError> {
    let provider = known(start, provider)?;
    let key = match io::stdin().is_terminal() {
        true => typed(&provider).map(|line| line.ok_or(CliError::new(Kind::Interrupted, "interrupted"))),
        false => {
            let mut text = String::new();
            io::stdin().take(LONGEST).read_to_string(&mut text).map(|_| Ok(text))
        }
    };
    let key = key.map_err(|error| CliError::failed(format!("can't read the key: {error}")))??;
    let unfit = |c: char| c.is_whitespace() || c.is_control();
    if key.trim().is_empty() || key.trim().contains(unfit) {
        return Err(CliError::usage("that is no key: it is one word")
            .hint(format!("agent login {provider} <key-file, or type it when asked")));
    }
    // Whoever typed the key can unlock a keyring.
    let keys = start.keys().with_person(io::stdin().is_terminal());
    let key = SecretString::from(key.trim());
    if keyring {
        keys.set_in_keyring(&provider, &key).map_err(|error| {
            CliError::new(Kind::Auth, error.message)
                .hint(format!("without --keyring it is kept in {} (mode 0600)", keys.path().display()))
        })?;
        return super::print(&format!("the key of {provider} is kept in {}", keys.keyring().name()));
    }
    keys.set(&provider, key).map_err(|error| CliError::new(Kind::Auth, error.message))?;
    super::print(&format!("the key of {provider} is kept in {} (mode 0600)", keys.path().display()))
}

/// Forgets a key.
pub(super) fn logout(start: &Start, provider: Option<String>) -> Result<ExitCode, CliError> {
    let provider = known(start, provider)?;
    let keys = start.keys();
    let failed = |error: ModelError| CliError::new(Kind::Auth, error.message);
    let place = keys.place(&provider).map_err(failed)?;
    let found = keys.remove(&provider).map_err(failed)?;
    let path = keys.path().display();
    super::print(&match found {
        true if place == Some(Place::Keyring) => {
            format!("the key of {provider} is gone from {}", keys.keyring().name())
        }
        true => format!("the key of {provider} is gone from {path}"),
        false => format!("there is no key of {provider} in {path}"),
    })
}

/// Says of each provider where its key comes from. The file goes behind the environment, as when a key is wanted.
pub(super) fn whoami(start: &Start, json: bool) -> Result<ExitCode, CliError> {
    let catalog = start.catalog();
    let keys = start.keys();
    let mut lines = String::new();
    for name in catalog.providers() {
        let Ok(provider) = catalog.provider(name) else { continue };
        let variable = provider.env_key.as_deref();
        let set = |name: &&str| std::env::var(name).is_ok_and(|value| !value.trim().is_empty());
        // The keyring itself is not asked: it may want to be unlocked.
        let kept = || keys.place(name).map_err(|error| error.message);
        let (from, detail) = match (variable, variable.filter(set)) {
            _ if !provider.token_command.is_empty() => ("command", "token_command".to_owned()),
            (None, _) => ("none needed", String::new()),
            (Some(_), Some(variable)) => ("environment", variable.to_owned()),
            (Some(variable), None) => match kept() {
                Ok(Some(Place::File)) => ("file", keys.path().display().to_string()),
                Ok(Some(Place::Keyring)) => ("keyring", keys.keyring().name().to_owned()),
                Ok(None) => ("missing", format!("set {variable}, or run: agent login {name}")),
                Err(problem) => ("unreadable", problem),
            },
        };
        let current = name == start.config.model.provider;
        let line = match json {
            true => serde_json::json!({"provider": name, "key": from, "detail": detail, "current": current})
                .to_string(),
            false => {
                let mark = if current { '*' } else { ' ' };
                format!("{mark} {name:<12} {from:<12} {detail}").trim_end().to_owned()
            }
        };
        lines.push_str(&line);
        lines.push('\n');
    }
    super::print(&lines)
}

/// The provider that was named, or else the one of the configured model.
fn known(start: &Start, provider: Option<String>) -> Result<String, CliError> {
    let provider = provider.unwrap_or_else(|| start.config.model.provider.clone());
    start.resolve(&crate::protocol::ModelRef { provider: provider.clone(), model: "any".to_owned() })?;
    Ok(provider)
}

/// Reads a line from the terminal without showing it. Nothing after ^C.
fn typed(provider: &str) -> io::Result<Option<String>> {
    let mut err = io::stderr();
    write!(err, "Key of {provider} (it is not shown): ")?;
    err.flush()?;
    let _silence = Silence::begin()?;
    let line = line(&mut io::stdin().lock())?;
    writeln!(err)?;
    Ok(line)
}

/// A line, or nothing if ^C stands in it: that ends it too.
fn line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    loop {
        let read = from.fill_buf()?;
        let end = read.iter().position(|byte| matches!(*byte, b'\n' | CTRL_C));
        if let Some(&CTRL_C) = end.and_then(|end| read.get(end)) {
            return Ok(None);
        }
        let (taken, ended) = (end.unwrap_or(read.len()), end.is_some() || read.is_empty());
        line.extend(read.iter().take(taken));
        from.consume(taken);
        if ended {
            break;
        }
    }
    String::from_utf8(line).map(Some).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// The terminal does not echo while this lives, and ^C is typed: as a signal it would end the program before the echo
/// is back.
struct Silence(Termios);

impl Silence {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes -= LocalModes::ECHO | LocalModes::ISIG;
        silent.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // Nothing better can be done than to try.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_at_its_end_and_is_nothing_with_an_interrupt() {
        for (typed, read) in [
            ("key\nmore", Some("key")),
            ("key", Some("key")),
            ("\n", Some("")),
            ("", Some("")),
            ("\u{3}", None),
            ("ke\u{3}y\n", None),
            ("key\n\u{3}", Some("key")),
        ] {
            // In pieces too.
            for size in [1, 100] {
                let mut from = io::BufReader::with_capacity(size, typed.as_bytes());
                assert_eq!(line(&mut from).unwrap().as_deref(), read, "{typed:?}");
            }
        }
        assert!(line(&mut &b"\xff\n"[..]).is_err());
    }
}
