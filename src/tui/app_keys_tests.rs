//! Which keys the screen answers to, and what it tells of them.

use crossterm::event::KeyEvent;

use crate::protocol::{
    Command, Content, Delivery, Event, Fact, ResponseId, ResponseOutcome, Seq, Time, TurnId, Update, Usage,
    Verdict,
};

use super::{
    action::{Action, Input},
    app::App,
    composer::{self, Composer},
    host::Answer,
    keymap::Key,
    prompts::Prompt,
    settings::Settings,
    slash,
    status::Ground,
    theme::{self, Theme},
};

fn app(settings: &str) -> App {
    let composer =
        Composer::new(composer::Options { commands: slash::specs(), ..composer::Options::default() });
    let ground = Ground { branch: Some("main".to_owned()), ..Ground::sample() };
    let mut app = App::new(composer, ground, Theme::ansi());
    let settings: Settings = toml::from_str(settings).unwrap();
    drop(app.configure(&settings, true, None));
    app
}

fn press(app: &mut App, keys: &str) -> Vec<Action> {
    let press = |app: &mut App, key: &str| {
        let key: Key = key.parse().unwrap();
        app.update(Input::Key(KeyEvent::new(key.code, key.modifiers)), 0)
    };
    keys.split(' ').flat_map(|key| press(app, key)).collect()
}

/// A command, not typed so fast that it would be a paste.
fn run(app: &mut App, line: &str) -> Vec<Action> {
    app.composer.set_text(line);
    press(app, "enter")
}

fn begin_turn(app: &mut App) {
    let event = Event { seq: Seq(1), at: Time::UNIX_EPOCH, fact: Fact::TurnStarted { turn: TurnId(1) } };
    drop(app.update(Input::Update(Update::Event(event)), 0));
}

fn rows(app: &mut App, width: u16, height: u16) -> Vec<String> {
    app.live(width, height, 0).rows.iter().map(|row| row.to_string().trim_end().to_owned()).collect()
}

fn last(app: &mut App) -> String {
    rows(app, 80, 24).pop().unwrap()
}

#[test]
fn hints_change_with_what_goes_on_and_take_no_row_that_is_missing() {
    let mut app = app("");
    assert_eq!(
        last(&mut app),
        "/ commands · @ files · ! shell · ctrl-r search · ctrl-t transcript · f1 help"
    );
    press(&mut app, "h i");
    assert_eq!(last(&mut app), "enter send · shift-enter new line · ctrl-g editor");
    begin_turn(&mut app);
    assert_eq!(last(&mut app), "enter steer · tab queue · esc interrupt");
    press(&mut app, "ctrl-u");
    assert_eq!(last(&mut app), "esc interrupt · ctrl-t transcript · f1 help");
    press(&mut app, "/");
    assert_eq!(last(&mut app), "enter choose · tab complete · esc close");

    let mut app = self::app("");
    assert!(rows(&mut app, 40, 11).pop().unwrap().starts_with("openai/gpt-5.5 · workspace-write"));
    assert_eq!(rows(&mut app, 30, 24).pop().unwrap(), "/ commands · @ files · ! shell");
}

#[test]
fn keys_can_be_bound_otherwise_and_hints_and_help_follow() {
    let mut app = app("keys = { interrupt = 'f8', transcript = [], queue = 'f9', quit = 'ctrl-q' }");
    begin_turn(&mut app);
    assert_eq!(press(&mut app, "esc"), []);
    assert_eq!(press(&mut app, "f8"), [Action::Send(Command::Interrupt)]);
    assert_eq!(last(&mut app), "f8 interrupt · f1 help");
    assert_eq!(press(&mut app, "ctrl-d"), []);
    assert_eq!(press(&mut app, "ctrl-q"), [Action::Quit]);
    run(&mut app, "/help");
    let said: Vec<String> =
        app.transcript.take_finished(80, &Theme::plain()).iter().map(ToString::to_string).collect();
    assert!(said.iter().any(|row| row.contains("f8              interrupt")), "{said:#?}");
    assert!(said.iter().any(|row| row.contains("/keys           every key")), "{said:#?}");
    run(&mut app, "/keys");
    let said: Vec<String> =
        app.transcript.take_finished(80, &Theme::plain()).iter().map(ToString::to_string).collect();
    assert!(said.iter().any(|row| row.contains("transcript") && row.contains("(none)")), "{said:#?}");
    let text = said.join("\n");
    assert!(said.iter().all(|row| row.chars().count() <= 80), "{text}");
    let column = " ".repeat(56);
    let wrapped = format!(
        "    newline          {:<33}  shift-enter alt-enter\n{column}ctrl-j ctrl-enter\n",
        "new line"
    );
    assert!(text.contains(&wrapped), "{text}");
    run(&mut app, "/keys");
    let narrow: Vec<String> = app
        .transcript
        .take_finished(40, &Theme::plain())
        .iter()
        .map(|row| row.to_string().trim_end().to_owned())
        .collect();
    let text = narrow.join("\n");
    assert!(narrow.iter().all(|row| row.chars().count() <= 40), "{text}");
    let wrapped = "    newline          new line\n      shift-enter alt-enter ctrl-j\n      ctrl-enter\n";
    assert!(text.contains(wrapped), "{text}");
}

#[test]
fn ctrl_c_clears_interrupts_warns_and_quits() {
    let mut app = app("");
    press(&mut app, "x ctrl-c");
    assert!(app.composer.is_empty());
    begin_turn(&mut app);
    assert_eq!(press(&mut app, "ctrl-c"), [Action::Send(Command::Interrupt)]);
    let mut app = self::app("keys = { leave = 'ctrl-x' }");
    assert_eq!(press(&mut app, "ctrl-x"), []);
    assert!(rows(&mut app, 80, 24).iter().any(|row| row == "ctrl-x again quits; the session is kept"));
    assert_eq!(press(&mut app, "ctrl-x"), [Action::Quit]);
}

#[test]
fn the_status_line_shows_what_was_asked_for() {
    let mut app = app("status_line = ['directory', 'vim', 'model']");
    let status = |app: &mut App| rows(app, 80, 24).iter().rev().nth(1).cloned().unwrap();
    assert_eq!(status(&mut app), "~/project (main) · openai/gpt-5.5");
    run(&mut app, "/vim");
    press(&mut app, "x");
    assert_eq!(status(&mut app), "~/project (main) · INSERT · openai/gpt-5.5");
    press(&mut app, "esc");
    assert_eq!(status(&mut app), "~/project (main) · NORMAL · openai/gpt-5.5");
}

#[test]
fn a_theme_is_worn_at_once_when_it_was_read_or_when_the_background_is_known() {
    let mut app = app("theme = 'auto'");
    assert_eq!(app.theme, Theme::ansi());
    app.background(false);
    assert_eq!(Some(&app.theme), theme::named("light", None).as_ref());
    run(&mut app, "/theme dark");
    assert_eq!(Some(&app.theme), theme::named("dark", None).as_ref());
    // A late answer changes only what follows the background.
    app.background(false);
    assert_eq!(Some(&app.theme), theme::named("dark", None).as_ref());

    let asked = run(&mut app, "/theme mine");
    assert_eq!(asked, [Action::Ask(super::Question::Themes)]);
    let files = vec![("mine".to_owned(), Ok("accent = 'red'".to_owned()))];
    app.update(Input::Answer(Answer::Themes(files)), 0);
    assert_eq!(app.theme, theme::parse("accent = 'red'").unwrap());
    run(&mut app, "/theme other");
    app.update(Input::Answer(Answer::Themes(Vec::new())), 0);
    assert!(
        rows(&mut app, 100, 24).iter().any(|row| row.starts_with("theme `other`: there is no such file"))
    );
    assert_eq!(app.theme, theme::parse("accent = 'red'").unwrap());
}

#[test]
fn without_colours_no_theme_has_any() {
    let mut app = app("");
    let settings: Settings = toml::from_str("theme = 'light'").unwrap();
    drop(app.configure(&settings, false, Some(false)));
    assert_eq!(app.theme, Theme::plain());
    run(&mut app, "/theme dark");
    assert_eq!(app.theme, Theme::plain());
}

#[test]
fn whole_lines_answer_what_is_asked() {
    let mut app = app("keys = { submit = 'alt-enter' }");
    let said = |app: &mut App| app.take_said().unwrap_or_default();
    assert!(matches!(&app.line("hello", 0)[..], [Action::Send(Command::Submit { .. })]));
    assert_eq!(app.line("!ls", 0), [Action::Shell("ls".into())]);
    assert_eq!((app.line("/nope", 0), app.composer.is_empty()), (vec![], true));
    assert!(said(&mut app).starts_with("no command /nope"));

    app.line("/theme", 0);
    let page = app.question(80, 0).unwrap();
    assert!(page.iter().any(|row| row.to_string().contains("2. auto")), "{page:?}");
    assert!(matches!(&app.line("contrast", 0)[..], [Action::Wear(name, _)] if name == "contrast"));
    assert_eq!(app.question(80, 0), None);

    let intent = r#"{"type":"command","command":"rm x","workdir":"/w"}"#;
    let grants = r#"[{"type":"command_prefix","words":["rm"]},{"type":"command_prefix","words":["rm","x"]}]"#;
    for (at, line) in [
        r#"{"type":"turn_started","turn":1}"#.to_owned(),
        r#"{"type":"item_added","item":{"type":"tool_call","call":"c1","tool":"exec_command","args":{"json":"{}"}}}"#.to_owned(),
        format!(r#"{{"type":"approval_requested","call":"c1","intent":{intent},"reason":"it deletes","grants":{grants}}}"#),
    ]
    .iter()
    .enumerate()
    {
        let fact: Fact = serde_json::from_str(line).unwrap();
        let event = Event { seq: Seq(at as u64 + 1), at: Time::UNIX_EPOCH, fact };
        drop(app.update(Input::Update(Update::Event(event)), 0));
    }
    assert!(app.question(80, 0).unwrap().iter().any(|row| row.to_string().contains("$ rm x")));
    let late = 10_000;
    assert_eq!(app.line("you might also look at y", late), [], "what was on its way is no answer");
    assert!(said(&mut app).starts_with("answer with one letter"));
    assert_eq!(app.line("y please", late), []);
    let decided = |verdict| vec![Action::Send(Command::Decide { call: "c1".into(), verdict })];
    for rule in ["Rule 2 of 2", "Rule 1 of 2"] {
        assert_eq!((app.line("tab", late), app.take_said()), (vec![], None));
        assert!(app.question(80, 0).unwrap().iter().any(|row| row.to_string().contains(rule)), "{rule}");
    }
    assert_eq!(app.line("tab is what I mean", late), []);
    assert!(said(&mut app).starts_with("answer with one letter"));
    assert_eq!(app.line("esc", late), [Action::Send(Command::Interrupt)]);
    assert_eq!(app.line("y", late), decided(Verdict::Allow));
    assert_eq!(
        app.line("n move it instead", late),
        decided(Verdict::Deny { note: "move it instead".into() })
    );
}

#[test]
fn prompts_are_commands_and_built_in_names_win() {
    let mut app = app("");
    let own = vec![
        Prompt::read("quit", "never"),
        Prompt::read("tidy", "Tidy $1, please."),
        Prompt::read("init", "Mine."),
    ];
    app.set_prompts(own, vec!["a notice".to_owned()]);
    let said: Vec<String> =
        app.transcript.take_finished(80, &Theme::plain()).iter().map(ToString::to_string).collect();
    assert!(said.concat().contains("a notice") && said.concat().contains("/quit is built in"), "{said:?}");
    let submitted = |text: &str| {
        vec![Action::Send(Command::Submit { content: vec![Content::text(text)], delivery: Delivery::Steer })]
    };
    assert_eq!(run(&mut app, "/tidy 'the shed' now"), submitted("Tidy the shed, please."));
    assert_eq!(
        app.composer.take_unsaved(),
        ["/tidy 'the shed' now"],
        "what was typed is what is called up again"
    );
    assert_eq!(run(&mut app, "/quit"), [Action::Quit]);
    assert_eq!(run(&mut app, "/init"), submitted("Mine."));
    assert!(
        matches!(&run(&mut app, "/review branch main")[..], [Action::Send(Command::Submit { content, .. })]
        if matches!(&content[..], [Content::Text { text }] if text.contains("What to review: branch main\n")))
    );
}

#[test]
fn a_pasted_picture_is_looked_at_before_it_is_sent() {
    let mut app = app("");
    let actions = app.update(Input::Paste("/tmp/no such.png".to_owned()), 0);
    assert_eq!(actions, [Action::Recognize(vec!["/tmp/no such.png".into()])]);
    app.composer.reject_image(std::path::Path::new("/tmp/no such.png"));
    assert_eq!(app.composer.text().trim_end(), "/tmp/no such.png");
    assert_eq!(app.update(Input::Paste(" words".to_owned()), 0), []);
    assert_eq!(press(&mut app, "ctrl-v"), [Action::Clipboard]);
}

#[test]
fn a_draft_comes_back_and_is_said_to() {
    let mut app = app("");
    app.restore("half a\nthought");
    assert_eq!(app.composer.draft(), "half a\nthought");
    assert!(
        rows(&mut app, 80, 24).iter().any(|row| row.starts_with("what you were writing last time is back"))
    );
}

#[test]
fn the_title_tells_where_one_is_and_what_goes_on() {
    let mut app = app("");
    assert_eq!(app.title(), "project · ready · agent");
    begin_turn(&mut app);
    assert_eq!(app.title(), "project · working · agent");
}

#[test]
fn a_budget_that_is_reached_is_a_question_until_it_is_answered() {
    use crate::protocol::{Budget, Limit};
    let mut app = app("");
    begin_turn(&mut app);
    let mut seq = 1;
    let mut tell = |app: &mut App, fact| {
        seq += 1;
        let event = Event { seq: Seq(seq), at: Time::UNIX_EPOCH, fact };
        drop(app.update(Input::Update(Update::Event(event)), 0));
    };
    let reached = || Fact::BudgetReached {
        limit: Limit::Tokens,
        reason: "900 of 900 tokens used".to_owned(),
        hard: false,
    };
    tell(&mut app, reached());
    let shown = rows(&mut app, 80, 24).join("\n");
    assert!(shown.contains("The budget is reached: 900 of 900 tokens used"), "{shown}");
    // A key that was on its way costs nothing; what was not answered is not asked again by itself.
    assert_eq!(press(&mut app, "enter"), []);
    assert!(!rows(&mut app, 80, 24).join("\n").contains("as much again"));
    tell(&mut app, Fact::Budgeted { budget: Budget { max_tokens: Some(1_000), ..Budget::default() } });
    tell(&mut app, reached());
    assert_eq!(press(&mut app, "down enter"), [Action::Send(Command::Extend)]);
    tell(&mut app, Fact::Budgeted { budget: Budget::default() });
    tell(&mut app, reached());
    assert_eq!(press(&mut app, "down down enter"), [Action::Send(Command::Interrupt)]);
    tell(&mut app, Fact::Budgeted { budget: Budget::default() });
    assert!(!rows(&mut app, 80, 24).join("\n").contains("as much again"), "it is over");
}

#[test]
fn a_goal_is_set_and_shown_in_the_status_line() {
    use crate::protocol::{Goal, GoalStatus};
    let mut app = app("status_line = ['goal']");
    let goal =
        Goal { text: "all is well".into(), tokens: Some(50_000), seconds: None, verify: Some("make".into()) };
    let actions = run(&mut app, "/goal all is well --tokens 50k --verify make");
    assert_eq!(actions, [Action::Send(Command::SetGoal { goal: goal.clone() })]);
    for (seq, fact, expected) in [
        (1, Fact::GoalSet { goal }, "goal active 0/50.0k"),
        (
            2,
            Fact::GoalChanged { status: GoalStatus::Paused, reason: "you interrupted it".into() },
            "goal paused",
        ),
    ] {
        let event = Event { seq: Seq(seq), at: Time::UNIX_EPOCH, fact };
        drop(app.update(Input::Update(Update::Event(event)), 0));
        let shown = rows(&mut app, 80, 24).join("\n");
        assert!(shown.contains(expected), "{shown}");
    }
    for (line, status) in
        [("pause", GoalStatus::Paused), ("resume", GoalStatus::Active), ("clear", GoalStatus::Cleared)]
    {
        let sent = [Action::Send(Command::ChangeGoal { status })];
        assert_eq!(run(&mut app, &format!("/goal {line}")), sent);
    }
}

#[test]
fn a_message_that_will_be_dear_is_foretold_and_goes_out_when_it_is_sent_once_more() {
    let mut app = app("");
    let mut seq = 0;
    let mut tell = |app: &mut App, fact: Fact| {
        seq += 1;
        let event = Event { seq: Seq(seq), at: Time::UNIX_EPOCH, fact };
        drop(app.update(Input::Update(Update::Event(event)), 0));
    };
    let mut settings = Ground::sample().settings;
    settings.price = serde_json::from_str(r#"{"input": 5.0, "output": 30.0}"#).unwrap();
    tell(&mut app, Fact::Configured { settings });
    for cached in [0, 199_000] {
        let response = ResponseId(cached);
        let usage = Usage { input: 200_000, cached: u64::from(cached), output: 10, ..Usage::default() };
        tell(&mut app, Fact::ResponseStarted { response });
        let outcome = ResponseOutcome::Completed;
        tell(&mut app, Fact::ResponseFinished { response, outcome, usage: Some(usage) });
    }
    let enter = |app: &mut App, minutes: u64| {
        let key: Key = "enter".parse().unwrap();
        app.update(Input::Key(KeyEvent::new(key.code, key.modifiers)), minutes * 60_000)
    };
    let sent = |actions: &[Action]| matches!(actions, [Action::Send(Command::Submit { .. })]);
    app.composer.set_text("warm");
    assert!(sent(&enter(&mut app, 2)));
    app.composer.set_text("cold");
    assert_eq!(enter(&mut app, 60).len(), 0);
    let shown = rows(&mut app, 80, 24).join(" ");
    assert!(shown.contains("nothing was sent for 60 minutes") && shown.contains("about $1.00"), "{shown}");
    assert!(shown.contains("/compact first"), "{shown}");
    // Another message is another matter.
    app.composer.set_text("colder");
    assert_eq!(enter(&mut app, 61).len(), 0);
    assert!(sent(&enter(&mut app, 61)));
}
