//! What has changed: the files with their counts, and the lines of the one that was chosen.
//!
//! In a work tree of git it is the difference to the last commit, whoever made it; the session's own patches are
//! shown beside that, or alone.

use crossterm::event::{KeyCode, KeyModifiers};
use ratatui::text::{Line, Span};

use crate::protocol::{FileOperation, PatchedFile};
use crate::tui::{
    host::{Answer, Question, WorkTree},
    keymap::Key,
    term::Size,
    text::{Break, Prefix, Text, diff, plain},
    theme::Theme,
    transcript::Transcript,
};

use super::{Look, Overlay, Page, Place, Reaction, fit, hints};

/// The changes of a session.
#[derive(Default)]
pub(in crate::tui) struct Changes {
    source: Source,
    tree: Tree,
    asked: bool,
    /// The answer has not come yet.
    waits: bool,
    /// The file whose lines are shown.
    file: usize,
    /// First row of its lines that is shown.
    top: usize,
    rows: usize,
    page: usize,
    laid: Option<Laid>,
}

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Source {
    /// The work tree, where there is one.
    #[default]
    Tree,
    Patches,
}

#[derive(Default)]
enum Tree {
    #[default]
    Unknown,
    Known(WorkTree),
    /// Why there is none.
    None(String),
}

/// The lines of a file, laid out.
struct Laid {
    diff: String,
    width: u16,
    rows: Vec<Line<'static>>,
}

impl Changes {
    pub(in crate::tui) fn new() -> Self {
        Self { page: 1, waits: true, ..Self::default() }
    }

    /// What is shown, in words, and the files.
    fn shown(&self, look: &Look<'_>) -> (String, Vec<PatchedFile>) {
        match (self.source, &self.tree) {
            (Source::Tree, Tree::Known(tree)) => {
                let more =
                    if tree.left_out == 0 { String::new() } else { format!(" and {} more", tree.left_out) };
                let again = if self.waits { ": asking git again…" } else { "" };
                (format!("work tree against {}{more}{again}", tree.base), tree.files.clone())
            }
            (Source::Tree, Tree::Unknown) => ("work tree: asking git…".to_owned(), Vec::new()),
            (Source::Tree, Tree::None(why)) => {
                (format!("this session's patches ({why})"), of_session(look.transcript))
            }
            (Source::Patches, _) => ("this session's patches".to_owned(), of_session(look.transcript)),
        }
    }

    fn choose(&mut self, file: usize) {
        (self.file, self.top) = (file, 0);
    }

    /// Drawing finds the end.
    fn scroll(&mut self, rows: usize, back: bool) {
        self.top = if back { self.top.saturating_sub(rows) } else { self.top.saturating_add(rows) };
    }

    fn lines(&mut self, file: &PatchedFile, width: u16, theme: &Theme) -> &[Line<'static>] {
        let same = self.laid.as_ref().is_some_and(|laid| laid.width == width && laid.diff == file.diff);
        if !same {
            self.laid = None;
        }
        let laid = self.laid.get_or_insert_with(|| {
            let (rows, _) = diff::rows(&file.diff, usize::MAX, width, theme);
            Laid { diff: file.diff.clone(), width, rows }
        });
        &laid.rows
    }
}

impl Overlay for Changes {
    fn place(&self) -> Place {
        Place::Full
    }

    fn key(&mut self, key: Key, look: &Look<'_>) -> Reaction {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let last = self.shown(look).1.len().saturating_sub(1);
        match key.code {
            KeyCode::Char('c') if control => return Reaction::Close(Vec::new()),
            _ if control => return Reaction::Ignored,
            KeyCode::Esc | KeyCode::Char('q') => return Reaction::Close(Vec::new()),
            KeyCode::Up | KeyCode::Char('k') => self.scroll(1, true),
            KeyCode::Down | KeyCode::Char('j') => self.scroll(1, false),
            KeyCode::PageUp | KeyCode::Char('b') => self.scroll(self.page, true),
            KeyCode::PageDown | KeyCode::Char(' ') => self.scroll(self.page, false),
            KeyCode::Home | KeyCode::Char('g') => self.top = 0,
            KeyCode::End | KeyCode::Char('G') => self.top = usize::MAX,
            KeyCode::Tab if key.modifiers.is_empty() => self.choose((self.file + 1).min(last)),
            KeyCode::Right | KeyCode::Char('n') => self.choose((self.file + 1).min(last)),
            KeyCode::Tab | KeyCode::Left | KeyCode::Char('p') => self.choose(self.file.saturating_sub(1)),
            KeyCode::Char('s') => {
                self.source = if self.source == Source::Tree { Source::Patches } else { Source::Tree };
                self.choose(0);
            }
            KeyCode::Char('r') => (self.asked, self.waits) = (false, true),
            _ => return Reaction::Ignored,
        }
        Reaction::Consumed
    }

    fn wants(&mut self, look: &Look<'_>) -> Vec<Question> {
        if std::mem::replace(&mut self.asked, true) {
            Vec::new()
        } else {
            vec![Question::WorkTree { folder: look.workspace().to_owned() }]
        }
    }

    fn answer(&mut self, answer: &Answer) {
        match answer {
            Answer::WorkTree(tree) => self.tree = Tree::Known(tree.clone()),
            Answer::Failed { question: Question::WorkTree { .. }, problem } => {
                self.tree = Tree::None(problem.clone());
            }
            _ => return,
        }
        self.waits = false;
    }

    fn draw(&mut self, size: Size, look: &Look<'_>) -> Page {
        let (theme, width) = (look.theme, size.columns);
        let (what, files) = self.shown(look);
        self.file = self.file.min(files.len().saturating_sub(1));
        let sum = |of: fn(&PatchedFile) -> u32| files.iter().map(|file| u64::from(of(file))).sum::<u64>();
        let count = if files.len() == 1 { "1 file".to_owned() } else { format!("{} files", files.len()) };
        let head = Line::from(vec![
            Span::styled(format!("{count} "), theme.strong),
            Span::styled(format!("+{}", sum(|file| file.added)), theme.added),
            Span::styled(format!(" -{}", sum(|file| file.removed)), theme.removed),
            Span::styled(format!(" · {}", plain::plain(&what)), theme.dim),
        ]);
        let mut rows = vec![fit(head, width)];
        let room = (usize::from(size.rows) / 4).max(1);
        let first = (self.file + 1).saturating_sub(room);
        for (index, file) in files.iter().enumerate().skip(first).take(room) {
            rows.push(fit(name(file, index == self.file, look), width));
        }
        rows.push(Line::styled("─".repeat(usize::from(width)), theme.dim));
        self.page = usize::from(size.rows).saturating_sub(rows.len() + 1).max(1);
        let page = self.page;
        let body = match files.get(self.file) {
            Some(file) => {
                let all = self.lines(file, width, theme).len();
                self.rows = all;
                self.top = self.top.min(all.saturating_sub(page));
                let top = self.top;
                self.lines(file, width, theme).iter().skip(top).take(page).cloned().collect()
            }
            None if matches!((self.source, &self.tree), (Source::Tree, Tree::Unknown)) => Vec::new(),
            None => Text::of("Nothing has changed.", theme.dim).rows(width, Break::Words, &Prefix::default()),
        };
        rows.extend(body);
        rows.resize(usize::from(size.rows).saturating_sub(1), Line::default());
        let place = format!("{}/{}", (self.top + page).min(self.rows), self.rows);
        let other = match (self.source, &self.tree) {
            (_, Tree::Unknown | Tree::None(_)) => None,
            (Source::Tree, Tree::Known(_)) => Some("s patches"),
            (Source::Patches, Tree::Known(_)) => Some("s work tree"),
        };
        let keys = [
            Some("n p file"),
            Some("q close"),
            other,
            Some(place.as_str()),
            Some("↑↓ scroll"),
            Some("r again"),
        ];
        rows.push(hints(keys.into_iter().flatten(), width, theme));
        Page { rows, cursor: None }
    }
}

/// The row of a file.
fn name(file: &PatchedFile, chosen: bool, look: &Look<'_>) -> Line<'static> {
    let theme = look.theme;
    let path = |path: &std::path::Path| {
        let short = path.strip_prefix(look.workspace()).unwrap_or(path);
        plain::plain(&short.to_string_lossy()).into_owned()
    };
    let to = file.moved_to.as_ref().map(|to| format!(" → {}", path(to))).unwrap_or_default();
    let (letter, style) = match file.operation {
        FileOperation::Add => ("A", theme.added),
        FileOperation::Delete => ("D", theme.removed),
        FileOperation::Update | FileOperation::Overwrite | FileOperation::Unknown => ("M", theme.warning),
    };
    Line::from(vec![
        Span::styled(if chosen { "▸ " } else { "  " }, theme.accent),
        Span::styled(format!("{letter} "), style),
        Span::styled(format!("+{}", file.added), theme.added),
        Span::styled(format!(" -{} ", file.removed), theme.removed),
        Span::styled(format!("{}{to}", path(&file.path)), if chosen { theme.strong } else { theme.plain }),
    ])
}

/// The patches of a session by file, in the order in which each was first changed.
fn of_session(transcript: &Transcript) -> Vec<PatchedFile> {
    let mut files: Vec<PatchedFile> = Vec::new();
    for patched in transcript.patches() {
        match files.iter_mut().find(|file| file.path == patched.path) {
            None => files.push(patched.clone()),
            Some(file) => {
                file.operation = match (file.operation, patched.operation) {
                    (_, FileOperation::Delete) => FileOperation::Delete,
                    (FileOperation::Delete, _) => FileOperation::Update,
                    (first, _) => first,
                };
                file.moved_to.clone_from(&patched.moved_to);
                file.added = file.added.saturating_add(patched.added);
                file.removed = file.removed.saturating_add(patched.removed);
                file.diff.push_str(&patched.diff);
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tui::overlay::testing::Stage;

    fn stage() -> Stage {
        let mut stage = Stage::new();
        let file = |path: &str, operation: &str, diff: &str| {
            json!({"path": path, "operation": operation, "added": 1, "removed": u32::from(operation != "add"),
                   "diff": diff})
        };
        stage.result(&json!({"type": "patch", "files": [
            file("/w/src/a.rs", "update", "@@ -1,2 +1,2 @@\n-one\n+ONE\n two\n"),
            file("/w/new\u{202e}.txt", "add", "@@ -0,0 +1 @@\n+hello\n"),
        ]}));
        stage.result(&json!({"type": "patch", "files": [
            file("/w/src/a.rs", "update", "@@ -9 +9 @@\n-nine\n+NINE\n"),
        ]}));
        stage
    }

    fn asks() -> Question {
        Question::WorkTree { folder: "/w".into() }
    }

    fn tree() -> WorkTree {
        let file = |name: &str, operation, diff: &str| PatchedFile {
            path: name.into(),
            operation,
            moved_to: None,
            added: 2,
            removed: 0,
            diff: diff.to_owned(),
        };
        WorkTree {
            base: "the last commit".into(),
            files: vec![
                file("src/a.rs", FileOperation::Update, "@@ -1 +1,2 @@\n+zero\n one\n"),
                file(
                    "long.txt",
                    FileOperation::Add,
                    &(1..=50).map(|n| format!("+line {n}\n")).collect::<String>(),
                ),
            ],
            left_out: 0,
        }
    }

    #[test]
    fn without_git_the_patches_of_the_session_are_shown_by_file() {
        let stage = stage();
        let mut view = Changes::new();
        assert_eq!((view.wants(&stage.look()), view.wants(&stage.look())), (vec![asks()], vec![]));
        assert!(stage.draw(&mut view, 80, 24).contains("work tree: asking git…"));
        let problem = "this is no git work tree".to_owned();
        view.answer(&Answer::Failed { question: asks(), problem });
        insta::assert_snapshot!(stage.draw(&mut view, 80, 24), @r"
        2 files +3 -2 · this session's patches (this is no git work tree)
        ▸ M +2 -2 src/a.rs
          A +1 -0 new\u{202e}.txt
        ────────────────────────────────────────────────────────────────────────────────
         1 -one
         1 +ONE
         2  two
           ⋮
         9 -nine
         9 +NINE













        n p file · q close · 6/6 · ↑↓ scroll · r again
        ");
        stage.press(&mut view, "n");
        insta::assert_snapshot!(stage.draw(&mut view, 40, 12), @r"
        2 files +3 -2 · this session's patches …
          M +2 -2 src/a.rs
        ▸ A +1 -0 new\u{202e}.txt
        ────────────────────────────────────────
         1 +hello






        n p file · q close · 1/1 · ↑↓ scroll
        ");
    }

    #[test]
    fn a_work_tree_is_shown_first_and_the_patches_on_a_key() {
        let stage = stage();
        let mut view = Changes::new();
        view.answer(&Answer::WorkTree(tree()));
        let first = stage.draw(&mut view, 40, 12);
        assert!(first.starts_with("2 files +4 -0 · work tree against the l…\n▸ M +2 -0 src/a.rs"), "{first}");
        assert!(first.contains(" 1 +zero\n 2  one\n"), "{first}");
        stage.press(&mut view, "⇥↓");
        let second = stage.draw(&mut view, 80, 24);
        assert!(second.contains("▸ A +2 -0 long.txt") && second.contains("\n 2 +line 2\n"), "{second}");
        assert!(!second.contains("+line 1\n"), "{second}");
        stage.press(&mut view, "GGs");
        assert!(stage.draw(&mut view, 80, 24).contains("this session's patches"));
        stage.press(&mut view, "sr");
        assert_eq!(view.wants(&stage.look()), [asks()]);
        assert!(stage.draw(&mut view, 100, 24).contains("the last commit: asking git again…"));
        view.answer(&Answer::WorkTree(tree()));
        assert!(!stage.draw(&mut view, 100, 24).contains("asking git"));
    }

    #[test]
    fn nothing_has_changed_at_first() {
        let stage = Stage::new();
        let mut view = Changes::new();
        view.answer(&Answer::Failed { question: asks(), problem: "git is not installed".into() });
        let drawn = stage.draw(&mut view, 40, 12);
        assert!(drawn.starts_with("0 files +0 -0") && drawn.contains("\nNothing has changed.\n"), "{drawn}");
        stage.press(&mut view, "n↓Gp⇥");
    }
}
