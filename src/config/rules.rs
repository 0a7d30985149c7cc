//! What the person has allowed or forbidden from now on: how rules stand in the settings, which hold where, and their
//! changes.
//!
//! Rules are read from the person's own settings only. What a project brings along can't hold any.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use toml_edit::{Array, DocumentMut, InlineTable, Item, TableLike, Value};

use crate::policy;
use crate::protocol::{Grant, Rule, Scope};
use crate::sandbox::network::{Host, Target};

use super::{Config, ConfigError, Home, PermissionSettings, Project, project_root, save};

/// A rule that allows something, as it is written in the settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Keys")]
pub struct Allow(pub Grant);

/// A rule by which a person is asked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Keys")]
pub struct Ask(pub Grant);

/// A rule that refuses something.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Keys")]
pub struct Deny(pub Grant);

/// What a rule is about.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Keys {
    /// Commands whose words begin with these, outside the sandbox too.
    command: Option<Vec<String>>,
    /// With `command`, for a program in the workspace: the BLAKE3 hash of the content that it must have.
    script: Option<String>,
    /// Changes to files at or below this absolute path.
    write: Option<PathBuf>,
    /// Connections of commands to this host and port.
    host: Option<String>,
    /// Commands that show what the rule means. They are checked whenever it is read.
    examples: Examples,
    #[serde(flatten)]
    #[schemars(skip)]
    unknown: BTreeMap<String, toml::Value>,
}

/// Commands that show what a rule means.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Examples {
    /// It must be about each of these.
    r#match: Vec<String>,
    /// It must be about none of these.
    not_match: Vec<String>,
}

/// A rule that is kept, and for which project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub grant: Grant,
    /// Missing where it holds everywhere.
    pub project: Option<PathBuf>,
    /// Where it stands.
    pub origin: String,
}

impl Keys {
    /// The words of a rule about commands, once its examples have shown that they mean what was meant.
    fn command(self) -> Result<Vec<String>, String> {
        let words = self.command.filter(|words| !words.is_empty());
        let plain = self.unknown.is_empty() && self.host.is_none();
        let (Some(words), None, None, true) = (words, self.write, self.script, plain) else {
            return Err("such a rule is { command = [\"WORD\", …] }, perhaps with `examples`".to_owned());
        };
        self.examples.check(&words)?;
        Ok(words)
    }
}

impl Examples {
    fn check(&self, words: &[String]) -> Result<(), String> {
        let rule = words.join(" ");
        for (examples, wanted) in [(&self.r#match, true), (&self.not_match, false)] {
            for example in examples {
                let read = policy::command::plain(example);
                let commands = read.ok_or_else(|| {
                    format!("the example `{example}` is no plain command: write words and quotes alone")
                })?;
                if commands.iter().any(|command| command.starts_with(words)) != wanted {
                    let not = if wanted { "not " } else { "" };
                    return Err(format!("the rule `{rule}` is {not}about its example `{example}`"));
                }
            }
        }
        Ok(())
    }
}

impl TryFrom<Keys> for Allow {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, Self::Error> {
        let form = "a rule is { command = [\"WORD\", …] }, { write = \"/PATH\" } or { host = \"HOST:PORT\" }";
        match keys {
            keys if !keys.unknown.is_empty() => Err(form.to_owned()),
            Keys { host: Some(host), command: None, script: None, write: None, .. } => {
                match Target::parse(host.as_bytes()) {
                    Ok(Target { host: Host::Name(host), port }) => Ok(Self(Grant::Host { host, port })),
                    Ok(_) => Err(format!("`{host}` is an address, which only `network.allow` can list")),
                    Err(error) => Err(format!("`{host}` is no HOST:PORT: {error}")),
                }
            }
            Keys { host: Some(_), .. } => Err(form.to_owned()),
            Keys { command: None, script: None, write: Some(path), .. } if path.is_absolute() => {
                Ok(Self(Grant::WriteBelow { path }))
            }
            Keys { command: None, script: None, write: Some(path), .. } => {
                Err(format!("`{}` is not absolute; write it from /", path.display()))
            }
            Keys { script: Some(hash), write: None, .. } => {
                let words = Keys { script: None, write: None, ..keys }.command()?;
                Ok(Self(Grant::Script { words, hash }))
            }
            Keys { write: Some(_), .. } | Keys { command: None, .. } => Err(form.to_owned()),
            keys => keys
                .command()
                .map(|words| Self(Grant::CommandPrefix { words }))
                .map_err(|error| if error.starts_with("such") { form.to_owned() } else { error }),
        }
    }
}

impl TryFrom<Keys> for Ask {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, Self::Error> {
        keys.command().map(|words| Self(Grant::Ask { words }))
    }
}

impl TryFrom<Keys> for Deny {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, Self::Error> {
        keys.command().map(|words| Self(Grant::Deny { words }))
    }
}

/// The list that a rule stands in.
fn list_of(grant: &Grant) -> &'static str {
    match grant {
        Grant::Ask { .. } => "ask",
        Grant::Deny { .. } => "deny",
        Grant::CommandPrefix { .. }
        | Grant::WriteBelow { .. }
        | Grant::Script { .. }
        | Grant::Host { .. }
        | Grant::Unknown => "allow",
    }
}

impl Config {
    /// All rules that are kept, those that hold everywhere first.
    #[must_use]
    pub fn kept_rules(&self) -> Vec<Kept> {
        let mut all = Vec::new();
        let mut keep = |grants: Vec<&Grant>, project: Option<&Path>, path: &[&str]| {
            for grant in grants {
                let path: Vec<String> =
                    path.iter().copied().chain([list_of(grant)]).map(str::to_owned).collect();
                let origin = self.origin(&super::path::joined(&path)).unwrap_or_default().to_owned();
                all.push(Kept { grant: grant.clone(), project: project.map(Path::to_owned), origin });
            }
        };
        let PermissionSettings { allow, ask, deny } = &self.permissions;
        keep(grants(allow, ask, deny), None, &["permissions"]);
        for (dir, Project { allow, ask, deny, .. }) in &self.projects {
            keep(grants(allow, ask, deny), Some(dir), &["projects", &dir.to_string_lossy()]);
        }
        all
    }

    /// The rules that hold in sessions about a directory.
    #[must_use]
    pub fn rules(&self, workspace: &Path) -> Vec<Rule> {
        let workspace = canonical(workspace);
        let of_kept = |kept: Kept| {
            let scope = match &kept.project {
                None => Scope::Everywhere,
                Some(dir) => holds(&canonical(dir), &workspace).then_some(Scope::Project)?,
            };
            Some(Rule { grant: kept.grant, scope })
        };
        self.kept_rules().into_iter().filter_map(of_kept).collect()
    }

    /// What a person should know of the rules.
    pub(super) fn rule_notices(&self) -> Vec<String> {
        let idle = |kept: &Kept| match &kept.grant {
            Grant::CommandPrefix { words } => policy::too_broad(words),
            _ => false,
        };
        let notice = |kept: Kept| {
            format!(
                "{}: the rule has no effect, because it would allow too much: {}",
                kept.origin, kept.grant
            )
        };
        self.kept_rules().into_iter().filter(idle).map(notice).collect()
    }
}

/// What the rules of three lists say.
fn grants<'a>(allow: &'a [Allow], ask: &'a [Ask], deny: &'a [Deny]) -> Vec<&'a Grant> {
    let allow = allow.iter().map(|Allow(grant)| grant);
    allow.chain(ask.iter().map(|Ask(grant)| grant)).chain(deny.iter().map(|Deny(grant)| grant)).collect()
}

/// Keeps a rule: for the project of a directory, or for everywhere. One that is kept already stays as it is.
///
/// # Errors
/// When the settings can't be changed. They are then as they were.
pub fn keep(home: &Home, rule: &Rule, workspace: &Path) -> Result<(), ConfigError> {
    let workspace = canonical(workspace);
    let project = match rule.scope {
        Scope::Project => Some(project_root(&workspace)),
        Scope::Everywhere => None,
        Scope::Session | Scope::Unknown => return Ok(()),
    };
    save::edit(home, |document| {
        let key = project.map(|project| key_of(document, project)).transpose()?;
        let table = save::made(document, &path(key.as_deref()))?;
        let written = written(&rule.grant)?;
        let list = list_of(&rule.grant);
        match table.get_mut(list) {
            Some(item) if find(item, &rule.grant).is_some() => {}
            Some(Item::Value(Value::Array(array))) => push(array, written),
            Some(Item::ArrayOfTables(tables)) => tables.push(written.into_table()),
            _ => {
                let mut array = Array::new();
                push(&mut array, written);
                table.insert(list, Item::Value(Value::Array(array)));
            }
        }
        Ok(())
    })
}

/// Keeps a rule no longer, wherever it stands that it holds for a directory in that scope.
///
/// # Errors
/// When the settings can't be changed. They are then as they were.
pub fn forget(home: &Home, rule: &Rule, workspace: &Path) -> Result<(), ConfigError> {
    let workspace = canonical(workspace);
    save::edit(home, |document| {
        match rule.scope {
            Scope::Project => {
                for key in projects(document, |dir| holds(dir, &workspace)) {
                    take_out(document, &path(Some(&key)), &rule.grant);
                }
            }
            Scope::Everywhere => {
                take_out(document, &path(None), &rule.grant);
            }
            Scope::Session | Scope::Unknown => {}
        }
        Ok(())
    })
}

/// Keeps a rule no longer that stands in the settings, and no other one: not the same for a directory above or below.
/// Gives how often it stood there, which is never where it comes from the command line.
///
/// # Errors
/// When the settings can't be changed. They are then as they were.
pub fn revoke(home: &Home, rule: &Kept) -> Result<usize, ConfigError> {
    let mut taken = 0;
    save::edit(home, |document| {
        taken = match &rule.project {
            None => take_out(document, &path(None), &rule.grant),
            Some(project) => {
                let keys = keys(document).into_iter().filter(|key| Path::new(key) == project);
                keys.map(|key| take_out(document, &path(Some(&key)), &rule.grant)).sum()
            }
        };
        Ok(())
    })?;
    Ok(taken)
}

/// Gives how often it stood there.
fn take_out(document: &mut DocumentMut, path: &[&str], grant: &Grant) -> usize {
    let Some(table) = save::existing(document, path).and_then(Item::as_table_like_mut) else { return 0 };
    let name = list_of(grant);
    let Some(list) = table.get_mut(name) else { return 0 };
    let mut taken = 0;
    while let Some(at) = find(list, grant) {
        match list {
            Item::Value(Value::Array(array)) => drop(array.remove(at)),
            Item::ArrayOfTables(tables) => drop(tables.remove(at)),
            _ => return taken,
        }
        taken += 1;
    }
    let empty = match list {
        Item::Value(Value::Array(array)) => {
            array.is_empty() && array.trailing().as_str().is_none_or(|text| !text.contains('#'))
        }
        Item::ArrayOfTables(tables) => tables.is_empty(),
        _ => false,
    };
    if empty {
        table.remove(name);
        save::tidy(document, path);
    }
    taken
}

/// Whether what is said of one directory holds for sessions about another one: it lies there, in the same project.
fn holds(dir: &Path, workspace: &Path) -> bool {
    workspace.starts_with(dir) && dir.starts_with(project_root(workspace))
}

fn path(project: Option<&str>) -> Vec<&str> {
    project.map_or_else(|| vec!["permissions"], |project| vec!["projects", project])
}

/// The key of a project: as it stands in the file, in whatever way the directory is written there, or as it would.
fn key_of(document: &mut DocumentMut, project: &Path) -> Result<String, ConfigError> {
    match (projects(document, |dir| dir == project).pop(), project.to_str()) {
        (Some(key), _) => Ok(key),
        (None, Some(name)) => Ok(name.to_owned()),
        (None, None) => Err(unwritable(project)),
    }
}

/// The keys of projects, by their directories.
fn projects(document: &mut DocumentMut, wanted: impl Fn(&Path) -> bool) -> Vec<String> {
    let mut keys = keys(document);
    keys.retain(|key| wanted(&canonical(Path::new(key))));
    keys
}

/// The keys of all projects.
fn keys(document: &mut DocumentMut) -> Vec<String> {
    let projects = save::existing(document, &["projects"]).and_then(Item::as_table_like_mut);
    projects.into_iter().flat_map(|projects| projects.iter()).map(|(key, _)| key.to_owned()).collect()
}

fn unwritable(path: &Path) -> ConfigError {
    ConfigError::new(format!("{} is not UTF-8 text, and can't stand in settings", path.display()))
}

fn written(grant: &Grant) -> Result<InlineTable, ConfigError> {
    let text = |words: &[String]| Value::Array(words.iter().map(String::as_str).collect());
    Ok(match grant {
        Grant::CommandPrefix { words } | Grant::Ask { words } | Grant::Deny { words } => {
            InlineTable::from_iter([("command", text(words))])
        }
        Grant::Script { words, hash } => {
            InlineTable::from_iter([("command", text(words)), ("script", Value::from(hash.as_str()))])
        }
        Grant::WriteBelow { path } => {
            InlineTable::from_iter([("write", Value::from(path.to_str().ok_or_else(|| unwritable(path))?))])
        }
        Grant::Host { host, port } => {
            InlineTable::from_iter([("host", Value::from(format!("{host}:{port}")))])
        }
        Grant::Unknown => return Err(ConfigError::new("this version does not know how to keep that rule")),
    })
}

/// Where a grant stands in a list.
fn find(list: &Item, grant: &Grant) -> Option<usize> {
    match list {
        Item::Value(Value::Array(array)) => {
            array.iter().position(|value| value.as_inline_table().is_some_and(|table| reads(table, grant)))
        }
        Item::ArrayOfTables(tables) => tables.iter().position(|table| reads(table, grant)),
        _ => None,
    }
}

fn reads(table: &dyn TableLike, grant: &Grant) -> bool {
    let says = |words: &[String]| {
        let list = table.get("command").and_then(Item::as_array);
        list.is_some_and(|list| {
            list.iter().map(Value::as_str).eq(words.iter().map(|word| Some(word.as_str())))
        })
    };
    let script = table.get("script").and_then(Item::as_str);
    match grant {
        Grant::CommandPrefix { words } | Grant::Ask { words } | Grant::Deny { words } => {
            says(words) && script.is_none()
        }
        Grant::Script { words, hash } => says(words) && script == Some(hash),
        Grant::WriteBelow { path } => table.get("write").and_then(Item::as_str).map(Path::new) == Some(path),
        Grant::Host { .. } => table.get("host").and_then(Item::as_str).is_some_and(|text| {
            let keys = Keys { host: Some(text.to_owned()), ..Keys::default() };
            Allow::try_from(keys).is_ok_and(|Allow(kept)| kept == *grant)
        }),
        Grant::Unknown => false,
    }
}

/// Puts a rule at the end: on a line of its own, but where the list stands on one line.
fn push(array: &mut Array, rule: InlineTable) {
    let one_line = !array.is_empty() && !array.to_string().contains('\n');
    if one_line {
        array.push(rule);
        return;
    }
    // What was written behind the last rule, such as a comment, stays behind it.
    let mut before = array.trailing().as_str().unwrap_or_default().trim_end().to_owned();
    if !array.trailing_comma()
        && let Some(last) = array.len().checked_sub(1).and_then(|last| array.get_mut(last))
    {
        let suffix = last.decor().suffix().and_then(|text| text.as_str()).unwrap_or_default();
        before = format!("{}{before}", suffix.trim_end());
        last.decor_mut().set_suffix("");
    }
    let mut rule = Value::InlineTable(rule);
    rule.decor_mut().set_prefix(format!("{before}\n    "));
    array.push_formatted(rule);
    array.set_trailing_comma(true);
    array.set_trailing("\n");
}

fn canonical(dir: &Path) -> PathBuf {
    fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            fs::write(world.home.config_file(), config.replace("DIR", world.dir("").to_str().unwrap()))
                .unwrap();
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
            fs::read_to_string(self.home.config_file())
                .unwrap()
                .replace(self.dir("").to_str().unwrap(), "DIR")
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
        let (npm, make) =
            (rule(&["npm", "install"], Scope::Project), rule(&["make", "it's"], Scope::Everywhere));
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
            let inputs =
                super::super::Inputs { home: world.home.clone(), cwd, env: vec![], overrides: vec![] };
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
            (
                "permissions.deny = [{ command = ['a'], exmples = { match = ['b'] } }]",
                "such a rule is { command",
            ),
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
}
