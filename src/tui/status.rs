//! The line at the bottom: what runs, with what, how much room is left.

use std::path::PathBuf;

use ratatui::text::{Line, Span};

use crate::protocol::{Settings, printable};
use crate::session::{ProcessState, Session};

use super::theme::Theme;

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
}

impl Ground {
    /// What a session runs with, or else what the next one will.
    pub(super) fn settings_of<'a>(&'a self, session: &'a Session) -> &'a Settings {
        session.settings.as_ref().unwrap_or(&self.settings)
    }
}

/// The line, cut to the width. What was said last goes before everything else.
pub(super) fn line(
    session: &Session,
    ground: &Ground,
    said: Option<&str>,
    width: u16,
    theme: &Theme,
) -> Line<'static> {
    let text = match said {
        Some(said) => return Line::from(Span::styled(cut(&printable(said), width), theme.warning)),
        None => parts(session, ground).join(" · "),
    };
    Line::from(Span::styled(cut(&printable(&text), width), theme.dim))
}

/// The parts in the order of their worth.
pub(super) fn parts(session: &Session, ground: &Ground) -> Vec<String> {
    let mut parts = Vec::new();
    let settings = ground.settings_of(session);
    let effort = settings.effort.map(|effort| format!(" {effort}")).unwrap_or_default();
    parts.push(format!("{}{effort}", settings.model));
    if let (Some(counted), Some(settings)) = (session.counted, &session.settings) {
        let used = counted.usage.input + counted.usage.output;
        let left = 100u64.saturating_sub(used.saturating_mul(100) / settings.limits.window.max(1));
        parts.push(format!("{left}% left"));
        parts.push(format!("{} tokens", short(session.usage.input + session.usage.output)));
    }
    parts.push(
        session.settings.as_ref().map_or(ground.settings.sandbox, |settings| settings.sandbox).to_string(),
    );
    let directory = match &ground.branch {
        Some(branch) => format!("{} ({branch})", ground.directory),
        None => ground.directory.clone(),
    };
    parts.push(directory);
    let running = session.processes.values().filter(|process| process.state == ProcessState::Running).count();
    if running > 0 {
        parts.push(format!("{running} running"));
    }
    parts
}

/// 1234 as `1.2k`.
pub(super) fn short(count: u64) -> String {
    match count {
        0..=999 => count.to_string(),
        1_000..=999_999 => format!("{}.{}k", count / 1_000, count % 1_000 / 100),
        _ => format!("{}.{}M", count / 1_000_000, count % 1_000_000 / 100_000),
    }
}

fn cut(text: &str, width: u16) -> String {
    use unicode_width::UnicodeWidthChar as _;
    let mut room = usize::from(width);
    text.replace('\n', " ")
        .chars()
        .take_while(|char| {
            let wide = char.width().unwrap_or(0);
            let fits = wide <= room;
            room = room.saturating_sub(wide);
            fits
        })
        .collect()
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
                limits: Limits { window: 100_000, tool_output: 10_000 },
                output_schema: None,
            },
            workspace: "/home/me/project".into(),
            directory: "~/project".into(),
            branch: None,
            project: "~/project".into(),
            config: "~/.config/agent/config.toml".into(),
        }
    }
}
