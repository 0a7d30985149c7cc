//! A repository that a command made where there was none: what is data in it goes into a new one, with git's default
//! configuration. The rest is left under a name that nobody obeys.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    content::{self, SMALL},
    filter::{self, Kind},
    repository::Repository,
    tree::Tree,
};

/// Where the new one is made, before it gets its place: in the old one, so that nothing else is left when this ends here.
const NEW: &str = "agent-new";

/// Puts a new repository at `git` with what is data of the one at `untrusted`. Gives what is to be told.
pub(in crate::sandbox) fn adopt(git: &Path, untrusted: &Path) -> Vec<String> {
    let name = untrusted.file_name().unwrap_or_default().display().to_string();
    match bring(git, untrusted) {
        Ok(mut said) => {
            match is_default(untrusted) {
                Ok(true) => {
                    if let Err(error) = Tree::open(untrusted).and_then(|tree| tree.remove_all(Path::new(""))) {
                        said.push(format!("{} can't be removed: {error}", untrusted.display()));
                    }
                    // The directory itself: it is empty now, or told of.
                    let _ = std::fs::remove_dir(untrusted);
                }
                _ => said.push(format!(
                    "a command made {}: it is a repository with what was committed and staged, and git's default \
                     configuration. What git would obey of it is in {name}, for the user to look at",
                    git.display()
                )),
            }
            said
        }
        Err(error) => vec![format!(
            "a command made {}: git would obey its configuration, so that it is {name} now, for the user to look at and to \
             rename ({error})",
            git.display()
        )],
    }
}

fn bring(git: &Path, untrusted: &Path) -> io::Result<Vec<String>> {
    let old = Tree::open(untrusted)?;
    let head = old.read(Path::new("HEAD"), SMALL)?.filter(|head| content::is_head(head));
    let head = head.ok_or_else(|| io::Error::other("it is not a whole repository"))?;
    let config = old.read(Path::new("config"), SMALL)?.unwrap_or_default();
    let sha256 = content::id_length(&config) == 32;
    let version = u8::from(sha256);
    let mut settings = format!(
        "[core]\n\trepositoryformatversion = {version}\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n"
    );
    if sha256 {
        settings.push_str("[extensions]\n\tobjectformat = sha256\n");
    }
    let place = PathBuf::from(NEW);
    old.remove_all(&place)?;
    old.make(&place.join("HEAD"), &head)?;
    old.make(&place.join("config"), settings.as_bytes())?;
    for directory in ["objects/info", "objects/pack", "refs/heads", "refs/tags"] {
        old.make_parents(&place.join(directory).join("x"))?;
    }
    let kept = tempfile::NamedTempFile::new()?;
    let said = Repository::open(&untrusted.join(NEW), untrusted, kept.path().with_extension("none"))?.adopt();
    let parent = Tree::open(git.parent().unwrap_or(Path::new("/")))?;
    let (from, to) = (untrusted.file_name().unwrap_or_default(), git.file_name().unwrap_or_default());
    parent.rename_new(&Path::new(from).join(NEW), Path::new(to))?;
    Ok(said)
}

/// Whether nothing in it would be obeyed but what git itself makes.
fn is_default(untrusted: &Path) -> io::Result<bool> {
    let tree = Tree::open(untrusted)?;
    let config = tree.read(Path::new("config"), SMALL)?.unwrap_or_default();
    let config = String::from_utf8_lossy(&config).to_ascii_lowercase();
    let plain = [
        "[core]",
        "repositoryformatversion",
        "filemode",
        "bare = false",
        "logallrefupdates",
        "ignorecase",
        "precomposeunicode",
    ];
    let plain_config = config
        .lines()
        .all(|line| line.trim().is_empty() || plain.iter().any(|word| line.trim().starts_with(word)));
    let samples = tree.walk(|path| path == Path::new("hooks") || path == Path::new("info"))?.into_iter().all(
        |(path, entry)| match path.iter().next().and_then(|top| top.to_str()) {
            Some("hooks") => {
                entry.kind == Kind::Directory || path.extension().is_some_and(|end| end == "sample")
            }
            Some("info") => entry.kind == Kind::Directory || path.ends_with("exclude"),
            Some("config" | "branches") => true,
            _ => !matches!(
                filter::judge(&path, entry.kind),
                filter::Verdict::Keep(filter::Keep::Obeyed | filter::Keep::Unlisted)
            ),
        },
    );
    Ok(plain_config && samples)
}

/// What is obeyed in a repository: two that are alike have the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sandbox) struct Fingerprint(Option<blake3::Hash>);

/// That of the repository at `git`; of one that can't be read, that.
pub(in crate::sandbox) fn fingerprint(git: &Path) -> Fingerprint {
    let look = || -> io::Result<blake3::Hash> {
        let tree = Tree::open(git)?;
        let mut hash = blake3::Hasher::new();
        // Of the objects only where else they are looked for.
        let into = |path: &Path| {
            !path.starts_with("objects") || path == Path::new("objects") || path.ends_with("info")
        };
        for (path, entry) in tree.walk(into)? {
            let obeyed = filter::Verdict::Keep(filter::Keep::Obeyed);
            if filter::judge(&path, entry.kind) != obeyed {
                continue;
            }
            let content = if entry.kind == Kind::File { tree.read(&path, SMALL)? } else { None };
            let kind = [u8::from(entry.kind == Kind::File), u8::from(entry.kind == Kind::Directory)];
            hash.update(path.as_os_str().as_encoded_bytes()).update(&[0]).update(&kind);
            hash.update(blake3::hash(&content.unwrap_or_default()).as_bytes());
        }
        Ok(hash.finalize())
    };
    Fingerprint(look().ok())
}
