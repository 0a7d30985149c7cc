//! The tests beside this one and the attacks of the escape suite once more, in containers of Podman.
//!
//! `AGENT_TEST_PODMAN` is where its socket is, in the words of `DOCKER_HOST`; `./install.sh --test` sees to it.

use std::process::Command;

use crate::support::{chance::long, skip};

/// What runs over Podman each time; the long form of the tests runs everything.
const MAIN: &[&str] = &[
    "docker::commands",
    "docker::ends",
    "docker::forgetful",
    "docker::sessions::a_",
    "docker::walls",
    "sandbox::escape::contained::nothing_is_written",
    "sandbox::escape::contained::nothing_secret",
];
const EVERYTHING: &[&str] = &[
    "docker::",
    "sandbox::escape::contained",
    "sandbox::escape::controls::ordinary_development_works_when_contained",
];
/// What is about Docker's own ways: how it is reached, started and stopped, and how it builds the default image.
const DOCKERS: &[&str] = &[
    "docker::engine",
    "docker::image",
    "docker::podman",
    "docker::sessions::an_engine",
    "docker::sessions::the_doctor",
    "docker::tls",
];

#[test]
fn containers_of_podman_hold_and_work_as_well() {
    let Ok(host) = std::env::var("AGENT_TEST_PODMAN") else {
        return skip("containers of Podman: AGENT_TEST_PODMAN does not say where its socket is");
    };
    let mut command = Command::new(std::env::current_exe().unwrap());
    let which = if long() { EVERYTHING } else { MAIN };
    command.args(which).args(DOCKERS.iter().flat_map(|name| ["--skip", name]));
    command.args(["--test-threads", "3"]).env("DOCKER_HOST", host);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = said.lines().collect();
    let ran = lines.iter().filter(|line| line.starts_with("test ") && line.ends_with("... ok")).count();
    eprintln!("over Podman: {ran} tests held");
    let failed: Vec<&str> = lines.iter().copied().filter(|line| line.ends_with("... FAILED")).collect();
    let end = lines.get(lines.len().saturating_sub(400)..).unwrap_or_default().join("\n");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{end}\n{errors}\nfailed over Podman: {failed:#?}");
    assert!(ran > MAIN.len(), "{said}");
}
