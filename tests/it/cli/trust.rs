//! What a repository brings along, where nobody can be asked.

use crate::support::{mock::Step, world::World};

#[tokio::test]
async fn instructions_are_read_unasked_and_what_hides_in_them_is_said() {
    let world = World::new([Step::text("one"), Step::text("two")]).await;
    world.write("AGENTS.md", "Dance\u{202e} the canary.\n");
    world.write(".agent/config.toml", "idle_timeout = 'no number'");
    let run = world.exec(&["go"]).await.expect(0);
    assert!(world.mock.requests()[0].body.to_string().contains("the canary"));
    let said = "AGENTS.md has text that people don't see: line 1: text direction U+202E";
    assert!(run.stderr.contains(said), "{run:#?}");
    assert_eq!(run.stderr.matches("config.toml is not read").count(), 1, "{run:#?}");
    // Nothing to say about what hides nothing.
    world.write("AGENTS.md", "Dance the canary.\n");
    let run = world.exec(&["go"]).await.expect(0);
    assert!(!run.stderr.contains("AGENTS.md"), "{run:#?}");
}

#[tokio::test]
async fn a_project_that_is_not_trusted_is_not_read_and_that_is_said() {
    let world = World::new([Step::text("one"), Step::text("two")]).await;
    world.write("AGENTS.md", "Dance the canary.\n");
    let project = format!("projects.{:?}.trusted=", world.workspace.to_str().unwrap());
    let run = world.exec(&["-c", &format!("{project}false"), "go"]).await.expect(0);
    assert!(!world.mock.requests()[0].body.to_string().contains("canary"));
    assert!(run.stderr.contains("AGENTS.md is not read: the project is not trusted"), "{run:#?}");
    let run = world.exec(&["-c", &format!("{project}true"), "go"]).await.expect(0);
    assert!(world.mock.requests()[1].body.to_string().contains("canary"));
    assert!(!run.stderr.contains("AGENTS.md"), "{run:#?}");
}
