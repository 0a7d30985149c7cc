//! What earlier sessions have learnt, kept for later ones: notes in plain Markdown that a person can read, edit, see the
//! changes of and undo.
//!
//! It asks no model itself. [`extract`] and [`consolidate`] make the two requests and check what comes back; whoever
//! drives them owns the model, the logs and the money. What is written passes [`Guard`] first: no secret and no hidden
//! character gets into a file by way of a model.
//!
//! - [`note`], [`book`]: a note, and `MEMORY.md`, the notes of a project or of the person, by topic
//! - [`state`]: what is known of the notes beside their words, and how edits by hand are taken over
//! - [`shelf`]: the files, and the change from one version to the next, which happens whole or not at all
//! - [`session`]: `sessions/ID.md`, what one session has given
//! - [`extract`]: the first request, of one session's log; [`sample`] is what of the log it shows
//! - [`consolidate`]: the second request, of what has gathered
//! - [`told`], [`search`]: what a session's model gets of it
//! - [`spent`]: what all that has cost

pub mod book;
pub mod consolidate;
pub mod extract;
pub mod note;
pub mod sample;
pub mod search;
pub mod session;
mod settings;
pub mod shelf;
pub mod spent;
pub mod state;
pub mod told;

#[cfg(test)]
mod kill_tests;
#[cfg(test)]
mod testing;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use book::{Book, Entry};
pub use jiff::civil::Date;
pub use note::{Note, Origin};
pub use settings::Settings;
pub use shelf::{Change, Kept, Shelf};
pub use state::State;

/// Looks at text that a model wrote, or that goes to one.
pub trait Guard: Send + Sync {
    /// The text without the secrets in it.
    fn redact(&self, text: &str) -> String;

    /// What in it people would not see, in words; nothing if all of it is visible.
    fn hidden(&self, text: &str) -> Option<String>;
}

/// Whom notes are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum About {
    /// The person: true in every project.
    User,
    Project,
}

/// Why something of the memory can't be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error("{} is not what was written there: {what}", path.display())]
    Damaged { path: PathBuf, what: String },
    /// With a sentence for whoever asked.
    #[error("{0}")]
    Refused(String),
}

impl MemoryError {
    fn io(path: &Path, error: io::Error) -> Self {
        Self::Io { path: path.to_owned(), error }
    }
}

/// All that is remembered: a shelf for the person, and one for each project.
#[derive(Clone)]
pub struct Memory {
    folder: PathBuf,
    guard: Arc<dyn Guard>,
}

impl Memory {
    /// The memory in a folder, which need not exist: nothing is made before something is to be kept.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, guard: Arc<dyn Guard>) -> Self {
        Self { folder: folder.into(), guard }
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What looks at every text.
    #[must_use]
    pub fn guard(&self) -> &dyn Guard {
        &*self.guard
    }

    /// The shelf of the person.
    #[must_use]
    pub fn user(&self) -> Shelf {
        Shelf::new(self.folder.join("user"), About::User, "you, in every project", Arc::clone(&self.guard))
    }

    /// The shelf of the project with this root.
    #[must_use]
    pub fn project(&self, root: &Path) -> Shelf {
        let name = root.file_name().unwrap_or_default().to_string_lossy();
        let plain: String = name
            .chars()
            .map(|char| if char.is_alphanumeric() || "-_.".contains(char) { char } else { '-' })
            .take(40)
            .collect();
        // Two projects may have one name.
        let hash = blake3::hash(root.as_os_str().as_encoded_bytes()).to_hex();
        let folder =
            format!("{}-{}", plain.trim_start_matches('.'), hash.as_str().get(..8).unwrap_or_default());
        let shelf = self.folder.join("projects").join(folder);
        Shelf::new(shelf, About::Project, &root.display().to_string(), Arc::clone(&self.guard))
    }

    /// The shelves that a session in this project has, the person's first.
    #[must_use]
    pub fn shelves(&self, root: &Path) -> [Shelf; 2] {
        [self.user(), self.project(root)]
    }

    /// Keeps every other process from making notes, as long as the file lives. Nothing when another one is at it.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn lock(&self) -> Result<Option<File>, MemoryError> {
        make_folder(&self.folder)?;
        let path = self.folder.join("lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|error| MemoryError::io(&path, error))?;
        Ok(file.try_lock().is_ok().then_some(file))
    }
}

/// A folder that nobody else reads.
fn make_folder(folder: &Path) -> Result<(), MemoryError> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| MemoryError::io(folder, error))
}

/// The text of a file; nothing when there is none. Nobody writes notes of that size.
fn read_file(path: &Path) -> Result<Option<String>, MemoryError> {
    use io::Read as _;
    const MOST: u64 = 4 << 20;
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(|error| MemoryError::io(path, error))?,
    };
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes).map_err(|error| MemoryError::io(path, error))?;
    let damaged = |what: &str| MemoryError::Damaged { path: path.to_owned(), what: what.to_owned() };
    if bytes.len() as u64 > MOST {
        return Err(damaged("it is larger than 4 MiB"));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| damaged("it is not UTF-8 text"))
}

/// Replaces a file as a whole.
fn write_file(path: &Path, text: &str) -> Result<(), MemoryError> {
    use io::Write as _;
    let folder = path.parent().unwrap_or(Path::new("."));
    make_folder(folder)?;
    let written = || -> io::Result<()> {
        let mut new = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
        new.write_all(text.as_bytes())?;
        new.as_file().sync_all()?;
        new.persist(path)?;
        Ok(())
    };
    written().map_err(|error| MemoryError::io(path, error))
}
