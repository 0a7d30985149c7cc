//! Where a provider's key comes from: an environment variable, a file that only its owner can read, or the keyring of the
//! operating system, of which that file says so.
//!
//! The environment itself is looked up by the caller. No key is ever shown, logged or put into an error.

use std::{
    collections::BTreeMap,
    fs, io,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::{ModelError, ModelErrorKind as Kind, catalog::Provider, keyring::Keyring};

/// The file `auth.json`: keys by provider.
#[derive(Debug, Clone)]
pub struct AuthFile {
    path: PathBuf,
    keyring: Keyring,
}

/// Where a key is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    File,
    Keyring,
}

/// The key of a provider, or nothing if it takes none. The environment goes before the file.
///
/// # Errors
/// When there is no key although one is needed, or the file can't be trusted.
pub fn key(
    provider: &Provider,
    environment: impl Fn(&str) -> Option<String>,
    file: &AuthFile,
) -> Result<Option<SecretString>, ModelError> {
    let Some(variable) = &provider.env_key else { return Ok(None) };
    if !provider.token_command.is_empty() {
        // It is asked for with the first request.
        return Ok(None);
    }
    let from_environment = environment(variable).filter(|value| !value.trim().is_empty());
    if let Some(value) = from_environment {
        return Ok(Some(SecretString::from(value.trim())));
    }
    if let Some(key) = file.get(&provider.name)? {
        return Ok(Some(key));
    }
    let what = format!(
        "no key for provider {}: set {variable}, or run `agent login {}` (it is kept in {}, mode 0600)",
        provider.name,
        provider.name,
        file.path.display()
    );
    Err(ModelError::new(Kind::Auth, what))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Key {
        key: SecretString,
    },
    /// The keyring has it.
    Keyring {
        keyring: bool,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Exposed<'a> {
    Key { key: &'a str },
    Keyring { keyring: bool },
}

impl AuthFile {
    /// The file at this path. It need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), keyring: Keyring::new(false) }
    }

    /// The same where a person is there, who can unlock a keyring.
    #[must_use]
    pub fn with_person(self, person: bool) -> Self {
        Self { keyring: Keyring::new(person), ..self }
    }

    /// The keyring beside it.
    #[must_use]
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Where the key of a provider is kept. The keyring is not asked.
    ///
    /// # Errors
    /// When the file can't be read, or others could have read it.
    pub fn place(&self, provider: &str) -> Result<Option<Place>, ModelError> {
        Ok(self.read()?.get(provider).map(|entry| match entry {
            Entry::Key { .. } => Place::File,
            Entry::Keyring { .. } => Place::Keyring,
        }))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The key of a provider.
    ///
    /// # Errors
    /// When the file can't be read, or others could have read it; when the keyring does not give the key.
    pub fn get(&self, provider: &str) -> Result<Option<SecretString>, ModelError> {
        match self.read()?.remove(provider) {
            None | Some(Entry::Keyring { keyring: false }) => Ok(None),
            Some(Entry::Key { key }) => Ok(Some(key)),
            Some(Entry::Keyring { keyring: true }) => {
                let lost = || format!("{} has no key of {provider} any more", self.keyring.name());
                let key = self.keyring.get(provider).and_then(|key| key.ok_or_else(lost));
                key.map(Some).map_err(|why| {
                    let what = format!(
                        "no key for provider {provider}: {why}; `agent login {provider}` keeps it anew"
                    );
                    ModelError::new(Kind::Auth, what)
                })
            }
        }
    }

    /// All keys that are in the file itself.
    ///
    /// # Errors
    /// When the file can't be read, or others could have read it.
    pub fn all(&self) -> Result<Vec<SecretString>, ModelError> {
        let in_file = |entry| match entry {
            Entry::Key { key } => Some(key),
            Entry::Keyring { .. } => None,
        };
        Ok(self.read()?.into_values().filter_map(in_file).collect())
    }

    /// Keeps a key. The file is replaced as a whole, or not at all.
    ///
    /// # Errors
    /// When the file can't be read or written.
    pub fn set(&self, provider: &str, key: SecretString) -> Result<(), ModelError> {
        let mut entries = self.read()?;
        let before = entries.insert(provider.to_owned(), Entry::Key { key });
        self.write(&entries)?;
        if let Some(Entry::Keyring { .. }) = before {
            // It counts no more; a keyring that can't be asked keeps what it had.
            let _ = self.keyring.remove(provider);
        }
        Ok(())
    }

    /// Keeps a key in the keyring, and says so in the file.
    ///
    /// # Errors
    /// When the keyring does not take it, or the file can't be read or written.
    pub fn set_in_keyring(&self, provider: &str, key: &SecretString) -> Result<(), ModelError> {
        let mut entries = self.read()?;
        self.keyring.set(provider, key).map_err(|why| ModelError::new(Kind::Auth, why))?;
        entries.insert(provider.to_owned(), Entry::Keyring { keyring: true });
        self.write(&entries)
    }

    /// Forgets a key. Whether there was one.
    ///
    /// # Errors
    /// When the file can't be read or written.
    pub fn remove(&self, provider: &str) -> Result<bool, ModelError> {
        let mut entries = self.read()?;
        let found = entries.remove(provider);
        if let Some(Entry::Keyring { .. }) = found {
            self.keyring.remove(provider).map_err(|why| ModelError::new(Kind::Auth, why))?;
        }
        if found.is_some() {
            self.write(&entries)?;
        }
        Ok(found.is_some())
    }

    fn read(&self) -> Result<BTreeMap<String, Entry>, ModelError> {
        let failed = |error: &io::Error| self.error(&format!("can't be read: {error}"));
        let mut file = match fs::File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(failed(&error)),
        };
        // Asked of the open file, so that it is the one that is read.
        self.check_mode(&file.metadata().map_err(|error| failed(&error))?)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|error| failed(&error))?;
        // The parser's own words may quote a value, so only the place is told.
        serde_json::from_str(&text).map_err(|error| {
            self.error(&format!("is not {{\"PROVIDER\":{{\"key\":\"…\"}}}}: see line {}", error.line()))
        })
    }

    #[cfg(unix)]
    fn check_mode(&self, metadata: &fs::Metadata) -> Result<(), ModelError> {
        use std::os::unix::fs::MetadataExt as _;
        let mode = metadata.mode() & 0o777;
        match mode & 0o077 {
            0 => Ok(()),
            _ => Err(self.error(&format!(
                "holds keys and can be used by others (mode {mode:04o}); run: chmod 600 {}",
                self.path.display()
            ))),
        }
    }

    #[cfg(not(unix))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the same signature everywhere")]
    fn check_mode(&self, _: &fs::Metadata) -> Result<(), ModelError> {
        Ok(())
    }

    fn write(&self, entries: &BTreeMap<String, Entry>) -> Result<(), ModelError> {
        let exposed: BTreeMap<&str, Exposed<'_>> = entries
            .iter()
            .map(|(name, entry)| {
                let exposed = match entry {
                    Entry::Key { key } => Exposed::Key { key: key.expose_secret() },
                    Entry::Keyring { keyring } => Exposed::Keyring { keyring: *keyring },
                };
                (name.as_str(), exposed)
            })
            .collect();
        let write = || -> io::Result<()> {
            let folder = self.path.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(folder)?;
            // Born with mode 0600, and under its name only when it is complete.
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            serde_json::to_writer_pretty(&mut file, &exposed)?;
            file.write_all(b"\n")?;
            file.as_file().sync_all()?;
            file.persist(&self.path)?;
            Ok(())
        };
        write().map_err(|error| self.error(&format!("can't be written: {error}")))
    }

    fn error(&self, what: &str) -> ModelError {
        ModelError::new(Kind::Auth, format!("{} {what}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn provider() -> Provider {
        Provider { name: "acme".into(), env_key: Some("ACME_KEY".into()), ..Provider::default() }
    }

    fn file() -> (tempfile::TempDir, AuthFile) {
        let folder = tempfile::tempdir().unwrap();
        let file = AuthFile::new(folder.path().join("deep/auth.json"));
        (folder, file)
    }

    fn shown(key: Result<Option<SecretString>, ModelError>) -> Option<String> {
        key.unwrap().map(|key| key.expose_secret().to_owned())
    }

    #[test]
    fn the_environment_goes_before_the_file() {
        let (_folder, file) = file();
        file.set("acme", SecretString::from("from file")).unwrap();
        let environment = |name: &str| (name == "ACME_KEY").then(|| " from environment\n".to_owned());
        assert_eq!(shown(key(&provider(), environment, &file)).as_deref(), Some("from environment"));
        assert_eq!(shown(key(&provider(), |_| None, &file)).as_deref(), Some("from file"));
        assert_eq!(shown(key(&provider(), |_| Some(" ".into()), &file)).as_deref(), Some("from file"));
    }

    #[test]
    fn a_missing_key_is_told_with_the_places_where_it_could_be() {
        let (_folder, file) = file();
        let error = key(&provider(), |_| None, &file).unwrap_err();
        assert_eq!(error.kind, Kind::Auth);
        assert!(error.message.contains("ACME_KEY") && error.message.contains("auth.json"), "{error}");
    }

    #[test]
    fn a_provider_without_a_variable_takes_no_key() {
        let (_folder, file) = file();
        assert_eq!(shown(key(&Provider::default(), |_| Some("never".into()), &file)), None);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let (_folder, file) = file();
        file.set("acme", SecretString::from("sk-secret")).unwrap();
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o640)).unwrap();
        let error = key(&provider(), |_| None, &file).unwrap_err();
        assert!(error.message.contains("0640") && error.message.contains("chmod 600"), "{error}");
        assert!(file.set("other", SecretString::from("x")).is_err());
    }

    #[test]
    fn a_damaged_file_is_told_without_its_content() {
        let (_folder, file) = file();
        file.set("acme", SecretString::from("x")).unwrap();
        fs::write(file.path(), r#"{"acme": "sk-secret"}"#).unwrap();
        let error = key(&provider(), |_| None, &file).unwrap_err();
        assert!(error.message.contains("line 1") && !error.message.contains("sk-secret"), "{error}");
    }

    #[test]
    fn keys_are_kept_and_forgotten() {
        let (_folder, file) = file();
        file.set("a", SecretString::from("1")).unwrap();
        file.set("b", SecretString::from("2")).unwrap();
        assert_eq!(file.all().unwrap().len(), 2);
        assert!(file.get("a").unwrap().is_some());
        assert!(file.remove("a").unwrap() && !file.remove("a").unwrap());
        assert!(file.get("a").unwrap().is_none() && file.get("b").unwrap().is_some());
    }
}
