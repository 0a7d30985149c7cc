//! What a holder tells the agent: one line.

use std::fmt;

use super::hold::Failure;

/// The state of a session that was to be started.
pub(super) enum Report {
    Ready {
        /// The first process inside, and when it started.
        holder: i32,
        started: u64,
        /// The number that commands go by inside, when it is not the user's own.
        user: Option<u32>,
        /// Version of Landlock; 0 for none.
        landlock: u32,
        /// Why repositories can't have a layer that commands write.
        layers: Result<(), String>,
    },
    Failed(Failure),
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { holder, started, user, landlock, layers } => {
                let user = user.map_or_else(|| "-".into(), |user| user.to_string());
                let layers = layers.as_ref().err().map_or("", String::as_str).replace('\n', " ");
                writeln!(f, "ready {holder} {started} {user} {landlock} {layers}")
            }
            Self::Failed(Failure { layer, reason }) => writeln!(f, "failed {layer}: {reason}"),
        }
    }
}

impl Report {
    /// Back from a line.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (word, rest) = text.trim_end_matches('\n').split_once(' ')?;
        if word == "failed" {
            let (layer, reason) = rest.split_once(": ")?;
            let layer = LAYERS.iter().find(|known| **known == layer).copied().unwrap_or("process");
            return Some(Self::Failed(Failure { layer, reason: reason.into() }));
        }
        let mut words = rest.splitn(5, ' ');
        Some(Self::Ready {
            holder: words.next()?.parse().ok()?,
            started: words.next()?.parse().ok()?,
            user: words.next().filter(|user| *user != "-").and_then(|user| user.parse().ok()),
            landlock: words.next()?.parse().ok()?,
            layers: words.next().filter(|why| !why.is_empty()).map_or(Ok(()), |why| Err(why.to_owned())),
        })
    }
}

/// Everything that can be missing.
const LAYERS: &[&str] = &[
    "workspace",
    "scratch",
    "process",
    "namespaces",
    "user namespace",
    "identity",
    "uts namespace",
    "network namespace",
    "mounts",
    "landlock",
    "seccomp",
    "bubblewrap",
    "life line",
];
