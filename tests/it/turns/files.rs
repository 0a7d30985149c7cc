//! Files: patches in every form, pictures, plans.

use base64::Engine as _;
use serde_json::{Value, json};

use crate::support::{
    mock::{Step, call, custom_call},
    world::{World, output, shell},
};

const ADD: &str = "*** Begin Patch\n*** Add File: new.txt\n+one\n+two\n*** End Patch";

fn change(from: &str, to: &str) -> String {
    format!("*** Begin Patch\n*** Update File: new.txt\n@@\n-{from}\n+{to}\n*** End Patch\n")
}

#[tokio::test]
async fn a_patch_is_applied_in_every_form_that_models_write() {
    let add = "Success. Updated the following files:\nA new.txt\n";
    let forms: [(&str, Value, Value); 3] = [
        ("freeform", custom_call("apply_patch", ADD), json!("custom_tool_call_output")),
        ("function", call("apply_patch", json!({"input": ADD})), json!("function_call_output")),
        ("typed", shell(&format!("apply_patch <<'EOF'\n{ADD}\nEOF\n")), json!("function_call_output")),
    ];
    for (form, item, kind) in forms {
        let world = World::new([Step::items([item]), Step::text("ok")]).await;
        let run = world.exec(&["--json", "go"]).await.expect(0);
        assert_eq!(world.read("new.txt"), "one\ntwo\n", "{form}: {run:#?}");
        let told = world.result(2);
        assert!(told.ends_with(add), "{form}: {told}");
        assert_eq!(world.sent(2).last().unwrap()["type"], kind, "{form}");
        let items = run.of("item_added");
        let result = items.iter().find(|fact| fact["item"]["type"] == "tool_result").unwrap();
        let shape = &result["item"]["shown"]["type"];
        assert_eq!(shape, "patch", "{form}");
        match form {
            "freeform" | "function" => assert!(told.starts_with("Exit code: 0\nWall time: "), "{told}"),
            "typed" => assert!(output(&told).starts_with("Exit code: 0\nWall time: "), "{told}"),
            _ => unreachable!("{form}"),
        }
    }
}

#[tokio::test]
async fn a_script_finds_the_program_of_that_name() {
    let script = format!("cat > patch <<'EOF'\n{ADD}\nEOF\nfor way in 1; do apply_patch < patch; done");
    for more in [&[][..], &["-s", "danger-full-access"]] {
        let world = World::new([Step::items([shell(&script)]), Step::text("ok")]).await;
        world.exec(&[&["go"], more].concat()).await.expect(0);
        let result = world.result(2);
        assert_eq!(output(&result), "Success. Updated the following files:\nA new.txt\n", "{more:?}");
        assert_eq!(world.read("new.txt"), "one\ntwo\n");
    }
}

#[tokio::test]
async fn a_patch_that_does_not_fit_changes_nothing_and_says_where() {
    let world = World::new([
        Step::items([custom_call("apply_patch", &change("three", "3"))]),
        Step::items([custom_call("apply_patch", "*** Begin\n")]),
        Step::text("ok"),
    ])
    .await;
    let path = world.write("new.txt", "one\ntwo\n");
    world.exec(&["go"]).await.expect(0);
    assert_eq!(world.read("new.txt"), "one\ntwo\n");
    let results = world.results(3);
    let [first, second] = [0, 1].map(|at: usize| results[at].1.as_str().unwrap());
    let expected = format!(
        "apply_patch verification failed: Failed to find expected lines in {}:\nthree",
        path.display()
    );
    assert!(first.starts_with(&expected), "{first}");
    let expected = "apply_patch verification failed: invalid patch: The first line of the patch must be \
                    '*** Begin Patch'";
    assert!(second.starts_with(expected), "{second}");
}

#[tokio::test]
async fn two_patches_of_one_file_in_one_answer_are_applied_in_order() {
    let world = World::new([
        Step::items([
            custom_call("apply_patch", &change("one", "two")),
            custom_call("apply_patch", &change("two", "three")),
            custom_call("apply_patch", &change("three", "four")),
        ]),
        Step::text("ok"),
    ])
    .await;
    world.write("new.txt", "one\n");
    world.exec(&["go"]).await.expect(0);
    assert_eq!(world.read("new.txt"), "four\n", "{:?}", world.results(2));
}

#[tokio::test]
async fn a_patch_finds_the_file_as_the_command_before_it_left_it() {
    let world = World::new([
        Step::items([
            // Long enough for a command that does not wait for the patch.
            shell("echo one > new.txt; until [ -e passed ] || [ $((tries += 1)) -gt 20000 ]; do :; done"),
            custom_call("apply_patch", &change("one", "two")),
            shell("cat new.txt; touch passed"),
        ]),
        Step::text("ok"),
    ])
    .await;
    world.exec(&["go"]).await.expect(0);
    let results = world.results(2);
    assert_eq!(world.read("new.txt"), "two\n", "{results:?}");
    assert_eq!(output(results[2].1.as_str().unwrap()), "two\n");
}

#[tokio::test]
async fn a_picture_comes_to_the_model_as_a_picture() {
    let world = World::new([Step::call("view_image", json!({"path": "dot.png"})), Step::text("ok")]).await;
    let png = picture();
    world.write("dot.png", &png);
    world.exec(&["go"]).await.expect(0);
    let results = world.results(2);
    let part = &results[0].1[0];
    assert_eq!(part["type"], "input_image", "{results:?}");
    let url = part["image_url"].as_str().unwrap();
    let data = url.strip_prefix("data:image/png;base64,").unwrap();
    let bytes = base64::engine::general_purpose::STANDARD.decode(data).unwrap();
    let decoded = image::load_from_memory(&bytes).unwrap();
    assert_eq!((decoded.width(), decoded.height()), (3, 2));
}

#[tokio::test]
async fn what_is_no_picture_is_told_in_words() {
    let world = World::new([
        Step::items([
            call("view_image", json!({"path": "no.png"})),
            call("view_image", json!({"path": "text.png"})),
        ]),
        Step::text("ok"),
    ])
    .await;
    let text = world.write("text.png", "no picture");
    world.exec(&["go"]).await.expect(0);
    let results = world.results(2);
    let missing = world.workspace.join("no.png");
    assert_eq!(
        results[0].1,
        format!("unable to locate image at `{}`: No such file or directory (os error 2)", missing.display())
    );
    let told = results[1].1.as_str().unwrap();
    assert!(told.contains(&text.display().to_string()), "{told}");
}

#[tokio::test]
async fn a_plan_is_kept_and_acknowledged() {
    let plan = json!({"explanation": "so", "plan": [
        {"step": "look", "status": "completed"},
        {"step": "mend", "status": "in_progress"},
    ]});
    let world = World::new([Step::call("update_plan", plan), Step::text("ok")]).await;
    let run = world.exec(&["go"]).await.expect(0);
    assert_eq!(world.result(2), "Plan updated");
    assert!(run.stderr.contains("☑ look\n  ▶ mend"), "{run:#?}");
}

/// Three by two pixels.
fn picture() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(3, 2, image::Rgb([200, 10, 10]))
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

#[tokio::test]
async fn a_path_that_can_not_be_recorded_costs_its_call_and_not_the_session() {
    use std::os::unix::ffi::OsStrExt as _;
    let change = "*** Begin Patch\n*** Update File: l/a\n@@\n-a\n+b\n*** End Patch\n";
    let world = World::new([
        Step::items([custom_call("apply_patch", change), call("view_image", json!({"path": "l/a.png"}))]),
        Step::text("ok"),
    ])
    .await;
    let name = std::ffi::OsStr::from_bytes(b"d\xff");
    std::fs::create_dir(world.workspace.join(name)).unwrap();
    std::fs::write(world.workspace.join(name).join("a"), "a\n").unwrap();
    std::fs::write(world.workspace.join(name).join("a.png"), picture()).unwrap();
    std::os::unix::fs::symlink(name, world.workspace.join("l")).unwrap();
    assert_eq!(world.exec(&["go"]).await.expect(0).stdout, "ok\n");
    for (_, told) in world.results(2) {
        let told = told.as_str().unwrap();
        assert!(
            told.starts_with("what it would do can't be recorded: path contains invalid UTF-8"),
            "{told}"
        );
    }
    assert_eq!(world.read("l/a"), "a\n");
    // And a workspace with such a path is refused before anything begins.
    let run = world.exec(&["-C", "l", "go"]).await.expect(2);
    assert!(run.stderr.contains("its path is not UTF-8"), "{run:#?}");
    assert_eq!(world.sessions().len(), 1);
}
