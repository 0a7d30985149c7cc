//! The line at the bottom: what runs, with what, how much room is left.

use std::path::PathBuf;

use ratatui::text::{Line, Span};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::protocol::{Cost, Settings, printable};
use crate::session::{ProcessState, Session};

use super::{
    settings::StatusItem,
    text::{Break, Prefix, Text},
    theme::Theme,
};

/// Rows that what was said last may take.
const SAID: usize = 3;

/// What is known before there is a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Ground {
    /// What the next session starts with.
    pub settings: Settings,
    pub workspace: PathBuf,
    /// With the home directory as `~`.
    pub directory: String,
    pub branch: Option<String>,
    /// The root of the project, with the home directory as `~`.
    pub project: String,
    /// The person's own settings file, in the same way.
    pub config: String,
    /// From which price on a request is foretold that the provider's cache has little of.
    pub dear: Cost,
}

impl Ground {
    /// What a session runs with, or else what the next one will.
    pub(super) fn settings_of<'a>(&'a self, session: &'a Session) -> &'a Settings {
        session.settings.as_ref().unwrap_or(&self.settings)
    }
}

/// The line, cut to the width. What was said last goes before everything else.
pub(super) fn line(parts: &[String], said: Option<&str>, width: u16, theme: &Theme) -> Line<'static> {
    let text = match said {
        Some(said) => return Line::from(Span::styled(cut(&printable(said), width), theme.warning)),
        None => parts.join(" · "),
    };
    Line::from(Span::styled(cut(&printable(&text), width), theme.dim))
}

/// What was said last, in a few rows at most.
pub(super) fn said(text: &str, width: u16, theme: &Theme) -> Vec<Line<'static>> {
    let text = printable(text).replace('\n', " ");
    let all = Text::of(&text, theme.warning).rows(width, Break::Words, &Prefix::none());
    let more = all.len() > SAID;
    let mut rows: Vec<Line<'static>> = all.into_iter().take(SAID).collect();
    if let (Some(last), true) = (rows.last_mut(), more) {
        *last = Line::styled(cut(&format!("{last} …"), width), theme.warning);
    }
    rows
}

/// What the keys do, as many as there is room for.
pub(super) fn hints(hints: &[(String, &'static str)], width: u16, theme: &Theme) -> Line<'static> {
    let mut text = String::new();
    for (key, what) in hints {
        let more = if text.is_empty() { format!("{key} {what}") } else { format!("{text} · {key} {what}") };
        if more.width() > usize::from(width) {
            break;
        }
        text = more;
    }
    Line::styled(text, theme.dim)
}

/// The usual parts, in the order of their worth.
pub(super) fn parts(session: &Session, ground: &Ground) -> Vec<String> {
    StatusItem::USUAL.into_iter().filter_map(|item| part(item, session, ground)).collect()
}

/// One part, if there is anything to say. The mode of Vim's keys is not the session's.
pub(super) fn part(item: StatusItem, session: &Session, ground: &Ground) -> Option<String> {
    match item {
        StatusItem::Vim => None,
        StatusItem::Model => {
            let settings = ground.settings_of(session);
            let effort = settings.effort.map(|effort| format!(" {effort}")).unwrap_or_default();
            Some(format!("{}{effort}", settings.model))
        }
        StatusItem::Context => {
            if session.counted.is_none() && session.compactions == 0 {
                return None;
            }
            let left =
                100u64.saturating_sub(session.used().saturating_mul(100) / session.limits().window.max(1));
            Some(format!("{left}% left"))
        }
        StatusItem::Tokens => {
            session.counted?;
            let usage = session.usage;
            let cached = match usage.cached {
                0 => String::new(),
                cached => format!(" ({} cached)", short(cached)),
            };
            Some(format!("{} tokens{cached}", short(usage.input + usage.output)))
        }
        StatusItem::Cost => session.usage.cost.map(|cost| cost.to_string()),
        StatusItem::Goal => goal(session),
        StatusItem::Sandbox => Some(ground.settings_of(session).sandbox.to_string()),
        StatusItem::Directory => Some(match &ground.branch {
            Some(branch) => format!("{} ({branch})", ground.directory),
            None => ground.directory.clone(),
        }),
        StatusItem::Processes => {
            let running = |process: &&crate::session::Process| process.state == ProcessState::Running;
            match session.processes.values().filter(running).count() {
                0 => None,
                count => Some(format!("{count} running")),
            }
        }
        StatusItem::Session => session.title.clone(),
    }
}

/// How the goal stands, and how much of what may be spent on it is.
fn goal(session: &Session) -> Option<String> {
    let goal = session.goal.as_ref()?;
    let used = match goal.goal.tokens {
        Some(most) if goal.is_active() => format!(" {}/{}", short(session.goal_tokens()), short(most)),
        _ => String::new(),
    };
    Some(format!("goal {}{used}", goal.status.in_words()))
}

/// 1234 as `1.2k`.
pub(super) fn short(count: u64) -> String {
    match count {
        0..=999 => count.to_string(),
        1_000..=999_999 => format!("{}.{}k", count / 1_000, count % 1_000 / 100),
        _ => format!("{}.{}M", count / 1_000_000, count % 1_000_000 / 100_000),
    }
}

/// The beginning of a text, with a mark where it does not fit.
fn cut(text: &str, width: u16) -> String {
    let text = text.replace('\n', " ");
    if text.width() <= usize::from(width) {
        return text;
    }
    let mut room = usize::from(width).saturating_sub(1);
    let head: String = text
        .chars()
        .take_while(|char| {
            let wide = char.width().unwrap_or(0);
            let fits = wide <= room;
            room = room.saturating_sub(wide);
            fits
        })
        .collect();
    head + "…"
}

#[cfg(test)]
impl Ground {
    /// What tests of the screen stand on.
    pub(super) fn sample() -> Self {
        use crate::protocol::{Approval, Limits, SandboxMode};
        Self {
            settings: Settings {
                model: crate::protocol::ModelRef { provider: "openai".into(), model: "gpt-5.5".into() },
                effort: None,
                verbosity: None,
                approval: Approval::OnRequest,
                sandbox: SandboxMode::WorkspaceWrite,
                backend: "local".into(),
                limits: Limits::new(100_000, 10_000),
                tools: crate::protocol::ToolStyle::Codex,
                price: None,
                snapshots: crate::protocol::Snapshots::Off,
                output_schema: None,
            },
            workspace: "/home/me/project".into(),
            directory: "~/project".into(),
            branch: None,
            project: "~/project".into(),
            config: "~/.config/agent/config.toml".into(),
            dear: Cost::try_from(0.5).unwrap(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_hints_are_shown() {
        let all = [("esc".to_owned(), "interrupt"), ("tab".to_owned(), "queue")];
        let at = |width| hints(&all, width, &Theme::plain()).to_string();
        assert_eq!(
            (at(80), at(24), at(23)),
            ("esc interrupt · tab queue".into(), "esc interrupt".into(), "esc interrupt".into())
        );
        assert_eq!((at(25), at(5)), ("esc interrupt · tab queue".into(), String::new()));
    }
}
