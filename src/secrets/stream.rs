//! A stream without secrets, whatever pieces it comes in.
//!
//! What may be the beginning of a secret is held back until it is known. What comes out is the same however the
//! stream was cut.

use std::{borrow::Cow, mem, sync::Arc};

use secrecy::ExposeSecret as _;

use super::{
    Secrets,
    matcher::{Found, Matcher},
};

/// Bytes in front of a place that its meaning may depend on.
const BEFORE: usize = 3;
/// What is held back and so short is given out when nothing more comes: it gives nothing away, and people and models
/// want to see the whole of a prompt.
const SHORT: usize = 3;

/// Takes secrets out of a stream.
pub struct Filter {
    secrets: Secrets,
    matcher: Arc<Matcher>,
    changes: u64,
    /// Not decided yet.
    held: Vec<u8>,
    /// How much of `held` was given out already.
    given: usize,
    /// What was in front of `held`.
    before: Vec<u8>,
}

impl Filter {
    pub(super) fn new(secrets: Secrets) -> Self {
        let (changes, matcher) = secrets.matcher();
        Self { secrets, matcher, changes, held: Vec::new(), given: 0, before: Vec::new() }
    }

    /// What can be given out now that this has come.
    pub fn push<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if self.changes != self.secrets.changes() {
            (self.changes, self.matcher) = self.secrets.matcher();
        }
        if self.held.is_empty() {
            return self.filter(Cow::Borrowed(bytes), 0, false);
        }
        let mut text = mem::take(&mut self.held);
        text.extend_from_slice(bytes);
        let given = mem::take(&mut self.given);
        Cow::Owned(self.filter(Cow::Owned(text), given, false).into_owned())
    }

    /// A stream that is all here.
    pub(super) fn whole<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        self.filter(Cow::Borrowed(bytes), 0, true)
    }

    /// Whether something is held back that [`Filter::release`] would give out.
    #[must_use]
    pub fn can_release(&self) -> bool {
        self.given < self.held.len() && self.held.len() <= SHORT
    }

    /// Gives out what is too short to say anything. For when nothing has come for a while.
    pub fn release(&mut self) -> Vec<u8> {
        if !self.can_release() {
            return Vec::new();
        }
        let given = mem::replace(&mut self.given, self.held.len());
        self.held.get(given..).unwrap_or_default().to_vec()
    }

    /// The rest: no more will come.
    pub fn finish(&mut self) -> Vec<u8> {
        let (text, given) = (mem::take(&mut self.held), mem::take(&mut self.given));
        self.filter(Cow::Owned(text), given, true).into_owned()
    }

    /// Takes the secrets out of `text`, and holds back what is not decided. The first `given` bytes are out already.
    fn filter<'a>(&mut self, text: Cow<'a, [u8]>, given: usize, ended: bool) -> Cow<'a, [u8]> {
        let mut out: Vec<u8> = Vec::new();
        // All before `done` is in `out`, and nothing begins before `from`.
        let (mut done, mut from) = (0, 0);
        let unfinished = |from: usize| if ended { None } else { self.matcher.unfinished(&text, from) };
        let mut open = unfinished(0);
        let plain = |out: &mut Vec<u8>, done: usize, end: usize| {
            out.extend_from_slice(text.get(done.max(given)..end).unwrap_or_default());
        };
        while let Some(at) =
            self.matcher.candidate(&text, from).filter(|at| open.is_none_or(|open| *at < open))
        {
            let rest = text.get(at..).unwrap_or_default();
            match self.matcher.at(&self.before(&text, at), rest, ended) {
                Found::Nothing => from = at + 1,
                Found::Open => {
                    open = Some(at);
                    break;
                }
                Found::Secret { length, value } => {
                    plain(&mut out, done, at);
                    let secret = rest.get(..length).unwrap_or_default();
                    let value = value.as_ref().map_or(secret, |value| value.expose_secret().as_bytes());
                    out.extend(self.secrets.handle(value).into_bytes());
                    (done, from) = (at + length, at + length);
                    if open.is_some_and(|open| open < from) {
                        open = unfinished(from);
                    }
                }
            }
        }
        let end = open.unwrap_or(text.len());
        let before = self.before(&text, end);
        self.held = text.get(end..).unwrap_or_default().to_vec();
        self.given = given.saturating_sub(end);
        self.before = before;
        match text {
            Cow::Borrowed(bytes) if done == 0 && given == 0 => {
                Cow::Borrowed(bytes.get(..end).unwrap_or_default())
            }
            text => {
                out.extend_from_slice(text.get(done.max(given)..end).unwrap_or_default());
                Cow::Owned(out)
            }
        }
    }

    /// The bytes in front of a place.
    fn before(&self, text: &[u8], at: usize) -> Vec<u8> {
        let near = text.get(at.saturating_sub(BEFORE)..at).unwrap_or_default();
        let far =
            self.before.get((self.before.len() + near.len()).saturating_sub(BEFORE)..).unwrap_or_default();
        [far, near].concat()
    }
}
