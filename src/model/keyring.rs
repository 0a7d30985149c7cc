//! Keys in the keyring of the operating system, through the program that it has for that: `secret-tool` where there is
//! a Secret Service (GNOME, KDE), `security` on macOS.
//!
//! A keyring that is locked asks a person in a window of its own, who may not be there: each question has a time limit.
//! A key is given to these programs on their standard input, and never as an argument, which others can read.

use std::{
    io::{self, Read as _, Write as _},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use secrecy::{ExposeSecret as _, SecretString};

use super::fault;

/// What all entries of this program are called.
const SERVICE: &str = "agent";
/// How long a person may take to unlock it.
const WITH_PERSON: Duration = Duration::from_secs(60);
/// How long it may take where nobody is there.
const ALONE: Duration = Duration::from_secs(3);
/// No key is longer.
const LONGEST: u64 = 64 << 10;

/// The keyring of this machine.
#[derive(Debug, Clone)]
pub struct Keyring {
    kind: Kind,
    patience: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    SecretService,
    MacOs,
}

/// What a program is to be called with, and to read.
struct Call {
    program: &'static str,
    args: Vec<String>,
    input: Vec<u8>,
}

impl Keyring {
    /// The keyring of this operating system. Whether it can be reached is found out when it is asked.
    #[must_use]
    pub fn new(person: bool) -> Self {
        let kind = if cfg!(target_os = "macos") { Kind::MacOs } else { Kind::SecretService };
        Self { kind, patience: if person { WITH_PERSON } else { ALONE } }
    }

    /// What it is called, for people.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::SecretService => "the keyring of your desktop (Secret Service)",
            Kind::MacOs => "the keychain",
        }
    }

    /// The key of a provider, if there is one.
    ///
    /// # Errors
    /// With a sentence for the person, when it can't be asked.
    pub fn get(&self, provider: &str) -> Result<Option<SecretString>, String> {
        let found = self.run(self.looking(provider))?;
        // Both end with a failure when there is no such entry, and say nothing else of it.
        let Some(key) = found else { return Ok(None) };
        let key = String::from_utf8(key).map_err(|_| format!("{} holds no text", self.name()))?;
        let key = key.trim();
        Ok((!key.is_empty()).then(|| SecretString::from(key)))
    }

    /// Keeps a key.
    ///
    /// # Errors
    /// With a sentence for the person.
    pub fn set(&self, provider: &str, key: &SecretString) -> Result<(), String> {
        let refused = || format!("{} did not take the key", self.name());
        self.run(self.keeping(provider, key))?.ok_or_else(refused)?;
        // A program that says nothing may have done nothing.
        match self.get(provider)? {
            Some(kept) if kept.expose_secret() == key.expose_secret() => Ok(()),
            _ => Err(refused()),
        }
    }

    /// Forgets a key. Whether there was one.
    ///
    /// # Errors
    /// With a sentence for the person.
    pub fn remove(&self, provider: &str) -> Result<bool, String> {
        if self.get(provider)?.is_none() {
            return Ok(false);
        }
        self.run(self.forgetting(provider))?;
        Ok(true)
    }

    fn looking(&self, provider: &str) -> Call {
        match self.kind {
            Kind::SecretService => secret_tool(&["lookup"], provider, Vec::new()),
            Kind::MacOs => Call::new(
                "security",
                &["find-generic-password", "-s", SERVICE, "-a", provider, "-w"],
                Vec::new(),
            ),
        }
    }

    fn keeping(&self, provider: &str, key: &SecretString) -> Call {
        let key = key.expose_secret();
        match self.kind {
            Kind::SecretService => {
                let label = format!("--label={SERVICE}: key of {provider}");
                secret_tool(&["store", &label], provider, key.as_bytes().to_vec())
            }
            Kind::MacOs => {
                let line = format!(
                    "add-generic-password -U -s {SERVICE} -a {} -w {}\n",
                    quoted(provider),
                    quoted(key)
                );
                Call::new("security", &["-i"], line.into_bytes())
            }
        }
    }

    fn forgetting(&self, provider: &str) -> Call {
        match self.kind {
            Kind::SecretService => secret_tool(&["clear"], provider, Vec::new()),
            Kind::MacOs => {
                Call::new("security", &["delete-generic-password", "-s", SERVICE, "-a", provider], Vec::new())
            }
        }
    }

    /// What the program printed; nothing when it found nothing.
    fn run(&self, call: Call) -> Result<Option<Vec<u8>>, String> {
        let program = call.program;
        let unreachable = |why: String| format!("{} can't be asked: {why}", self.name());
        let mut child = Command::new(program)
            .args(&call.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => unreachable(format!(
                    "there is no `{program}` here (on Linux it is in the package libsecret-tools or libsecret)"
                )),
                _ => unreachable(format!("`{program}` can't be run: {error}")),
            })?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (done, result) = mpsc::channel();
        // It may wait for a window that nobody sees: who waits for it has a limit.
        thread::spawn(move || {
            let (stdin, stdout, stderr) = pipes;
            let talk = || -> io::Result<(Vec<u8>, Vec<u8>)> {
                if let Some(mut stdin) = stdin {
                    // Who does not read it says so by its end.
                    let _ = stdin.write_all(&call.input);
                }
                let (mut printed, mut complaint) = (Vec::new(), Vec::new());
                if let Some(stdout) = stdout {
                    stdout.take(LONGEST).read_to_end(&mut printed)?;
                }
                if let Some(stderr) = stderr {
                    stderr.take(LONGEST).read_to_end(&mut complaint)?;
                }
                Ok((printed, complaint))
            };
            // Nobody waits for it any more.
            let _ = done.send(talk());
        });
        let said = result.recv_timeout(self.patience).map_err(|_| {
            end(&mut child);
            unreachable(format!(
                "`{program}` has not answered within {} s; is it locked?",
                self.patience.as_secs_f64()
            ))
        })?;
        let status = child.wait();
        let (printed, complaint) = said.map_err(|error| unreachable(error.to_string()))?;
        match status {
            Ok(status) if status.success() => Ok(Some(printed)),
            // Nothing was found, and nothing is wrong. 44: `security` has no such entry.
            Ok(status) if status.code() == Some(44) || complaint.is_empty() => Ok(None),
            Ok(_) => Err(unreachable(fault::printable(String::from_utf8_lossy(&complaint).trim()))),
            Err(error) => Err(unreachable(error.to_string())),
        }
    }
}

impl Call {
    fn new(program: &'static str, args: &[&str], input: Vec<u8>) -> Self {
        Self { program, args: args.iter().map(|arg| (*arg).to_owned()).collect(), input }
    }
}

fn secret_tool(verb: &[&str], provider: &str, input: Vec<u8>) -> Call {
    let args = [verb, &["service", SERVICE, "provider", provider]].concat();
    Call::new("secret-tool", &args, input)
}

/// A word as `security -i` reads it.
fn quoted(word: &str) -> String {
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

fn end(child: &mut Child) {
    // It may have ended meanwhile.
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_an_argument() {
        for kind in [Kind::SecretService, Kind::MacOs] {
            let keyring = Keyring { kind, patience: ALONE };
            let call = keyring.keeping("acme", &SecretString::from("sk-\"secret\\"));
            assert!(call.args.iter().all(|arg| !arg.contains("secret\\")), "{:?}", call.args);
            assert!(!call.input.is_empty());
        }
        let keyring = Keyring { kind: Kind::MacOs, patience: ALONE };
        let call = keyring.keeping("acme", &SecretString::from("sk-\"x\\"));
        assert_eq!(
            String::from_utf8(call.input).unwrap(),
            "add-generic-password -U -s agent -a \"acme\" -w \"sk-\\\"x\\\\\"\n"
        );
    }
}
