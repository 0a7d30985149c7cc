//! A command of the person's that prints a token, in the place of a key.
//!
//! It is run as it is written, without a shell, when the first request is made, and again when the token is refused. What
//! it prints is never shown.

use std::{process::Stdio, sync::Arc, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};
use tokio::{io::AsyncReadExt as _, process::Command, sync::Mutex, time::timeout};

use super::{ModelError, ModelErrorKind as Kind, fault};

/// How long it may take: it may ask the network, but no person.
const PATIENCE: Duration = Duration::from_secs(30);
/// No token is longer.
const LONGEST: u64 = 64 << 10;

/// Hears each token, so that nothing shows it.
pub type Learned = Arc<dyn Fn(SecretString) + Send + Sync>;

/// The command, and the token that it printed last.
pub struct TokenCommand {
    provider: String,
    argv: Vec<String>,
    patience: Duration,
    learned: Learned,
    token: Mutex<Option<SecretString>>,
}

impl TokenCommand {
    /// The command of a provider. It is not run yet.
    #[must_use]
    pub fn new(provider: &str, argv: &[String], learned: Learned) -> Self {
        Self {
            provider: provider.to_owned(),
            argv: argv.to_vec(),
            patience: PATIENCE,
            learned,
            token: Mutex::default(),
        }
    }

    /// The token, if it is not this one that was refused.
    ///
    /// # Errors
    /// When the command does not print one.
    pub async fn token(&self, refused: Option<&SecretString>) -> Result<SecretString, ModelError> {
        // Held meanwhile: of requests side by side one asks for all.
        let mut known = self.token.lock().await;
        if let Some(token) = &*known
            && refused.is_none_or(|refused| refused.expose_secret() != token.expose_secret())
        {
            return Ok(token.clone());
        }
        *known = None;
        let token = self.run().await.map_err(|why| {
            let what = format!(
                "no token for provider {}: `token_command` ({}) {why}",
                self.provider,
                fault::printable(self.argv.first().map_or("", String::as_str))
            );
            ModelError::new(Kind::Auth, what)
        })?;
        (self.learned)(token.clone());
        *known = Some(token.clone());
        Ok(token)
    }

    async fn run(&self) -> Result<SecretString, String> {
        let (program, args) = self.argv.split_first().ok_or("is empty")?;
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("can't be run: {error}"))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (mut printed, mut complaint) = (Vec::new(), Vec::new());
        let work = async {
            let print = async {
                if let Some(stdout) = stdout {
                    stdout.take(LONGEST + 1).read_to_end(&mut printed).await?;
                }
                std::io::Result::Ok(())
            };
            let complain = async {
                if let Some(stderr) = stderr {
                    stderr.take(LONGEST).read_to_end(&mut complaint).await?;
                }
                std::io::Result::Ok(())
            };
            tokio::try_join!(print, complain)?;
            child.wait().await
        };
        let status = timeout(self.patience, work)
            .await
            .map_err(|_| format!("has not ended within {} s", self.patience.as_secs_f64()))?
            .map_err(|error| format!("can't be read: {error}"))?;
        if !status.success() {
            let said = fault::printable(&String::from_utf8_lossy(&complaint));
            return Err(format!("failed ({status}): {said}"));
        }
        let token = String::from_utf8(printed).map_err(|_| "printed what is no text")?;
        let token = token.trim();
        if token.is_empty() || token.len() as u64 > LONGEST || token.contains(|c: char| c.is_whitespace()) {
            return Err("printed something else than one word".to_owned());
        }
        Ok(SecretString::from(token))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as StdMutex;

    use super::*;

    fn command(script: &str) -> (TokenCommand, Arc<StdMutex<Vec<String>>>) {
        let heard: Arc<StdMutex<Vec<String>>> = Arc::default();
        let told = Arc::clone(&heard);
        let learned: Learned =
            Arc::new(move |token| told.lock().unwrap().push(token.expose_secret().to_owned()));
        let argv = ["sh", "-c", script].map(str::to_owned);
        (TokenCommand::new("acme", &argv, learned), heard)
    }

    #[tokio::test]
    async fn a_token_is_asked_for_once_and_again_when_it_was_refused() {
        let folder = tempfile::tempdir().unwrap();
        let count = folder.path().join("count");
        let script = format!("echo x >> {0}; echo token-$(wc -l < {0} | tr -d ' ')", count.display());
        let (command, heard) = command(&script);
        let first = command.token(None).await.unwrap();
        assert_eq!(first.expose_secret(), "token-1");
        assert_eq!(command.token(None).await.unwrap().expose_secret(), "token-1");
        let second = command.token(Some(&first)).await.unwrap();
        assert_eq!(second.expose_secret(), "token-2");
        // Somebody else's refusal of the old one asks for nothing.
        assert_eq!(command.token(Some(&first)).await.unwrap().expose_secret(), "token-2");
        assert_eq!(*heard.lock().unwrap(), ["token-1", "token-2"]);
    }

    #[tokio::test]
    async fn what_goes_wrong_is_told_without_what_was_printed() {
        for (script, told) in [
            ("echo sk-secret; echo no login >&2; exit 3", "no login"),
            ("true", "one word"),
            ("echo sk-secret and more", "one word"),
            ("printf '\\377'", "no text"),
        ] {
            let error = command(script).0.token(None).await.unwrap_err();
            assert_eq!(error.kind, Kind::Auth);
            assert!(error.message.contains(told), "{error}");
            assert!(!error.message.contains("sk-secret"), "{error}");
        }
        let slow = TokenCommand { patience: Duration::from_millis(50), ..command("sleep 60").0 };
        assert!(slow.token(None).await.unwrap_err().message.contains("has not ended"));
        let none = TokenCommand::new("acme", &["/no/such/program".to_owned()], Arc::new(|_| {}));
        assert!(none.token(None).await.unwrap_err().message.contains("can't be run"));
    }
}
