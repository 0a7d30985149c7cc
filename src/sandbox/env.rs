//! The environment that commands get: an allow-list of the harness's own, and what makes programs behave in a
//! session without a person.
//!
//! The only file of this module that reads the process's environment.
#![cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "a part of it is for the sandbox of Linux"))]

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use crate::protocol::SandboxMode;

/// Variables as a program gets them.
pub type Vars = Vec<(OsString, OsString)>;

/// What is passed on as it is. All of it is either harmless or the path of a tool.
const PASSED: &[&str] = &[
    "COLUMNS",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_COLLATE",
    "LC_CTYPE",
    "LC_MESSAGES",
    "LC_MONETARY",
    "LC_NUMERIC",
    "LC_TIME",
    "LINES",
    "LOGNAME",
    "PATH",
    "SHELL",
    "TZ",
    "USER",
    // Where tools are, and where certificates are.
    "ANDROID_HOME",
    "BUN_INSTALL",
    "CARGO_HOME",
    "CONDA_PREFIX",
    "CURL_CA_BUNDLE",
    "DOTNET_ROOT",
    "GEM_HOME",
    "GOPATH",
    "GOROOT",
    "JAVA_HOME",
    "NODE_EXTRA_CA_CERTS",
    "NVM_DIR",
    "PNPM_HOME",
    "PYENV_ROOT",
    "RBENV_ROOT",
    "REQUESTS_CA_BUNDLE",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "SDKMAN_DIR",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "VIRTUAL_ENV",
    "VOLTA_HOME",
];

/// What is passed on as well when there is no sandbox.
const PASSED_OUTSIDE: &[&str] =
    &["TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"];

/// A name with one of these in it is never passed on, whatever a list says.
const NEVER: &[&str] = &["KEY", "SECRET", "TOKEN", "PASSWORD", "PASSWD", "CREDENTIAL", "AUTH"];

/// What every command is told: there is no person, no pager, and no colour.
const FIXED: &[(&str, &str)] = &[
    ("TERM", "dumb"),
    ("NO_COLOR", "1"),
    ("PAGER", "cat"),
    ("GIT_PAGER", "cat"),
    ("GH_PAGER", "cat"),
    ("MANPAGER", "cat"),
    ("SYSTEMD_PAGER", "cat"),
    ("GIT_TERMINAL_PROMPT", "0"),
];

/// Where tools of a user live, below HOME, and what of it is worth seeing.
const TOOLS_AT_HOME: &[&str] = &[
    ".asdf",
    ".bun/bin",
    ".cargo/bin",
    ".cargo/env",
    ".cargo/git",
    ".cargo/registry",
    ".deno/bin",
    ".dotnet",
    ".ghcup",
    ".local/bin",
    ".local/lib",
    ".local/share/fnm",
    ".local/share/mise",
    ".local/share/pnpm",
    ".local/share/uv",
    ".nvm",
    ".pyenv",
    ".rbenv",
    ".rustup",
    ".sdkman",
    ".volta",
    "anaconda3",
    // Not its sources, which are the user's.
    "go/bin",
    "go/pkg",
    "miniconda3",
];

/// Variables that name the root of a tool. Of `CARGO_HOME` and `GOPATH` only parts are shown: one may hold a token, the
/// other holds sources.
const TOOL_ROOTS: &[&str] = &[
    "ANDROID_HOME",
    "BUN_INSTALL",
    "CONDA_PREFIX",
    "DOTNET_ROOT",
    "GEM_HOME",
    "GOROOT",
    "JAVA_HOME",
    "NVM_DIR",
    "PNPM_HOME",
    "PYENV_ROOT",
    "RBENV_ROOT",
    "RUSTUP_HOME",
    "SDKMAN_DIR",
    "VIRTUAL_ENV",
    "VOLTA_HOME",
];

/// Credential files of tools, by name relative to HOME, or to the root that a variable names.
const SECRETS_AT_HOME: &[&str] = &[
    ".bun/bin/.npmrc",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".dotnet/corefx/cryptography",
    ".gem/credentials",
    ".local/share/uv/credentials",
    ".nvm/.npmrc",
    "anaconda3/.condarc",
    "miniconda3/.condarc",
];
const SECRETS_AT_ROOTS: &[(&str, &[&str])] = &[
    ("BUN_INSTALL", &["bin/.npmrc"]),
    ("CARGO_HOME", &["credentials", "credentials.toml"]),
    ("CONDA_PREFIX", &[".condarc"]),
    ("GEM_HOME", &["credentials"]),
    ("NVM_DIR", &[".npmrc"]),
    ("PNPM_HOME", &["rc", ".npmrc"]),
    ("VIRTUAL_ENV", &["pip.conf"]),
];
/// The same, of tools that are installed for the whole system.
const SECRETS_OF_SYSTEM: &[&str] = &[
    "/etc/npmrc",
    "/etc/pip.conf",
    "/opt/cargo/credentials",
    "/opt/cargo/credentials.toml",
    "/usr/etc/npmrc",
    "/usr/local/cargo/credentials",
    "/usr/local/cargo/credentials.toml",
    "/usr/local/etc/npmrc",
];

/// A home for users who have none that could be shown.
const NEUTRAL_HOME: &str = "/home/agent";

/// Where the programs that belong to the agent are inside the sandbox.
pub(super) const PROGRAMS: &str = "/.agent";

/// Says that commands have no network at all.
pub(super) const NETWORK_DISABLED: &str = "AGENT_SANDBOX_NETWORK_DISABLED";

/// Marks a variable that would change how our own helper starts, on its way through it.
const SHIELD: &str = "__AGENT_INNER_";

/// The environment for commands, from the variables of the harness.
pub fn clean(vars: impl Iterator<Item = (OsString, OsString)>, mode: SandboxMode, home: &Path) -> Vars {
    let outside = mode == SandboxMode::DangerFullAccess;
    let mut env: Vars = vars
        .filter(|(name, _)| is_passed(name, outside))
        .map(|(name, value)| if name == "PATH" { (name, absolute_only(&value)) } else { (name, value) })
        .collect();
    let mut set = |name: &str, value: &OsStr| {
        env.retain(|(old, _)| old != name);
        env.push((name.into(), value.to_owned()));
    };
    set("HOME", home.as_os_str());
    for (name, value) in FIXED {
        set(name, value.as_ref());
    }
    if !outside {
        set("AGENT_SANDBOXED", "1".as_ref());
        set(NETWORK_DISABLED, "1".as_ref());
        // Objects that are packed anew would all be brought out again. The user's own git does it in its time.
        for (name, value) in [("COUNT", "1"), ("KEY_0", "gc.auto"), ("VALUE_0", "0")] {
            set(&format!("GIT_CONFIG_{name}"), value.as_ref());
        }
    }
    let has = |env: &Vars, name: &str| env.iter().any(|(old, value)| old == name && !value.is_empty());
    if !has(&env, "PATH") {
        env.push(("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into()));
    }
    if !["LANG", "LC_ALL", "LC_CTYPE"].iter().any(|name| has(&env, name)) {
        env.push(("LANG".into(), "C.UTF-8".into()));
        env.push(("LC_ALL".into(), "C.UTF-8".into()));
    }
    env
}

/// The environment for commands of this process, in `mode`.
#[must_use]
pub fn for_commands(mode: SandboxMode) -> Vars {
    let home = match (mode, std::env::var_os("HOME")) {
        (SandboxMode::DangerFullAccess, Some(home)) => PathBuf::from(home),
        _ => home(),
    };
    clean(std::env::vars_os(), mode, &home)
}

/// With further variables of this process, by name. What may be a secret is not among them, whoever named it.
#[must_use]
pub fn with_allowed(mut env: Vars, names: &[String]) -> Vars {
    for name in names.iter().filter(|name| !may_be_secret(name)) {
        if let Some(value) = std::env::var_os(name) {
            env.retain(|(old, _)| old != name.as_str());
            env.push((name.into(), value));
        }
    }
    env
}

/// With a directory of the agent's own programs before the others.
pub(super) fn with_programs(mut env: Vars, programs: &Path) -> Vars {
    if let Some((_, path)) = env.iter_mut().find(|(name, _)| name == "PATH") {
        let mut all = programs.as_os_str().to_owned();
        all.push(":");
        all.push(&path);
        *path = all;
    }
    env
}

/// Variables of this process, by name: those that are set.
pub(super) fn kept(names: &[&'static str]) -> Vec<(&'static str, OsString)> {
    names.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))).collect()
}

/// Where this process looks for programs.
pub(super) fn search_path() -> Vec<PathBuf> {
    std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect()
}

/// Where HOME is inside the sandbox: at the user's own path, so that the same environment is right inside and
/// outside; at a neutral one when the user has none, or a system directory.
#[must_use]
pub fn home() -> PathBuf {
    home_at(std::env::var_os("HOME").map(PathBuf::from))
}

/// The user's own configuration of git, and the machine's: files that may be there.
pub(super) fn git_settings() -> Vec<PathBuf> {
    let var = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let home = home();
    vec![
        PathBuf::from("/etc/gitconfig"),
        var("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")).join("git/config"),
        var("GIT_CONFIG_GLOBAL").unwrap_or_else(|| home.join(".gitconfig")),
    ]
}

/// Existing directories and files of the user's tools, which commands may read.
pub(super) fn tools() -> Vec<PathBuf> {
    let home = home();
    let mut found: Vec<PathBuf> = TOOLS_AT_HOME.iter().map(|tool| home.join(tool)).collect();
    let var = |name: &&str| std::env::var_os(name).map(PathBuf::from);
    found.extend(TOOL_ROOTS.iter().filter_map(var));
    if let Some(cargo) = var(&"CARGO_HOME") {
        found.extend(["bin", "env", "git", "registry"].map(|part| cargo.join(part)));
    }
    if let Some(go) = var(&"GOPATH") {
        found.extend(["bin", "pkg"].map(|part| go.join(part)));
    }
    found.extend(search_path());
    found.retain(|path| {
        path.is_absolute() && path.parent().is_some() && !home.starts_with(path) && path.exists()
    });
    found.sort();
    found.dedup();
    found
}

/// Files of the user's tools that hold credentials, wherever the tools lie.
pub(super) fn secrets() -> Vec<PathBuf> {
    let home = home();
    let mut found: Vec<PathBuf> = SECRETS_AT_HOME.iter().map(|name| home.join(name)).collect();
    for (variable, names) in SECRETS_AT_ROOTS {
        let root = std::env::var_os(variable).map(PathBuf::from).filter(|root| root.is_absolute());
        found.extend(root.iter().flat_map(|root| names.iter().map(|name| root.join(name))));
    }
    found.extend(SECRETS_OF_SYSTEM.iter().map(PathBuf::from));
    found.retain(|path| path.exists());
    found
}

/// Ends this process when a test has asked for that at this step.
#[cfg(test)]
pub(super) fn test_step() {
    use std::sync::atomic::{AtomicU32, Ordering};
    static DONE: AtomicU32 = AtomicU32::new(0);
    let last: Option<u32> = std::env::var("AGENT_TEST_STEP").ok().and_then(|step| step.parse().ok());
    if last.is_some_and(|last| DONE.fetch_add(1, Ordering::Relaxed) == last) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Where a test that is started by another one finds its files.
#[cfg(test)]
pub(super) fn test_root() -> Option<PathBuf> {
    std::env::var_os("AGENT_TEST_ROOT").map(PathBuf::from)
}

/// The variables that this process was started with, for the helper: exactly what the command gets.
pub(super) fn inherited() -> Vars {
    std::env::vars_os().map(|(name, value)| (unshielded(name), value)).collect()
}

/// The environment for commands on a system of its own: what names places of this one goes, and what that one's image
/// says comes in its place.
pub(super) fn elsewhere(env: Vars, image: &[(String, String)], shell: &Path) -> Vars {
    let here = |name: &OsStr| {
        let name = name.to_str().unwrap_or_default();
        ["PATH", "SHELL", "USER", "LOGNAME", "CARGO_HOME", "RUSTUP_TOOLCHAIN"].contains(&name)
            || TOOL_ROOTS.contains(&name)
            || PASSED.iter().any(|passed| *passed == name && passed.contains("CERT"))
            || name.ends_with("_CA_BUNDLE")
    };
    let mut env: Vars = env.into_iter().filter(|(name, _)| !here(name)).collect();
    for (name, value) in image {
        if name != "HOME" && !env.iter().any(|(known, _)| known == name.as_str()) {
            env.push((name.into(), value.into()));
        }
    }
    if !env.iter().any(|(name, _)| name == "PATH") {
        env.push(("PATH".into(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()));
    }
    for name in ["USER", "LOGNAME"] {
        env.push((name.into(), "agent".into()));
    }
    env.push(("SHELL".into(), shell.into()));
    env
}

/// What `ssh` needs to know to find its keys, and nothing else.
pub(super) fn for_ssh() -> Vars {
    ["HOME", "LANG", "LOGNAME", "PATH", "SSH_AUTH_SOCK", "USER"]
        .iter()
        .filter_map(|name| Some((name.into(), std::env::var_os(name)?)))
        .collect()
}

/// Where container engines of the user's own listen.
pub(super) fn runtime_sockets() -> Vec<PathBuf> {
    let Some(folder) = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from) else { return Vec::new() };
    ["docker.sock", "podman/podman.sock"].map(|name| folder.join(name)).into()
}

/// Hides variables that the dynamic linker or the C library of the helper would obey, which runs outside.
pub(super) fn shielded(env: Vars) -> Vars {
    let obeyed = |name: &OsStr| {
        let name = name.as_bytes();
        [&b"LD_"[..], b"GLIBC_", b"MALLOC_", b"GCONV_", b"LOCPATH", b"RUST_", SHIELD.as_bytes()]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    };
    env.into_iter()
        .map(|(name, value)| {
            if obeyed(&name) {
                let mut hidden = OsString::from(SHIELD);
                hidden.push(name);
                (hidden, value)
            } else {
                (name, value)
            }
        })
        .collect()
}

fn unshielded(name: OsString) -> OsString {
    match name.as_bytes().strip_prefix(SHIELD.as_bytes()) {
        Some(rest) => OsString::from_vec(rest.to_vec()),
        None => name,
    }
}

fn is_passed(name: &OsStr, outside: bool) -> bool {
    let Some(name) = name.to_str() else { return false };
    (PASSED.contains(&name) || (outside && PASSED_OUTSIDE.contains(&name))) && !may_be_secret(name)
}

/// Whether a variable of this name may hold what no command should see.
#[must_use]
pub fn may_be_secret(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    NEVER.iter().any(|word| upper.contains(word))
}

/// Values of this process's environment that are to stay out of what commands say: those of variables whose names
/// say so. Paths, words of people and switches are none.
#[must_use]
pub fn secret_values() -> Vec<String> {
    let all = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    all.filter(|(name, value)| holds_secret(name, value)).map(|(_, value)| value).collect()
}

fn holds_secret(name: &str, value: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let named = may_be_secret(&upper.replace("AUTHOR", ""))
        && !["_FILE", "_PATH", "_DIR"].iter().any(|end| upper.ends_with(end));
    let plain = value.bytes().all(|byte| byte.is_ascii_lowercase()) || value.contains(char::is_whitespace);
    named && !plain && !value.starts_with("/") && !value.starts_with("./") && !value.starts_with("~/")
}

/// Without empty and relative entries: they would run what a repository brings.
fn absolute_only(path: &OsStr) -> OsString {
    let kept: Vec<&[u8]> =
        path.as_bytes().split(|byte| *byte == b':').filter(|entry| entry.starts_with(b"/")).collect();
    OsString::from_vec(kept.join(&b':'))
}

fn home_at(home: Option<PathBuf>) -> PathBuf {
    const SYSTEM: &[&str] =
        &["/bin", "/boot", "/dev", "/etc", "/lib", "/nonexistent", "/proc", "/sbin", "/sys", "/usr"];
    const SCRATCH: &[&str] = &["/tmp", "/var/tmp"];
    home.filter(|home| {
        home.is_absolute()
            && home.parent().is_some()
            && !SYSTEM.iter().any(|system| home.starts_with(system))
            && !SCRATCH.iter().any(|scratch| home == Path::new(scratch))
    })
    .unwrap_or_else(|| PathBuf::from(NEUTRAL_HOME))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vars(pairs: &[(&str, &str)]) -> impl Iterator<Item = (OsString, OsString)> {
        let owned: Vec<_> = pairs.iter().map(|(n, v)| (OsString::from(n), OsString::from(v))).collect();
        owned.into_iter()
    }

    fn get<'a>(env: &'a Vars, name: &str) -> Option<&'a str> {
        env.iter().find(|(n, _)| n == name).map(|(_, v)| v.to_str().unwrap())
    }

    #[test]
    fn values_of_variables_with_secret_names_stay_out_of_what_is_said_and_words_do_not() {
        for (name, value, secret) in [
            ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG", true),
            ("github_token", "0123456789abcdef", true),
            ("GIT_AUTHOR_NAME", "Ada2Lovelace", false),
            ("GIT_AUTHOR_TOKEN", "Ada2Lovelace", true),
            ("SSH_AUTH_SOCK", "/run/user/1000/agent", false),
            ("POSTGRES_PASSWORD", "postgres", false),
            ("KEY_FILE", "keys2.json", false),
            ("AUTH_HINT", "ask Ada 2", false),
            ("PATH", "Q1w2E3r4", false),
        ] {
            assert_eq!(holds_secret(name, value), secret, "{name}");
        }
    }

    #[test]
    fn only_what_is_listed_gets_through() {
        let env = clean(
            vars(&[
                ("PATH", "/bin:.::relative:/usr/bin"),
                ("OPENAI_API_KEY", "k"),
                ("AWS_SECRET_ACCESS_KEY", "k"),
                ("SSH_AUTH_SOCK", "/run/agent"),
                ("HTTPS_PROXY", "http://me:pass@proxy"),
                ("LD_PRELOAD", "/evil.so"),
                ("HOME", "/home/me"),
                ("TERM", "xterm"),
                ("TMPDIR", "/scratch"),
                ("LANG", "de_DE.UTF-8"),
            ]),
            SandboxMode::WorkspaceWrite,
            Path::new("/home/inside"),
        );
        assert_eq!(get(&env, "PATH"), Some("/bin:/usr/bin"));
        assert_eq!(get(&env, "HOME"), Some("/home/inside"));
        assert_eq!(get(&env, "TERM"), Some("dumb"));
        assert_eq!(get(&env, "LANG"), Some("de_DE.UTF-8"));
        assert_eq!(get(&env, "LC_ALL"), None);
        assert_eq!(get(&env, "AGENT_SANDBOXED"), Some("1"));
        for gone in [
            "OPENAI_API_KEY",
            "AWS_SECRET_ACCESS_KEY",
            "SSH_AUTH_SOCK",
            "HTTPS_PROXY",
            "LD_PRELOAD",
            "TMPDIR",
        ] {
            assert_eq!(get(&env, gone), None, "{gone}");
        }
    }

    #[test]
    fn an_empty_environment_still_has_a_path_and_a_utf8_locale() {
        let env = clean(std::iter::empty(), SandboxMode::ReadOnly, Path::new("/h"));
        assert_eq!(get(&env, "PATH"), Some("/usr/local/bin:/usr/bin:/bin"));
        assert_eq!(get(&env, "LC_ALL"), Some("C.UTF-8"));
    }

    #[test]
    fn outside_nobody_is_told_of_a_sandbox() {
        let env = clean(vars(&[("TMPDIR", "/t")]), SandboxMode::DangerFullAccess, Path::new("/h"));
        assert_eq!(get(&env, "AGENT_SANDBOXED"), None);
        assert_eq!(get(&env, "TMPDIR"), Some("/t"));
    }

    #[test]
    fn a_home_that_is_none_becomes_a_neutral_one() {
        for (given, inside) in [
            (Some("/home/me"), "/home/me"),
            (Some("/root"), "/root"),
            (Some("/tmp/x"), "/tmp/x"),
            (Some("/"), NEUTRAL_HOME),
            (Some("/usr/sbin"), NEUTRAL_HOME),
            (Some("/nonexistent"), NEUTRAL_HOME),
            (Some("relative"), NEUTRAL_HOME),
            (None, NEUTRAL_HOME),
        ] {
            assert_eq!(home_at(given.map(PathBuf::from)), PathBuf::from(inside), "{given:?}");
        }
    }

    proptest! {
        #[test]
        fn no_name_that_smells_of_a_secret_is_passed(
            head in "[A-Za-z_]{0,8}",
            word in prop::sample::select(NEVER),
            tail in "[A-Za-z_]{0,8}",
        ) {
            let name = format!("{head}{word}{tail}");
            let env = clean(
                std::iter::once((OsString::from(&name), OsString::from("x"))),
                SandboxMode::DangerFullAccess,
                Path::new("/h"),
            );
            prop_assert_eq!(get(&env, &name), None);
        }

        #[test]
        fn a_shield_keeps_every_variable_and_hides_the_linkers(
            names in prop::collection::vec("(LD_|__AGENT_INNER_|GLIBC_)?[A-Z]{1,6}", 0..8),
        ) {
            let env: Vars = names.iter().map(|n| (OsString::from(n), OsString::from("v"))).collect();
            let hidden = shielded(env.clone());
            prop_assert!(hidden.iter().all(|(n, _)| !n.as_bytes().starts_with(b"LD_")));
            let back: Vars = hidden.into_iter().map(|(n, v)| (unshielded(n), v)).collect();
            prop_assert_eq!(back, env);
        }
    }
}
