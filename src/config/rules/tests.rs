//! Rules as they are read, kept and taken back.

use proptest::prelude::*;

use super::*;
use crate::config::Home;

struct World {
    folder: tempfile::TempDir,
    home: Home,
}

impl World {
    /// A home, and projects `p` (a repository, with a directory `sub`) and `q`.
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for dir in ["home", "p/.git", "p/sub", "q"] {
            fs::create_dir_all(folder.path().join(dir)).unwrap();
        }
        let world = Self { home: Home::below(&folder.path().join("home")), folder };
        fs::write(world.home.config_file(), config.replace("DIR", world.dir("").to_str().unwrap())).unwrap();
        world
    }

    fn dir(&self, name: &str) -> PathBuf {
        canonical(self.folder.path()).join(name)
    }

    fn rules(&self, dir: &str) -> Vec<Rule> {
        let cwd = self.dir(dir);
        let inputs = super::super::Inputs {
            home: self.home.clone(),
            cwd: cwd.clone(),
            env: vec![],
            overrides: vec![],
        };
        super::super::load(&inputs).unwrap().rules(&cwd)
    }

    fn keep(&self, rule: &Rule, dir: &str) {
        keep(&self.home, rule, &self.dir(dir)).unwrap();
    }

    fn forget(&self, rule: &Rule, dir: &str) {
        forget(&self.home, rule, &self.dir(dir)).unwrap();
    }

    fn text(&self) -> String {
        fs::read_to_string(self.home.config_file()).unwrap().replace(self.dir("").to_str().unwrap(), "DIR")
    }
}

fn rule(words: &[&str], scope: Scope) -> Rule {
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    Rule { grant: Grant::CommandPrefix { words }, scope }
}

#[test]
fn a_host_is_kept_with_its_port_and_taken_out_however_it_is_spelled() {
    let world = World::new("");
    let given = Rule { grant: Grant::Host { host: "a.b".into(), port: 443 }, scope: Scope::Everywhere };
    world.keep(&given, "q");
    assert_eq!(world.text(), "[permissions]\nallow = [\n    { host = \"a.b:443\" },\n]\n");
    assert_eq!(world.rules("q"), std::slice::from_ref(&given));
    fs::write(world.home.config_file(), "permissions.allow = [{ host = 'A.B.:443' }]\n").unwrap();
    assert_eq!(world.rules("q"), std::slice::from_ref(&given));
    world.forget(&given, "q");
    assert_eq!(world.text(), "");
}

#[test]
fn a_rule_is_written_as_a_person_would_and_holds_where_it_was_given() {
    let world = World::new("model = 'a/b'\n");
    let (npm, make) = (rule(&["npm", "install"], Scope::Project), rule(&["make", "it's"], Scope::Everywhere));
    let write = Rule { grant: Grant::WriteBelow { path: "/notes".into() }, scope: Scope::Project };
    world.keep(&npm, "p/sub");
    world.keep(&write, "p");
    world.keep(&make, "q");
    world.keep(&make, "p");
    assert_eq!(
        world.text(),
        "model = 'a/b'\n\n[projects.\"DIRp\"]\nallow = [\n    { command = [\"npm\", \"install\"] },\n    \
         { write = \"/notes\" },\n]\n\n[permissions]\nallow = [\n    { command = [\"make\", \"it's\"] },\n]\n"
    );
    assert_eq!(world.rules("p"), [make.clone(), npm.clone(), write.clone()]);
    assert_eq!(world.rules("p/sub"), [make.clone(), npm.clone(), write.clone()]);
    assert_eq!(world.rules("q"), std::slice::from_ref(&make));
    world.forget(&npm, "q");
    assert_eq!(world.rules("p").len(), 3, "a rule of another project");
    world.forget(&npm, "p/sub");
    world.forget(&make, "p");
    world.forget(&write, "p");
    assert_eq!(world.text(), "model = 'a/b'\n");
}

#[test]
fn one_rule_is_revoked_and_not_the_same_rule_elsewhere() {
    let npm = rule(&["npm"], Scope::Project).grant;
    let world = World::new(
        "[permissions]\nallow = [{ command = ['npm'] }]\n\n[projects.'DIRp']\nallow = [{ command = ['npm'] }]\n\n\
         [projects.'DIRp/sub']\nallow = [{ command = ['npm'] }]\n",
    );
    let of = |project: Option<&str>| Kept {
        grant: npm.clone(),
        project: project.map(|name| world.dir(name)),
        origin: String::new(),
    };
    assert_eq!(revoke(&world.home, &of(Some("p/sub"))).unwrap(), 1);
    let left = "[permissions]\nallow = [{ command = ['npm'] }]\n\n[projects.'DIRp']\nallow = [{ command = ['npm'] }]\n";
    assert_eq!(world.text(), left);
    for nowhere in ["p/sub", "q"] {
        assert_eq!(revoke(&world.home, &of(Some(nowhere))).unwrap(), 0);
    }
    assert_eq!(world.text(), left);
    assert_eq!(revoke(&world.home, &of(None)).unwrap(), 1);
    assert_eq!(revoke(&world.home, &of(Some("p"))).unwrap(), 1);
    assert_eq!(world.text(), "");
}

#[test]
fn what_a_person_wrote_around_the_rules_stays() {
    let new = "{ command = [\"new\"] }";
    let table = [
        ("[permissions]\nallow = [] # none\n", format!("[permissions]\nallow = [\n    {new},\n] # none\n")),
        (
            "permissions.allow = [{ command = ['a'] }] # x\n",
            format!("permissions.allow = [{{ command = ['a'] }}, {new}] # x\n"),
        ),
        (
            "[permissions]\nallow = [\n  # first\n  { command = ['a'] }, # about a\n  # last\n]\n# end\n",
            format!(
                "[permissions]\nallow = [\n  # first\n  {{ command = ['a'] }}, # about a\n  # last\n    {new},\n]\n# end\n"
            ),
        ),
        (
            "[permissions]\nallow = [\n  { command = ['a'] } # about a\n]\n",
            format!("[permissions]\nallow = [\n  {{ command = ['a'] }}, # about a\n    {new},\n]\n"),
        ),
        (
            "[[permissions.allow]]\ncommand = ['a']\n\n[shell]\n",
            "[[permissions.allow]]\ncommand = ['a']\n\n[[permissions.allow]]\ncommand = [\"new\"]\n\n[shell]\n".to_owned(),
        ),
        ("permissions = { }\n", format!("permissions = {{ allow = [\n    {new},\n]  }}\n")),
    ];
    for (before, after) in table {
        let world = World::new(before);
        world.keep(&rule(&["new"], Scope::Everywhere), "q");
        assert_eq!(world.text(), after);
        world.keep(&rule(&["new"], Scope::Everywhere), "q");
        assert_eq!(world.text(), after, "kept twice");
        world.forget(&rule(&["new"], Scope::Everywhere), "q");
        assert_eq!(world.rules("q"), World::new(before).rules("q"));
    }
}

#[test]
fn a_project_is_known_in_whatever_way_it_is_written() {
    for before in [
        "[projects.\"DIRp/\"]\ntrusted = true\n",
        "projects.\"DIRp/sub/..\".trusted = true\n",
        "projects = { 'DIRp' = { trusted = true } }\n",
    ] {
        let world = World::new(before);
        let npm = rule(&["npm", "ci"], Scope::Project);
        world.keep(&npm, "p/sub");
        assert_eq!(world.rules("p"), std::slice::from_ref(&npm), "{}", world.text());
        assert_eq!(world.text().matches("trusted").count(), 1, "{}", world.text());
        // Another one beside it, in the same manner.
        world.keep(&npm, "q");
        assert_eq!(world.rules("q"), [npm], "{}", world.text());
    }
}

#[test]
fn a_project_can_not_allow_itself_anything() {
    let world = World::new("[projects.'DIRp']\ntrusted = true\n");
    fs::create_dir(world.dir("p/.agent")).unwrap();
    for text in [
        "permissions.allow = [{ command = ['npm', 'install'] }]",
        "[projects.'/']\nallow = [{ write = '/' }]",
    ] {
        fs::write(world.dir("p/.agent/config.toml"), text).unwrap();
        let cwd = world.dir("p");
        let inputs = super::super::Inputs { home: world.home.clone(), cwd, env: vec![], overrides: vec![] };
        let error = super::super::load(&inputs).unwrap_err().to_string();
        assert!(error.contains("a project's settings can't set this"), "{error}");
    }
}

#[test]
fn what_is_no_rule_is_told_with_its_place() {
    for (text, told) in [
        ("permissions.allow = [{ write = 'x' }]", "`x` is not absolute"),
        ("permissions.allow = [{}]", "a rule is { command"),
        ("permissions.allow = [{ host = 'a.b' }]", "`a.b` is no HOST:PORT"),
        ("permissions.allow = [{ host = '10.0.0.1:80' }]", "which only `network.allow` can list"),
        ("permissions.allow = [{ command = [] }]", "a rule is { command"),
        ("permissions.allow = [{ command = ['a'], write = '/' }]", "a rule is { command"),
        ("permissions.allow = [{ comand = ['a'] }]", "a rule is { command"),
    ] {
        let world = World::new(text);
        let inputs = super::super::Inputs {
            home: world.home.clone(),
            cwd: world.dir("q"),
            env: vec![],
            overrides: vec![],
        };
        let error = super::super::load(&inputs).unwrap_err().to_string();
        assert!(error.contains(told) && error.contains("config.toml:1:"), "{error}");
    }
}

#[test]
fn a_rule_that_is_too_broad_is_read_and_told() {
    let world = World::new("\npermissions.allow = [{ command = ['bash'] }, { command = ['npm', 'ci'] }]");
    let inputs = super::super::Inputs {
        home: world.home.clone(),
        cwd: world.dir("q"),
        env: vec![],
        overrides: vec![],
    };
    let notices = super::super::load(&inputs).unwrap().notices;
    assert!(
        matches!(&notices[..], [one] if one.contains("config.toml:2") && one.contains("`bash`")),
        "{notices:?}"
    );
}

#[test]
fn what_is_asked_for_and_refused_stands_beside_what_is_allowed() {
    let text = "[permissions]\n# mine\nallow = [{ command = ['git', 'x'], examples = { match = [\"git x y\"], not_match = ['git y'] } }]\n\
                ask = [{ command = ['git', 'push'] }]\n\n[projects.'DIRp']\ndeny = [\n    { command = ['rm'], examples = { match = ['ls && rm -rf x'] } }, # never\n]\n\
                allow = [{ command = ['./x.sh'], script = 'abc' }]\n";
    let world = World::new(text);
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let everywhere = |grant| Rule { grant, scope: Scope::Everywhere };
    let here = |grant| Rule { grant, scope: Scope::Project };
    let ask = everywhere(Grant::Ask { words: words(&["git", "push"]) });
    let deny = here(Grant::Deny { words: words(&["rm"]) });
    let script = here(Grant::Script { words: words(&["./x.sh"]), hash: "abc".into() });
    let allow = rule(&["git", "x"], Scope::Everywhere);
    assert_eq!(world.rules("p"), [allow.clone(), ask.clone(), script.clone(), deny.clone()]);
    assert_eq!(world.rules("q"), [allow.clone(), ask.clone()]);
    // Not the rule of the same words in another list.
    world.forget(&rule(&["git", "push"], Scope::Everywhere), "p");
    world.forget(&rule(&["./x.sh"], Scope::Project), "p");
    assert_eq!(world.text(), text);
    world.keep(&here(Grant::Script { words: words(&["./y.sh"]), hash: "def".into() }), "p");
    assert!(world.text().contains("{ command = [\"./y.sh\"], script = \"def\" }"), "{}", world.text());
    for rule in [ask, deny, script, allow] {
        world.forget(&rule, "p");
    }
    let left = world.text();
    assert!(left.contains("# never") && left.contains("y.sh") && !left.contains("git"), "{left}");
}

#[test]
fn an_example_that_the_rule_does_not_mean_is_told_with_its_place() {
    for (text, told) in [
        (
            "permissions.deny = [{ command = ['git', 'push'], examples = { match = ['git pull'] } }]",
            "the rule `git push` is not about its example `git pull`",
        ),
        (
            "permissions.ask = [{ command = ['git'], examples = { not_match = ['git pull'] } }]",
            "the rule `git` is about its example `git pull`",
        ),
        (
            "permissions.allow = [{ command = ['npm', 'ci'], examples = { match = ['npm $X'] } }]",
            "the example `npm $X` is no plain command",
        ),
        ("permissions.deny = [{ write = '/x' }]", "such a rule is { command"),
        ("permissions.deny = [{ command = ['a'], exmples = { match = ['b'] } }]", "such a rule is { command"),
        ("permissions.deny = [{ command = ['a'], examples = { mtch = ['b'] } }]", "unknown field `mtch`"),
        ("permissions.allow = [{ script = 'x' }]", "a rule is { command"),
    ] {
        let world = World::new(text);
        let inputs = super::super::Inputs {
            home: world.home.clone(),
            cwd: world.dir("q"),
            env: vec![],
            overrides: vec![],
        };
        let error = super::super::load(&inputs).unwrap_err().to_string();
        assert!(error.contains(told) && error.contains("config.toml:1:"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20) })]

    #[test]
    fn rules_are_read_as_they_were_given_and_leave_no_trace(
        words in prop::collection::vec(prop::collection::vec("\\PC{1,6}|[\"'\\\\\n\t#\\]]{1,3}", 1..4), 1..5),
        project in any::<bool>(),
    ) {
        let before = "# mine\nmodel = 'a/b'   # so\n\n[providers.x]\nwire = \"replay\"\n# end\n";
        let world = World::new(before);
        let scope = if project { Scope::Project } else { Scope::Everywhere };
        let mut given: Vec<Rule> = Vec::new();
        for words in words {
            let rule = Rule { grant: Grant::CommandPrefix { words }, scope };
            world.keep(&rule, "p");
            if !given.contains(&rule) {
                given.push(rule);
            }
        }
        prop_assert_eq!(&world.rules("p/sub"), &given);
        prop_assert!(world.text().starts_with(before.trim_end_matches("# end\n")), "{}", world.text());
        for rule in &given {
            world.forget(rule, "p/sub");
        }
        prop_assert_eq!(world.text(), before);
    }
}
