use std::{fs, path::Path};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::model::catalog::{ProviderSettings, Wire};
use crate::protocol::{Approval, Effort, SandboxMode};

/// A home and a repository `p` with a directory `p/sub`.
struct World {
    dir: TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap() };
        for dir in ["home", "p/.git", "p/.agent", "p/sub/.agent"] {
            fs::create_dir_all(world.path(dir)).unwrap();
        }
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        // Links resolved, so that messages can be compared.
        fs::canonicalize(self.dir.path()).unwrap().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        fs::write(self.path(name), content).unwrap();
        self
    }

    fn user(&self, content: impl AsRef<[u8]>) -> &Self {
        self.write("home/config.toml", content)
    }

    fn trusting(&self, rest: &str) -> &Self {
        let dir = self.path("p");
        self.user(format!("{rest}\n[projects.{:?}]\ntrusted = true\n", dir.to_str().unwrap()))
    }

    fn load_with(&self, env: &[(&str, &str)], overrides: &[&str]) -> Result<Config, ConfigError> {
        load(&Inputs {
            home: Home::below(&self.path("home")),
            cwd: self.path("p/sub"),
            env: env.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
            overrides: overrides.iter().map(|text| (*text).to_owned()).collect(),
        })
    }

    fn load(&self) -> Result<Config, ConfigError> {
        self.load_with(&[], &[])
    }

    /// The error's text, with the temporary directory taken out.
    fn error(&self) -> String {
        self.error_with(&[], &[])
    }

    fn error_with(&self, env: &[(&str, &str)], overrides: &[&str]) -> String {
        let error = self.load_with(env, overrides).unwrap_err().to_string();
        error.replace(self.path("").to_str().unwrap(), "/")
    }
}

#[test]
fn without_any_file_the_defaults_hold() {
    let config = World::new().load().unwrap();
    assert_eq!(config, Config { trust: config.trust.clone(), ..Config::default() });
    assert_eq!(config.trust.standing, trust::Standing::Nothing);
}

#[test]
fn every_key_can_be_set() {
    let world = World::new();
    world.user(
        r#"
            model = "local/qwen/coder"
            effort = "high"
            verbosity = "low"
            approval = "untrusted"
            sandbox = "read-only"
            backend = "docker:debian:12"
            writable_roots = ["/data", "~/cache"]
            context_window = 32768
            idle_timeout = 60
            [shell]
            env_allow = ["CI"]
            [instructions]
            max_bytes = 1000
            [providers.local]
            base_url = "http://127.0.0.1:8080/v1"
            wire = "responses"
            env_key = "LOCAL_KEY"
            headers = { x-title = "agent" }
            [projects."/x"]
            trusted = false
        "#,
    );
    let config = world.load_with(&[("HOME", "/home/me")], &[]).unwrap();
    assert_eq!(config.model.to_string(), "local/qwen/coder");
    assert_eq!((config.effort, config.approval), (Some(Effort::High), Some(Approval::Untrusted)));
    assert_eq!(config.backend, Backend::Docker(Some("debian:12".into())));
    assert_eq!(config.writable_roots, [Path::new("/data"), Path::new("/home/me/cache")]);
    assert_eq!((config.context_window, config.idle_timeout), (Some(32768), 60));
    assert_eq!(
        (config.shell.env_allow.as_slice(), config.instructions.max_bytes),
        (&["CI".to_owned()][..], 1000)
    );
    let provider = &config.providers["local"];
    assert_eq!((provider.wire, provider.env_key.as_deref()), (Some(Wire::Responses), Some("LOCAL_KEY")));
    assert_eq!(config.projects[Path::new("/x")].trusted, Some(false));
}

#[test]
fn a_later_layer_wins_and_says_so() {
    let world = World::new();
    world
        .trusting("effort = 'low'\nidle_timeout = 10\nsandbox = 'workspace-write'\nverbosity = 'low'\nmodel = 'a/b'")
        .write("p/.agent/config.toml", "idle_timeout = 20\nverbosity = 'medium'\nsandbox = 'read-only'")
        .write("p/sub/.agent/config.toml", "\nverbosity = 'high'\neffort = 'medium'");
    let config = world
        .load_with(
            &[("AGENT_EFFORT", "high"), ("AGENT_MODEL", "c/d"), ("AGENT_APPROVAL", "")],
            &[
                "model=e/f",
                "providers.x.headers.\"a.b\"='c'",
                "projects.\"/y\".trusted=true",
                "idle_timeout=30",
                "idle_timeout=40",
            ],
        )
        .unwrap();
    assert_eq!(config.model.to_string(), "e/f");
    assert_eq!(config.effort, Some(Effort::High));
    assert_eq!(config.sandbox, SandboxMode::ReadOnly);
    assert_eq!(config.idle_timeout, 40);
    assert_eq!(config.approval, None);
    assert_eq!(config.providers["x"].headers["a.b"], "c");
    assert_eq!(config.projects.len(), 2);
    let origin = |key| config.origin(key).map(|place| place.replace(world.path("").to_str().unwrap(), "/"));
    assert_eq!(origin("sandbox").as_deref(), Some("/p/.agent/config.toml:3"));
    assert_eq!(origin("verbosity").as_deref(), Some("/p/sub/.agent/config.toml:2"));
    assert_eq!(origin("effort").as_deref(), Some("AGENT_EFFORT"));
    assert_eq!(origin("model").as_deref(), Some("-c"));
    assert_eq!(origin("approval"), None);
}

#[test]
fn a_mistake_is_shown_where_it_stands() {
    let world = World::new();
    for (text, wanted) in [
        (
            "# mine\nsandbox = \"workspace-writ\"\n",
            "/home/config.toml:2:11: `sandbox`: unknown variant `workspace-writ`, expected one of `read-only`, \
             `workspace-write`, `danger-full-access`\n  |\n2 | sandbox = \"workspace-writ\"\n  |           \
             ^^^^^^^^^^^^^^^^\n  = did you mean `workspace-write`?",
        ),
        (
            "[shell]\nenv_alow = []\n",
            "/home/config.toml:2:1: `shell.env_alow`: there is no such key\n  |\n2 | env_alow = []\n  | ^^^^^^^^\n  \
             = did you mean `shell.env_allow`?",
        ),
        (
            "base_url = 'x'\n",
            "/home/config.toml:1:1: `base_url`: there is no such key\n  |\n1 | base_url = 'x'\n  | ^^^^^^^^\n  \
             = did you mean `providers.NAME.base_url`?",
        ),
        (
            "idle_timeout = \"1\"\n",
            "/home/config.toml:1:16: `idle_timeout`: invalid type: string \"1\", expected u64\n  |\n\
             1 | idle_timeout = \"1\"\n  |                ^^^",
        ),
        (
            "model = 'gpt'\n",
            "/home/config.toml:1:9: `model`: `gpt` is not PROVIDER/MODEL, such as openai/gpt-5.5\n  |\n\
             1 | model = 'gpt'\n  |         ^^^^^",
        ),
        (
            "[projects.'/a b']\ntrusted = 1\n",
            "/home/config.toml:2:11: `projects.\"/a b\".trusted`: invalid type: integer `1`, expected a boolean\n  |\n\
             2 | trusted = 1\n  |           ^",
        ),
        (
            "writable_roots = [\"/a\", 'b']\n",
            "/home/config.toml:1:18: `writable_roots`: `b` is not absolute; write it from / or from the home \
             directory with ~/\n  |\n1 | writable_roots = [\"/a\", 'b']\n  |                  ^^^^^^^^^^^",
        ),
    ] {
        assert_eq!(world.user(text).error(), wanted);
    }
    for (text, part) in [
        ("model = \n", "/home/config.toml:1:"),
        ("a b", "/home/config.toml:1:"),
        ("sandbox = 'read-only'\nsandbox = 'read-only'", "/home/config.toml:2:1: duplicate key"),
        ("zzzzz = 1", "known keys here: model, fallback, effort"),
        ("context_window = 10", "at least 4096"),
        ("idle_timeout = 0", "expected 1 to 86400"),
        ("backend = 'podman'", "expected `local`, `docker` or `docker:IMAGE`"),
        ("shell = 1", "`shell`: invalid type: integer `1`, expected a table"),
        ("[shell]\nenv_allow = ['A=1']", "`A=1` is not the name of an environment variable"),
        ("notices = []", "`notices`: there is no such key"),
        ("[providers.x]\nwire = 'respones'", "did you mean `responses`?"),
        ("[tui.keys]\nqueu = 'f5'", "config.toml:2:1: `tui.keys.queu`: there is no such key"),
        ("[tui.keys]\nqueu = 'f5'", "did you mean `tui.keys.queue`?"),
        ("[tui.keys]\n\nundo = 'hyper-x'", "config.toml:3:8: `tui.keys.undo`: `hyper-x` is not a key"),
        ("[tui.keys]\nundo = ['f5', 'q']", "`q` can't be bound: it could no longer be typed"),
        ("[tui.keys]\nundo = 1", "expected a key"),
        ("[tui.keys]\nundo = 'f5'\nredo = 'f5'", "`f5` is bound to both `undo` and `redo`"),
        ("[tui]\nthem = 'x'", "did you mean `tui.theme`?"),
        ("[tui]\ntheme = '../x'", "`../x` is not the name of a theme"),
        ("[tui]\nnotifications = 'unfocussed'", "did you mean `unfocused`?"),
        ("[tui]\nstatus_line = ['model', 'contxt']", "unknown variant `contxt`"),
    ] {
        let error = world.user(text).error();
        assert!(error.contains(part), "{text}\n{error}");
    }
}

#[test]
fn keys_are_bound_one_by_one_or_as_lists() {
    use crate::tui::keymap::{Action, Layer};
    let config = World::new()
        .user("[tui]\nvim = true\n[tui.keys]\nqueue = 'alt-enter'\nredo = ['ctrl-x', 'f5']\n")
        .load();
    let tui = config.unwrap().tui;
    let map = tui.keys.keymap().unwrap();
    assert!(tui.vim);
    for (key, action) in [("alt-enter", Action::Queue), ("ctrl-x", Action::Redo), ("f5", Action::Redo)] {
        assert_eq!(map.action(Layer::Composer, key.parse().unwrap()), Some(action), "{key}");
    }
}

#[test]
fn a_mistake_in_a_variable_or_on_the_command_line_names_it() {
    let world = World::new();
    assert_eq!(
        world.error_with(&[("AGENT_SANDBOX", "readonly")], &[]),
        "AGENT_SANDBOX (`sandbox`): unknown variant `readonly`, expected one of `read-only`, `workspace-write`, \
         `danger-full-access`\nhint: did you mean `read-only`?"
    );
    for (text, part) in [
        (
            "sandbx=read-only",
            "-c sandbx=read-only: `sandbx`: there is no such key\nhint: did you mean `sandbox`?",
        ),
        ("sandbox", "-c sandbox: there is no `=`"),
        ("=x", "the key is not a dotted path"),
        ("a..b=1", "the key is not a dotted path"),
        ("a\nb=1", "the key is not a dotted path"),
        ("sandbox.x=1", "`sandbox"),
        ("idle_timeout=\"3\"", "expected u64"),
        ("writable_roots=[\"/a\"", "read as a plain string, because as TOML: "),
        ("model=a/b\nsandbox = 'danger-full-access'", ""),
    ] {
        match world.load_with(&[], &[text]) {
            Err(error) => assert!(error.to_string().contains(part), "{text:?}\n{error}"),
            // A line break makes no second key.
            Ok(config) => assert_eq!((part, config.sandbox), ("", SandboxMode::WorkspaceWrite)),
        }
    }
}

#[test]
fn a_project_is_read_only_when_a_person_trusts_it() {
    let world = World::new();
    world.write("p/.agent/config.toml", "idle_timeout = 20");
    let config = world.load().unwrap();
    assert_eq!(config.idle_timeout, 300);
    assert_eq!(config.notices.len(), 1);
    assert!(config.notices[0].contains("trusted = true"), "{:?}", config.notices);
    assert_eq!(world.trusting("").load().unwrap().idle_timeout, 20);

    // Trust by the command line, by another name of the directory, and not for what lies above or beside.
    let dir = world.path("p");
    fs::remove_file(world.path("home/config.toml")).unwrap();
    let trust = |dir: &Path, trusted: bool| format!("projects.'{}'.trusted={trusted}", dir.display());
    assert_eq!(world.load_with(&[], &[&trust(&dir, true)]).unwrap().idle_timeout, 20);
    std::os::unix::fs::symlink(&dir, world.path("link")).unwrap();
    assert_eq!(world.load_with(&[], &[&trust(&world.path("link"), true)]).unwrap().idle_timeout, 20);
    for other in [world.path(""), world.path("p/sub"), world.path("px")] {
        assert_eq!(world.load_with(&[], &[&trust(&other, true)]).unwrap().idle_timeout, 300, "{other:?}");
    }
    // The nearest word counts, and a project that is known not to be trusted is not mentioned again.
    world.write("p/sub/.agent/config.toml", "idle_timeout = 30");
    let config = world.load_with(&[], &[&trust(&dir, true), &trust(&world.path("p/sub"), false)]).unwrap();
    assert_eq!((config.idle_timeout, config.notices.len()), (20, 0));
    // A repository within a trusted one is another project.
    fs::create_dir(world.path("p/sub/.git")).unwrap();
    let config = world.load_with(&[], &[&trust(&dir, true)]).unwrap();
    assert_eq!((config.idle_timeout, config.notices.len()), (300, 1));
}

#[test]
fn a_project_can_not_widen_what_it_may_do() {
    for (own, text, wanted) in [
        (
            "",
            "[providers.openai]\nbase_url = 'http://evil'",
            "/p/.agent/config.toml:1:2: `providers`: a project's",
        ),
        ("", "providers.openai.env_key = 'X'", "`providers`: a project's settings can't set this"),
        ("", "providers = 1", "`providers`: a project's settings can't set this"),
        ("", "[projects.'/']\ntrusted = true", "`projects`: a project's"),
        ("", "[hooks]\nx = 'rm'", "`hooks`: a project's"),
        ("", "notify = 'rm'", "`notify`: a project's"),
        ("", "keys = 'x'", "`keys`: a project's"),
        ("", "writable_roots = ['/']", "`writable_roots`: a project's"),
        ("", "[shell]\nenv_allow = ['SECRET']", "`shell.env_allow`: a project's"),
        ("", "sandbox = 'danger-full-access'", "can't allow more than yours do (`workspace-write`)"),
        (
            "sandbox = 'read-only'",
            "sandbox = 'workspace-write'",
            "can't allow more than yours do (`read-only`)",
        ),
        ("approval = 'untrusted'", "approval = 'on-request'", "can't allow more than yours do (`untrusted`)"),
        ("", "approval = 'never'", "can't allow more than yours do (`on-request`)"),
        ("backend = 'docker'", "backend = 'local'", "can't allow more than yours do (`docker`)"),
    ] {
        let world = World::new();
        world.trusting(own).write("p/.agent/config.toml", text);
        let error = world.error();
        assert!(error.contains(wanted) && error.contains("your own config.toml"), "{text}\n{error}");
    }
    for (own, text) in [
        ("sandbox = 'danger-full-access'", "sandbox = 'danger-full-access'"),
        ("", "sandbox = 'read-only'"),
        ("approval = 'never'", "approval = 'untrusted'"),
        ("", "backend = 'docker'"),
        ("", "model = 'a/b'\n[instructions]\nmax_bytes = 1"),
    ] {
        let world = World::new();
        world.trusting(own).write("p/.agent/config.toml", text);
        world.load().unwrap();
    }
}

#[test]
fn what_may_be_a_secret_is_never_repeated() {
    let world = World::new();
    for text in [
        "[providers.x]\napi_key = 'sk-hunter2'",
        "[providers.x]\napi_key = sk-hunter2",
        "[providers.x]\nheaders = 'Bearer hunter2'",
        "[providers.x]\nheaders = { authorization = ['hunter2'] }",
        "[providers.x]\nheaders.authorization = 'hunter2' x",
        "[providers]\nx = 'hunter2'",
        "api_token = 'hunter2'",
        "[providers.x.headers]\nx-goog = hunter2",
        "[providers.x.headers]\n\nx-one = 'a'\nx-two = hunter2 'x",
    ] {
        let error = world.user(text).error();
        assert!(!error.contains("hunter2"), "{error}");
    }
    for text in ["providers.x.api_key=hunter2", "providers.x.headers='Bearer hunter2'", "api_key=hunter2"] {
        world.user("");
        let error = world.error_with(&[], &[text]);
        assert!(!error.contains("hunter2"), "{error}");
    }
    let provider = ProviderSettings {
        headers: BTreeMap::from([("authorization".into(), "hunter2".into())]),
        ..ProviderSettings::default()
    };
    assert!(!format!("{provider:?}").contains("hunter2"));
    let hint = world.user("[providers.x]\napi_key = 'x'").error();
    assert!(hint.contains("`env_key`"), "{hint}");
}

#[test]
fn hostile_files_are_refused_in_words() {
    let world = World::new();
    let million = "x".repeat(900_000);
    let deep = |open: &str, close: &str| format!("a = {}{}", open.repeat(100_000), close.repeat(100_000));
    for content in [
        format!("model = '{million}'").into_bytes(),
        format!("{million} = 1").into_bytes(),
        million.clone().into_bytes(),
        format!("model = \"a/b\" # {million}\nx = 1").into_bytes(),
        "x".repeat(2 << 20).into_bytes(),
        b"model = 'a\0b'".to_vec(),
        b"\0".to_vec(),
        b"model = '\xff\xfe'".to_vec(),
        deep("[", "]").into_bytes(),
        deep("{a=", "}").into_bytes(),
        format!("{}a = 1", "a.".repeat(40_000)).into_bytes(),
        format!("[{}a]", "a.".repeat(40_000)).into_bytes(),
        "[a]\n".repeat(20_000).into_bytes(),
        b"model = '\x1b[2J\x1b]0;x\x07'".to_vec(),
        b"\"\\u001b[2J\" = 1".to_vec(),
    ] {
        let error = world.user(&content).error();
        assert!(error.contains("/home/config.toml") && error.len() < 2_000, "{error}");
        assert!(!error.chars().any(|c| c.is_control() && c != '\n'), "{error:?}");
    }
    // Many keys are no crime by themselves, but each of these is one too many.
    let many: String = (0..5_000).map(|at| format!("k{at} = 1\n")).collect();
    assert!(world.user(many).error().contains("there is no such key"));
    let many: String = (0..20_000).map(|at| format!("h{at} = 'x'\n")).collect();
    let config = world.user(format!("[providers.x.headers]\n{many}")).load().unwrap();
    assert_eq!(config.providers["x"].headers.len(), 20_000);
    world.user("\u{feff}idle_timeout = 5\r\n");
    assert_eq!(world.load().unwrap().idle_timeout, 5);
}

#[test]
fn hostile_places_are_refused_in_words() {
    let world = World::new();
    let file = world.path("home/config.toml");
    std::os::unix::fs::symlink(&file, &file).unwrap();
    assert!(world.error().contains("/home/config.toml can't be read: "));
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(world.error().contains("it is not a file"));
    fs::remove_dir(&file).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
    assert!(world.error().contains("it is not a file"));
    fs::remove_file(&file).unwrap();

    // A loop in a project is an error for who trusts it, and no affair of anybody else.
    let own = world.path("p/.agent/config.toml");
    std::os::unix::fs::symlink(&own, &own).unwrap();
    assert_eq!(world.load().unwrap().notices.len(), 1);
    assert!(world.trusting("").error().contains("/p/.agent/config.toml can't be read: "));
    fs::remove_file(&own).unwrap();
    fs::remove_file(world.path("home/config.toml")).unwrap();
    fs::remove_dir(world.path("p/.agent")).unwrap();
    std::os::unix::fs::symlink("../p/.agent", world.path("p/.agent")).unwrap();
    world.load().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn no_file_makes_it_panic(text in "([a-z_]{1,8}|model|sandbox|providers|projects|[ =.\\[\\]{}\"'#\n,0-9]|é){0,30}") {
        if let Err(error) = Layer::file(Path::new("/c"), &text) {
            prop_assert!(error.to_string().starts_with("/c:"));
        }
    }

    #[test]
    fn no_override_makes_it_panic(text in "([a-z_]{1,8}|model|[ =.\\[\\]{}\"'#\n,0-9]|é){0,12}") {
        if let Err(error) = Layer::of_override(&text) {
            prop_assert!(error.to_string().starts_with("-c "));
        }
    }
}
