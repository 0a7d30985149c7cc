//! Carrying changes over the border, both ways.
//!
//! Both sides are compared with what they had in common last. What only one side changed goes to the other one; what
//! both changed stays as it is outside, for that is the user's, and the other version is laid aside.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    border::{self, Form, Verdict},
    history,
    inside::{Inside, MOST},
    listing::Listing,
    manifest::{Content, Entry, Inside as Look, Manifest},
    pack::{Member, Packed},
    place::Place,
    scan::{Scan, scan},
};
use crate::{protocol::printable, sandbox::publish::filter::Kind};

/// A file that is larger stays inside.
const LARGEST: u64 = 1 << 30;
/// Sentences about what was kept back, at most; more are counted.
const SENTENCES: usize = 12;

/// What is carried, and where to.
pub(super) struct Carrier {
    root: PathBuf,
    /// Where a command's version lies that was not brought out.
    aside: PathBuf,
    asides: u32,
    pub(super) manifest: Manifest,
    /// A command made an object of the repository that is not what its name says: nothing speaks of sound ones alone any
    /// more, and nothing comes out of the repository.
    forged: bool,
    /// What the user was told of already.
    told: BTreeSet<String>,
    warnings: Vec<String>,
}

/// What a path became inside.
enum Change<'m> {
    Directory,
    Packed(&'m Member),
    Gone,
}

/// When changes are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// When something changed outside.
    Outside,
    /// When something changed inside.
    Inside,
}

impl Carrier {
    pub(super) fn new(root: PathBuf, aside: PathBuf) -> Self {
        Self {
            root,
            aside,
            asides: 0,
            manifest: Manifest::default(),
            forged: false,
            told: BTreeSet::new(),
            warnings: Vec::new(),
        }
    }

    /// What is to be said since the last time.
    pub(super) fn warnings(&mut self) -> Vec<String> {
        let mut all = std::mem::take(&mut self.warnings);
        if all.len() > SENTENCES {
            let more = all.len() - SENTENCES;
            all.truncate(SENTENCES);
            all.push(format!("{more} more such changes stay in the container"));
        }
        all
    }

    pub(super) fn warn(&mut self, sentence: String) {
        if self.told.insert(sentence.clone()) {
            self.warnings.push(sentence);
        }
    }

    /// The same for what is said each time that it happens.
    pub(super) fn warn_again(&mut self, sentence: String) {
        self.warnings.push(sentence);
    }

    /// Fills a fresh container, in which nothing runs yet.
    pub(super) async fn fill(&mut self, inside: &mut Inside) -> io::Result<()> {
        self.manifest = Manifest::default();
        let scan = self.scan().await?;
        let paths: BTreeMap<PathBuf, Content> = scan
            .changes
            .iter()
            .filter_map(|(path, now)| Some((path.clone(), now.as_ref()?.0.clone())))
            .collect();
        let paths = Arc::new(paths);
        inside.put(Arc::clone(&paths)).await?;
        drop(paths);
        let Listing { mut files, fresh, .. } = inside.list().await?;
        for path in fresh {
            files.remove(&path);
        }
        for (path, now) in scan.changes {
            if let Some((content, outside)) = now {
                let inside = files.get(&path).copied();
                self.manifest.entries.insert(path, Entry { content, outside, inside });
            }
        }
        Ok(())
    }

    /// Brings in what was changed outside; commands can't change anything, so that nothing comes out.
    pub(super) async fn bring_in(&mut self, inside: &mut Inside) -> io::Result<()> {
        let scan = self.scan().await?;
        self.put_in(inside, scan).await
    }

    /// Carries what was changed on either side to the other one, if there is something on the side that `when` says.
    pub(super) async fn carry(&mut self, inside: &mut Inside, when: When) -> io::Result<()> {
        let scan = match when {
            When::Outside => {
                let scan = self.scan().await?;
                if scan.changes.is_empty() {
                    return Ok(());
                }
                Some(scan)
            }
            When::Inside => None,
        };
        let listing = inside.list().await?;
        if listing.odd > 0 {
            self.warn(format!(
                "{} files have a line break in their name and stay in the container",
                listing.odd
            ));
        }
        let changed = self.manifest.changes_inside(&listing.files);
        if changed.is_empty() && scan.is_none() {
            return Ok(());
        }
        let mut scan = match scan {
            Some(scan) => scan,
            None => self.scan().await?,
        };
        self.take_out(inside, &listing, changed, &mut scan).await?;
        self.put_in(inside, scan).await
    }

    async fn scan(&mut self) -> io::Result<Scan> {
        let (root, mut manifest) = (self.root.clone(), std::mem::take(&mut self.manifest));
        let (scan, manifest) = tokio::task::spawn_blocking(move || (scan(&root, &mut manifest), manifest))
            .await
            .map_err(io::Error::other)?;
        self.manifest = manifest;
        let scan = scan?;
        for path in &scan.unreadable {
            let sentence = format!("{} can't be read, so that commands don't have it", shown(path));
            self.warn(sentence);
        }
        Ok(scan)
    }

    async fn take_out(
        &mut self,
        inside: &mut Inside,
        listing: &Listing,
        changed: Vec<PathBuf>,
        scan: &mut Scan,
    ) -> io::Result<()> {
        let (mut wanted, mut bytes) = (Vec::new(), 0_u64);
        for path in &changed {
            let Some(look) = listing.files.get(path) else { continue };
            if look.is_link() {
                wanted.push(path.clone());
            } else if look.is_file() {
                bytes = bytes.saturating_add(look.size);
                if look.size > LARGEST || bytes > MOST {
                    self.keep(path, look);
                    self.warn(format!("{} is too large to be brought out of the container", shown(path)));
                } else {
                    wanted.push(path.clone());
                }
            } else if !look.is_directory() {
                // Pipes, sockets and devices mean something only where they are.
                self.keep(path, look);
            }
        }
        let packed = if wanted.is_empty() { None } else { Some(inside.fetch(&wanted).await?) };
        let repository = self.root.join(".git").is_dir();
        if let Some(packed) = packed.as_ref().filter(|_| repository && !self.forged) {
            let new = changed.iter().filter(|path| !self.manifest.entries.contains_key(*path));
            let new = new.filter_map(|path| Some((path, packed.members.get(path)?)));
            if let Some(path) = history::forged(packed, new) {
                self.distrust(&path, "it is not what its name says");
            }
        }
        let mut out: Vec<(PathBuf, Change<'_>)> = Vec::new();
        for path in changed {
            let look = listing.files.get(&path);
            if look.is_some_and(|look| self.manifest.kept.get(&path) == Some(look)) {
                continue;
            }
            let change = match look {
                None => Change::Gone,
                Some(look) if look.is_directory() => Change::Directory,
                Some(look) => {
                    let member = packed.as_ref().and_then(|packed| packed.members.get(&path));
                    let Some(member) = member else {
                        self.keep(&path, look);
                        self.warn(format!(
                            "{} can't be read in the container, and stays there",
                            shown(&path)
                        ));
                        continue;
                    };
                    Change::Packed(member)
                }
            };
            if self.is_as_known(&path, &change) {
                self.looked(&path, listing);
            } else if self.may_leave(&path, &change, look, listing, packed.as_ref(), repository)
                && !self.settled(&path, &change, packed.as_ref(), scan, listing)
            {
                out.push((path, change));
            }
        }
        self.write_out(out, packed.as_ref(), listing)
    }

    fn is_as_known(&self, path: &Path, change: &Change<'_>) -> bool {
        let known = self.manifest.entries.get(path).map(|entry| &entry.content);
        match change {
            Change::Gone => known.is_none(),
            Change::Directory => known == Some(&Content::Directory),
            Change::Packed(member) => known == Some(&member.content),
        }
    }

    /// Remembers how a path looks inside.
    fn looked(&mut self, path: &Path, listing: &Listing) {
        let look = listing.files.get(path).filter(|_| !listing.fresh.iter().any(|fresh| fresh == path));
        self.manifest.kept.remove(path);
        self.manifest.missing.remove(path);
        if let Some(entry) = self.manifest.entries.get_mut(path) {
            entry.inside = look.copied();
        }
    }

    /// Brings nothing more out of the repository.
    fn distrust(&mut self, path: &Path, why: &str) {
        self.forged = true;
        self.warn(format!(
            "{} stays in the container: {why}. From now on nothing that commands do in .git is brought out in this session",
            shown(path)
        ));
    }

    /// Leaves a path inside as it is there, or not there.
    fn leave(&mut self, path: &Path, listing: &Listing) {
        match listing.files.get(path) {
            Some(look) => self.keep(path, look),
            None => drop(self.manifest.missing.insert(path.to_owned())),
        }
    }

    /// Leaves what is inside there.
    fn keep(&mut self, path: &Path, look: &Look) {
        self.manifest.kept.insert(path.to_owned(), *look);
    }

    /// Whether it may come out at all. If not, it is remembered, and told where somebody would miss it.
    fn may_leave(
        &mut self,
        path: &Path,
        change: &Change<'_>,
        look: Option<&Look>,
        listing: &Listing,
        packed: Option<&Packed>,
        repository: bool,
    ) -> bool {
        let kind = match change {
            Change::Gone => Kind::Gone,
            Change::Directory => Kind::Directory,
            Change::Packed(member) if matches!(member.content, Content::File { .. }) => Kind::File,
            Change::Packed(_) => Kind::Other,
        };
        let verdict = match (border::verdict(path, kind, repository), change) {
            (Verdict::Out | Verdict::OutIf(_), _) if self.forged && path.starts_with(".git") => {
                Verdict::Quiet
            }
            (Verdict::OutIf(Form::Object | Form::Pack), Change::Packed(_))
                if !self.manifest.entries.contains_key(path) =>
            {
                Verdict::Out
            }
            (Verdict::OutIf(Form::Object | Form::Pack), _) => Verdict::Quiet,
            (Verdict::OutIf(form), Change::Packed(member)) => {
                let content = packed.and_then(|packed| packed.small(member, border::LONGEST));
                if content
                    .is_some_and(|content| border::is_formed(form, path, &content, &self.root.join(".git")))
                {
                    Verdict::Out
                } else {
                    Verdict::Kept("git")
                }
            }
            (Verdict::OutIf(_), _) => Verdict::Out,
            (Verdict::Out, Change::Packed(_)) if begins_repository(path, listing) => Verdict::Kept("git"),
            (verdict, _) => verdict,
        };
        let sentence = match verdict {
            Verdict::Out => return true,
            Verdict::OutIf(_) | Verdict::Quiet => None,
            Verdict::Odd => Some(format!(
                "{} has a name that can't be shown as it is, and stays in the container",
                shown(path)
            )),
            Verdict::Kept(who) => Some(format!(
                "{} was {} in the container, and is not brought out of it: {who} would obey it. If the user wants it, it \
                 must be done outside, by apply_patch or by hand",
                shown(&told_as(path)),
                if matches!(change, Change::Gone) { "removed" } else { "made or changed" }
            )),
        };
        match look {
            Some(look) => self.keep(path, look),
            None => drop(self.manifest.missing.insert(path.to_owned())),
        }
        if let Some(sentence) = sentence {
            self.warn(sentence);
        }
        false
    }

    /// Whether nothing is to be brought out because the outside changed as well.
    fn settled(
        &mut self,
        path: &Path,
        change: &Change<'_>,
        packed: Option<&Packed>,
        scan: &mut Scan,
        listing: &Listing,
    ) -> bool {
        if let Change::Gone = change {
            // A directory in which there is something new outside stays.
            let below =
                scan.changes.range(path.to_owned()..).take_while(|(other, _)| other.starts_with(path));
            if below.into_iter().any(|(other, now)| other != path && now.is_some()) {
                scan.changes.entry(path.to_owned()).or_insert(Some((Content::Directory, None)));
                return true;
            }
        }
        let Some(now) = scan.changes.get(path) else { return false };
        let same = match (change, now) {
            (Change::Gone, None) => true,
            (Change::Directory, Some((content, _))) => *content == Content::Directory,
            (Change::Packed(member), Some((content, _))) => *content == member.content,
            (Change::Gone, Some(_)) | (Change::Directory | Change::Packed(_), None) => false,
        };
        if same {
            match scan.changes.remove(path).flatten() {
                Some((content, outside)) => {
                    self.manifest.entries.insert(path.to_owned(), Entry { content, outside, inside: None });
                    self.looked(path, listing);
                }
                None => self.manifest.forget(path),
            }
            return true;
        }
        let sentence = match change {
            Change::Packed(member) => match packed.map(|packed| self.lay_aside(path, member, packed)) {
                Some(Ok(aside)) => format!("the command's version lies in {}", aside.display()),
                Some(Err(error)) => format!("the command's version is lost: {error}"),
                None => return true,
            },
            Change::Gone => "it was removed by a command".to_owned(),
            Change::Directory => return true,
        };
        self.warn_again(format!(
            "{} was changed both in the container and outside. It stays as it is outside, and commands see that one from \
             now on; {sentence}",
            shown(path)
        ));
        true
    }

    fn lay_aside(&mut self, path: &Path, member: &Member, packed: &Packed) -> io::Result<PathBuf> {
        self.asides += 1;
        let folder = self.aside.join(self.asides.to_string());
        std::fs::create_dir_all(&folder)?;
        let place = Place::open(&folder)?;
        write(&place, path, member, packed)?;
        Ok(folder.join(path))
    }

    /// Brings out what may come out.
    fn write_out(
        &mut self,
        mut out: Vec<(PathBuf, Change<'_>)>,
        packed: Option<&Packed>,
        listing: &Listing,
    ) -> io::Result<()> {
        if out.is_empty() {
            return Ok(());
        }
        let place = Place::open(&self.root)?;
        // What is below goes before what holds it, and what is pointed to comes before what points.
        out.sort_by(|(a, was), (b, is)| {
            let rank = |path: &Path, change: &Change<'_>| match change {
                Change::Gone => 0,
                Change::Directory => 1,
                Change::Packed(_) if path.starts_with(".git/objects") => 2,
                Change::Packed(member) if matches!(member.content, Content::File { .. }) => 3,
                Change::Packed(_) => 4,
            };
            let order = if matches!((was, is), (Change::Gone, Change::Gone)) { b.cmp(a) } else { a.cmp(b) };
            rank(a, was).cmp(&rank(b, is)).then(order)
        });
        let repository = self.root.join(".git");
        for (path, change) in out {
            if self.forged && path.starts_with(".git") {
                self.leave(&path, listing);
                continue;
            }
            let is_pack = history::form(&path) == Some(Form::Pack);
            let written = match &change {
                Change::Gone => place.remove(&path),
                Change::Directory => place.directory(&path),
                Change::Packed(member) => packed.map_or(Ok(()), |packed| match is_pack {
                    true => history::bring_pack(&repository, member, packed),
                    false => write(&place, &path, member, packed),
                }),
            };
            if let Err(error) = written {
                self.leave(&path, listing);
                if is_pack {
                    self.distrust(&path, &error.to_string());
                    continue;
                }
                self.warn(format!("{} can't be brought out of the container: {error}", shown(&path)));
                continue;
            }
            let content = match change {
                Change::Gone => {
                    self.manifest.forget(&path);
                    continue;
                }
                Change::Directory => Content::Directory,
                Change::Packed(member) => member.content.clone(),
            };
            self.manifest.entries.insert(path.clone(), Entry { content, outside: None, inside: None });
            self.looked(&path, listing);
        }
        Ok(())
    }

    async fn put_in(&mut self, inside: &mut Inside, scan: Scan) -> io::Result<()> {
        if scan.changes.is_empty() {
            return Ok(());
        }
        // A file where a directory was, and the other way round, must go first.
        let gone: Vec<&PathBuf> = scan
            .changes
            .iter()
            .filter(|(path, now)| {
                let known = self.manifest.entries.get(*path).map(|entry| &entry.content);
                now.as_ref().is_none_or(|(content, _)| {
                    known.is_some_and(|known| {
                        (known == &Content::Directory) != (content == &Content::Directory)
                    })
                })
            })
            .map(|(path, _)| path)
            .collect();
        inside.remove(&gone).await?;
        let paths: BTreeMap<PathBuf, Content> = scan
            .changes
            .iter()
            .filter_map(|(path, now)| Some((path.clone(), now.as_ref()?.0.clone())))
            .collect();
        if !paths.is_empty() {
            inside.put(Arc::new(paths)).await?;
        }
        for (path, now) in scan.changes {
            self.manifest.forget(&path);
            if let Some((content, outside)) = now {
                // Something may have changed it since: the next look reads it.
                self.manifest.entries.insert(path, Entry { content, outside, inside: None });
            }
        }
        Ok(())
    }
}

/// Writes a member of an archive to its place.
fn write(place: &Place, path: &Path, member: &Member, packed: &Packed) -> io::Result<()> {
    match &member.content {
        Content::File { mode, .. } => {
            let mut content = packed.content(member)?;
            place.write(path, &mut content.by_ref(), *mode, member.modified)
        }
        Content::Link(target) => place.link(path, target),
        Content::Directory => place.directory(path),
    }
}

/// Whether a file makes its directory a repository that git would take for one without a `.git`.
fn begins_repository(path: &Path, listing: &Listing) -> bool {
    let is = |name: &str| listing.files.get(&path.with_file_name(name)).is_some_and(Look::is_directory);
    !path.starts_with(".git")
        && path.file_name().is_some_and(|name| name.eq_ignore_ascii_case("HEAD"))
        && is("objects")
        && is("refs")
}

/// Of what lies below a name that somebody obeys, the name: one sentence for all of it. In `.git`, one level more.
fn told_as(path: &Path) -> PathBuf {
    let mut told = PathBuf::new();
    let mut parts = path.iter();
    for part in parts.by_ref() {
        told.push(part);
        if crate::protocol::obeyed_by(Path::new(part)).is_some() {
            if part == ".git" {
                told.extend(parts.next());
            }
            break;
        }
    }
    told
}

fn shown(path: &Path) -> String {
    format!("`{}`", printable(&path.to_string_lossy()).replace('\n', "\\n"))
}
