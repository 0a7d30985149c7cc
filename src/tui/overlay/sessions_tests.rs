use super::*;
use crate::session::Session;
use crate::tui::{status::Ground, transcript::Transcript};

const DAY: u64 = 86_400_000;

struct World {
    view: Sessions,
    session: Session,
    transcript: Transcript,
    ground: Ground,
    theme: Theme,
}

fn id(number: u128) -> SessionId {
    SessionId(uuid::Uuid::from_u128(number))
}

fn known(number: u128, title: &str, here: bool) -> Known {
    let directory = if here { "~/p" } else { "~/other" };
    Known {
        id: id(number),
        title: title.to_owned(),
        directory: directory.to_owned(),
        here,
        changed_ms: 10 * DAY - u64::try_from(number).unwrap() * 3_600_000,
        size: 1_234_567,
        turns: Some(u32::try_from(number).unwrap()),
        archived: number == 9,
        fork: number == 2,
    }
}

impl World {
    fn new(only: bool, all: Vec<Known>) -> Self {
        let ground = Ground { workspace: "/p".into(), directory: "~/p".into(), ..Ground::sample() };
        let (view, asked) = Sessions::open(only, None);
        assert_eq!(asked, Action::Ask(Question::Sessions));
        let mut world = Self {
            view,
            session: Session::default(),
            transcript: Transcript::new(),
            ground,
            theme: Theme::plain(),
        };
        world.view.answer(&Answer::Sessions { known: all, now_ms: 10 * DAY });
        world
    }

    fn usual() -> Self {
        Self::new(
            false,
            vec![
                known(1, "mend the login", true),
                known(2, "Sign\u{1b}up\u{202e}", true),
                known(3, "else", false),
                known(9, "old", true),
            ],
        )
    }

    /// What came of the last of these keys.
    fn press(&mut self, keys: &str) -> Vec<Action> {
        let Self { view, session, transcript, ground, theme } = self;
        let look = Look { session, transcript, ground, theme, now_ms: 10 * DAY };
        let mut actions = Vec::new();
        for key in keys.split(' ') {
            actions = match view.key(key.parse().unwrap(), &look) {
                Reaction::Do(actions) | Reaction::Close(actions) => actions,
                Reaction::Consumed | Reaction::Ignored | Reaction::Open(_) => Vec::new(),
            };
        }
        actions
    }

    fn text(&mut self, columns: u16, rows: u16) -> String {
        let Self { view, session, transcript, ground, theme } = self;
        let look = Look { session, transcript, ground, theme, now_ms: 10 * DAY };
        let page = view.draw(Size { columns, rows }, &look);
        assert_eq!(page.rows.len(), usize::from(rows));
        assert!(page.rows.iter().all(|row| row.width() <= usize::from(columns)), "{page:?}");
        page.rows.iter().map(|row| row.to_string().trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }
}

#[test]
fn the_list_says_what_each_session_is_and_shows_the_last_words_of_one() {
    let mut world = World::usual();
    assert_eq!(world.view.wanted(), Some(Question::Words(id(1))));
    assert_eq!(world.view.wanted(), None, "asked once");
    let words = vec![(true, "why?".to_owned()), (false, "Because\n\u{1b}[2J".to_owned())];
    world.view.answer(&Answer::Words { session: id(1), words });
    let text = world.text(80, 24);
    for part in [
        "  Sessions of this directory",
        "› 1. mend the login  1 h · 1 turn · 1.2MB",
        "  2. Sign\\u{1b}up\\u{202e}  2 h · 2 turns · 1.2MB · fork",
        "› why?",
        "• Because\n  \\u{1b}[2J",
        "  Tab all · ^R rename · ^A archive · ^D delete · ^O archived",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("else") && !text.contains("old"), "{text}");
    let small = world.text(40, 12);
    assert!(small.contains("mend the login") && !small.contains("Because"), "{small}");
    world.text(16, 3);
}

#[test]
fn keys_find_open_name_put_away_and_delete() {
    for (keys, wanted) in [
        ("enter", vec![Action::Switch(Switch::Resume(id(1)))]),
        ("s i g n enter", vec![Action::Switch(Switch::Resume(id(2)))]),
        ("tab e l s e enter", vec![Action::Switch(Switch::Resume(id(3)))]),
        ("ctrl-o enter", vec![Action::Switch(Switch::Resume(id(9)))]),
        ("ctrl-a", vec![Action::Ask(Question::Archive { session: id(1), away: true })]),
        ("ctrl-o ctrl-a", vec![Action::Ask(Question::Archive { session: id(9), away: false })]),
        (
            "ctrl-r ctrl-u N e w enter",
            vec![Action::Ask(Question::Rename { session: id(1), title: "New".into() })],
        ),
        ("ctrl-r x esc ctrl-d n", vec![]),
        ("ctrl-d enter", vec![]),
        ("ctrl-d y", vec![Action::Ask(Question::Delete(id(1)))]),
        ("delete y", vec![Action::Ask(Question::Delete(id(1)))]),
        ("esc", vec![]),
    ] {
        assert_eq!(World::usual().press(keys), wanted, "{keys}");
    }
    let mut world = World::usual();
    world.press("down");
    assert_eq!(world.view.wanted(), Some(Question::Words(id(2))));
    let mut world = World::usual();
    world.press("ctrl-d");
    assert!(world.text(80, 24).contains("Delete “mend the login” for good"));
    world.view.answer(&Answer::Failed { question: Question::Delete(id(1)), problem: "it is open".into() });
    assert!(world.text(80, 24).contains("  it is open"));
}

#[test]
fn the_open_session_is_named_by_itself_and_not_opened_twice() {
    let mut world = World::usual();
    world.session.id = Some(id(1));
    assert_eq!(world.press("enter"), []);
    let named = world.press("ctrl-r ! enter");
    assert!(
        matches!(&named[0], Action::Send(crate::protocol::Command::Rename { title }) if title == "mend the login!")
    );
}

#[test]
fn a_list_that_is_all_there_is_ends_the_program_and_shows_other_directories_when_this_one_has_nothing() {
    let mut world = World::new(true, vec![known(3, "else", false)]);
    assert!(world.text(80, 24).contains("else  3 h · 3 turns · 1.2MB · ~/other"));
    assert_eq!(world.press("esc"), [Action::Quit]);
    let mut empty = World::new(true, Vec::new());
    assert!(empty.text(80, 24).contains("Nothing is here."));
    assert_eq!(empty.press("ctrl-d enter ctrl-c"), [Action::Quit]);
}

#[test]
fn on_a_tiny_screen_the_chosen_session_and_what_is_asked_are_seen() {
    let mut world = World::usual();
    for title in ["mend the login", "Sign"] {
        let text = world.text(20, 5);
        assert!(text.lines().any(|row| row.contains('›') && row.contains(title)), "{text}");
        world.press("down");
    }
    world.press("delete");
    let text = world.text(20, 5);
    assert!(text.trim_end().ends_with("y deletes"), "{text}");
}
