//! What the provider's cache does to the price: foretold, and explained.

use crate::support::{
    mock::Step,
    world::{World, shell},
};

#[tokio::test]
async fn a_request_that_the_cache_has_nothing_of_is_foretold_and_explained() {
    let world = World::new([
        Step::items([shell("true")]).usage_all(200_000, 0, 10, 0),
        Step::text("done").usage_all(201_000, 200_000, 10, 0),
        Step::text("and again").usage_all(202_000, 0, 10, 0),
    ])
    .await;
    let config = std::fs::read_to_string(world.config_file()).unwrap();
    let other = "[models.n]\nwindow = 900000\neffort = 'medium'\nprice = { input = 10.0, cached = 1.0, output = 30.0 }\n";
    std::fs::write(
        world.config_file(),
        format!("{}\n{other}", config.replace("window = 200000", "window = 900000")),
    )
    .unwrap();
    let run = world.exec(&["--json", "the task"]).await.expect(0);
    assert!(!run.all().contains("cache has little"), "{run:#?}");
    // Another model has none of it.
    let run = world.exec(&["resume", "--last", "--json", "-m", "mock/n", "go on"]).await.expect(0);
    let notes = run.notes().join("\n");
    assert!(
        notes.contains("the provider's cache has little (mock/m was asked before): they cost about $2.0"),
        "{notes}"
    );
    assert!(
        notes.contains("of 202000 tokens that were sent, 0 came from the provider's cache: mock/m"),
        "{notes}"
    );
    // And what is not dear is not worth a word.
    let world = World::new([
        Step::items([shell("true")]).usage_all(200_000, 0, 10, 0),
        Step::text("done").usage_all(201_000, 200_000, 10, 0),
        Step::text("and again").usage_all(202_000, 201_000, 10, 0),
    ])
    .await;
    let config = std::fs::read_to_string(world.config_file()).unwrap();
    let config = format!(
        "{}\n{other}\n[budget]\nwarn_usd = 50.0\n",
        config.replace("window = 200000", "window = 900000")
    );
    std::fs::write(world.config_file(), config).unwrap();
    world.exec(&["the task"]).await.expect(0);
    let run = world.exec(&["resume", "--last", "--json", "-m", "mock/n", "go on"]).await.expect(0);
    assert!(!run.all().contains("provider's cache"), "{run:#?}");
}
