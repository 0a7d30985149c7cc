//! What becomes of a text when it is sent: a message, a command, or a line for the shell.

use std::path::PathBuf;

use super::{Composer, Message, Reaction, State, buffer::Fragment, placeholder::image_label, undo::Cause};

/// What a text is.
enum Sent {
    Message,
    Shell,
    Command,
    /// It looks like a command, and there is none of that name.
    Unknown(String),
}

impl Composer {
    /// Enter: a new line behind a backslash, or the text is sent.
    pub(super) fn enter(&mut self) -> Reaction {
        let (at, body) = (self.buffer.cursor(), self.buffer.body());
        if body.slice(0..at).ends_with('\\') && body.element_over(at - 1).is_none() {
            self.undo.close();
            self.edit(at - 1..at, "\n".into(), Cause::Other);
            return Reaction::Consumed;
        }
        self.send(State::Idle)
    }

    /// Tab: the text is sent when the turn is over. Without a turn it means nothing.
    pub(super) fn queue(&mut self) -> Reaction {
        if self.running { self.send(State::Running) } else { Reaction::Ignored }
    }

    /// Takes a line that was written elsewhere, as if it stood here and was sent.
    pub fn say(&mut self, line: &str) -> Reaction {
        self.set_text(line);
        self.send(State::Idle)
    }

    fn send(&mut self, queued: State) -> Reaction {
        let body = self.buffer.body();
        if body.is_empty() {
            return Reaction::Ignored;
        }
        let whole = body.expanded(|_, typed| typed.to_owned());
        if whole.trim().is_empty() {
            return Reaction::Consumed;
        }
        match self.what(&body.text) {
            Sent::Message => {
                let message = self.take();
                if queued == State::Running { Reaction::Queue(message) } else { Reaction::Submit(message) }
            }
            Sent::Shell => {
                let line = whole.strip_prefix('!').unwrap_or(&whole).trim().to_owned();
                if line.is_empty() {
                    return Reaction::Consumed;
                }
                self.take();
                Reaction::Shell(line)
            }
            Sent::Command => {
                let line = whole.strip_prefix('/').unwrap_or(&whole);
                let (name, args) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
                let reaction = Reaction::Command { name: name.to_owned(), args: args.trim().to_owned() };
                self.take();
                reaction
            }
            Sent::Unknown(name) => {
                self.notice = Some(format!("no command /{name}; with a blank before it, it is sent as text"));
                Reaction::Consumed
            }
        }
    }

    fn what(&self, text: &str) -> Sent {
        if text.starts_with('!') {
            return Sent::Shell;
        }
        let Some(rest) = text.strip_prefix('/') else { return Sent::Message };
        let name = rest.split(char::is_whitespace).next().unwrap_or_default();
        let named = |char: char| char.is_alphanumeric() || matches!(char, '-' | '_' | ':' | '.');
        match () {
            () if self.commands.iter().any(|spec| spec.name == name) => Sent::Command,
            // A path, or a lone slash.
            () if name.is_empty() || !name.chars().all(named) => Sent::Message,
            () => Sent::Unknown(name.to_owned()),
        }
    }

    /// Takes the text as a message, and leaves the composer empty and without a past. It becomes the newest of
    /// the earlier messages.
    pub fn take(&mut self) -> Message {
        let body = self.buffer.body().clone();
        let mut images: Vec<PathBuf> = Vec::new();
        let text = body.expanded(|path, _| {
            let known = images.iter().position(|image| image == path);
            let index = known.unwrap_or_else(|| {
                images.push(path.clone());
                images.len() - 1
            });
            image_label(index + 1)
        });
        let message = Message { text: text.trim().to_owned(), images };
        self.buffer.replace(0..body.text.len(), &Fragment::default());
        self.undo = super::Undo::default();
        self.vim = self.vim.is_some().then(super::Vim::default);
        self.labels = super::Labels::default();
        (self.search, self.popup, self.dismissed, self.notice) = (None, None, None, None);
        self.burst.end();
        self.revision += 1;
        self.quiet = true;
        if !message.text.is_empty() {
            self.unsaved.push(message.text.clone());
            self.history.add(body);
        }
        message
    }

    /// What was sent since this was last asked, to be appended to the file ([`super::history::encode_line`]).
    pub fn take_unsaved(&mut self) -> Vec<String> {
        std::mem::take(&mut self.unsaved)
    }
}
