//! The conversation of a request, of which each item is encoded once; and its tools.
//!
//! A conversation grows at its end, and so do the bytes of its requests: that is what providers' caches are for. What a
//! wire makes of an item is its own business; here is only which items are new.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Prompt, ReadBlob};
use crate::protocol::{Item, ToolSpec};

/// The result of a call that has none: without one, servers refuse the whole conversation.
pub const NO_RESULT: &str = "(there is no result of this call)";

/// The tools that were offered last, as they were written.
#[derive(Default)]
pub struct Offered {
    specs: Option<Arc<[ToolSpec]>>,
    text: Vec<u8>,
}

impl Offered {
    /// The tools in the form of a wire.
    pub fn encode(&mut self, specs: &Arc<[ToolSpec]>, form: fn(&[ToolSpec]) -> serde_json::Value) -> &[u8] {
        if !self.specs.as_ref().is_some_and(|known| Arc::ptr_eq(known, specs) || known == specs) {
            self.text = form(specs).to_string().into_bytes();
            self.specs = Some(Arc::clone(specs));
        }
        &self.text
    }
}

/// What the program says in the middle, where only the person and the model have a voice.
#[must_use]
pub fn note(text: &str) -> String {
    format!("<note from=\"the program, not the user\">\n{}\n</note>", text.trim_end())
}

/// An encoder that is kept from one request to the next. It only saves work: any two conversations may take turns.
pub struct Kept<E>(Mutex<Option<E>>);

impl<E> Kept<E> {
    /// Works with the encoder that is kept, or else with a fresh one.
    pub fn with<T>(&self, fresh: impl FnOnce() -> E, work: impl FnOnce(&mut E) -> T) -> T {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken out, so that a panic leaves nothing half-made behind.
        let kept = lock().take();
        let mut encoder = kept.unwrap_or_else(fresh);
        let made = work(&mut encoder);
        *lock() = Some(encoder);
        made
    }
}

impl<E> Default for Kept<E> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// Writes items, each behind a comma.
pub trait Write: Clone {
    /// Writes an item, or remembers it until it is clear what becomes of it.
    fn push(&mut self, item: &Arc<Item>, blobs: &dyn ReadBlob, out: &mut Vec<u8>);

    /// Writes what it still remembers: the conversation ends here for now.
    fn close(&mut self, out: &mut Vec<u8>);
}

/// The encoded beginning of a conversation.
pub struct Grown<W> {
    fresh: W,
    writer: W,
    cache_key: String,
    epoch: u64,
    count: usize,
    /// The last item that is encoded, to be sure that it is still the same conversation.
    last: Option<Arc<Item>>,
    text: Vec<u8>,
    encoded: u64,
}

impl<W: Write> Grown<W> {
    /// No conversation yet. Each begins with a copy of this writer.
    pub fn new(fresh: W) -> Self {
        Self {
            writer: fresh.clone(),
            fresh,
            cache_key: String::new(),
            epoch: 0,
            count: 0,
            last: None,
            text: Vec::new(),
            encoded: 0,
        }
    }

    /// The writer that a conversation begins with.
    pub fn fresh(&self) -> &W {
        &self.fresh
    }

    /// How many items have been encoded so far, kept or not.
    pub fn encoded(&self) -> u64 {
        self.encoded
    }

    /// The items of a prompt, with commas between them: what stays as it is, and what is only of this request.
    pub fn items(&mut self, prompt: &Prompt) -> (&[u8], Vec<u8>) {
        let (items, tail, _) = self.items_of(prompt);
        (items, tail)
    }

    /// The same, and who has written what stays.
    pub fn items_of(&mut self, prompt: &Prompt) -> (&[u8], Vec<u8>, &W) {
        self.catch_up(prompt);
        // What an earlier try of this answer brought is no part of the conversation yet.
        let mut tail = Vec::new();
        let mut writer = self.writer.clone();
        for item in &prompt.kept {
            writer.push(item, &*prompt.blobs, &mut tail);
        }
        writer.close(&mut tail);
        if self.text.is_empty() && !tail.is_empty() {
            tail.remove(0);
        }
        (self.text.get(1..).unwrap_or_default(), tail, &self.writer)
    }

    /// Encodes what is new since the last request.
    fn catch_up(&mut self, prompt: &Prompt) {
        if !self.begins(prompt) {
            self.writer = self.fresh.clone();
            self.cache_key.clone_from(&prompt.cache_key);
            self.epoch = prompt.epoch;
            self.count = 0;
            self.text.clear();
        }
        for item in prompt.items.get(self.count..).unwrap_or_default() {
            self.writer.push(item, &*prompt.blobs, &mut self.text);
            self.encoded += 1;
        }
        self.count = prompt.items.len();
        self.last = prompt.items.last().cloned();
    }

    fn begins(&self, prompt: &Prompt) -> bool {
        if self.epoch != prompt.epoch || self.cache_key != prompt.cache_key || self.count > prompt.items.len()
        {
            return false;
        }
        let here = self.count.checked_sub(1).and_then(|last| prompt.items.get(last));
        match (&self.last, here) {
            (None, None) => true,
            (Some(last), Some(here)) => Arc::ptr_eq(last, here) || last == here,
            _ => false,
        }
    }
}
