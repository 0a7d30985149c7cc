//! Which key does what, and what the composer makes of it.

use crossterm::event::KeyEvent;

use crate::protocol::{Command, Delivery, InputId, words};

use crate::tui::{
    action::Action,
    approval,
    composer::{Message, Reaction},
    host::Question,
    keymap::{self, Key, Layer},
    overlay::{self, Pager},
    status::short,
};

use super::{App, QUIT_MS, moment, send};

impl App {
    pub(super) fn key(&mut self, key: KeyEvent, now_ms: u64) -> Vec<Action> {
        if !self.overlays.is_empty() {
            return self.overlay_key(key, now_ms);
        }
        if self.playback.is_some() {
            return self.playback_key(key, now_ms);
        }
        if let Some(approval) = &mut self.approval {
            match approval.key(key, now_ms) {
                approval::Reaction::Consumed => return Vec::new(),
                approval::Reaction::Decide(asked, verdict) => {
                    return vec![Action::Send(asked.decide(verdict))];
                }
                approval::Reaction::Interrupt => return vec![self.leave_question()],
                approval::Reaction::Ignored => {}
            }
        } else {
            match self.composer.on_key(key) {
                Reaction::Ignored => {}
                reaction => return self.composed(reaction, now_ms),
            }
        }
        self.own_key(key, now_ms)
    }

    /// The topmost overlay is asked, and nobody below it, so that no key does what can't be seen.
    pub(super) fn overlay_key(&mut self, key: KeyEvent, now_ms: u64) -> Vec<Action> {
        let Some(mut overlay) = self.overlays.pop() else { return Vec::new() };
        let reaction = overlay.key(Key::from(key), &self.look(now_ms));
        match reaction {
            overlay::Reaction::Close(actions) => {
                if self.overlays.is_empty() {
                    self.appear(now_ms);
                }
                if matches!(actions[..], [Action::Ask(Question::WouldRewind { .. })]) {
                    self.said = Some("looking at what would change".to_owned());
                }
                return actions;
            }
            overlay::Reaction::Do(actions) => {
                self.overlays.push(overlay);
                return actions;
            }
            overlay::Reaction::Open(above) => self.overlays.extend([overlay, above]),
            overlay::Reaction::Consumed => self.overlays.push(overlay),
            overlay::Reaction::Ignored => {
                self.overlays.push(overlay);
                if self.keymap.action(Layer::Screen, Key::from(key)) == Some(keymap::Action::Suspend) {
                    return vec![Action::Suspend];
                }
            }
        }
        Vec::new()
    }

    /// Sends a message; first it is said what that costs, if it is much because the provider's cache has little of it.
    fn submit(&mut self, message: Message, now_ms: u64) -> Vec<Action> {
        let told = self.foretold.take().is_some_and(|text| text == message.text);
        // Pictures don't come back into the composer.
        if !told
            && self.session.turn.is_none()
            && message.images.is_empty()
            && let Some(said) = self.cold(now_ms)
        {
            self.composer.set_text(&message.text);
            self.foretold = Some(message.text);
            self.said = Some(said);
            return Vec::new();
        }
        vec![send(message, Delivery::Steer)]
    }

    /// What the next request costs, if that is much because the provider's cache has little of it.
    fn cold(&self, now_ms: u64) -> Option<String> {
        let cold = self.session.cold(moment(now_ms))?;
        let cost = cold.cost.filter(|cost| cost.nano_usd() >= self.ground.dear.nano_usd())?;
        Some(format!(
            "The provider's cache has little of this conversation ({}): {} tokens cost about {cost}. \
             Sent once more, it goes out; /compact first makes it smaller",
            cold.why,
            short(cold.tokens)
        ))
    }

    pub(super) fn composed(&mut self, reaction: Reaction, now_ms: u64) -> Vec<Action> {
        match reaction {
            Reaction::Consumed | Reaction::Ignored => Vec::new(),
            Reaction::Submit(message) => self.submit(message, now_ms),
            Reaction::Queue(message) => vec![send(message, Delivery::AfterTurn)],
            Reaction::Shell(command) => {
                if let Some(running) = &self.shell {
                    self.said = Some(format!("`{running}` still runs; Esc ends it"));
                    self.composer.set_text(&format!("!{command}"));
                    return Vec::new();
                }
                self.shell = Some(command.clone());
                vec![Action::Shell(command)]
            }
            Reaction::Editor => vec![Action::Edit(self.composer.draft())],
            Reaction::WantFiles(query) => vec![Action::Files(query)],
            Reaction::WantSkills => vec![Action::Ask(Question::Skills)],
            Reaction::Command { name, args } => self.command(&name, &args, now_ms),
        }
    }

    /// Keys that neither the question nor the composer wanted.
    pub(super) fn own_key(&mut self, key: KeyEvent, now_ms: u64) -> Vec<Action> {
        use keymap::Action as K;
        match self.keymap.action(Layer::Screen, Key::from(key)) {
            Some(K::Interrupt) if self.shell.is_some() => self.stop_shell(),
            Some(K::Interrupt) if self.session.turn.is_some() => vec![Action::Send(Command::Interrupt)],
            Some(K::Interrupt) if self.composer.is_empty() && self.approval.is_none() => self.escape(now_ms),
            Some(K::Leave) => self.control_c(now_ms),
            // A draft that a question hides is kept.
            Some(K::Quit) if self.composer.is_empty() || self.approval.is_some() => vec![Action::Quit],
            Some(K::Suspend) => vec![Action::Suspend],
            Some(K::Transcript) => {
                self.overlays.push(Box::new(Pager::new()));
                Vec::new()
            }
            Some(K::Retract) => self.take_back(),
            Some(K::PasteImage) if self.approval.is_none() => vec![Action::Clipboard],
            Some(K::Redraw) => vec![Action::Redraw],
            Some(K::Help) => self.help(),
            _ => Vec::new(),
        }
    }

    /// The first Esc warns, the second one goes back.
    pub(super) fn escape(&mut self, now_ms: u64) -> Vec<Action> {
        if self.back_until_ms.take().is_some_and(|until| now_ms < until) {
            self.rewind();
        } else if self.session.said().next().is_some() {
            self.back_until_ms = Some(now_ms + QUIT_MS);
            self.said = Some("Esc again goes back to an earlier message".to_owned());
        }
        Vec::new()
    }

    /// Clears what was typed; then stops what runs; then warns; then quits.
    pub(in crate::tui) fn control_c(&mut self, now_ms: u64) -> Vec<Action> {
        if self.playback.is_some() {
            return vec![Action::Quit];
        }
        if !self.composer.is_empty() && self.approval.is_none() {
            self.composer.set_text("");
            return Vec::new();
        }
        if self.shell.is_some() {
            return self.stop_shell();
        }
        if self.session.turn.is_some() && self.approval.is_none() {
            return vec![Action::Send(Command::Interrupt)];
        }
        if self.quit_until_ms.is_some_and(|until| now_ms < until) {
            return vec![Action::Quit];
        }
        self.quit_until_ms = Some(now_ms + QUIT_MS);
        let key = self.keymap.hint(keymap::Action::Leave).map(|(key, _)| key).unwrap_or_default();
        self.said = Some(format!("{key} again quits; the session is kept"));
        Vec::new()
    }

    pub(super) fn stop_shell(&mut self) -> Vec<Action> {
        self.said = self.shell.take().map(|command| format!("`{command}` was ended, and the model not told"));
        vec![Action::StopShell]
    }

    /// Takes the last message that waits back into the composer.
    pub(super) fn take_back(&mut self) -> Vec<Action> {
        let Some(queued) = self.session.queue.back() else { return Vec::new() };
        self.composer.set_text(&words(&queued.content));
        let InputId(_) = queued.input;
        vec![Action::Send(Command::Retract { input: queued.input })]
    }
}
