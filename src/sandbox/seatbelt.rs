//! The sandbox of macOS: the system's own Seatbelt, by `sandbox-exec`, with a profile made from the settings.
//!
//! The profile is text of this file alone. Paths reach it as parameters, whatever characters they have, and are never
//! a part of it. What is not allowed is denied.
//!
//! Seatbelt decides by paths and has no namespaces: commands see which processes there are, and their HOME and TMPDIR
//! are directories of the session with other names than the person's. It has been tried by nobody on a Mac yet.

use std::{
    ffi::{OsStr, OsString},
    fmt::Write as _,
    path::{Path, PathBuf},
};

use super::{Article, CommandLine, Settings, env};
#[cfg(target_os = "macos")]
use super::{Sandbox, SandboxError};
use crate::protocol::{SandboxMode, obeyed_names};

/// Not by a name that PATH could lead elsewhere.
const PROGRAM: &str = "/usr/bin/sandbox-exec";

/// What every program needs to start, and to be a guest: nothing of the person's is in it.
const BASE: &str = r#"(version 1)
(deny default)

; Processes of its own, and signals to these alone.
(allow process-exec)
(allow process-fork)
(allow signal (target same-sandbox))
(allow process-info* (target same-sandbox))

; Where files are may be known; what is in them not.
(allow file-read-metadata)
(allow file-read*
  (literal "/")
  (subpath "/bin") (subpath "/sbin") (subpath "/usr") (subpath "/System") (subpath "/Library/Developer")
  (subpath "/Library/Frameworks") (subpath "/Library/Apple") (subpath "/Library/Java") (subpath "/opt")
  (subpath "/Applications/Xcode.app") (subpath "/private/etc") (subpath "/private/var/db/dyld")
  (subpath "/private/var/db/timezone") (subpath "/private/var/select"))
(deny file-read*
  (literal "/private/etc/master.passwd") (literal "/private/etc/sudoers") (subpath "/private/etc/sudoers.d")
  (subpath "/private/etc/ssh") (subpath "/private/etc/krb5.keytab") (subpath "/private/etc/ppp"))

; Terminals and the usual devices.
(allow file-read* file-write-data file-ioctl
  (literal "/dev/null") (literal "/dev/zero") (literal "/dev/tty") (literal "/dev/ptmx")
  (literal "/dev/dtracehelper") (regex #"^/dev/ttys[0-9]+$") (regex #"^/dev/fd/[0-9]+$"))
(allow file-read* (literal "/dev/random") (literal "/dev/urandom") (literal "/dev/autofs_nowait"))
(allow pseudo-tty)

; What the machine is like, and who is who on it.
(allow sysctl-read)
(allow ipc-posix-sem)
(allow mach-lookup
  (global-name "com.apple.system.opendirectoryd.libinfo")
  (global-name "com.apple.system.opendirectoryd.membership")
  (global-name "com.apple.system.notification_center")
  (global-name "com.apple.system.logger"))
"#;

/// A profile, and the values of the parameters that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Profile {
    text: String,
    values: Vec<(String, PathBuf)>,
}

impl Profile {
    /// The profile for these settings. Later rules go before earlier ones.
    pub(super) fn of(settings: &Settings) -> Self {
        let mut profile = Self { text: BASE.to_owned(), values: Vec::new() };
        let roots = roots(settings);
        let private = private(settings).map(|(_, path)| path);
        let tools = env::tools().into_iter().map(|path| real(&path));
        let write = settings.mode != SandboxMode::ReadOnly;

        profile.rule("The person's tools, and this program.", "allow", "file-read*", "TOOL", tools);
        profile.rule("", "allow", "file-read*", "PROGRAM", [real(&settings.program)]);
        profile.rule("The workspace.", "allow", "file-read*", "ROOT", roots.iter().cloned());
        if write {
            profile.rule("", "allow", "file-write*", "WRITTEN", roots.iter().cloned());
        }
        let names = |root: &PathBuf| {
            obeyed_names().flat_map(spellings).map(|name| root.join(name)).collect::<Vec<_>>()
        };
        let obeyed = roots.iter().flat_map(names);
        profile.rule("What others obey later, there or not.", "deny", "file-write*", "OBEYED", obeyed);
        let own = settings.own.iter().map(|path| real(path));
        profile.rule("What is this program's own.", "deny", "file-read* file-write*", "OWN", own);
        let shown = settings.shown.iter().map(|path| real(path));
        profile.rule("Copies of skills.", "allow", "file-read*", "SHOWN", shown);
        profile.rule("What is the session's own.", "allow", "file-read* file-write*", "PRIVATE", private);
        let secrets = env::secrets().into_iter().flat_map(|path| [real(&path), path]);
        profile.rule("Credentials of tools.", "deny", "file-read* file-write*", "SECRET", secrets);
        profile
    }

    /// Adds a rule about what lies at or below each of these paths.
    fn rule(
        &mut self,
        why: &str,
        verdict: &str,
        operations: &str,
        name: &str,
        paths: impl IntoIterator<Item = PathBuf>,
    ) {
        let mut places = String::new();
        for (number, path) in paths.into_iter().enumerate() {
            let name = format!("{name}_{number}");
            // Writing to a string can't fail.
            let _ = write!(places, "\n  (subpath (param \"{name}\"))");
            self.values.push((name, path));
        }
        if places.is_empty() {
            return;
        }
        let why = if why.is_empty() { String::new() } else { format!("\n; {why}\n") };
        let _ = writeln!(self.text, "{why}({verdict} {operations}{places})");
    }

    /// The words that run a command under it.
    fn args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = vec!["-p".into(), self.text.clone().into()];
        for (name, path) in &self.values {
            let mut value = OsString::from(format!("-D{name}="));
            value.push(path);
            args.push(value);
        }
        args.push("--".into());
        args
    }
}

/// The same command inside, with directories of the session for HOME and TMPDIR.
pub(super) fn wrapped(settings: &Settings, profile: &Profile, command: CommandLine) -> CommandLine {
    let mut args = profile.args();
    args.push(command.program);
    args.extend(command.args);
    let mut vars = command.env;
    for (name, path) in private(settings) {
        vars.retain(|(old, _)| old != name);
        vars.push((OsStr::new(name).to_owned(), path.into_os_string()));
    }
    CommandLine { program: PROGRAM.into(), args, env: vars, cwd: command.cwd, tty: command.tty }
}

/// What commands may do, in words.
#[cfg_attr(not(target_os = "macos"), expect(dead_code, reason = "said where it is so"))]
pub(super) fn policy(settings: &Settings) -> Vec<Article> {
    let article = |about: &'static str, text: String| Article { about, text };
    let roots = roots(settings).iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    let names: Vec<&str> = obeyed_names().collect();
    let private = "HOME and TMPDIR, which are the session's own and not yours";
    vec![
        article("read", format!("the system's programs, your tools, {roots}")),
        match settings.mode {
            SandboxMode::ReadOnly => article("write", format!("nothing but {private}")),
            _ => article("write", format!("{roots}, {private}")),
        },
        article("in there", format!("only read: {}; other programs obey what they say", names.join(", "))),
        article(
            "hidden",
            "what is in your other files; this program's settings, keys and sessions".to_owned(),
        ),
        article("seen", "which processes there are: this system can't hide them".to_owned()),
        article("network", "none".to_owned()),
    ]
}

/// A name as a file system may know it that does not mind capitals: what is not there yet has no spelling of its own.
/// Only short names have so few that all of them can be told.
fn spellings(name: &str) -> Vec<String> {
    if name.len() > 4 {
        return vec![name.to_owned()];
    }
    name.chars().fold(vec![String::new()], |begun, char| {
        let mut cases = vec![char.to_ascii_lowercase(), char.to_ascii_uppercase()];
        cases.dedup();
        begun.iter().flat_map(|begun| cases.iter().map(move |char| format!("{begun}{char}"))).collect()
    })
}

/// The directories that the session is about.
fn roots(settings: &Settings) -> Vec<PathBuf> {
    std::iter::once(&settings.workspace).chain(&settings.writable).map(|path| real(path)).collect()
}

/// Directories of the session, with the variables that name them.
fn private(settings: &Settings) -> [(&'static str, PathBuf); 2] {
    let scratch = real(&settings.scratch);
    [("HOME", scratch.join("home")), ("TMPDIR", scratch.join("tmp"))]
}

/// The path that Seatbelt compares: with its links resolved, as far as it exists. `/tmp` is one there.
fn real(path: &Path) -> PathBuf {
    path.ancestors()
        .find_map(|known| Some(known.canonicalize().ok()?.join(path.strip_prefix(known).ok()?)))
        .unwrap_or_else(|| path.to_owned())
}

/// The sandbox of one session.
#[cfg(target_os = "macos")]
pub(super) struct Seatbelt {
    settings: Settings,
    profile: Profile,
}

#[cfg(target_os = "macos")]
impl Seatbelt {
    /// The sandbox of a session, tried.
    pub(super) fn start(settings: Settings) -> Result<Self, SandboxError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let failed = |what: String| SandboxError { message: format!("no sandbox: {what}") };
        for (_, directory) in private(&settings) {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&directory)
                .map_err(|error| failed(format!("{}: {error}", directory.display())))?;
        }
        let seatbelt = Self { profile: Profile::of(&settings), settings };
        let runs = |program: &str, args: &[&OsStr]| {
            let line = CommandLine {
                program: program.into(),
                args: args.iter().map(|arg| (*arg).to_owned()).collect(),
                env: Vec::new(),
                cwd: "/".into(),
                tty: false,
            };
            let line = wrapped(&seatbelt.settings, &seatbelt.profile, line);
            std::process::Command::new(&line.program)
                .args(&line.args)
                .env_clear()
                .current_dir("/")
                .stdin(std::process::Stdio::null())
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .status()
                .map(|status| status.success())
                .map_err(|error| failed(format!("{PROGRAM}: {error}")))
        };
        if !runs("/usr/bin/true", &[])? {
            return Err(failed(format!("{PROGRAM} runs nothing under the profile of this program")));
        }
        let outside = real(&seatbelt.settings.scratch).join("outside");
        if runs("/usr/bin/touch", &[outside.as_os_str()])? || outside.exists() {
            // It is refused to work then; the file is the least of it.
            let _ = std::fs::remove_file(&outside);
            return Err(failed("a file outside of the writable places can be made".to_owned()));
        }
        Ok(seatbelt)
    }
}

#[cfg(target_os = "macos")]
#[async_trait::async_trait]
impl Sandbox for Seatbelt {
    fn wrap(&self, command: CommandLine) -> Result<CommandLine, SandboxError> {
        Ok(wrapped(&self.settings, &self.profile, command))
    }

    fn attacker(&self) -> Option<PathBuf> {
        Some(self.settings.program.clone())
    }

    fn describe(&self) -> String {
        let writes = match self.settings.mode {
            SandboxMode::ReadOnly => "only HOME and TMPDIR (both private) are writable",
            _ => "only the workspace, HOME and TMPDIR (the last two private) are writable",
        };
        format!("{} (Seatbelt): {writes}, the .git there is read-only, no network", self.settings.mode)
    }

    async fn stop(&self) {
        // Nothing of it runs by itself.
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(mode: SandboxMode) -> Settings {
        Settings {
            mode,
            workspace: "/w/a \"quoted\") (allow default) project".into(),
            writable: vec!["/further".into()],
            reveal: Vec::new(),
            disk: crate::sandbox::DISK,
            scratch: "/state/sessions/1/scratch".into(),
            own: vec!["/state".into(), "/config".into()],
            shown: vec!["/config/cache/skills".into()],
            helper: "/helper".into(),
            program: "/programs/agent".into(),
        }
    }

    /// A profile as lists of lists, or where it is none. Words with their quotes.
    #[derive(Debug, PartialEq, Clone)]
    enum Form {
        Word(String),
        List(Vec<Self>),
    }

    fn parse(text: &str) -> Vec<Form> {
        let mut open: Vec<Vec<Form>> = vec![Vec::new()];
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            match char {
                ';' => while chars.next_if(|char| *char != '\n').is_some() {},
                '(' => open.push(Vec::new()),
                ')' => {
                    let list = open.pop().unwrap();
                    open.last_mut().expect("one ) too many").push(Form::List(list));
                }
                char if char.is_whitespace() => {}
                char => {
                    let mut word = char.to_string();
                    if char == '#' {
                        word.extend(chars.next());
                    }
                    if word.ends_with('"') {
                        word.extend(std::iter::from_fn(|| chars.next_if(|char| *char != '"')));
                        word.extend(chars.next());
                    } else {
                        word.extend(std::iter::from_fn(|| {
                            chars.next_if(|char| !char.is_whitespace() && !"()\"".contains(*char))
                        }));
                    }
                    open.last_mut().unwrap().push(Form::Word(word));
                }
            }
        }
        assert_eq!(open.len(), 1, "a ( is not closed");
        open.remove(0)
    }

    impl Form {
        fn words(&self) -> Vec<&str> {
            match self {
                Self::Word(word) => vec![word],
                Self::List(list) => list.iter().flat_map(Self::words).collect(),
            }
        }
    }

    /// What a profile says of an operation on a path: the last rule that speaks of it.
    fn allows(profile: &Profile, operation: &str, path: &str) -> bool {
        let value = |name: &str| {
            let name = name.trim_matches('"');
            let found = profile.values.iter().find(|(known, _)| known == name);
            found.unwrap_or_else(|| panic!("{name} has no value")).1.clone()
        };
        let covers = |filter: &Form| match filter {
            Form::List(list) => match &list[..] {
                [Form::Word(kind), Form::List(param)] if kind == "subpath" => {
                    Path::new(path).starts_with(value(param[1].words()[0]))
                }
                [Form::Word(kind), Form::Word(text)] if kind == "subpath" => {
                    Path::new(path).starts_with(text.trim_matches('"'))
                }
                [Form::Word(kind), Form::Word(text)] if kind == "literal" => path == text.trim_matches('"'),
                [Form::Word(kind), ..] => {
                    assert!(["regex", "target", "global-name"].contains(&kind.as_str()), "{kind}");
                    false
                }
                other => panic!("{other:?}"),
            },
            Form::Word(_) => false,
        };
        let mut allowed = false;
        for rule in parse(&profile.text) {
            let Form::List(rule) = rule else { panic!("a word alone") };
            let speaks = rule[1..].iter().any(|form| {
                matches!(form, Form::Word(word) if word == operation
                    || word == "default"
                    || word.strip_suffix('*').is_some_and(|start| operation.starts_with(start)))
            });
            let filters: Vec<&Form> = rule[1..].iter().filter(|form| matches!(form, Form::List(_))).collect();
            if speaks && (filters.is_empty() || filters.iter().any(|filter| covers(filter))) {
                allowed = rule[0] == Form::Word("allow".to_owned());
            }
        }
        allowed
    }

    #[test]
    fn nothing_is_allowed_that_is_not_named() {
        let profile = Profile::of(&settings(SandboxMode::WorkspaceWrite));
        let rules = parse(&profile.text);
        assert_eq!(rules[0].words(), ["version", "1"]);
        assert_eq!(rules[1].words(), ["deny", "default"]);
        for rule in &rules[2..] {
            let words = rule.words();
            assert!(["allow", "deny"].contains(&words[0]), "{words:?}");
            assert!(!words.contains(&"default"), "{words:?}");
            for operation in
                ["network", "appleevent", "lsopen", "system-", "mach-register", "iokit", "job-creation"]
            {
                assert!(!words.iter().any(|word| word.starts_with(operation)), "{words:?}");
            }
        }
        for operation in
            ["network-outbound", "network-bind", "appleevent-send", "mach-register", "file-mount"]
        {
            assert!(!allows(&profile, operation, "/anything"), "{operation}");
        }
        for signal in rules.iter().filter(|rule| rule.words().contains(&"signal")) {
            assert_eq!(signal.words(), ["allow", "signal", "target", "same-sandbox"]);
        }
    }

    #[test]
    fn paths_are_parameters_and_never_text() {
        let profile = Profile::of(&settings(SandboxMode::WorkspaceWrite));
        for path in ["quoted", "/further", "/state", "/config", "/programs"] {
            assert!(!profile.text.contains(path), "{path}");
        }
        let args = profile.args();
        let workspace = "-DROOT_0=/w/a \"quoted\") (allow default) project";
        assert!(args.iter().any(|arg| arg == workspace), "{args:?}");
        assert_eq!((args[0].to_str(), args.last().unwrap().to_str()), (Some("-p"), Some("--")));
        // Each that is named has a value, and each value is named.
        let words = parse(&profile.text);
        let words: Vec<&str> = words.iter().flat_map(Form::words).collect();
        let named = words.windows(2).filter(|pair| pair[0] == "param").map(|pair| pair[1].trim_matches('"'));
        let given = profile.values.iter().map(|(name, _)| name.as_str());
        assert_eq!(named.collect::<Vec<_>>(), given.collect::<Vec<_>>());
    }

    #[test]
    fn what_may_be_read_and_written_is_what_the_settings_say() {
        let workspace = "/w/a \"quoted\") (allow default) project";
        let inside = |name: &str| format!("{workspace}/{name}");
        let table = [
            // Path, read, written in workspace-write, written in read-only.
            (inside("src/main.rs"), true, true, false),
            ("/further/x".to_owned(), true, true, false),
            (inside(".git/config"), true, false, false),
            (inside(".git"), true, false, false),
            (inside(".GiT/hooks/x"), true, false, false),
            (inside(".envrc"), true, false, false),
            ("/further/.vscode/tasks.json".to_owned(), true, false, false),
            (inside(".gitignore"), true, true, false),
            ("/state/sessions/1/scratch/home/.cache/x".to_owned(), true, true, true),
            ("/state/sessions/1/scratch/tmp/x".to_owned(), true, true, true),
            ("/state/sessions/1/scratch/x".to_owned(), false, false, false),
            ("/state/sessions/2/log.jsonl".to_owned(), false, false, false),
            ("/config/auth.json".to_owned(), false, false, false),
            ("/programs/agent".to_owned(), true, false, false),
            ("/usr/bin/git".to_owned(), true, false, false),
            ("/private/etc/hosts".to_owned(), true, false, false),
            ("/private/etc/sudoers".to_owned(), false, false, false),
            ("/Users/me/.ssh/id_ed25519".to_owned(), false, false, false),
            ("/private/tmp/x".to_owned(), false, false, false),
            ("/w/a".to_owned(), false, false, false),
            ("/furthermore".to_owned(), false, false, false),
        ];
        let [write, read] =
            [SandboxMode::WorkspaceWrite, SandboxMode::ReadOnly].map(|mode| Profile::of(&settings(mode)));
        for (path, readable, written, always) in table {
            for profile in [&write, &read] {
                assert_eq!(allows(profile, "file-read-data", &path), readable, "reading {path}");
            }
            assert_eq!(allows(&write, "file-write-create", &path), written, "writing {path}");
            assert_eq!(allows(&read, "file-write-create", &path), always, "writing {path}, read-only");
        }
    }

    #[test]
    fn a_command_is_run_by_the_systems_own_program_with_another_home() {
        let settings = settings(SandboxMode::WorkspaceWrite);
        let profile = Profile::of(&settings);
        let line = CommandLine {
            program: "/bin/sh".into(),
            args: ["-c", "true"].map(OsString::from).into(),
            env: vec![("HOME".into(), "/Users/me".into()), ("A".into(), "b".into())],
            cwd: settings.workspace.clone(),
            tty: true,
        };
        let wrapped = wrapped(&settings, &profile, line.clone());
        assert_eq!((wrapped.program.to_str(), wrapped.tty, &wrapped.cwd), (Some(PROGRAM), true, &line.cwd));
        let command = &wrapped.args[wrapped.args.iter().position(|arg| arg == "--").unwrap() + 1..];
        assert_eq!(command, ["/bin/sh", "-c", "true"]);
        let vars: Vec<_> = wrapped
            .env
            .iter()
            .map(|(name, value)| (name.to_str().unwrap(), value.to_str().unwrap()))
            .collect();
        assert_eq!(
            vars,
            [
                ("A", "b"),
                ("HOME", "/state/sessions/1/scratch/home"),
                ("TMPDIR", "/state/sessions/1/scratch/tmp")
            ]
        );
    }
}
