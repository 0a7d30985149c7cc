//! What can be done in a container that should not be possible, tried there: by calls that the kernel must refuse, and
//! more processes than there may be. How much memory there may be is asked of the engine, which reads it from the
//! kernel: to try it would take all of it.

use std::io;

use serde_json::Value;

use super::{container::Blueprint, hijack, inside::Inside, porter};

/// What could be done, in words.
pub(super) async fn gaps(inside: &Inside, blueprint: &Blueprint) -> io::Result<Vec<String>> {
    let Inside { docker, endpoint, container, .. } = inside;
    let done = porter::attack(docker, endpoint, container).await?;
    let mut gaps: Vec<String> = done.into_iter().map(|what| format!("{what} is possible")).collect();
    let stats =
        hijack::get(endpoint, &format!("/containers/{container}/stats?stream=false&one-shot=true")).await;
    // Some versions refuse to say what they do not bound.
    let limit = stats.ok().and_then(|stats| stats.pointer("/memory_stats/limit").and_then(Value::as_i64));
    if !limit.is_some_and(|limit| limit > 0 && limit <= blueprint.most_memory()) {
        gaps.push(
            "its memory is not bounded (a Podman that is not root's can do that only where control groups of version 2 \
             are handed to its user, as systemd does)"
                .to_owned(),
        );
    }
    Ok(gaps)
}
