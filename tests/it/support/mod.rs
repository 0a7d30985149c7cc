//! What the flows share.

pub mod chance;
pub mod mock;
pub mod scripted;
pub mod wires;
pub mod world;

use std::{
    env,
    fs::OpenOptions,
    io::{self, Write as _},
    path::PathBuf,
    process::Command,
    sync::OnceLock,
    time::{Duration, Instant},
};

/// The file that lines about what was not tested are added to.
const SKIPS: &str = "AGENT_TEST_SKIPS";

/// Names another program than the one that was built, for users who can't reach that.
pub const PROGRAM: &str = "AGENT_TEST_PROGRAM";

/// The program to be tested.
pub fn program() -> PathBuf {
    env::var_os(PROGRAM).map_or_else(|| env!("CARGO_BIN_EXE_agent").into(), PathBuf::from)
}

/// Says that something can't be tested on this machine, and why. Where everything should be there (`CI=true`),
/// that is a failure.
pub fn skip(reason: &str) {
    let line = format!("NOT TESTED: {reason}\n");
    let _ = io::stderr().write_all(line.as_bytes());
    if let Some(path) = env::var_os(SKIPS) {
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).unwrap();
    }
    assert!(env::var("CI").as_deref() != Ok("true"), "{line}");
}

/// Waits for something that another program does, and nobody else tells of. `what` is said when it does not.
pub async fn until(what: &str, happened: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !happened() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether commands can be run in a sandbox here; where not, that is said.
pub fn has_sandbox() -> bool {
    static FOUND: OnceLock<Result<(), String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let [home, workspace] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let tried = Command::new(program())
            .args(["sandbox", "--", "true"])
            .env("AGENT_HOME", home.path())
            .current_dir(workspace.path())
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&tried.stderr).trim().replace('\n', " ");
        if tried.status.success() { Ok(()) } else { Err(words) }
    });
    match found {
        Ok(()) => true,
        Err(why) => {
            skip(&format!("no sandbox on this machine: {why}"));
            false
        }
    }
}
