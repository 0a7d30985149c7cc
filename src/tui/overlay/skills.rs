//! The skills that there are: choosing one puts its name into what is being written.

use crate::tui::{
    action::Action,
    host::{Answer, KnownSkill, Question},
    keymap::Key,
    term::Size,
};

use super::{
    Look, Overlay, Page, Place, Reaction,
    menu::{Entry, Menu},
};

/// Problems that are shown.
const PROBLEMS: usize = 3;

/// The list.
pub(in crate::tui) struct Skills {
    menu: Menu<String>,
}

impl Skills {
    pub(in crate::tui) fn new() -> Self {
        Self { menu: Menu::new("Skills", Vec::new()).about("Looking for skills…").filtered() }
    }

    fn list(&mut self, skills: &[KnownSkill], problems: &[String]) {
        let entry = |skill: &KnownSkill| {
            let about = format!("{} ({})", skill.about, skill.origin);
            Entry::new(skill.name.clone(), &format!("${}", skill.name)).about(&about)
        };
        let mut about = match skills.is_empty() {
            true => "There are none.".to_owned(),
            false => "The model takes one up when it fits; a message with its $name makes it.".to_owned(),
        };
        for problem in problems.iter().take(PROBLEMS) {
            about = format!("{about} {problem}.");
        }
        if let Some(more) = problems.len().checked_sub(PROBLEMS).filter(|more| *more > 0) {
            about = format!("{about} `agent skills list` has {more} more of these.");
        }
        self.menu = Menu::new("Skills", skills.iter().map(entry).collect()).about(&about).filtered();
    }
}

impl Overlay for Skills {
    fn place(&self) -> Place {
        Place::Below
    }

    fn key(&mut self, key: Key, _look: &Look<'_>) -> Reaction {
        self.menu.key(key).or_choose(|| match self.menu.selected() {
            Some(name) => Reaction::Close(vec![Action::Write(format!("${name} "))]),
            None => Reaction::Consumed,
        })
    }

    fn paste(&mut self, text: &str) {
        self.menu.paste(text);
    }

    fn answer(&mut self, answer: &Answer) {
        match answer {
            Answer::Skills { skills, problems } => self.list(skills, problems),
            Answer::Failed { question: Question::Skills, problem } => {
                self.menu = Menu::new("Skills", Vec::new()).about(problem);
            }
            _ => {}
        }
    }

    fn draw(&mut self, size: Size, look: &Look<'_>) -> Page {
        self.menu.draw(size, look.theme)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Session;
    use crate::tui::{status::Ground, theme::Theme, transcript::Transcript};

    #[test]
    fn skills_are_listed_with_what_is_wrong_and_one_is_taken_into_the_text() {
        let (session, transcript, ground, theme) =
            (Session::default(), Transcript::new(), Ground::sample(), Theme::plain());
        let look =
            Look { session: &session, transcript: &transcript, ground: &ground, theme: &theme, now_ms: 0 };
        let mut view = Skills::new();
        let text = |view: &mut Skills| -> String {
            let page = view.draw(Size { columns: 80, rows: 20 }, &look);
            page.rows.iter().map(|row| row.to_string().trim_end().to_owned()).collect::<Vec<_>>().join("\n")
        };
        assert!(text(&mut view).contains("Looking for skills"));
        let skill = |name: &str, about: &str| KnownSkill {
            name: name.into(),
            about: about.into(),
            origin: "shipped".into(),
        };
        view.answer(&Answer::Skills {
            skills: vec![skill("commit", "commits"), skill("review", "reviews\u{202e}")],
            problems: (1..=5).map(|number| format!("/s/{number}: broken")).collect(),
        });
        let shown = text(&mut view);
        for part in ["$commit  commits (shipped)", "$review", "/s/3: broken.", "has 2 more of these"] {
            assert!(shown.contains(part), "{part}\n{shown}");
        }
        assert!(!shown.contains('\u{202e}'));
        for key in ["r", "e", "v"] {
            assert!(matches!(view.key(key.parse().unwrap(), &look), Reaction::Consumed));
        }
        let Reaction::Close(actions) = view.key("enter".parse().unwrap(), &look) else { panic!() };
        assert_eq!(actions, [Action::Write("$review ".into())]);
    }
}
