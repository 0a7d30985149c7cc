//! Secrets in what commands and files say: taken out at one border, between the output of tools and everything
//! that keeps or shows it.
//!
//! Two kinds are found: values that the program knows (its keys, in the forms in which they are written), and
//! text of the shape of a key. Nothing is guessed from how random a text looks. It is the last line of defence
//! and not the first: whoever wants to hide a value from it can do so by writing it otherwise.

mod forms;
mod handles;
mod matcher;
mod shapes;
mod stream;
#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use secrecy::{ExposeSecret as _, SecretString};

use self::{handles::Handles, matcher::Matcher};

pub use self::stream::Filter;

/// Values shorter than this are not looked for: they would hit innocent text.
const SHORTEST: usize = 8;
/// Values longer than this are not looked for whole: no key is.
const LONGEST: usize = 16 << 10;

/// What is to stay out of a session's transcript. Cheap to clone.
#[derive(Clone)]
pub struct Secrets {
    inner: Arc<Inner>,
}

struct Inner {
    known: Mutex<Vec<SecretString>>,
    matcher: RwLock<Arc<Matcher>>,
    /// Counts the changes of `matcher`.
    changes: AtomicU64,
    handles: Mutex<Handles>,
}

impl Secrets {
    /// Looks for these values, and for the shapes of keys.
    pub fn new(known: impl IntoIterator<Item = SecretString>) -> Self {
        let secrets = Self {
            inner: Arc::new(Inner {
                known: Mutex::default(),
                matcher: RwLock::new(Arc::new(Matcher::new(&[]))),
                changes: AtomicU64::new(0),
                handles: Mutex::new(Handles::new()),
            }),
        };
        secrets.know(known);
        secrets
    }

    /// Looks for further values from now on, also in streams that have begun.
    pub fn know(&self, values: impl IntoIterator<Item = SecretString>) {
        let mut known = lock(&self.inner.known);
        let before = known.len();
        for value in values {
            let text = value.expose_secret().trim();
            let fits = (SHORTEST..=LONGEST).contains(&text.len());
            if fits && known.iter().all(|other| other.expose_secret() != text) {
                known.push(SecretString::from(text));
            }
        }
        if known.len() == before {
            return;
        }
        let matcher = Arc::new(Matcher::new(&known));
        *self.inner.matcher.write().unwrap_or_else(PoisonError::into_inner) = matcher;
        self.inner.changes.fetch_add(1, Ordering::Release);
    }

    /// A filter for a stream.
    #[must_use]
    pub fn filter(&self) -> Filter {
        Filter::new(self.clone())
    }

    /// A whole text without secrets.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.filter().whole(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            // What is found begins and ends with whole characters.
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    /// The value that a handle stands for: `[redacted:3f2a]`, or only what is behind the colon.
    ///
    /// Nothing when it was redacted by another run of the program, or is not in memory any more.
    #[must_use]
    pub fn reveal(&self, handle: &str) -> Option<String> {
        let name =
            handle.trim().trim_start_matches('[').trim_start_matches("redacted:").trim_end_matches(']');
        lock(&self.inner.handles).value(name).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    fn handle(&self, value: &[u8]) -> String {
        format!("[redacted:{}]", lock(&self.inner.handles).name(value))
    }

    fn matcher(&self) -> (u64, Arc<Matcher>) {
        let changes = self.changes();
        let matcher = self.inner.matcher.read().unwrap_or_else(PoisonError::into_inner);
        (changes, Arc::clone(&matcher))
    }

    fn changes(&self) -> u64 {
        self.inner.changes.load(Ordering::Acquire)
    }
}

impl Default for Secrets {
    fn default() -> Self {
        Self::new([])
    }
}

/// Locks a mutex. A thread that panicked while it held one of ours has left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
