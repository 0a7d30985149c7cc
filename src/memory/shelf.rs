//! The files of one project, or of the person, and the change from one version of them to the next.
//!
//! ```text
//! current -> versions/7         what holds; replaced as a whole, by one rename
//! versions/7/MEMORY.md          the notes
//! versions/7/memory_summary.md  those of them that sessions begin with
//! versions/7/state.json         what is known of them beside their words
//! sessions/ID.md                what one session has given, before it was put together
//! used                          which notes were of use, a line each time
//! ```
//!
//! A version is written beside the others, synced, and then pointed to. Whoever is killed on the way leaves the old one.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::protocol::Time;

use super::{
    About, Book, Date, Guard, MemoryError, Origin, State, make_folder, note::same, read_file,
    session::SessionNotes, state::Edits, told, write_file,
};

/// Versions that are kept, the last ones.
const VERSIONS: usize = 20;
/// Longer than any change takes.
const PATIENCE: Duration = Duration::from_secs(5);
/// Notes of a book, and bytes of its file, at most.
const MOST_NOTES: usize = 400;
const MOST_BYTES: usize = 256 << 10;

const MEMORY: &str = "MEMORY.md";
const SUMMARY: &str = "memory_summary.md";
const STATE: &str = "state.json";
const STAGED: &str = ".staged-";
const POINTER: &str = ".current-";

/// The files of one project, or of the person.
#[derive(Clone)]
pub struct Shelf {
    folder: PathBuf,
    about: About,
    title: String,
    guard: Arc<dyn Guard>,
}

/// A version as it lies there now, with what a person has done to it since.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    pub number: u64,
    pub folder: PathBuf,
    pub memory: String,
    pub summary: String,
    pub state: State,
}

/// When something is changed, and how much of it is told.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    pub at: Time,
    pub today: Date,
    /// Tokens of the summary, at most.
    pub told_tokens: usize,
}

impl Kept {
    /// The notes as they stand now.
    #[must_use]
    pub fn book(&self, today: Date) -> (Book, State, Edits) {
        let mut state = self.state.clone();
        let (book, edits) = state.absorb(&self.memory, &self.summary, today);
        (book, state, edits)
    }
}

impl Shelf {
    pub(super) fn new(folder: PathBuf, about: About, title: &str, guard: Arc<dyn Guard>) -> Self {
        Self { folder, about, title: title.to_owned(), guard }
    }

    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    #[must_use]
    pub fn about(&self) -> About {
        self.about
    }

    /// Whose notes they are, in words.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    #[must_use]
    pub fn guard(&self) -> &dyn Guard {
        &*self.guard
    }

    /// The version that holds; nothing when nothing was ever remembered.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read(&self) -> Result<Option<Kept>, MemoryError> {
        let pointer = self.folder.join("current");
        let to = match fs::read_link(&pointer) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            to => to.map_err(|error| MemoryError::io(&pointer, error))?,
        };
        let number = to.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        match number {
            Some(number) => self.version(number).map(Some),
            None => Err(MemoryError::Damaged { path: pointer, what: "it names no version".to_owned() }),
        }
    }

    fn version(&self, number: u64) -> Result<Kept, MemoryError> {
        let folder = self.folder.join("versions").join(number.to_string());
        let text = |name: &str| read_file(&folder.join(name)).map(Option::unwrap_or_default);
        let path = folder.join(STATE);
        let state = match read_file(&path)? {
            Some(text) => serde_json::from_str(&text)
                .map_err(|error| MemoryError::Damaged { path, what: error.to_string() })?,
            None => State::default(),
        };
        Ok(Kept { number, memory: text(MEMORY)?, summary: text(SUMMARY)?, folder, state })
    }

    /// Changes the notes. `change` gets them as they stand, with what a person did by hand, and says what it did; nothing,
    /// if there is nothing to do. Gives the number of the new version.
    ///
    /// # Errors
    /// When they can't be read or written, or `change` refuses. They are then as they were.
    pub fn change<E: From<MemoryError>>(
        &self,
        write: Change,
        change: impl FnOnce(&mut Book, &mut State) -> Result<Option<String>, E>,
    ) -> Result<Option<u64>, E> {
        let _lock = self.lock()?;
        let before = self.read()?;
        let (mut book, mut state, _) =
            before.as_ref().map_or_else(Default::default, |kept| kept.book(write.today));
        let used = self.folder.join("used");
        let uses = read_file(&used)?.unwrap_or_default();
        for (id, date) in uses.lines().filter_map(|line| line.split_once(' ')) {
            if let Ok(date) = date.parse() {
                state.used.insert(id.to_owned(), date);
            }
        }
        let old =
            (state.before, std::mem::take(&mut state.what), state.at, std::mem::take(&mut state.by_itself));
        let Some(what) = change(&mut book, &mut state)? else { return Ok(None) };
        if before.as_ref().is_some_and(|kept| kept.memory == book.text(&self.title)) {
            // Only what is known beside the words is new: the last change is still the one before.
            (state.before, state.what, state.at, state.by_itself) = old;
        } else {
            state.before = before.map(|kept| kept.number);
            (state.what, state.at) = (what, Some(write.at));
        }
        let number = self.publish(&book, state, write.told_tokens, &mut |_| {})?;
        // What is noted down a moment before this is lost, and costs one use.
        let _ = fs::remove_file(&used);
        Ok(Some(number))
    }

    /// Writes a new version, and points to it. `step` is told before each thing that can be cut off.
    pub(super) fn publish(
        &self,
        book: &Book,
        mut state: State,
        told_tokens: usize,
        step: &mut dyn FnMut(&str),
    ) -> Result<u64, MemoryError> {
        let memory = book.text(&self.title);
        let notes = book.notes().count();
        if notes > MOST_NOTES || memory.len() > MOST_BYTES {
            return Err(MemoryError::Refused(format!(
                "{notes} notes of {} bytes are too many for {}: at most {MOST_NOTES} and {MOST_BYTES}",
                memory.len(),
                self.title
            )));
        }
        let summary = told::summary(book, &state, &self.title, told_tokens);
        state.written(book, &summary);
        let json = serde_json::to_string_pretty(&state).map_err(|error| {
            MemoryError::Refused(format!("what is known of the notes can't be written: {error}"))
        })?;
        let versions = self.folder.join("versions");
        make_folder(&versions)?;
        let number = self.numbers()?.last().copied().unwrap_or_default() + 1;
        let target = versions.join(number.to_string());
        let mut written = || -> io::Result<()> {
            step("stage");
            let staged = tempfile::Builder::new().prefix(STAGED).tempdir_in(&versions)?;
            for (name, text) in [(MEMORY, &memory), (SUMMARY, &summary), (STATE, &json)] {
                step(name);
                let mut file = File::options().write(true).create_new(true).open(staged.path().join(name))?;
                file.write_all(text.as_bytes())?;
                file.sync_all()?;
            }
            step("sync");
            File::open(staged.path())?.sync_all()?;
            step("name");
            fs::rename(staged.path(), &target)?;
            File::open(&versions)?.sync_all()?;
            // It has another name now: nothing is left to be removed.
            let _ = staged.keep();
            step("point");
            let pointer = self.folder.join(format!("{POINTER}{number}"));
            let _ = fs::remove_file(&pointer);
            std::os::unix::fs::symlink(Path::new("versions").join(number.to_string()), &pointer)?;
            step("swap");
            fs::rename(&pointer, self.folder.join("current"))?;
            File::open(&self.folder)?.sync_all()?;
            step("tidy");
            Ok(())
        };
        written().map_err(|error| MemoryError::io(&target, error))?;
        self.tidy(number);
        step("end");
        Ok(number)
    }

    /// Removes what was cut off, and the oldest versions. What stays is in nobody's way.
    fn tidy(&self, current: u64) {
        let versions = self.folder.join("versions");
        let numbers = self.numbers().unwrap_or_default();
        let old = numbers.len().saturating_sub(VERSIONS);
        for number in numbers.iter().take(old).filter(|number| **number != current) {
            let _ = fs::remove_dir_all(versions.join(number.to_string()));
        }
        for (folder, prefix) in [(&versions, STAGED), (&self.folder, POINTER)] {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.file_name().to_string_lossy().starts_with(prefix) {
                    let path = entry.path();
                    let _ = if path.is_symlink() { fs::remove_file(path) } else { fs::remove_dir_all(path) };
                }
            }
        }
    }

    /// The numbers of all versions.
    fn numbers(&self) -> Result<Vec<u64>, MemoryError> {
        let versions = self.folder.join("versions");
        let entries = match fs::read_dir(&versions) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| MemoryError::io(&versions, error))?,
        };
        let mut numbers: Vec<u64> =
            entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Keeps others from changing the files, as long as it lives.
    fn lock(&self) -> Result<File, MemoryError> {
        make_folder(&self.folder)?;
        let path = self.folder.join("lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|error| MemoryError::io(&path, error))?;
        let since = Instant::now();
        while file.try_lock().is_err() {
            if since.elapsed() > PATIENCE {
                let what =
                    format!("another program is changing what is remembered of {}; try again", self.title);
                return Err(MemoryError::Refused(what));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(file)
    }

    /// What the last change did to the notes, as a unified diff, and in words. Nothing if there was none.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn diff(&self) -> Result<Option<(String, String)>, MemoryError> {
        let Some(now) = self.read()? else { return Ok(None) };
        let before = match now.state.before {
            Some(number) => self.version(number)?.memory,
            None => Book::default().text(&self.title),
        };
        let diff = similar::TextDiff::from_lines(&before, &now.memory);
        let text = diff.unified_diff().context_radius(1).header("before", "now").to_string();
        Ok(Some((now.state.what, text)))
    }

    /// Goes back to before the last change, hand edits since then included; a second time, to after it. What was added by
    /// it does not come back by itself. Gives what was undone.
    ///
    /// # Errors
    /// When there is nothing to go back to, or it can't be read or written.
    pub fn undo(&self, write: Change) -> Result<String, MemoryError> {
        let mut undone = String::new();
        self.change(write, |book, state| {
            let nothing = || {
                MemoryError::Refused(format!(
                    "nothing was changed yet in what is remembered of {}",
                    self.title
                ))
            };
            let now = self.read()?.ok_or_else(nothing)?;
            let (before, old, _) = match now.state.before {
                Some(number) => self.version(number)?.book(write.today),
                None => Default::default(),
            };
            let (mut forgotten, mut taken) = (state.forgotten.clone(), old.taken.clone());
            forgotten.retain(|text| !before.notes().any(|note| same(&note.text) == same(text)));
            taken.append(&mut state.taken);
            let mut new = State { forgotten, taken, by_itself: false, ..old };
            let added = book.notes().filter(|note| note.from != Origin::You);
            let added =
                added.filter(|note| !before.notes().any(|known| same(&known.text) == same(&note.text)));
            added.for_each(|note| new.forget(&note.text));
            undone.clone_from(&now.state.what);
            let what = match now.state.what.strip_prefix("undone: ") {
                Some(what) => what.to_owned(),
                None => format!("undone: {}", now.state.what),
            };
            (*book, *state) = (before, new);
            Ok::<_, MemoryError>(Some(what))
        })?;
        Ok(undone)
    }

    /// Keeps what a session has given.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn keep(&self, notes: &SessionNotes) -> Result<(), MemoryError> {
        write_file(&self.session_file(&notes.session), &notes.text())
    }

    /// The file with what a session has given.
    #[must_use]
    pub fn session_file(&self, session: &str) -> PathBuf {
        self.folder.join("sessions").join(format!("{session}.md"))
    }

    /// What all sessions have given, each with the hash of its file, the oldest first. What can't be read is passed over.
    #[must_use]
    pub fn sessions(&self) -> Vec<(SessionNotes, String)> {
        let entries = fs::read_dir(self.folder.join("sessions")).into_iter().flatten().flatten();
        let mut found: Vec<_> = entries
            .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "md"))
            .filter_map(|entry| SessionNotes::read(&entry.path()).ok().flatten())
            .collect();
        found.sort_by(|(a, _), (b, _)| a.session.cmp(&b.session));
        found
    }

    /// Notes down that notes were of use. It may be lost.
    pub fn used<'a>(&self, ids: impl IntoIterator<Item = &'a str>, today: Date) {
        let lines: String = ids.into_iter().map(|id| format!("{id} {today}\n")).collect();
        let path = self.folder.join("used");
        // Nothing that was found means nothing to keep.
        if !lines.is_empty()
            && let Ok(mut file) = File::options().create(true).append(true).open(path)
        {
            let _ = file.write_all(lines.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{
        note::Note,
        testing::{date, memory},
    };

    pub(super) fn write(day: i8) -> Change {
        Change { at: Time::UNIX_EPOCH, today: date(day), told_tokens: 500 }
    }

    fn add(shelf: &Shelf, text: &str) -> u64 {
        let changed = shelf.change(write(1), |book, _| {
            let note = Note::new(text, date(1), Origin::session("0199a2b3"), |id| book.get(id).is_some());
            book.add("Notes", note);
            Ok::<_, MemoryError>(Some(format!("added {text}")))
        });
        changed.unwrap().unwrap()
    }

    fn texts(shelf: &Shelf) -> Vec<String> {
        let (book, ..) = shelf.read().unwrap().unwrap().book(date(9));
        book.notes().map(|note| note.text.clone()).collect()
    }

    #[test]
    fn nothing_is_made_before_something_is_kept() {
        let (_folder, memory) = memory();
        let shelf = memory.project("/p".as_ref());
        assert_eq!(shelf.read().unwrap(), None);
        assert_eq!((shelf.diff().unwrap(), shelf.sessions()), (None, Vec::new()));
        shelf.used([], date(1));
        assert!(!memory.folder().exists());
    }

    #[test]
    fn each_change_is_a_version_that_can_be_seen_undone_and_done_again() {
        let (_folder, memory) = memory();
        let shelf = memory.project("/p".as_ref());
        assert_eq!((add(&shelf, "one"), add(&shelf, "two")), (1, 2));
        let (what, diff) = shelf.diff().unwrap().unwrap();
        assert!(what == "added two" && diff.contains("+- two (") && !diff.contains("+- one"), "{diff}");
        assert_eq!(shelf.undo(write(2)).unwrap(), "added two");
        assert_eq!(texts(&shelf), ["one"]);
        assert!(shelf.read().unwrap().unwrap().state.is_forgotten("two"), "it does not come back by itself");
        shelf.undo(write(2)).unwrap();
        assert_eq!(texts(&shelf), ["one", "two"]);
        assert!(!shelf.read().unwrap().unwrap().state.is_forgotten("two"));
        let error = memory.user().undo(write(2)).unwrap_err().to_string();
        assert!(error.contains("nothing was changed yet"), "{error}");
    }

    #[test]
    fn a_change_that_is_refused_or_does_nothing_leaves_everything() {
        let (_folder, memory) = memory();
        let shelf = memory.project("/p".as_ref());
        add(&shelf, "one");
        let before = shelf.read().unwrap();
        let refused = shelf.change(write(1), |book, _| {
            *book = Book::default();
            Err(MemoryError::Refused("no".into()))
        });
        assert!(refused.is_err());
        assert_eq!(shelf.change(write(1), |_, _| Ok::<_, MemoryError>(None)).unwrap(), None);
        assert_eq!(shelf.read().unwrap(), before);
    }

    #[test]
    fn what_changes_no_word_is_no_change_to_be_undone() {
        let (_folder, memory) = memory();
        let shelf = memory.project("/p".as_ref());
        add(&shelf, "one");
        let quiet = shelf.change(write(2), |_, state| {
            state.taken.insert("s".into(), "h".into());
            Ok::<_, MemoryError>(Some("nothing to change".into()))
        });
        assert_eq!(quiet.unwrap(), Some(2));
        let state = shelf.read().unwrap().unwrap().state;
        assert_eq!((state.what.as_str(), state.before, state.taken.len()), ("added one", None, 1));
        shelf.undo(write(3)).unwrap();
        assert_eq!((texts(&shelf), shelf.read().unwrap().unwrap().state.taken.len()), (Vec::new(), 1));
    }

    #[test]
    fn edits_by_hand_go_into_the_next_version_and_so_do_uses() {
        let (_folder, memory) = memory();
        let shelf = memory.project("/p".as_ref());
        add(&shelf, "one");
        let kept = shelf.read().unwrap().unwrap();
        fs::write(kept.folder.join(MEMORY), kept.memory.replace("one", "uno") + "- mine\n").unwrap();
        let id = kept.book(date(2)).0.notes().next().unwrap().id.clone();
        shelf.used([id.as_str()], date(5));
        add(&shelf, "two");
        assert_eq!(texts(&shelf), ["uno", "mine", "two"]);
        let now = shelf.read().unwrap().unwrap();
        assert_eq!(now.state.used.get(&id), Some(&date(5)));
        assert!(fs::read_to_string(shelf.folder().join("current").join(MEMORY)).unwrap().contains("uno"));
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(memory.folder()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn old_versions_go_and_what_was_cut_off_as_well() {
        let (_folder, memory) = memory();
        let shelf = memory.project("/p".as_ref());
        add(&shelf, "first");
        let versions = shelf.folder().join("versions");
        fs::create_dir(versions.join(format!("{STAGED}x"))).unwrap();
        std::os::unix::fs::symlink("versions/99", shelf.folder().join(format!("{POINTER}99"))).unwrap();
        for number in 0..VERSIONS + 3 {
            add(&shelf, &format!("note {number}"));
        }
        assert_eq!(shelf.numbers().unwrap().len(), VERSIONS);
        assert_eq!(fs::read_dir(&versions).unwrap().count(), VERSIONS);
        assert!(!shelf.folder().join(format!("{POINTER}99")).is_symlink());
    }

    #[test]
    fn more_notes_than_anybody_reads_are_refused() {
        let (_folder, memory) = memory();
        let shelf = memory.project("/p".as_ref());
        let filled = shelf.change(write(1), |book, _| {
            for number in 0..=MOST_NOTES {
                let note = Note::new(&number.to_string(), date(1), Origin::You, |id| book.get(id).is_some());
                book.add("Notes", note);
            }
            Ok::<_, MemoryError>(Some("filled".into()))
        });
        assert!(filled.unwrap_err().to_string().contains("too many"));
        assert_eq!(shelf.read().unwrap(), None);
    }
}
