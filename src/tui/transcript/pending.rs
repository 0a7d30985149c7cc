//! Messages that wait to be delivered.

use ratatui::text::Line;

use crate::protocol::{Content, Delivery, InputId};

use super::view::{View, headline};

/// Messages that are shown; of more there is a count.
const SHOWN: usize = 5;

/// Messages that wait, in the order in which they were written.
#[derive(Default)]
pub struct Pending(Vec<(InputId, Delivery, String)>);

impl Pending {
    pub fn add(&mut self, input: InputId, content: &[Content], delivery: Delivery) {
        let words = content.iter().map(|part| match part {
            Content::Text { text } => headline(text),
            Content::Image { .. } => "[image]".to_owned(),
            Content::Unknown(_) => "[something newer]".to_owned(),
        });
        self.0.push((input, delivery, words.collect::<Vec<_>>().join(" ")));
    }

    pub fn remove(&mut self, input: InputId) {
        self.0.retain(|(waiting, _, _)| *waiting != input);
    }

    pub fn rows(&self, view: &View<'_>) -> Vec<Line<'static>> {
        let theme = view.theme;
        let one = |(_, delivery, words): &(InputId, Delivery, String)| {
            let when = match delivery {
                Delivery::Steer => "after this step: ",
                Delivery::AfterTurn => "next: ",
            };
            view.row(vec![
                ("↳ ".to_owned(), theme.accent),
                (when.to_owned(), theme.dim),
                (words.clone(), theme.plain),
            ])
        };
        let mut rows: Vec<_> = self.0.iter().take(SHOWN).map(one).collect();
        if self.0.len() > SHOWN {
            rows.push(view.row(vec![(format!("  … +{} more", self.0.len() - SHOWN), theme.dim)]));
        }
        rows
    }
}
