//! Secrets that commands and files say: in the files, and in nothing that a session keeps, sends or shows.

use std::fs;

use serde_json::json;

use crate::support::{
    mock::{Step, call, custom_call},
    world::{KEY, Run, World, files, output, shell},
};

const GITHUB: &str = "ghp_Q1w2E3r4T5y6U7i8O9p0Q1w2E3r4T5y6U7i8";
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMIIEowIBAAKCAQEAr1Vd0yYzKk8bmBvN3nbHzGvW3f2tE9x1Qk5p7Yt6sU0aLw\nq8Zt2m5N7vP1xR4cT6yU\n-----END PRIVATE KEY-----\n";

/// Nothing of the secrets is in what the run printed, was kept of the session, or sent to the model.
fn assert_nowhere(world: &World, run: &Run, secrets: &[&str]) {
    let kept = files(&world.home.join("sessions"));
    assert!(kept.iter().any(|path| path.ends_with("log.jsonl")), "{kept:?}");
    let mut all: Vec<(String, Vec<u8>)> =
        kept.iter().map(|path| (path.display().to_string(), fs::read(path).unwrap())).collect();
    all.push(("what was printed".into(), run.all().into_bytes()));
    all.extend(world.mock.requests().into_iter().map(|request| ("a request".into(), request.raw)));
    for (place, bytes) in &all {
        let text = String::from_utf8_lossy(bytes);
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} is in {place}");
        }
    }
}

fn handle(text: &str) -> String {
    let (_, rest) = text.split_once("[redacted:").unwrap_or_else(|| panic!("no handle in {text}"));
    format!("[redacted:{}]", rest.split_once(']').unwrap().0)
}

#[tokio::test]
async fn what_a_command_prints_comes_without_secrets_in_every_form_and_on_every_way() {
    let world = World::new([
        Step::items([
            shell("cat key; echo; base64 -w0 key; echo; od -An -tx1 key | tr -d ' \\n'; echo; cat token pem"),
            call("exec_command", json!({"cmd": "cat key; cat token; cat pem", "tty": true})),
            shell("for i in 1 2 3 4 5; do head -c 9000 /dev/zero | tr '\\0' x; cat key token; done"),
        ]),
        Step::text("ok"),
    ])
    .await;
    world.write("key", KEY);
    world.write("token", format!("\ntoken: {GITHUB}\n"));
    world.write("pem", PRIVATE);
    let run = world.exec(&["--json", "go"]).await.expect(0);
    let results: Vec<String> =
        world.results(2).iter().map(|(_, text)| output(text.as_str().unwrap()).to_owned()).collect();
    let key = handle(&results[0]);
    let token = handle(results[0].split_once("token: ").unwrap().1);
    let private = handle(results[0].rsplit_once("\n[").map(|(_, rest)| format!("[{rest}")).unwrap().as_str());
    assert!(key != token && token != private, "{}", results[0]);
    assert_eq!(results[0], format!("{key}\n{key}\n{key}\n\ntoken: {token}\n{private}\n"));
    assert_eq!(
        results[1],
        format!("{key}\r\ntoken: {token}\r\n{private}\r\n"),
        "the same value, the same handle"
    );
    assert!(results[2].contains(&token), "{}", results[2]);
    let blobs = files(&world.log_file().parent().unwrap().join("blobs"));
    assert_eq!(blobs.len(), 1, "the whole of a long output is kept: {blobs:?}");
    assert!(fs::read_to_string(&blobs[0]).unwrap().matches(&key).count() == 5);
    let hex: String = KEY.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert_nowhere(&world, &run, &[KEY, GITHUB, "MIIEowIBAAKCAQEA", "c2stY2FuYXJ5LTViMWQwZjdlMm", &hex]);
    assert_eq!(world.read("key"), KEY, "files are as they were");
}

#[tokio::test]
async fn what_a_patch_meets_in_files_is_in_the_files_and_not_in_the_transcript() {
    let delete = "*** Begin Patch\n*** Delete File: old\n*** End Patch\n";
    let miss = "*** Begin Patch\n*** Update File: other\n@@\n-token = here\n+token = there\n*** End Patch\n";
    let world = World::new([
        Step::items([custom_call("apply_patch", delete), custom_call("apply_patch", miss)]),
        Step::text("ok"),
    ])
    .await;
    world.write("old", format!("token = {GITHUB}\n"));
    world.write("other", format!("token = {GITHUB}\nlast\n"));
    let run = world.exec(&["--json", "go"]).await.expect(0);
    assert!(!world.workspace.join("old").exists());
    let log = fs::read_to_string(world.log_file()).unwrap();
    assert!(log.contains("-token = [redacted:"), "the change is told: {log}");
    assert!(world.read("other").contains(GITHUB));
    assert_nowhere(&world, &run, &[GITHUB]);
}

#[tokio::test]
async fn what_the_person_and_the_model_say_themselves_stays_as_it_is() {
    let add = format!("*** Begin Patch\n*** Add File: new\n+token = {GITHUB}\n*** End Patch\n");
    let world = World::new([Step::items([custom_call("apply_patch", &add)]), Step::text("ok")]).await;
    world.exec(&[&format!("write {GITHUB} to the file new")]).await.expect(0);
    assert_eq!(world.read("new"), format!("token = {GITHUB}\n"));
    let said = world.sent(2)[0]["content"][0]["text"].as_str().unwrap().to_owned();
    assert!(said.contains(GITHUB), "{said}");
}

#[tokio::test]
async fn credentials_in_the_environment_and_in_headers_are_known_too() {
    let world = World::new([Step::items([shell("cat a b c")]), Step::text("ok")]).await;
    let config = fs::read_to_string(world.config_file()).unwrap();
    let headers = "headers = { 'x-auth' = 'Bearer of-the-header-9', 'x-version' = '2023-06-01' }\n";
    fs::write(
        world.config_file(),
        config.replace("env_key = 'MOCK_KEY'\n", &format!("env_key = 'MOCK_KEY'\n{headers}")),
    )
    .unwrap();
    world.write("a", "of-the-header-9 2023-06-01\n");
    world.write("b", "of-the-environment-9\n");
    world.write("c", "of-the-file-9\n");
    let file = world.home.join("auth.json");
    fs::write(&file, r#"{"other": {"key": "of-the-file-9"}}"#).unwrap();
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut command = world.command(["exec", "--json", "go"]);
    command.env("SOME_API_TOKEN", "of-the-environment-9");
    let run = crate::support::world::Running::spawn(command).end().await.expect(0);
    let result = world.result(2);
    assert_eq!(output(&result).matches("[redacted:").count(), 3, "{result}");
    assert!(result.contains("2023-06-01"), "{result}");
    assert_nowhere(&world, &run, &["of-the-header-9", "of-the-environment-9", "of-the-file-9"]);
}
