//! The modes that are switched on for as long as the program has the terminal, and messages to the terminal
//! itself: title, notice, clipboard. Bytes only.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use base64::Engine as _;

use super::{
    caps::{Caps, Notices},
    encode::{FULL_LEAVE, SHOW, SYNC_END, WRAP_ON},
    row::gate,
};

/// Keys are told apart that share a byte otherwise, with what they are unshifted. Each screen has its own stack.
pub(super) const KEYS_PUSH: &str = "\x1b[>5u";
pub(super) const KEYS_POP: &str = "\x1b[<u";
const PASTE_ON: &str = "\x1b[?2004h";
const PASTE_OFF: &str = "\x1b[?2004l";
const FOCUS_ON: &str = "\x1b[?1004h";
const FOCUS_OFF: &str = "\x1b[?1004l";
const TITLE_PUSH: &str = "\x1b[22;0t";
const TITLE_POP: &str = "\x1b[23;0t";

/// What has to be undone, shared by the screen that changes it and the guard that undoes it.
#[derive(Debug, Clone, Default)]
pub struct Keep(Arc<Kept>);

#[derive(Debug, Default)]
struct Kept {
    on: AtomicBool,
    full: AtomicBool,
    keyboard: AtomicBool,
}

impl Keep {
    pub(super) fn set_full(&self, full: bool) {
        self.0.full.store(full, Ordering::SeqCst);
    }

    pub(super) fn is_on(&self) -> bool {
        self.0.on.load(Ordering::SeqCst)
    }

    /// What switches the modes on. Nothing, if they are.
    pub(super) fn enter(&self, caps: &Caps) -> String {
        if self.0.on.swap(true, Ordering::SeqCst) {
            return String::new();
        }
        self.0.keyboard.store(caps.keyboard, Ordering::SeqCst);
        let keys = if caps.keyboard { KEYS_PUSH } else { "" };
        [TITLE_PUSH, PASTE_ON, FOCUS_ON, keys].concat()
    }

    /// What undoes it, from whatever state, also in the middle of a frame. Nothing, if they are off.
    pub(super) fn leave(&self) -> String {
        if !self.0.on.swap(false, Ordering::SeqCst) {
            return String::new();
        }
        let keys = if self.0.keyboard.load(Ordering::SeqCst) { KEYS_POP } else { "" };
        // The string terminator ends whatever sequence was cut off.
        let mut bytes = format!("\x1b\\{SYNC_END}\x1b[m{WRAP_ON}");
        if self.0.full.swap(false, Ordering::SeqCst) {
            bytes.push_str(keys);
            bytes.push_str(FULL_LEAVE);
        }
        bytes + keys + FOCUS_OFF + PASTE_OFF + TITLE_POP + SHOW
    }
}

/// Sets the title of the window.
#[must_use]
pub fn title(text: &str) -> String {
    format!("\x1b]2;{}\x1b\\", clean(text, 200))
}

/// Tells the person that something happened, in the way of the terminal. For when it has not the focus.
#[must_use]
pub fn notice(caps: &Caps, text: &str) -> String {
    // A notice that begins with a number would be a progress bar to some.
    let text = clean(text, 200);
    match caps.notices {
        Notices::Bell => "\u{7}".to_owned(),
        Notices::Osc9 => format!("\x1b]9;agent: {text}\x1b\\"),
        Notices::Osc99 => format!("\x1b]99;;{text}\x1b\\"),
        Notices::Osc777 => format!("\x1b]777;notify;agent;{}\x1b\\", text.replace(';', ",")),
    }
}

/// How much [`copy`] puts into the clipboard, encoded. Terminals drop or cut more, and some a good deal less.
pub const COPY_LIMIT: usize = 100_000;

/// Puts a text into the clipboard of the terminal, also over SSH. Nothing, if it is too much.
#[must_use]
pub fn copy(text: &str) -> Option<String> {
    if text.len() > COPY_LIMIT / 4 * 3 {
        return None;
    }
    let encoded = base64::engine::general_purpose::STANDARD.encode(text);
    Some(format!("\x1b]52;c;{encoded}\x1b\\"))
}

fn clean(text: &str, chars: usize) -> String {
    let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(chars).collect();
    gate(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_undone_once_and_in_reverse() {
        let keep = Keep::default();
        let caps = Caps { keyboard: true, ..Caps::default() };
        assert_eq!(keep.leave(), "");
        assert_eq!(keep.enter(&caps), "\x1b[22;0t\x1b[?2004h\x1b[?1004h\x1b[>5u");
        assert_eq!(keep.enter(&caps), "");
        let main = "\x1b\\\x1b[?2026l\x1b[m\x1b[?7h\x1b[<u\x1b[?1004l\x1b[?2004l\x1b[23;0t\x1b[?25h";
        assert_eq!(keep.leave(), main);
        assert_eq!(keep.leave(), "");

        keep.enter(&caps);
        keep.set_full(true);
        assert_eq!(keep.leave(), main.replace("\x1b[<u", "\x1b[<u\x1b[?1049l\x1b[<u"));
    }

    #[test]
    fn what_is_told_to_the_terminal_is_clean_and_bounded() {
        let hostile = "a\x1b]52;c;AAAA\x07\u{9c}\n\tb\u{202e}";
        assert_eq!(title(hostile), "\x1b]2;a␛]52;c;AAAA␇▯ b▯\x1b\\");
        assert!(title(&"x".repeat(10_000)).len() < 300);
        let by = |notices| notice(&Caps { notices, ..Caps::default() }, "4;1;50");
        assert_eq!(by(Notices::Bell), "\u{7}");
        assert_eq!(by(Notices::Osc9), "\x1b]9;agent: 4;1;50\x1b\\");
        assert_eq!(by(Notices::Osc99), "\x1b]99;;4;1;50\x1b\\");
        assert_eq!(by(Notices::Osc777), "\x1b]777;notify;agent;4,1,50\x1b\\");
        assert_eq!(copy("hi").as_deref(), Some("\x1b]52;c;aGk=\x1b\\"));
        assert_eq!(copy(&"x".repeat(COPY_LIMIT)), None);
    }
}
