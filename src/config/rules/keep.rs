//! Changes of rules in the settings file; whatever else stands there stays as it is.

use std::path::Path;

use toml_edit::{Array, DocumentMut, InlineTable, Item, TableLike, Value};

use crate::protocol::{Grant, Rule, Scope};

use super::{
    super::{ConfigError, Home, project_root, save},
    Allow, Kept, canonical, holds, list_of,
};

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
        Grant::Host { .. } => table
            .get("host")
            .and_then(Item::as_str)
            .is_some_and(|text| Allow::host(text).is_ok_and(|Allow(kept)| kept == *grant)),
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
