//! `agent login` and `agent logout`: keys of providers in the file that only their owner can read.
//!
//! A key is never an argument: others can read those.

use std::{
    io::{self, IsTerminal as _, Read as _, Write as _},
    process::ExitCode,
};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::SecretString;

use super::{
    error::{CliError, Kind},
    start::Start,
};

/// No key is longer. 64 KiB.
const LONGEST: u64 = 64 << 10;

/// Keeps a key: typed without being shown on a terminal, else all that comes on standard input.
pub(super) fn login(start: &Start, provider: Option<String>) -> Result<ExitCode, CliError> {
    let provider = known(start, provider)?;
    let key = match io::stdin().is_terminal() {
        true => typed(&provider),
        false => {
            let mut text = String::new();
            io::stdin().take(LONGEST).read_to_string(&mut text).map(|_| text)
        }
    };
    let key = key.map_err(|error| CliError::failed(format!("can't read the key: {error}")))?;
    if key.trim().is_empty() || key.trim().contains(char::is_whitespace) {
        return Err(CliError::usage("that is no key: it is one word")
            .hint(format!("agent login {provider} <key-file, or type it when asked")));
    }
    let keys = start.keys();
    keys.set(&provider, SecretString::from(key.trim()))
        .map_err(|error| CliError::new(Kind::Auth, error.message))?;
    super::print(&format!("the key of {provider} is kept in {} (mode 0600)", keys.path().display()))
}

/// Forgets a key.
pub(super) fn logout(start: &Start, provider: Option<String>) -> Result<ExitCode, CliError> {
    let provider = known(start, provider)?;
    let keys = start.keys();
    let found = keys.remove(&provider).map_err(|error| CliError::new(Kind::Auth, error.message))?;
    let path = keys.path().display();
    super::print(&match found {
        true => format!("the key of {provider} is gone from {path}"),
        false => format!("there is no key of {provider} in {path}"),
    })
}

/// The provider that was named, or else the one of the configured model.
fn known(start: &Start, provider: Option<String>) -> Result<String, CliError> {
    let provider = provider.unwrap_or_else(|| start.config.model.provider.clone());
    start.resolve(&crate::protocol::ModelRef { provider: provider.clone(), model: "any".to_owned() })?;
    Ok(provider)
}

/// Reads a line from the terminal without showing it.
fn typed(provider: &str) -> io::Result<String> {
    let mut err = io::stderr();
    write!(err, "Key of {provider} (it is not shown): ")?;
    err.flush()?;
    let _silence = Silence::begin()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    writeln!(err)?;
    Ok(line)
}

/// The terminal does not echo while this lives.
struct Silence(Termios);

impl Silence {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes -= LocalModes::ECHO;
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
