use super::*;
use crate::session::Session;
use crate::tui::{status::Ground, transcript::Transcript};

fn offer(again: bool) -> Offer {
    let file = |name: &str, kind, text: &str| Offered {
        name: name.to_owned(),
        kind,
        size: text.len() as u64,
        news: None,
        hidden: Vec::new(),
        text: text.to_owned(),
    };
    let mut files = vec![
        file("AGENTS.md", "instructions", "Be\u{200b} brief.\n\u{1b}]52;c;eA==\u{7}"),
        file(".agent/config.toml", "settings", "effort = 'high'"),
        file(".agent/skills/x/logo.png", "skill", ""),
    ];
    files[0].hidden.push("line 1: invisible U+200B".to_owned());
    if again {
        (files[0].news, files[1].news) = (Some(News::Changed), Some(News::Added));
    }
    files[2].size = 70_000;
    Offer { directory: "~/p".to_owned(), files, again }
}

fn with<T>(see: impl FnOnce(&Look<'_>) -> T, now_ms: u64) -> T {
    let ground = Ground { workspace: "/p".into(), directory: "~/p".into(), ..Ground::sample() };
    let (session, transcript, theme) = (Session::default(), Transcript::new(), Theme::plain());
    see(&Look { session: &session, transcript: &transcript, ground: &ground, theme: &theme, now_ms })
}

fn text(view: &mut Trust, columns: u16, rows: u16) -> String {
    let page = with(|look| view.draw(Size { columns, rows }, look), 0);
    assert!(page.rows.len() <= usize::from(rows), "{page:?}");
    assert!(page.rows.iter().all(|row| row.width() <= usize::from(columns)), "{page:?}");
    page.rows.iter().map(|row| row.to_string().trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn press(view: &mut Trust, key: &str, now_ms: u64) -> Option<Vec<Action>> {
    match with(|look| view.key(key.parse().unwrap(), look), now_ms) {
        Reaction::Close(actions) => Some(actions),
        _ => None,
    }
}

#[test]
fn every_file_is_shown_with_what_hides_in_it() {
    let mut view = Trust::new(offer(false));
    assert_eq!(
        text(&mut view, 80, 20),
        "  Do you trust ~/p?\n  \
         These files would tell the model what to do, or the program how to run.\n  \
         Nothing of them has been read into a session.\n  \
         1 file has text that people don't see.\n\
         › ! AGENTS.md  instructions · 25B\n  \
         .agent/config.toml  settings · 15B\n  \
         .agent/skills/x/logo.png  skill · 70.0kB\n\
         ── AGENTS.md · 1–3 of 3 ────────────────────────────────────────────────────────\n\
         ! line 1: invisible U+200B\n  \
         Be\\u{200b} brief.\n  \
         \\u{1b}]52;c;eA==\\u{7}\n\
         \n\n\n\n\n\n\n\n  \
         y trusts them · n goes on without them · Esc quits · ↑↓ files · PgUp PgDn"
    );
    press(&mut view, "down", 400);
    press(&mut view, "down", 400);
    assert!(text(&mut view, 80, 20).contains("  (no text)"));
    let again = text(&mut Trust::new(offer(true)), 80, 20);
    for part in ["Do you still trust ~/p? It has changed.", "! changed AGENTS.md", "  new .agent/config.toml"]
    {
        assert!(again.contains(part), "{part}\n{again}");
    }
    for (columns, rows) in [(40, 12), (20, 8), (220, 50)] {
        let all = text(&mut Trust::new(offer(true)), columns, rows);
        assert!(all.contains("y trusts") && all.contains("ENTS.md"), "{all}");
    }
}

#[test]
fn only_a_key_that_was_meant_for_it_decides() {
    for (key, now, wanted) in [
        ("y", 0, None),
        ("y", 299, None),
        ("y", 300, Some(vec![Action::Trust(true)])),
        ("n", 300, Some(vec![Action::Trust(false)])),
        ("enter", 300, None),
        ("space", 300, None),
        ("ctrl-y", 300, None),
        ("esc", 0, Some(vec![Action::Quit])),
        ("ctrl-c", 0, Some(vec![Action::Quit])),
    ] {
        let mut view = Trust::new(offer(false));
        text(&mut view, 80, 20);
        assert_eq!(press(&mut view, key, now), wanted, "{key} at {now}");
    }
}

#[test]
fn a_long_text_and_a_long_list_are_scrolled() {
    let mut long = offer(false);
    long.files[0].text = (1..100).map(|n| format!("line {n}\n")).collect();
    let one = long.files[1].clone();
    long.files.extend((0..40).map(|n| Offered { name: format!("f{n}"), ..one.clone() }));
    let mut view = Trust::new(long);
    assert!(text(&mut view, 80, 24).contains("of 43 files"));
    for _ in 0..50 {
        press(&mut view, "pagedown", 400);
        text(&mut view, 80, 24);
    }
    assert!(text(&mut view, 80, 24).contains("line 99"));
    for _ in 0..50 {
        press(&mut view, "down", 400);
    }
    assert!(text(&mut view, 80, 24).contains("› f39"));
}
