//! What the model says, while it says it and afterwards.

use std::sync::Arc;

use ratatui::text::Line;

use crate::protocol::Item;
use crate::tui::{
    term::Row,
    text::{Markdown, markdown::Root},
};

use super::view::View;

const MARK: &str = "• ";

/// A message of the model.
#[derive(Default)]
pub struct Assistant {
    /// What was not handed out yet.
    markdown: Option<Markdown>,
    /// All that came as deltas.
    streamed: String,
    /// Some of it stands in the scrollback.
    handed: bool,
    end: End,
}

#[derive(Default)]
enum End {
    /// It still comes.
    #[default]
    Open,
    Whole {
        item: Arc<Item>,
        /// What was handed out is not how it begins: parts were lost on the way.
        differs: bool,
    },
    /// It broke off after a part of it was handed out.
    Broken,
}

impl Assistant {
    /// A message that nobody saw coming.
    pub fn whole(item: &Arc<Item>) -> Self {
        Self { end: End::Whole { item: Arc::clone(item), differs: false }, ..Self::default() }
    }

    pub fn handed(&self) -> bool {
        self.handed
    }

    pub fn finished(&self) -> bool {
        !matches!(self.end, End::Open)
    }

    pub fn push(&mut self, text: &str, root: &Root) {
        self.streamed.push_str(text);
        self.markdown.get_or_insert_with(|| markdown(root)).push(text);
    }

    /// The message is whole: what it has beyond the deltas is added.
    pub fn finish(&mut self, item: &Arc<Item>, text: &str, root: &Root) {
        let rest = text.strip_prefix(self.streamed.as_str());
        match rest {
            Some(rest) => {
                let markdown = self.markdown.get_or_insert_with(|| markdown(root));
                markdown.push(rest);
                markdown.end();
            }
            // Nobody has seen what differs.
            None if !self.handed => self.markdown = None,
            None => self.end_markdown(),
        }
        self.streamed = String::new();
        self.end = End::Whole { item: Arc::clone(item), differs: rest.is_none() && self.handed };
    }

    /// It is not coming any more.
    pub fn break_off(&mut self) {
        self.markdown = None;
        self.streamed = String::new();
        self.end = End::Broken;
    }

    pub fn take(&mut self, view: &View<'_>) -> Vec<Row> {
        let text = self.text();
        if self.finished() && self.markdown.is_none() && !self.handed {
            self.markdown = Some(read(text.as_deref().unwrap_or_default(), &view.root()));
        }
        let mut rows = self
            .markdown
            .as_mut()
            .map(|markdown| markdown.finished_rows(view.width, view.theme))
            .unwrap_or_default();
        self.handed |= !rows.is_empty();
        if self.finished() {
            rows.extend(self.ending(view).into_iter().map(Row::from));
            self.markdown = None;
        }
        rows
    }

    pub fn live(&self, view: &View<'_>) -> Vec<Line<'static>> {
        let mut rows = match &self.markdown {
            Some(markdown) => markdown.tail(view.width, view.theme),
            None if self.handed => Vec::new(),
            None => read(&self.text().unwrap_or_default(), &view.root()).finished(view.width, view.theme),
        };
        rows.extend(self.ending(view));
        rows
    }

    pub fn full(&self, view: &View<'_>) -> Vec<Line<'static>> {
        let whole = match &self.end {
            End::Whole { .. } => self.text().unwrap_or_default(),
            End::Open | End::Broken => self.streamed.clone(),
        };
        // In full, each link says where it leads.
        let mut rows = read(&whole, &None).finished(view.width, view.theme);
        if !matches!(self.end, End::Whole { differs: true, .. }) {
            rows.extend(self.ending(view));
        }
        rows
    }

    /// What came so far of a message that still comes.
    pub fn streamed(&self) -> Option<&str> {
        matches!(self.end, End::Open).then_some(self.streamed.as_str())
    }

    /// The message as it was written, as far as it has come.
    pub fn words(&self) -> String {
        self.text().unwrap_or_else(|| self.streamed.clone())
    }

    fn text(&self) -> Option<String> {
        match &self.end {
            End::Whole { item, .. } => match &**item {
                Item::Assistant { text, .. } => Some(text.clone()),
                _ => None,
            },
            End::Open | End::Broken => None,
        }
    }

    /// What is said after the text about how it ended.
    fn ending(&self, view: &View<'_>) -> Vec<Line<'static>> {
        let note = |text: &str| Line::styled(format!("  {text}"), view.theme.dim);
        match &self.end {
            End::Open => Vec::new(),
            End::Broken => vec![note("the answer broke off and starts again")],
            End::Whole { item, differs } => {
                let mut rows = Vec::new();
                if *differs {
                    rows.push(note("parts were not shown while this came; here it is whole"));
                    rows.push(Line::default());
                    rows.extend(
                        read(&self.text().unwrap_or_default(), &None).finished(view.width, view.theme),
                    );
                }
                if matches!(**item, Item::Assistant { partial: true, .. }) {
                    rows.push(note("… cut off"));
                }
                rows
            }
        }
    }

    fn end_markdown(&mut self) {
        if let Some(markdown) = &mut self.markdown {
            markdown.end();
        }
    }
}

pub fn markdown(root: &Root) -> Markdown {
    Markdown::with_margin(MARK).linked(root.clone())
}

fn read(text: &str, root: &Root) -> Markdown {
    let mut markdown = markdown(root);
    markdown.push(text);
    markdown.end();
    markdown
}
