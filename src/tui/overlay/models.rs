//! Which model, then how hard it thinks, then for how long that holds.

use crate::protocol::{Effort, Settings};
use crate::tui::{
    action::Action,
    host::{Answer, ModelChoice, Question},
    keymap::Key,
    term::Size,
};

use super::{
    Look, Overlay, Page, Place, Reaction,
    menu::{Entry, Menu, Picked},
};

/// The view.
#[derive(Default)]
pub(in crate::tui) struct Models {
    /// The models that are known, once they have been asked for.
    known: Vec<ModelChoice>,
    /// What was told, and is not shown yet.
    told: Option<Told>,
    step: Step,
}

enum Told {
    Known,
    /// The model that was named.
    Named(ModelChoice),
    Problem(String),
}

#[derive(Default)]
enum Step {
    /// What there is to choose from is being asked for.
    #[default]
    Asked,
    Model(Menu<Chosen>),
    Effort(Menu<Effort>, ModelChoice),
    Keep(Menu<Keep>, ModelChoice, Option<Effort>),
}

/// A line of the list.
#[derive(Debug, Clone, PartialEq)]
enum Chosen {
    Known(ModelChoice),
    /// A name as it was typed.
    Typed(String),
}

/// For how long the choice holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    Once,
    Always,
}

impl Models {
    /// Takes in what was told.
    fn settle(&mut self, look: &Look<'_>) {
        match self.told.take() {
            None => {}
            Some(Told::Known) => self.list(look, ""),
            Some(Told::Named(choice)) => self.think(choice, look),
            Some(Told::Problem(problem)) => self.list(look, &problem),
        }
    }

    fn list(&mut self, look: &Look<'_>, about: &str) {
        self.step = Step::Model(Menu::new("Which model?", self.entries("", look)).filtered().about(about));
    }

    /// The models, and a name as it was typed that is none of theirs.
    fn entries(&self, typed: &str, look: &Look<'_>) -> Vec<Entry<Chosen>> {
        let now = &look.settings().model;
        let known = |choice: &ModelChoice| {
            Entry::new(Chosen::Known(choice.clone()), &choice.model.to_string())
                .about(&choice.about)
                .current(choice.model == *now)
        };
        let mut entries: Vec<Entry<Chosen>> = self.known.iter().map(known).collect();
        let typed = typed.trim();
        if !typed.is_empty() && !self.known.iter().any(|choice| choice.model.to_string() == typed) {
            let about = "as typed: a model that is not in this list";
            entries.push(Entry::new(Chosen::Typed(typed.to_owned()), typed).about(about));
        }
        entries
    }

    /// Goes on to the efforts of a model, if it has any.
    fn think(&mut self, choice: ModelChoice, look: &Look<'_>) {
        if choice.efforts.is_empty() {
            let effort = choice.effort;
            return self.hold(choice, effort, look);
        }
        let now = look.settings().effort.filter(|now| choice.efforts.contains(now)).or(choice.effort);
        let entry = |effort: &Effort| {
            Entry::new(*effort, &effort.to_string())
                .about(if Some(*effort) == choice.effort { "usual for this model" } else { "" })
                .current(Some(*effort) == now)
        };
        let entries = choice.efforts.iter().map(entry).collect();
        self.step =
            Step::Effort(Menu::new(&format!("How hard should {} think?", choice.model), entries), choice);
    }

    fn hold(&mut self, choice: ModelChoice, effort: Option<Effort>, look: &Look<'_>) {
        let once = if look.session.settings.is_some() { "in this session" } else { "in the next session" };
        let entries = vec![
            Entry::new(Keep::Once, once),
            Entry::new(Keep::Always, "in all new sessions as well")
                .about(&format!("kept in {}", look.ground.config)),
        ];
        let with = effort.map(|effort| format!(", effort {effort}")).unwrap_or_default();
        self.step = Step::Keep(Menu::new(&format!("Use {}{with}", choice.model), entries), choice, effort);
    }

    /// Back to the list, if there was one.
    fn back(&mut self, look: &Look<'_>) -> Reaction {
        if self.known.is_empty() {
            return Reaction::Close(Vec::new());
        }
        self.list(look, "");
        Reaction::Consumed
    }

    fn model_key(&mut self, key: Key, look: &Look<'_>) -> Reaction {
        let Step::Model(menu) = &mut self.step else { return Reaction::Ignored };
        match menu.key(key) {
            Picked::Ignored => Reaction::Ignored,
            Picked::Closed => Reaction::Close(Vec::new()),
            Picked::Consumed => {
                self.retype(look);
                Reaction::Consumed
            }
            Picked::Chosen => match menu.selected().cloned() {
                Some(Chosen::Known(choice)) => {
                    self.think(choice, look);
                    Reaction::Consumed
                }
                Some(Chosen::Typed(name)) => {
                    self.step = Step::Asked;
                    let like = look.settings().model.clone();
                    Reaction::Do(vec![Action::Ask(Question::Model { name, like })])
                }
                None => Reaction::Consumed,
            },
        }
    }

    /// What was typed is itself something to choose.
    fn retype(&mut self, look: &Look<'_>) {
        let Step::Model(menu) = &self.step else { return };
        let entries = self.entries(menu.typed(), look);
        if let Step::Model(menu) = &mut self.step {
            menu.set_entries(entries);
        }
    }
}

impl Overlay for Models {
    fn place(&self) -> Place {
        Place::Below
    }

    fn key(&mut self, key: Key, look: &Look<'_>) -> Reaction {
        self.settle(look);
        match &mut self.step {
            Step::Asked => Reaction::Close(Vec::new()),
            Step::Model(_) => self.model_key(key, look),
            Step::Effort(menu, choice) => match menu.key(key) {
                Picked::Ignored => Reaction::Ignored,
                Picked::Consumed => Reaction::Consumed,
                Picked::Closed => self.back(look),
                Picked::Chosen => {
                    let (choice, effort) = (choice.clone(), menu.selected().copied());
                    self.hold(choice, effort, look);
                    Reaction::Consumed
                }
            },
            Step::Keep(menu, choice, effort) => match menu.key(key) {
                Picked::Ignored => Reaction::Ignored,
                Picked::Consumed => Reaction::Consumed,
                Picked::Closed => self.back(look),
                Picked::Chosen => {
                    let settings = with(look.settings().clone(), choice, *effort);
                    let mut actions = Vec::new();
                    if menu.selected() == Some(&Keep::Always) {
                        actions.push(Action::KeepModel(Box::new(settings.clone())));
                    }
                    if settings != *look.settings() {
                        actions.push(Action::configure(look.session, settings));
                    }
                    Reaction::Close(actions)
                }
            },
        }
    }

    fn paste(&mut self, text: &str) {
        if let Step::Model(menu) = &mut self.step {
            menu.paste(text);
        }
    }

    fn answer(&mut self, answer: &Answer) {
        self.told = match answer {
            Answer::Models(known) => {
                self.known.clone_from(known);
                Some(Told::Known)
            }
            Answer::Model(choice) => Some(Told::Named(choice.clone())),
            Answer::Failed { question: Question::Models | Question::Model { .. }, problem } => {
                Some(Told::Problem(problem.clone()))
            }
            _ => return,
        };
    }

    fn draw(&mut self, size: Size, look: &Look<'_>) -> Page {
        self.settle(look);
        self.retype(look);
        match &mut self.step {
            Step::Asked => Page::default(),
            Step::Model(menu) => menu.draw(size, look.theme),
            Step::Effort(menu, _) => menu.draw(size, look.theme),
            Step::Keep(menu, ..) => menu.draw(size, look.theme),
        }
    }
}

/// The settings with another model, and what belongs to it.
fn with(settings: Settings, choice: &ModelChoice, effort: Option<Effort>) -> Settings {
    let ModelChoice { model, limits, price, tools, verbosity, .. } = choice.clone();
    Settings { model, limits, price, tools, verbosity, effort, ..settings }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Event, Fact, Limits, Seq, Time, Verbosity};
    use crate::session::Session;
    use crate::tui::{status::Ground, theme::Theme, transcript::Transcript};

    struct Seat {
        session: Session,
        transcript: Transcript,
        ground: Ground,
        theme: Theme,
        view: Models,
    }

    fn choice(name: &str, efforts: &[Effort]) -> ModelChoice {
        ModelChoice {
            model: name.parse().unwrap(),
            about: "for tests".into(),
            limits: Limits::new(5_000, 500),
            price: None,
            tools: crate::protocol::ToolStyle::Plain,
            effort: efforts.first().copied(),
            efforts: efforts.to_vec(),
            verbosity: Some(Verbosity::High),
        }
    }

    impl Seat {
        fn new(session: bool) -> Self {
            let mut seat = Self {
                session: Session::default(),
                transcript: Transcript::new(),
                theme: Theme::plain(),
                view: Models::default(),
                ground: Ground::sample(),
            };
            if session {
                let fact = Fact::Configured { settings: seat.ground.settings.clone() };
                seat.session.apply(&Event { seq: Seq(1), at: Time::UNIX_EPOCH, fact });
            }
            seat
        }

        fn listed(session: bool) -> Self {
            let mut seat = Self::new(session);
            let both = [Effort::Medium, Effort::High];
            let known =
                [choice("openai/gpt-5.5", &both), choice("openai/gpt-x", &both), choice("mine/m", &[])];
            seat.view.answer(&Answer::Models(known.into()));
            seat
        }

        fn reaction(&mut self, key: &str) -> Reaction {
            let Self { session, transcript, ground, theme, view } = self;
            let look = Look { session, transcript, ground, theme, now_ms: 0 };
            view.key(key.parse().unwrap(), &look)
        }

        /// Presses keys; what the last one does.
        fn press(&mut self, keys: &str) -> Vec<Action> {
            let mut done = Vec::new();
            for key in keys.split(' ') {
                self.text(80, 24);
                done = match self.reaction(key) {
                    Reaction::Do(actions) | Reaction::Close(actions) => actions,
                    Reaction::Consumed | Reaction::Ignored | Reaction::Open(_) => Vec::new(),
                };
            }
            done
        }

        fn text(&mut self, columns: u16, rows: u16) -> String {
            let Self { session, transcript, ground, theme, view } = self;
            let look = Look { session, transcript, ground, theme, now_ms: 0 };
            let page = view.draw(Size { columns, rows }, &look);
            page.rows.iter().map(|row| row.to_string().trim_end().to_owned()).collect::<Vec<_>>().join("\n")
        }

        fn wanted(&self, name: &str, effort: Option<Effort>) -> Settings {
            with(self.ground.settings.clone(), &choice(name, &[]), effort)
        }
    }

    #[test]
    fn the_model_comes_first_then_its_effort_then_for_how_long() {
        let mut seat = Seat::listed(true);
        assert_eq!(
            seat.text(80, 24),
            "  Which model?\n  › type to find\n› 1. openai/gpt-5.5 (current)  for tests\n  2. openai/gpt-x  for tests\n  \
             3. mine/m  for tests\n\n  ↑↓ Enter chooses · Esc goes back"
        );
        seat.press("2");
        assert_eq!(
            seat.text(80, 24),
            "  How hard should openai/gpt-x think?\n\n› 1. medium (current)  usual for this model\n  2. high\n\n  \
             ↑↓ Enter chooses · Esc goes back"
        );
        seat.press("2");
        assert_eq!(
            seat.text(80, 24),
            "  Use openai/gpt-x, effort high\n\n› 1. in this session\n  2. in all new sessions as well  kept in \
             ~/.config/agent/config.toml\n\n  ↑↓ Enter chooses · Esc goes back"
        );
        let settings = seat.wanted("openai/gpt-x", Some(Effort::High));
        assert_eq!(seat.press("enter"), [Action::configure(&seat.session, settings)]);
    }

    #[test]
    fn a_choice_brings_its_limits_and_can_be_kept_without_a_session() {
        let mut seat = Seat::listed(false);
        let settings = seat.wanted("mine/m", None);
        assert_eq!(settings.limits.window, 5_000);
        let kept = Action::KeepModel(Box::new(settings.clone()));
        assert_eq!(seat.press("3 2"), [kept, Action::Prepare(Box::new(settings))]);
    }

    #[test]
    fn a_name_that_is_not_listed_is_asked_for_and_taken() {
        let mut seat = Seat::listed(true);
        seat.press("g p t minus n e w");
        assert!(seat.text(80, 24).contains("gpt-new  as typed"), "{}", seat.text(80, 24));
        let like = seat.ground.settings.model.clone();
        assert_eq!(
            seat.press("enter"),
            [Action::Ask(Question::Model { name: "gpt-new".into(), like: like.clone() })]
        );
        seat.view.answer(&Answer::Model(choice("openai/gpt-new", &[])));
        assert_eq!(seat.press("1").len(), 1);

        // One that can't be had is told, with the list to choose from.
        let mut seat = Seat::listed(true);
        let question = Question::Model { name: "x/y".into(), like };
        seat.view.answer(&Answer::Failed { question, problem: "there is no provider `x`".into() });
        assert!(seat.text(80, 24).contains("there is no provider `x`"));
        assert!(seat.text(80, 24).contains("openai/gpt-x"));
    }

    #[test]
    fn esc_goes_back_to_the_list_and_then_away() {
        let mut seat = Seat::listed(true);
        seat.press("2 2 esc");
        assert!(seat.text(80, 24).contains("Which model?"));
        assert!(matches!(seat.reaction("esc"), Reaction::Close(actions) if actions.is_empty()));
        let mut named = Seat::new(true);
        named.view.answer(&Answer::Model(choice("mine/m", &[])));
        assert!(named.text(40, 12).contains("Use mine/m"));
        assert!(matches!(named.reaction("esc"), Reaction::Close(_)));
    }

    #[test]
    fn what_runs_already_is_no_change() {
        let mut seat = Seat::listed(true);
        let settings = with(seat.ground.settings.clone(), &seat.view.known[0], Some(Effort::Medium));
        let fact = Fact::Configured { settings };
        seat.session.apply(&Event { seq: Seq(2), at: Time::UNIX_EPOCH, fact });
        assert_eq!(seat.press("1 enter 1"), []);
    }
}
