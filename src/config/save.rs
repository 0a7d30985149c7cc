//! Changes to the person's own settings file, which stays theirs: comments, order and layout are kept.
//!
//! The file is read anew for each change, under a lock, and replaced as a whole or not at all. A file that can't be
//! read as settings is not touched.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use toml_edit::{DocumentMut, InlineTable, Item, Table, Value};

use super::{
    ConfigError, Home,
    layer::{self, Layer},
    path::joined,
};

/// Links that lead to links, at most.
const MAX_LINKS: usize = 32;

/// Sets a key to a value; nothing takes the key away.
///
/// # Errors
/// When the file can't be read or written, or would not be settings any more. It is then as it was.
pub fn set(home: &Home, path: &[&str], to: Option<Value>) -> Result<(), ConfigError> {
    let Some((key, parents)) = path.split_last() else { return Ok(()) };
    edit(home, |document| {
        let Some(mut to) = to else {
            if let Some(table) = existing(document, parents).and_then(Item::as_table_like_mut) {
                table.remove(key);
            }
            tidy(document, parents);
            return Ok(());
        };
        let table = made(document, parents)?;
        // What stands beside the old value, such as a comment, belongs to the key.
        if let Some(old) = table.get(key).and_then(Item::as_value) {
            *to.decor_mut() = old.decor().clone();
        }
        match table.get_mut(key) {
            Some(item) => *item = Item::Value(to),
            None => drop(table.insert(key, Item::Value(to))),
        }
        Ok(())
    })
}

/// Changes the file. A change that changes nothing writes nothing.
pub(super) fn edit(
    home: &Home,
    change: impl FnOnce(&mut DocumentMut) -> Result<(), ConfigError>,
) -> Result<(), ConfigError> {
    let file = home.config_file();
    let failed = |error: io::Error| {
        ConfigError::new(format!("{} can't be written: {error}", file.display()))
            .hint("nothing was changed; make the file and its directory writable, or edit it yourself")
    };
    let _lock = lock(home).map_err(failed)?;
    let target = target(&file).map_err(failed)?;
    let before = layer::read(&file)?.unwrap_or_default();
    Layer::file(&file, &before)?;
    let mut document: DocumentMut = before
        .parse()
        .map_err(|error| ConfigError::new(format!("{} can't be changed: {error}", file.display())))?;
    change(&mut document)?;
    let mut after = document.to_string();
    if before.contains("\r\n") {
        after = after.replace("\r\n", "\n").replace('\n', "\r\n");
    }
    if after == before {
        return Ok(());
    }
    // Nothing is ever written that could not be read again.
    Layer::file(&file, &after)?;
    replace(&target, &after).map_err(failed)
}

/// Keeps other sessions from changing the file meanwhile, as long as it lives.
fn lock(home: &Home) -> io::Result<File> {
    fs::create_dir_all(&home.state)?;
    let file =
        File::options().create(true).truncate(false).write(true).open(home.state.join("config.lock"))?;
    file.lock()?;
    Ok(file)
}

/// The file that links lead to, which need not exist.
fn target(file: &Path) -> io::Result<PathBuf> {
    let mut at = file.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&at) {
            Ok(link) => at = at.parent().unwrap_or(Path::new("/")).join(link),
            // It is no link, or is not there.
            Err(_) => return Ok(at),
        }
    }
    Err(io::Error::other("its links lead in circles"))
}

fn replace(file: &Path, text: &str) -> io::Result<()> {
    let folder = file.parent().ok_or_else(|| io::Error::other("it has no directory"))?;
    fs::create_dir_all(folder)?;
    // Readable by nobody else, unless the person had made it so.
    let mut new = tempfile::Builder::new().prefix(".config-").tempfile_in(folder)?;
    match fs::metadata(file) {
        Ok(meta) if meta.permissions().readonly() => {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is read-only"));
        }
        Ok(meta) => fs::set_permissions(new.path(), meta.permissions())?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    new.write_all(text.as_bytes())?;
    new.as_file().sync_all()?;
    new.persist(file)?;
    // A file system that can't sync directories has kept the file itself.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

/// What stands at a path.
pub(super) fn existing<'a>(document: &'a mut DocumentMut, path: &[&str]) -> Option<&'a mut Item> {
    path.iter().try_fold(document.as_item_mut(), |item, key| item.as_table_like_mut()?.get_mut(key))
}

/// The table at a path, made in the manner of the one around it where there is none.
pub(super) fn made<'a>(
    document: &'a mut DocumentMut,
    path: &[&str],
) -> Result<&'a mut dyn toml_edit::TableLike, ConfigError> {
    let no_table = || {
        let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
        ConfigError::new(format!("`{}` is not a table", joined(&path)))
    };
    let blank = !document.as_table().is_empty();
    let mut at = document.as_item_mut();
    for (depth, key) in path.iter().enumerate() {
        let new = match &*at {
            Item::Value(_) => Item::Value(Value::InlineTable(InlineTable::new())),
            Item::Table(table) => {
                let mut new = Table::new();
                new.set_dotted(table.is_dotted());
                // Only the last one has a line of its own.
                new.set_implicit(depth + 1 < path.len());
                if blank {
                    new.decor_mut().set_prefix("\n");
                }
                Item::Table(new)
            }
            Item::None | Item::ArrayOfTables(_) => return Err(no_table()),
        };
        let table = at.as_table_like_mut().ok_or_else(no_table)?;
        if !table.contains_key(key) {
            table.insert(key, new);
        }
        at = table.get_mut(key).ok_or_else(no_table)?;
    }
    at.as_table_like_mut().ok_or_else(no_table)
}

/// Takes tables away that have become empty, unless a person wrote something beside them.
pub(super) fn tidy(document: &mut DocumentMut, path: &[&str]) {
    let Some((key, parents)) = path.split_last() else { return };
    let bare = existing(document, path).is_some_and(|item| match item {
        Item::Table(table) => table.is_empty() && !commented(table.decor()),
        Item::Value(Value::InlineTable(table)) => table.is_empty() && !commented(table.decor()),
        _ => false,
    });
    if bare && let Some(table) = existing(document, parents).and_then(Item::as_table_like_mut) {
        table.remove(key);
        tidy(document, parents);
    }
}

fn commented(decor: &toml_edit::Decor) -> bool {
    [decor.prefix(), decor.suffix()].into_iter().flatten().any(|text| {
        // A text that is still a part of the file it came from is not known here, and may be one.
        text.as_str().is_none_or(|text| text.contains('#'))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::below(folder.path());
        (folder, home)
    }

    fn read(home: &Home) -> String {
        fs::read_to_string(home.config_file()).unwrap()
    }

    #[test]
    fn a_value_is_set_in_its_place_and_all_else_stays() {
        let table = [
            ("", "model = \"a/b\"\n"),
            (
                "# mine\nmodel = 'x/y' # why\n\n[shell]\nenv_allow = ['A']\n",
                "# mine\nmodel = \"a/b\" # why\n\n[shell]\nenv_allow = ['A']\n",
            ),
            ("effort   =  'low'\n[shell]  # s\n", "effort   =  'low'\nmodel = \"a/b\"\n[shell]  # s\n"),
            ("effort = 'low'", "effort = 'low'\nmodel = \"a/b\"\n"),
            ("effort = 'low'\r\n\r\n[shell]\r\n", "effort = 'low'\r\nmodel = \"a/b\"\r\n\r\n[shell]\r\n"),
        ];
        for (before, after) in table {
            let (_folder, home) = home();
            fs::write(home.config_file(), before).unwrap();
            set(&home, &["model"], Some("a/b".into())).unwrap();
            assert_eq!(read(&home), after);
        }
    }

    #[test]
    fn a_key_goes_and_its_table_with_it_unless_somebody_wrote_there() {
        let (_folder, home) = home();
        fs::write(
            home.config_file(),
            "model = 'a/b'\n\n[shell]\nenv_allow = ['A']\n\n# kept\n[projects.'/x']\ntrusted = true\n",
        )
        .unwrap();
        set(&home, &["shell", "env_allow"], None).unwrap();
        set(&home, &["projects", "/x", "trusted"], None).unwrap();
        set(&home, &["nothing", "here"], None).unwrap();
        assert_eq!(read(&home), "model = 'a/b'\n\n# kept\n[projects.'/x']\n");
    }

    #[test]
    fn a_file_that_is_not_settings_is_not_touched_and_its_line_is_told() {
        for (text, line) in [("model = 'a/b'\nsandbox = \n", ":2:"), ("\n\nmodle = 'a/b'\n", ":3:")] {
            let (_folder, home) = home();
            fs::write(home.config_file(), text).unwrap();
            let error = set(&home, &["model"], Some("a/b".into())).unwrap_err().to_string();
            assert!(error.contains(&format!("config.toml{line}")), "{error}");
            assert_eq!(read(&home), text);
        }
    }

    #[test]
    fn what_could_not_be_read_again_is_not_written() {
        let (_folder, home) = home();
        fs::write(home.config_file(), "effort = 'low'\n").unwrap();
        for (path, value) in [(&["model"][..], "no-slash"), (&["effort", "x"], "y"), (&["unknown"], "x")] {
            assert!(set(&home, path, Some(value.into())).is_err(), "{path:?}");
            assert_eq!(read(&home), "effort = 'low'\n");
        }
    }

    #[test]
    fn the_file_keeps_its_mode_and_a_link_stays_a_link() {
        let (folder, home) = home();
        set(&home, &["model"], Some("a/b".into())).unwrap();
        assert_eq!(fs::metadata(home.config_file()).unwrap().permissions().mode() & 0o777, 0o600);

        let elsewhere = folder.path().join("dotfiles");
        fs::create_dir(&elsewhere).unwrap();
        let real = elsewhere.join("agent.toml");
        fs::rename(home.config_file(), &real).unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("link", home.config_file()).unwrap();
        symlink("dotfiles/agent.toml", folder.path().join("link")).unwrap();
        set(&home, &["effort"], Some("low".into())).unwrap();
        assert!(home.config_file().symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "model = \"a/b\"\neffort = \"low\"\n");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        // A link that leads nowhere yet is followed, too.
        fs::remove_file(&real).unwrap();
        set(&home, &["effort"], Some("high".into())).unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "effort = \"high\"\n");
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 1, "nothing else is left behind");
    }

    #[test]
    fn a_file_that_may_not_be_written_is_respected() {
        let (_folder, home) = home();
        fs::write(home.config_file(), "effort = 'low'\n").unwrap();
        fs::set_permissions(home.config_file(), fs::Permissions::from_mode(0o444)).unwrap();
        let error = set(&home, &["effort"], Some("high".into())).unwrap_err().to_string();
        assert!(error.contains("read-only") && error.contains("nothing was changed"), "{error}");
        assert_eq!(read(&home), "effort = 'low'\n");
    }

    #[test]
    fn nothing_is_lost_when_many_write_at_once() {
        let (_folder, home) = home();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let home = &home;
                scope.spawn(move || {
                    for n in 0..10 {
                        let dir = format!("/{writer}/{n}");
                        set(home, &["projects", &dir, "trusted"], Some(true.into())).unwrap();
                    }
                });
            }
        });
        let settings: toml::Table = read(&home).parse().unwrap();
        assert_eq!(settings["projects"].as_table().unwrap().len(), 40);
    }
}
