//! The default image, built on first use.

use std::{path::Path, process::Command};

use super::world::docker;
use crate::support::{chance::long, program, skip};

/// What it is made from.
const FROM: &str = "debian:bookworm-slim";

/// An image that is taken away again.
struct Borrowed(&'static str);

impl Drop for Borrowed {
    fn drop(&mut self) {
        docker(&["image", "rm", self.0]);
    }
}

/// The base, from the packages of this machine where the engine has none.
fn base() -> Option<Borrowed> {
    if docker(&["image", "inspect", FROM]).status.success() {
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/docker/base.sh");
    let made = Command::new("sh")
        .args(["-c", "sh \"$1\" | docker import - \"$2\"", "sh"])
        .args([script.as_os_str(), FROM.as_ref()])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    Some(Borrowed(FROM))
}

/// Takes minutes, and packages from where this machine has its own.
#[test]
fn the_default_image_is_built_on_first_use_and_said_to_be() {
    if !long() {
        eprintln!("the default image: left to the long form of the tests");
        return;
    }
    if !docker(&["info"]).status.success() {
        return skip("the default image: no engine answers");
    }
    let _base = base();
    let name = {
        let dockerfile =
            std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/docker/Dockerfile")).unwrap();
        format!("agent-default:{}", blake3::hash(&dockerfile).to_hex().get(..12).unwrap())
    };
    docker(&["image", "rm", &name]);
    let directory = tempfile::tempdir().unwrap();
    let workspace = directory.path().join("workspace");
    std::fs::create_dir(&workspace).unwrap();
    let run = || {
        let script = "printf 'int main(void){return 7;}' > m.c && cc m.c -o m; ./m; echo $?; git --version; node -e 'console.log(1)'; \
                      python3 -c 'print(2)'; rg --version | head -1; jq -n 3";
        let output = Command::new(program())
            .args(["--backend", "docker", "sandbox", "--", "bash", "-c", script])
            .current_dir(&workspace)
            .env("AGENT_HOME", directory.path().join("home"))
            .output()
            .unwrap();
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let [out, told] = run();
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines.first() == Some(&"7") && lines.last() == Some(&"3") && lines.len() == 6, "{out}\n{told}");
    // What goes on is told as it goes on.
    assert!(told.starts_with(&format!("building the image {name}")), "{told}");
    assert!(
        told.contains("Step 2/2") && (told.contains("Setting up git") || told.contains("Using cache")),
        "{told}"
    );
    let [again, told] = run();
    assert_eq!((again, told.as_str()), (out, ""), "it is there now");
}
