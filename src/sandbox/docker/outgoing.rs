//! What commands changed, on its way out: what may not leave stays, and where the user changed the same meanwhile, theirs
//! stays.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::{
    border::{self, Form, Staged, Verdict},
    carry::{Carrier, shown},
    history,
    inside::{Inside, MOST},
    judge::Judge,
    listing::Listing,
    manifest::{Content, Entry, Inside as Look},
    pack::{Member, Packed},
    place::Place,
    scan::Scan,
    underway,
};
use crate::sandbox::{
    linux::secrets,
    publish::{
        filter::Kind,
        survey::{Survey, Why},
        view::Lies,
    },
};

/// A file that is larger stays inside.
const LARGEST: u64 = 1 << 30;

/// What a path became inside.
enum Change<'m> {
    Directory,
    Packed(&'m Member),
    Gone,
}

impl Change<'_> {
    fn kind(&self) -> Kind {
        match self {
            Change::Gone => Kind::Gone,
            Change::Directory => Kind::Directory,
            Change::Packed(Member { content: Content::File { .. }, .. }) => Kind::File,
            Change::Packed(_) => Kind::Other,
        }
    }

    fn lies(&self) -> Option<Lies> {
        match self {
            Change::Gone => None,
            Change::Directory => Some(Lies::Directory),
            Change::Packed(member) => Some(match &member.content {
                Content::File { mode, .. } => Lies::File { runs: mode & 0o111 != 0 },
                Content::Link(to) => Lies::Link(to.clone()),
                Content::Directory => Lies::Directory,
                Content::Hidden => Lies::Other,
            }),
        }
    }
}

/// What is needed to judge changes.
struct Found<'f> {
    judge: Judge,
    listing: &'f Listing,
    packed: Packed,
    /// Indexes of repositories that say what those outside say.
    same: BTreeSet<PathBuf>,
    /// Those that must not take the place of one outside.
    refused: BTreeSet<PathBuf>,
}

impl Carrier {
    pub(super) async fn take_out(
        &mut self,
        inside: &mut Inside,
        listing: &Listing,
        mut changed: Vec<PathBuf>,
        scan: &mut Scan,
    ) -> io::Result<()> {
        let judge = self.judge().await?;
        self.hold_back(&mut changed, &judge, listing, scan);
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
        let packed = if wanted.is_empty() { Packed::empty()? } else { inside.fetch(&wanted).await? };
        let restored = self.restore(inside, &judge, listing, scan).await?;
        let mut found = Found { judge, listing, packed, same: BTreeSet::new(), refused: BTreeSet::new() };
        self.look_at_repositories(&changed, &mut found)?;
        let mut out: BTreeMap<PathBuf, Change<'_>> = BTreeMap::new();
        for path in changed {
            let look = listing.files.get(&path);
            let is_known = look.is_some_and(|look| self.manifest.kept.get(&path) == Some(look));
            if is_known || restored.iter().any(|git| path.starts_with(git)) {
                continue;
            }
            let change = match look {
                None => Change::Gone,
                Some(look) if look.is_directory() => Change::Directory,
                Some(look) => {
                    let Some(member) = found.packed.members.get(&path) else {
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
            if self.is_as_known(&path, &change) || found.same.contains(&path) {
                self.looked(&path, listing);
            } else if self.may_leave(&path, &change, &found) && !self.settled(&path, &change, &found, scan) {
                out.insert(path, change);
            }
        }
        self.withhold(&mut out, &found);
        if restored.is_empty() {
            self.remember(&found.judge, listing);
        }
        self.write_out(out, &found)
    }

    async fn judge(&mut self) -> io::Result<Judge> {
        let root = self.root.clone();
        let mut survey = std::mem::replace(&mut self.survey, Survey::new(Vec::new(), Vec::new()));
        let (judge, survey) = tokio::task::spawn_blocking(move || (Judge::look(&root, &mut survey), survey))
            .await
            .map_err(io::Error::other)?;
        self.survey = survey;
        Ok(judge)
    }

    /// Makes repositories whole again whose parts commands removed. Outside nothing is removed. Gives which they are.
    async fn restore(
        &mut self,
        inside: &mut Inside,
        judge: &Judge,
        listing: &Listing,
        scan: &mut Scan,
    ) -> io::Result<Vec<PathBuf>> {
        let mut restored = Vec::new();
        for git in judge.repositories() {
            if !self.is_destroyed(git, listing) {
                continue;
            }
            inside.remove(&[git]).await?;
            for (path, entry) in
                self.manifest.entries.range(git.clone()..).take_while(|(path, _)| path.starts_with(git))
            {
                let is = || Some((entry.content.clone(), entry.outside));
                scan.changes.entry(path.clone()).or_insert_with(is);
            }
            self.warn_again(format!(
                "a command removed parts of {} that make it a repository. Outside nothing was removed, and inside it is as \
                 before again",
                shown(git)
            ));
            restored.push(git.clone());
        }
        Ok(restored)
    }

    /// Whether commands removed what makes a directory a repository, or put another one in its place.
    fn is_destroyed(&self, git: &Path, listing: &Listing) -> bool {
        let known = |name: &str| self.manifest.entries.contains_key(&git.join(name));
        let has = |name: &str, directory: bool| {
            listing
                .files
                .get(&git.join(name))
                .is_some_and(|look| look.is_directory() == directory && !look.is_link())
        };
        let parts = [("HEAD", false), ("objects", true), ("refs", true), ("refs/heads", true)];
        if parts.into_iter().any(|(name, directory)| known(name) && !has(name, directory)) {
            return true;
        }
        // Another directory under the same name.
        ["", "objects", "refs"].into_iter().map(|name| git.join(name)).any(|path| {
            let known = self.manifest.entries.get(&path).and_then(|entry| entry.inside);
            let now = listing.files.get(&path);
            known.zip(now).is_some_and(|(known, now)| known.is_directory() && known.file != now.file)
        })
    }

    /// Remembers which directories repositories are made of.
    fn remember(&mut self, judge: &Judge, listing: &Listing) {
        for path in
            judge.repositories().iter().flat_map(|git| ["", "objects", "refs"].map(|name| git.join(name)))
        {
            if let Some(entry) = self.manifest.entries.get_mut(&path)
                && entry.inside.is_none()
            {
                entry.inside = listing.files.get(&path).copied();
            }
        }
    }

    /// Looks at the objects and indexes of repositories.
    fn look_at_repositories(&mut self, changed: &[PathBuf], found: &mut Found<'_>) -> io::Result<()> {
        for git in found.judge.repositories() {
            if self.forged.contains(git) {
                continue;
            }
            let new = changed.iter().filter(|path| !self.manifest.entries.contains_key(*path));
            let new = new.filter_map(|path| match found.judge.part(path)? {
                (at, below) if at == git => Some((below, found.packed.members.get(path)?)),
                _ => None,
            });
            if let Some(below) = history::forged(&found.packed, new) {
                self.distrust(git, &git.join(below), "it is not what its name says");
            }
        }
        for path in changed {
            let (Some(Form::Index), Some((git, _))) = (found.judge.form(path), found.judge.part(path)) else {
                continue;
            };
            let content =
                found.packed.members.get(path).and_then(|member| found.packed.small(member, border::LONGEST));
            match content.map(|content| border::staged(&content, &self.root.join(git))) {
                Some(Ok(Staged::Same)) => drop(found.same.insert(path.clone())),
                Some(Ok(Staged::Honest(content))) => found.packed.replace(path, &content)?,
                // Of one that is gone nothing is asked.
                Some(Err(_)) | None => drop(found.refused.insert(path.clone())),
            }
        }
        Ok(())
    }

    fn is_as_known(&self, path: &Path, change: &Change<'_>) -> bool {
        let known = self.manifest.entries.get(path).map(|entry| &entry.content);
        match change {
            Change::Gone => known.is_none(),
            Change::Directory => known == Some(&Content::Directory),
            Change::Packed(member) if known == Some(&Content::Hidden) => {
                let text = blake3::hash(secrets::TEXT.as_bytes());
                matches!(member.content, Content::File { hash, .. } if hash == text)
            }
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

    /// Brings nothing more out of a repository.
    fn distrust(&mut self, git: &Path, path: &Path, why: &str) {
        self.forged.insert(git.to_owned());
        self.warn(format!(
            "{} stays in the container: {why}. From now on nothing that commands do in {} is brought out in this session",
            shown(path),
            git.display()
        ));
    }

    fn is_forged(&self, path: &Path, judge: &Judge) -> bool {
        judge.part(path).is_some_and(|(git, _)| self.forged.contains(git))
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
    fn may_leave(&mut self, path: &Path, change: &Change<'_>, found: &Found<'_>) -> bool {
        let full = self.root.join(path);
        let is_own = self.unseen.own.iter().any(|own| full.starts_with(own));
        let is_hidden = self.manifest.entries.get(path).is_some_and(|entry| entry.content == Content::Hidden);
        let verdict = match (found.judge.verdict(path, change.kind()), change) {
            _ if is_own => Verdict::Kept("this program"),
            _ if is_hidden => Verdict::Hidden,
            (Verdict::Out | Verdict::OutIf(_), _) if self.is_forged(path, &found.judge) => Verdict::Quiet,
            (Verdict::OutIf(Form::Object | Form::Pack), Change::Packed(_))
                if !self.manifest.entries.contains_key(path) =>
            {
                Verdict::Out
            }
            (Verdict::OutIf(Form::Object | Form::Pack), _) => Verdict::Quiet,
            (Verdict::OutIf(Form::Index), Change::Packed(_)) => match found.refused.contains(path) {
                true => Verdict::Kept("git"),
                false => Verdict::Out,
            },
            (Verdict::OutIf(form), Change::Packed(member)) => {
                let content = found.packed.small(member, border::LONGEST);
                match content.is_some_and(|content| border::is_formed(form, path, &content)) {
                    true => Verdict::Out,
                    false => Verdict::Kept("git"),
                }
            }
            (Verdict::OutIf(_), _) => Verdict::Out,
            (Verdict::Quiet, Change::Gone) if underway::is_over(path, &found.judge, found.listing) => {
                Verdict::Out
            }
            (verdict, _) => verdict,
        };
        let sentence = match verdict {
            Verdict::Out => return true,
            Verdict::OutIf(_) | Verdict::Quiet => None,
            Verdict::Odd => Some(format!(
                "{} has a name that can't be shown as it is, and stays in the container",
                shown(path)
            )),
            Verdict::Hidden => Some(format!(
                "{} is hidden from commands, because it may hold secrets: what a command did to it stays in the container",
                shown(path)
            )),
            Verdict::Kept(who) => {
                Some(kept(&told_as(path, &found.judge), change, &format!("{who} would obey it")))
            }
        };
        self.leave(path, found.listing);
        if let Some(sentence) = sentence {
            self.warn(sentence);
        }
        false
    }

    /// Leaves what a configuration outside would have run or obeyed.
    fn withhold(&mut self, out: &mut BTreeMap<PathBuf, Change<'_>>, found: &Found<'_>) {
        let changes = out.iter().map(|(path, change)| (path.clone(), change.lies())).collect();
        for (path, (place, why)) in found.judge.withheld(changes) {
            let Some(change) = out.remove(&path) else { continue };
            let why = match why {
                Why::Repository => "git would take the directory for a repository, and obey it",
                Why::Name | Why::Named => {
                    "git or another program would run or obey it, because a configuration or a link names it"
                }
            };
            self.warn(kept(if path.starts_with(&place) { &place } else { &path }, &change, why));
            self.leave(&path, found.listing);
        }
    }

    /// Whether nothing is to be brought out because the outside changed as well.
    fn settled(&mut self, path: &Path, change: &Change<'_>, found: &Found<'_>, scan: &mut Scan) -> bool {
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
                    self.looked(path, found.listing);
                }
                None => self.manifest.forget(path),
            }
            return true;
        }
        let sentence = match change {
            Change::Packed(member) => match self.lay_aside(path, member, &found.packed) {
                Ok(aside) => format!("the command's version lies in {}", aside.display()),
                Err(error) => format!("the command's version is lost: {error}"),
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
    fn write_out(&mut self, out: BTreeMap<PathBuf, Change<'_>>, found: &Found<'_>) -> io::Result<()> {
        if out.is_empty() {
            return Ok(());
        }
        let place = Place::open(&self.root)?;
        let is_object = |path: &Path| matches!(found.judge.form(path), Some(Form::Object | Form::Pack));
        let mut out: Vec<(PathBuf, Change<'_>)> = out.into_iter().collect();
        // What is below goes before what holds it, and what is pointed to comes before what points.
        out.sort_by(|(a, was), (b, is)| {
            let rank = |path: &Path, change: &Change<'_>| match change.kind() {
                Kind::Gone => 0,
                Kind::Directory => 1,
                Kind::File if is_object(path) => 2,
                Kind::File => 3,
                Kind::Other => 4,
            };
            let order = if matches!((was, is), (Change::Gone, Change::Gone)) { b.cmp(a) } else { a.cmp(b) };
            rank(a, was).cmp(&rank(b, is)).then(order)
        });
        for (path, change) in out {
            if self.is_forged(&path, &found.judge) {
                self.leave(&path, found.listing);
                continue;
            }
            let pack = found.judge.part(&path).filter(|_| found.judge.form(&path) == Some(Form::Pack));
            let written = match (&change, pack) {
                (Change::Gone, _) => place.remove(&path),
                (Change::Directory, _) => place.directory(&path),
                (Change::Packed(member), Some((git, _))) => {
                    history::bring_pack(&self.root.join(git), member, &found.packed)
                }
                (Change::Packed(member), None) => write(&place, &path, member, &found.packed),
            };
            if let Err(error) = written {
                self.leave(&path, found.listing);
                match pack {
                    Some((git, _)) => self.distrust(git, &path, &error.to_string()),
                    None => {
                        self.warn(format!("{} can't be brought out of the container: {error}", shown(&path)));
                    }
                }
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
            self.looked(&path, found.listing);
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
        // No archive holds one.
        Content::Hidden => Ok(()),
    }
}

fn kept(path: &Path, change: &Change<'_>, why: &str) -> String {
    format!(
        "{} was {} in the container, and is not brought out of it: {why}. If the user wants it, it must be done outside, \
         by apply_patch or by hand",
        shown(path),
        if matches!(change, Change::Gone) { "removed" } else { "made or changed" }
    )
}

/// Of what lies below a name that somebody obeys, the name: one sentence for all of it. In a repository that is there
/// outside, one level more.
fn told_as(path: &Path, judge: &Judge) -> PathBuf {
    if let Some((git, below)) = judge.part(path) {
        return git.join(below.iter().next().unwrap_or_default());
    }
    let named = |part: &Path| part.file_name().is_some_and(crate::protocol::is_obeyed);
    let names: Vec<&Path> = path.ancestors().filter(|part| named(part)).collect();
    names.last().copied().unwrap_or(path).to_owned()
}
