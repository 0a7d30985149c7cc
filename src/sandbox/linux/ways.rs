//! The ways to a local sandbox, best first, and which one a session takes: the next one only where the kernel refuses
//! what the one before needs, and never in silence.

use std::{ffi::OsString, sync::Arc};

use super::{Holder, Linux, alone, bubblewrap, hold::Failure, plan::Plan};
use crate::sandbox::{SandboxError, Settings, SharedSandbox, network::Network};

/// What needs user namespaces, and is refused where they are.
const NAMESPACES: &[&str] = &["namespaces", "user namespace", "uts namespace", "network namespace", "mounts"];

/// How commands get inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Through namespaces that this program makes, once for all commands of the session.
    Own,
    /// Through those that bubblewrap makes, for each command anew.
    Bubblewrap,
    /// Without any: by rules of Landlock and a list of system calls alone.
    Alone,
}

/// Why there is no sandbox here: the layer that is missing, and what is said of it.
pub(super) struct Missing {
    pub(super) layer: &'static str,
    pub(super) error: SandboxError,
}

/// The sandbox of a session, by the first way that the kernel lets it go.
///
/// # Errors
/// When there is none. The text says what is missing.
pub(in crate::sandbox) fn start(
    settings: Settings,
    network: Option<Network>,
) -> Result<SharedSandbox, SandboxError> {
    match holder(&settings, network.as_ref()) {
        Ok((way, plan, holder)) => Ok(Arc::new(Linux::held(settings, plan, network, way, holder))),
        Err(missing) => Err(missing.error),
    }
}

/// Who holds the namespaces of a session, or sees to its end; and the way by which commands get there.
pub(super) fn holder(settings: &Settings, network: Option<&Network>) -> Result<(Way, Plan, Holder), Missing> {
    let plan = Plan::new(settings)
        .map(|plan| Plan { network: network.is_some(), ..plan })
        .map_err(|error| Missing { layer: "workspace", error })?;
    let own = match Holder::start(Way::Own, settings, &plan, network) {
        Ok(holder) => return Ok((Way::Own, plan, holder)),
        Err(failure) => failure,
    };
    if !refuses_namespaces(&own) {
        return Err(Missing { layer: own.layer, error: explain(&own) });
    }
    let bubblewrap = match Holder::start(Way::Bubblewrap, settings, &plan, network) {
        Ok(holder) => return Ok((Way::Bubblewrap, plan, holder)),
        Err(failure) => failure,
    };
    // There is nowhere to listen for what commands send.
    let plan = Plan { network: false, ..plan };
    let is_none = bubblewrap.layer == "bubblewrap" || refuses_namespaces(&bubblewrap);
    let alone = match is_none.then(|| Holder::start(Way::Alone, settings, &plan, None)) {
        Some(Ok(holder)) => return Ok((Way::Alone, plan, holder)),
        Some(Err(failure)) => {
            format!(". Nor can commands be held without any: {}: {}", failure.layer, failure.reason)
        }
        // It was there, and did not hold.
        None => String::new(),
    };
    Err(Missing { layer: own.layer, error: explain_both(&own, &bubblewrap, &alone) })
}

impl Way {
    /// The helper's role that holds the session.
    pub(super) fn hold(self) -> &'static str {
        match self {
            Self::Own => "hold",
            Self::Bubblewrap => bubblewrap::KEEP,
            Self::Alone => alone::HOLD,
        }
    }

    /// The helper's first arguments in the role that takes a command inside.
    pub(super) fn enter(self, plan: &Plan) -> Vec<OsString> {
        match self {
            Self::Own => vec!["enter".into()],
            Self::Bubblewrap => bubblewrap::enter::arguments(plan),
            Self::Alone => alone::arguments(plan),
        }
    }

    /// What a person and the model are told at first, where this is not the best way.
    pub(super) fn notice(self) -> Option<String> {
        match self {
            Self::Own => None,
            Self::Bubblewrap => Some(format!(
                "this machine does not let agent make namespaces, so that bubblewrap makes them for each command: {}",
                bubblewrap::LESS
            )),
            Self::Alone => Some(alone::notice()),
        }
    }

    /// For the one line that says what holds.
    pub(super) fn in_words(self) -> String {
        match self {
            Self::Own | Self::Alone => String::new(),
            Self::Bubblewrap => format!(", by bubblewrap: {}", bubblewrap::LESS),
        }
    }

    /// Who makes the namespaces, where this program does not.
    pub(super) fn of_whom(self) -> &'static str {
        match self {
            Self::Own | Self::Alone => "",
            Self::Bubblewrap => {
                ", made by bubblewrap for each command, for the kernel does not let agent make them itself"
            }
        }
    }
}

/// What lets somebody have namespaces.
pub(super) const HINT: &str = "The kernel must let you make user namespaces: see `sysctl user.max_user_namespaces`, on Debian \
                               `kernel.unprivileged_userns_clone=1`, on Ubuntu \
                               `kernel.apparmor_restrict_unprivileged_userns=0` (or an AppArmor profile for this program); in \
                               a container, a seccomp profile that allows `unshare` and `mount`. Linux 5.12 or newer is needed";

/// What a missing layer means, and how to get it.
pub(super) fn explain(failure: &Failure) -> SandboxError {
    SandboxError { message: format!("no sandbox: {}. {AT_RISK}", in_words(failure)) }
}

/// The same where bubblewrap was tried in place of this program's own way, and failed too.
fn explain_both(own: &Failure, bubblewrap: &Failure, alone: &str) -> SandboxError {
    SandboxError {
        message: format!(
            "no sandbox: {}. Nor is there one by bubblewrap, which was tried in its place: {}{alone}. {AT_RISK}",
            in_words(own),
            in_words(bubblewrap)
        ),
    }
}

const AT_RISK: &str = "To run without one, at your own risk: --sandbox danger-full-access";

fn in_words(failure: &Failure) -> String {
    let Failure { layer, reason } = failure;
    let hint = match *layer {
        _ if refuses_namespaces(failure) => HINT,
        "identity" if rustix::process::geteuid().is_root() => {
            "Commands of root run as somebody without power, who is shown the workspace, its further directories and the \
             session's own one as his: their file systems must take id-mapped mounts (ext4, xfs, btrfs and others do, \
             network and overlay file systems don't). Start the program as an ordinary user, or work in another place"
        }
        "bubblewrap" => {
            "It is taken from /usr/bin/bwrap alone (the package `bubblewrap`), where it must belong to root, and the system \
             must let it make namespaces: on Ubuntu by its AppArmor profile, `bwrap-userns-restrict`"
        }
        "seccomp" => "The kernel must have CONFIG_SECCOMP_FILTER",
        "scratch" => "The session's own directory must be writable",
        _ => "",
    };
    let dot = if hint.is_empty() { "" } else { ". " };
    format!("{layer}: {reason}{dot}{hint}")
}

/// Whether it was the kernel that would not let this program have namespaces of its own.
fn refuses_namespaces(failure: &Failure) -> bool {
    // Root is given another identity by one.
    let by_root = failure.layer == "identity" && rustix::process::geteuid().is_root();
    // A security module denies this way, too; a file of the workspace is denied to the person themself.
    let denied = !by_root && failure.layer != "mounts" && gives(&failure.reason, libc::EACCES);
    (by_root || NAMESPACES.contains(&failure.layer)) && (denied || refused(&failure.reason))
}

/// Whether it is the machine that does not let it be: not permitted, no more of them, or not known to the kernel.
fn refused(reason: &str) -> bool {
    [libc::EPERM, libc::ENOSPC, libc::ENOSYS].into_iter().any(|code| gives(reason, code))
}

fn gives(reason: &str, code: i32) -> bool {
    reason.contains(&format!("(os error {code})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_blamed_only_for_what_it_refuses() {
        for (reason, blamed) in [
            ("Operation not permitted (os error 1)", true),
            ("No space left on device (os error 28)", true),
            ("Function not implemented (os error 38)", true),
            ("/ws: Too many levels of symbolic links (os error 40)", false),
        ] {
            for layer in ["namespaces", "mounts"] {
                let SandboxError { message } = explain(&Failure { layer, reason: reason.into() });
                assert_eq!(message.contains("sysctl"), blamed, "{message}");
            }
        }
        for (layer, blamed) in
            [("namespaces", true), ("user namespace", true), ("mounts", false), ("landlock", false)]
        {
            let reason = "Permission denied (os error 13)".to_owned();
            assert_eq!(refuses_namespaces(&Failure { layer, reason }), blamed, "{layer}");
        }
        // Root is given another identity by a namespace.
        let root = rustix::process::geteuid().is_root();
        for (layer, blamed) in [
            ("identity", root),
            ("seccomp", false),
            ("landlock", false),
            ("scratch", false),
            ("process", false),
        ] {
            let reason = "Operation not permitted (os error 1)".to_owned();
            assert_eq!(refuses_namespaces(&Failure { layer, reason }), blamed, "{layer}");
        }
    }
}
