//! Taking skills from git repositories: by the command line, without a work tree.
//!
//! Nothing of a repository is run or believed: it is fetched into an empty one of our own, and files are read as they
//! were committed. Links and submodules are left out, so that no name leads anywhere.

use std::{
    collections::BTreeMap,
    fmt,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Component, Path, PathBuf},
    process::{Command, Stdio},
};

use super::{SKILL, shelf::Files};

/// A question to git, asked in a folder.
pub type Ask<'a> = &'a dyn Fn(&Path, &[&str]) -> Command;

/// Files of a repository, and bytes of those that are taken, at most.
const FILES: usize = 20_000;
const BYTES: u64 = 64 << 20;
/// Letters of what git says that are passed on.
const SAID: usize = 600;

/// What is typed: `URL[@REF][#FOLDER]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub url: String,
    /// A branch, a tag or a commit. None: what the repository has checked out.
    pub reference: Option<String>,
    /// The folder in it. None: all of it.
    pub folder: Option<String>,
}

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The whole id.
    pub commit: String,
    /// The skills in it: the folder of each, and its files.
    pub(super) skills: Vec<(PathBuf, Files)>,
    /// What was left out: links and submodules.
    pub left_out: Vec<String>,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.url)?;
        if let Some(reference) = &self.reference {
            write!(f, "@{reference}")?;
        }
        if let Some(folder) = &self.folder {
            write!(f, "#{folder}")?;
        }
        Ok(())
    }
}

impl Source {
    /// Reads what was typed.
    ///
    /// # Errors
    /// What is wrong with it, for the person.
    pub fn read(text: &str) -> Result<Self, String> {
        let (rest, folder) = match text.rsplit_once('#') {
            Some((rest, folder)) => (rest, Some(folder.trim_matches('/'))),
            None => (text, None),
        };
        // Whoever logs in stands before an `@` as well: a reference stands in the path.
        let path = match rest.split_once("://") {
            Some((scheme, after)) => scheme.len() + 3 + after.find('/').unwrap_or(after.len()),
            None if Path::new(rest).exists() => rest.len(),
            None => rest.find(':').unwrap_or(0),
        };
        let (url, reference) = match rest.get(path..).and_then(|tail| tail.find('@')) {
            Some(at) => (rest.get(..path + at).unwrap_or(rest), rest.get(path + at + 1..)),
            None => (rest, None),
        };
        let source = Self {
            url: url.to_owned(),
            reference: reference.map(str::to_owned),
            folder: folder.filter(|folder| !folder.is_empty()).map(str::to_owned),
        };
        source.check().map(|()| source)
    }

    fn check(&self) -> Result<(), String> {
        let all = [Some(&self.url), self.reference.as_ref(), self.folder.as_ref()];
        if all.iter().flatten().any(|part| part.is_empty() || part.starts_with('-')) {
            return Err("a part of it is empty, or begins with a hyphen".to_owned());
        }
        if all.iter().flatten().any(|part| part.chars().any(char::is_control)) {
            return Err("it has control characters".to_owned());
        }
        // Git would run a program for such an address.
        if self.url.contains("::") {
            return Err("`::` names a program, and not a repository".to_owned());
        }
        match self.url.split_once("://").map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest)) {
            None => {}
            Some((scheme, _)) if ["https", "ssh", "file"].contains(&scheme.as_str()) => {}
            Some((scheme, rest)) if scheme == "http" => {
                let host = rest.split(['/', ':']).next().unwrap_or_default();
                if !["localhost", "127.0.0.1", "[::1]"].contains(&host) {
                    return Err(
                        "http:// could be changed by anybody on the way; use https:// or ssh://".to_owned()
                    );
                }
            }
            Some((scheme, _)) => {
                return Err(format!("{scheme}:// is not taken; use https://, ssh:// or a path"));
            }
        }
        let up = |folder: &String| {
            Path::new(folder).components().any(|part| !matches!(part, Component::Normal(_)))
        };
        if self.folder.as_ref().is_some_and(up) {
            return Err("the folder leads out of the repository".to_owned());
        }
        Ok(())
    }

    /// Fetches it, and reads the skills in it.
    ///
    /// # Errors
    /// With a sentence for the person.
    pub fn fetch(&self, ask: Ask<'_>) -> Result<Fetched, String> {
        let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        let at = folder.path();
        run(ask(at, &["init", "--quiet", "--bare", "--template=", "."]))?;
        let repository = |args: &[&str]| {
            let mut command = ask(at, args);
            command.env("GIT_DIR", at);
            command
        };
        let wanted = self.reference.as_deref().unwrap_or("HEAD");
        let url = self.absolute()?;
        let options = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-commit-graph"];
        let fetch = |more: &[&str]| {
            let words: Vec<&str> = options
                .iter()
                .copied()
                .chain(["--no-auto-maintenance"])
                .chain(more.iter().copied())
                .collect();
            let mut command = repository(&words);
            command.env("GIT_CONFIG_COUNT", "1");
            command.env("GIT_CONFIG_KEY_0", "fetch.fsckObjects").env("GIT_CONFIG_VALUE_0", "true");
            run(command)
        };
        let first = fetch(&["--depth=1", "--", &url, wanted]);
        let name = match first {
            Ok(_) => "FETCH_HEAD".to_owned(),
            // Not every server gives out a commit that no name leads to; the beginning of one it never does.
            Err(_) if wanted.len() >= 7 && wanted.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                fetch(&["--", &url, "+refs/*:refs/fetched/*"])?;
                wanted.to_owned()
            }
            Err(why) => return Err(format!("{url} has no `{wanted}` that can be fetched: {why}")),
        };
        let commit = run(repository(&[
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &format!("{name}^{{commit}}"),
        ]))
        .map_err(|_| format!("there is no commit `{wanted}` in {url}"))?;
        let commit = String::from_utf8_lossy(&commit).trim().to_owned();
        self.skills(commit, &repository)
    }

    /// A path is meant from where it was typed, and git is asked elsewhere.
    fn absolute(&self) -> Result<String, String> {
        if self.url.contains("://") || !Path::new(&self.url).exists() {
            return Ok(self.url.clone());
        }
        let path = Path::new(&self.url).canonicalize().map_err(|error| format!("{}: {error}", self.url))?;
        path.to_str().map(str::to_owned).ok_or_else(|| format!("{} is not UTF-8", path.display()))
    }

    fn skills(&self, commit: String, repository: &dyn Fn(&[&str]) -> Command) -> Result<Fetched, String> {
        let mut words = vec!["ls-tree", "-r", "-z", "-l", "--full-tree", &commit];
        if let Some(folder) = &self.folder {
            words.extend(["--", folder]);
        }
        let listed = run(repository(&words))?;
        let (entries, left_out) = entries(&listed)?;
        let base = self.folder.as_ref().map(PathBuf::from).unwrap_or_default();
        let mut roots: Vec<PathBuf> = entries
            .iter()
            .filter(|entry| entry.path.file_name().is_some_and(|name| name == SKILL))
            .filter_map(|entry| Some(entry.path.parent()?.to_owned()))
            .collect();
        roots.sort();
        // What lies in a skill is a part of it.
        let mut outer: Vec<PathBuf> = Vec::new();
        for root in roots {
            if !outer.iter().any(|outer| root.starts_with(outer)) {
                outer.push(root);
            }
        }
        if outer.is_empty() {
            let place = if base.as_os_str().is_empty() {
                "the repository".to_owned()
            } else {
                base.display().to_string()
            };
            return Err(format!("there is no {SKILL} in {place}"));
        }
        let taken: Vec<&Entry> =
            entries.iter().filter(|entry| outer.iter().any(|root| entry.path.starts_with(root))).collect();
        let size: u64 = taken.iter().map(|entry| entry.size).sum();
        if size > BYTES {
            return Err(format!("the skills have more than {} MiB", BYTES >> 20));
        }
        let contents = contents(&taken, repository(&["cat-file", "--batch"]))?;
        let mut skills: BTreeMap<PathBuf, Files> = BTreeMap::new();
        for (entry, bytes) in taken.into_iter().zip(contents) {
            let Some(root) = outer.iter().find(|root| entry.path.starts_with(root)) else { continue };
            let path = entry.path.strip_prefix(root).unwrap_or(&entry.path).to_owned();
            skills.entry(root.clone()).or_default().insert(path, (bytes, entry.runs));
        }
        Ok(Fetched { commit, skills: skills.into_iter().collect(), left_out })
    }
}

/// A file of a commit.
struct Entry {
    id: String,
    path: PathBuf,
    size: u64,
    runs: bool,
}

/// Reads `ls-tree -r -z -l`: `MODE TYPE ID SIZE\tPATH\0`.
fn entries(listed: &[u8]) -> Result<(Vec<Entry>, Vec<String>), String> {
    let (mut entries, mut left_out) = (Vec::new(), Vec::new());
    for line in listed.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
        let line = std::str::from_utf8(line).map_err(|_| "a file's name is not UTF-8".to_owned())?;
        let (head, path) = line.split_once('\t').ok_or("git lists files in a form that is not known")?;
        let fields: Vec<&str> = head.split_whitespace().collect();
        let [mode, kind, id, size] = fields[..] else {
            return Err("git lists files in a form that is not known".to_owned());
        };
        let path = PathBuf::from(path);
        if kind != "blob" || mode == "120000" {
            let what = if kind == "blob" { "a link" } else { "a submodule" };
            left_out.push(format!("{} is {what}", path.display()));
            continue;
        }
        if !path.components().all(|part| matches!(part, Component::Normal(name) if name != ".git")) {
            return Err(format!("{} is no name for a file", path.display()));
        }
        if entries.len() == FILES {
            return Err(format!("the repository has more than {FILES} files; name the folder with #FOLDER"));
        }
        let size = size.parse().unwrap_or(u64::MAX / 2);
        entries.push(Entry { id: id.to_owned(), path, size, runs: mode == "100755" });
    }
    Ok((entries, left_out))
}

/// What these files hold, as it was committed.
fn contents(entries: &[&Entry], mut command: Command) -> Result<Vec<Vec<u8>>, String> {
    let failed = |error: std::io::Error| format!("git can't be asked: {error}");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(failed)?;
    let (mut questions, answers) = (child.stdin.take(), child.stdout.take());
    let mut answers = BufReader::new(answers.ok_or("git gives no answer")?);
    let mut all = Vec::new();
    let mut read = || -> std::io::Result<()> {
        for entry in entries {
            // One at a time: neither side waits for the other with a full pipe.
            if let Some(questions) = &mut questions {
                writeln!(questions, "{}", entry.id)?;
            }
            let mut head = String::new();
            answers.read_line(&mut head)?;
            let fields: Vec<&str> = head.split_whitespace().collect();
            let size = match fields[..] {
                [id, "blob", size] if id == entry.id => size.parse::<u64>().ok(),
                _ => None,
            };
            let size = size.filter(|size| *size == entry.size).ok_or(std::io::ErrorKind::InvalidData)?;
            let mut bytes = Vec::new();
            (&mut answers).take(size + 1).read_to_end(&mut bytes)?;
            if bytes.pop() != Some(b'\n') || bytes.len() as u64 != size {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            all.push(bytes);
        }
        Ok(())
    };
    let result = read().map_err(|error| format!("git does not give the files: {error}"));
    drop(questions);
    // It has nothing more to do; what it says with its end changes nothing.
    let _ = child.wait();
    result.map(|()| all)
}

/// What git answers, or why it does not.
fn run(mut command: Command) -> Result<Vec<u8>, String> {
    let output = command.output().map_err(|error| format!("git can't be started: {error}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: String = said.trim().chars().take(SAID).collect();
    Err(if said.is_empty() { format!("git ended with {}", output.status) } else { said })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_taken_apart() {
        for (text, url, reference, folder) in [
            ("https://example.com/a/b.git", "https://example.com/a/b.git", None, None),
            (
                "https://me@example.com/a/b@v1.2#skills/pdf/",
                "https://me@example.com/a/b",
                Some("v1.2"),
                Some("skills/pdf"),
            ),
            ("git@example.com:a/b.git@feature/x", "git@example.com:a/b.git", Some("feature/x"), None),
            ("ssh://git@example.com:22/a/b@0123abc", "ssh://git@example.com:22/a/b", Some("0123abc"), None),
            ("file:///tmp/x.git#y", "file:///tmp/x.git", None, Some("y")),
            ("./here@main", "./here", Some("main"), None),
        ] {
            let source = Source::read(text).unwrap();
            let read = (source.url.as_str(), source.reference.as_deref(), source.folder.as_deref());
            assert_eq!(read, (url, reference, folder), "{text}");
            assert_eq!(Source::read(&source.to_string()), Ok(source));
        }
    }

    #[test]
    fn what_would_run_something_or_lead_elsewhere_is_refused() {
        for text in [
            "--upload-pack=evil",
            "https://x.com/a@--upload-pack=x",
            "ext::sh -c evil",
            "https://x.com/a#../../etc",
            "https://x.com/a#/etc/../..",
            "http://example.com/a",
            "git://example.com/a",
            "ftp://example.com/a",
            "https://x.com/a\n@b",
            "",
            "https://x.com/a@",
        ] {
            assert!(Source::read(text).is_err(), "{text}");
        }
        assert!(Source::read("http://127.0.0.1:8080/a").is_ok());
    }
}
