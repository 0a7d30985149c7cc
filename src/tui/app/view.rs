//! What is drawn, and what is told besides: hints, the status, the title, the farewell.

use ratatui::text::Line;

use crate::protocol::{Outcome, Usage, grouped};

use crate::tui::{
    asked::Asked,
    composer, keymap,
    overlay::{self, Place},
    settings::StatusItem,
    status,
    term::Size,
};

use super::{App, HINTED, Live};

impl App {
    /// How the last turn failed, if it did.
    pub(in crate::tui) fn last_error(&self) -> Option<String> {
        match &self.session.outcome {
            Some(Outcome::Failed { kind, message }) => Some(format!("{kind}: {message}")),
            _ => None,
        }
    }

    /// What the keys do now. Questions and views tell it themselves.
    pub(super) fn hints(&self) -> Vec<(String, &'static str)> {
        use keymap::Action as K;
        if let (Some(playback), true) = (&self.playback, self.overlays.is_empty()) {
            return playback.hints();
        }
        if self.approval.is_some() || !self.overlays.is_empty() {
            return Vec::new();
        }
        let running = self.session.turn.is_some();
        let state = if running { composer::State::Running } else { composer::State::Idle };
        let own: &[(K, &'static str)] = match (running, self.composer.is_empty()) {
            _ if self.composer.is_choosing() => &[],
            (true, true) => &[(K::Interrupt, "interrupt"), (K::Transcript, "transcript"), (K::Help, "help")],
            (true, false) => &[(K::Interrupt, "interrupt")],
            (false, true) => &[(K::Transcript, "transcript"), (K::Help, "help")],
            (false, false) => &[],
        };
        let own = own.iter().filter_map(|(action, what)| self.keymap.hint_as(*action, what));
        self.composer.hints(state).into_iter().chain(own).collect()
    }

    pub(super) fn status(&self) -> Vec<String> {
        if let Some(playback) = &self.playback {
            return playback.status(&self.session);
        }
        let part = |item: &StatusItem| match item {
            StatusItem::Vim => self.composer.mode().map(str::to_owned),
            item => status::part(*item, &self.session, &self.ground),
        };
        self.status_line.iter().filter_map(part).collect()
    }

    /// Whether something moves by itself, so that time has to be shown.
    pub(in crate::tui) fn animated(&self) -> bool {
        if let Some(playback) = &self.playback {
            // A clock that stands still moves nothing.
            return playback.plays() || self.overlays.last().is_some_and(|overlay| overlay.lives());
        }
        self.session.turn.is_some() && self.approval.is_none()
            || self.quit_until_ms.or(self.back_until_ms).is_some()
            || self.overlays.last().is_some_and(|overlay| overlay.lives())
    }

    /// What the session is called, or else where it is.
    pub(in crate::tui) fn name(&self) -> String {
        match &self.session.title {
            Some(title) => title.clone(),
            None => {
                let directory = self.ground.directory.as_str();
                directory.rsplit('/').find(|part| !part.is_empty()).unwrap_or(directory).to_owned()
            }
        }
    }

    /// The title of the window: the name, and what goes on.
    pub(in crate::tui) fn title(&self) -> String {
        let state = match (&self.approval, &self.session.turn) {
            _ if self.secret.is_some() => "needs a password",
            (Some(_), _) => "needs approval",
            (None, Some(_)) => "working",
            (None, None) => "ready",
        };
        format!("{} · {state} · agent", self.name())
    }

    /// What is on the whole terminal, if an overlay takes it.
    pub(in crate::tui) fn full(&mut self, size: Size, now_ms: u64) -> Option<Live> {
        let overlay = self.overlays.last()?;
        if overlay.place() != Place::Full {
            return None;
        }
        let Some(word) = self.word() else {
            let page = self.draw_overlay(size, now_ms)?;
            return Some(Live { rows: page.rows, cursor: page.cursor });
        };
        let less = Size { rows: size.rows.saturating_sub(1).max(1), ..size };
        let page = self.draw_overlay(less, now_ms)?;
        let mut rows = page.rows;
        rows.push(status::line(&[], Some(&word), size.columns, &self.theme));
        Some(Live { rows, cursor: page.cursor })
    }

    /// What a person must not miss who looks at something else.
    pub(super) fn word(&self) -> Option<String> {
        let waits = self.approval.is_some() && !self.overlays.is_empty() && self.playback.is_none();
        let asks = || "An approval waits for you: Esc shows it".to_owned();
        waits.then(asks).or_else(|| self.said.clone())
    }

    pub(super) fn draw_overlay(&mut self, size: Size, now_ms: u64) -> Option<overlay::Page> {
        let mut overlay = self.overlays.pop()?;
        let page = overlay.draw(size, &self.look(now_ms));
        self.overlays.push(overlay);
        Some(page)
    }

    /// The rows below what is printed, at most `max_rows`.
    pub(in crate::tui) fn live(&mut self, width: u16, max_rows: u16, now_ms: u64) -> Live {
        let size = Size { columns: width, rows: max_rows.saturating_sub(2).max(1) };
        let page = self.draw_overlay(size, now_ms);
        let (mut below, cursor) = match (page, &mut self.approval) {
            (Some(page), _) => (page.rows, page.cursor),
            (None, Some(approval)) => {
                let more = Asked::count(&self.session).saturating_sub(1);
                approval.draw(width, max_rows.saturating_sub(2), &self.theme, more)
            }
            (None, None) if self.playback.is_some() => (Vec::new(), None),
            (None, None) => {
                let drawn = self.composer.draw(width, (max_rows / 2).max(1), &self.theme);
                let mut rows = drawn.lines;
                rows.extend(drawn.popup);
                (rows, Some(drawn.cursor))
            }
        };
        let key = self
            .keymap
            .hint_as(keymap::Action::Interrupt, "ends it")
            .map(|(key, what)| format!(" · {key} {what}"));
        let key = key.unwrap_or_default();
        let running = self.shell.as_ref().map(|command| format!("running `{command}` as you{key}"));
        let said = self.word().or(running);
        match said {
            Some(said) => below.extend(status::said(&said, width, &self.theme)),
            None => below.push(status::line(&self.status(), None, width, &self.theme)),
        }
        if max_rows >= HINTED {
            let hints = self.hints();
            if !hints.is_empty() {
                below.push(status::hints(&hints, width, &self.theme));
            }
        }
        let room = usize::from(max_rows).saturating_sub(below.len() + 1);
        let room = u16::try_from(room).unwrap_or(u16::MAX);
        let now = i64::try_from(self.clock(now_ms)).unwrap_or(i64::MAX);
        let mut rows = self.transcript.live(width, room, &self.theme, now);
        rows.push(Line::default());
        let above = u16::try_from(rows.len()).unwrap_or(u16::MAX);
        rows.extend(below);
        Live { rows, cursor: cursor.map(|(column, row)| (column, above.saturating_add(row))) }
    }

    /// What is said when the screen is left: tokens and cost, the id, and how to go on.
    pub(in crate::tui) fn farewell(&self) -> Option<String> {
        let id = self.session.id?;
        let Usage { input, cached, output, cost, .. } = self.session.usage;
        let [input, cached, output] = [input, cached, output].map(grouped);
        let cost = cost.map(|cost| format!(", {cost}")).unwrap_or_default();
        let waits = match &self.session.outcome {
            _ if self.session.asked().next().is_some() => "\nAn approval is pending; it will be asked again.",
            Some(Outcome::Failed { .. }) => "\nThe last turn failed.",
            _ => "",
        };
        Some(format!(
            "Tokens: {input} in ({cached} cached), {output} out{cost}{waits}\nTo go on with this session: agent resume {id}"
        ))
    }
}
