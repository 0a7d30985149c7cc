//! One repository of a session: the real `.git`, and the layer that commands changed of it.
//!
//! The layer has the form of the upper directory of an overlay: files are new or changed, character devices of number
//! zero stand for what was removed. What is brought out is taken from the layer, as long as nobody works in it; what
//! stays is the session's own. Where the user changed the same thing meanwhile, theirs stays, and that is said.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    base::{self, Base, LARGE, Said},
    content::{self, SMALL},
    filter::{self, Keep, Kind, UNDERWAY, Verdict},
    index, objects,
    outside::{self, Came, Decision, Outside},
    tree::{Entry, Stamp, Tree},
};

const SESSION_ONLY: &str = "for commands of this session only";

/// Whether commands may be at work in the layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Layer {
    Quiet,
    Used,
}

/// A repository, and the session's own layer of it.
pub(in crate::sandbox) struct Repository {
    pub(super) path: PathBuf,
    pub(super) real: Tree,
    pub(super) layer: Tree,
    /// Where the base is kept, so that a session that was killed knows it when it goes on.
    kept: PathBuf,
    base: Base,
    id_length: usize,
    /// Objects of the layer that are outside already, or never will be.
    pub(super) settled: BTreeSet<PathBuf>,
    pub(super) refused: BTreeSet<PathBuf>,
    told: BTreeSet<String>,
    /// The index of the layer that says the same as the real one.
    same_index: Option<Stamp>,
    /// Something could not be brought out, and will be tried again.
    pending: bool,
}

/// What commands left in the layer.
struct Changes {
    entries: Vec<(PathBuf, Entry, Verdict)>,
    opaque: BTreeSet<PathBuf>,
}

impl Changes {
    fn has(&self, verdict: Verdict) -> bool {
        self.entries.iter().any(|(_, _, is)| *is == verdict)
    }

    fn kind(&self, path: &str) -> Option<Kind> {
        self.entries.iter().find(|(at, ..)| at == Path::new(path)).map(|(_, entry, _)| entry.kind)
    }
}

impl Repository {
    /// The repository at `path` and its layer. What an earlier process left unfinished is finished or taken away.
    ///
    /// # Errors
    /// When it is none that can be worked on in this way: the text says why.
    pub(in crate::sandbox) fn open(path: &Path, layer: &Path, kept: PathBuf) -> io::Result<Self> {
        let real = Tree::open(path)?;
        is_plain(&real)?;
        outside::sweep(&real)?;
        let config = real.read(Path::new("config"), SMALL)?.unwrap_or_default();
        let id_length = content::id_length(&config);
        let base = match fs::read(&kept).ok().and_then(|text| serde_json::from_slice(&text).ok()) {
            Some(base) => base,
            None => Base::look(&real, &Base::default(), id_length)?,
        };
        Ok(Self {
            path: path.to_owned(),
            real,
            layer: Tree::open(layer)?,
            kept,
            base,
            id_length,
            settled: BTreeSet::new(),
            refused: BTreeSet::new(),
            told: BTreeSet::new(),
            same_index: None,
            pending: false,
        })
    }

    /// Takes the user's changes in, before a command looks. What commands left is brought out first.
    pub(in crate::sandbox) fn refresh(&mut self, use_of: Layer) -> Vec<String> {
        let mut said = self.publish(use_of);
        if self.pending {
            return said;
        }
        let looked = Base::look(&self.real, &self.base, self.id_length);
        let mut now = match looked {
            Ok(now) => now,
            Err(error) => {
                said.push(format!("{} can't be read: {error}", self.path.display()));
                return said;
            }
        };
        if self.is_underway() {
            // What is held back is measured by what it began with.
            now.head.clone_from(&self.base.head);
            now.index.clone_from(&self.base.index);
            now.notes.clone_from(&self.base.notes);
        }
        if now != self.base {
            if let Err(error) = self.forget(&now) {
                said.push(format!(
                    "what you changed in {} may not be seen inside: {error}",
                    self.path.display()
                ));
            }
            self.base = now;
            self.keep_base(&mut said);
        } else if !self.kept.exists() {
            self.keep_base(&mut said);
        }
        said
    }

    fn keep_base(&self, said: &mut Vec<String>) {
        let kept = serde_json::to_vec(&self.base)
            .map_err(io::Error::from)
            .and_then(|text| fs::write(&self.kept, text));
        if let Err(error) = kept {
            said.push(format!("{} can't be written: {error}", self.kept.display()));
        }
    }

    /// Takes what the user changed since out of the layer, where it stands in the way of being seen. All of it is
    /// outside already.
    fn forget(&self, now: &Base) -> io::Result<()> {
        if now.loose != self.base.loose || now.packed != self.base.packed {
            for (path, _, verdict) in self.scan()?.entries {
                if matches!(verdict, Verdict::Ref | Verdict::PackedRefs) {
                    self.layer.remove(&path).or_else(directory_is_fine)?;
                }
            }
        }
        let said = |base: &Base| base.index.as_ref().map(|said| said.value.clone());
        if now.head != self.base.head {
            self.layer.remove(Path::new("HEAD"))?;
        }
        if said(now) != said(&self.base) {
            self.layer.remove(Path::new("index"))?;
        }
        let notes = changed(&self.base.notes, &now.notes);
        for name in notes.into_iter().chain(changed(&self.base.logs, &now.logs)) {
            self.layer.remove(Path::new(name)).or_else(directory_is_fine)?;
        }
        Ok(())
    }

    /// Brings out everything of a layer that was a repository itself. What git itself puts into one is not told of.
    pub(super) fn adopt(&mut self) -> Vec<String> {
        let mut said = self.publish(Layer::Used);
        said.retain(|sentence| !sentence.contains(SESSION_ONLY));
        said
    }

    /// Brings out what commands changed. Gives what is to be told of it.
    pub(in crate::sandbox) fn publish(&mut self, use_of: Layer) -> Vec<String> {
        self.pending = false;
        let mut said = Vec::new();
        if let Err(error) = self.bring_out(use_of, &mut said) {
            self.pending = true;
            said.push(format!(
                "what commands changed in {} could not be brought out: {error}. It is tried again after the next command",
                self.path.display()
            ));
        }
        said.retain(|sentence| self.told.insert(sentence.clone()));
        said
    }

    fn bring_out(&mut self, use_of: Layer, said: &mut Vec<String>) -> io::Result<()> {
        let changes = self.scan()?;
        if changes.entries.is_empty() {
            return Ok(());
        }
        if destroyed(&changes) {
            said.push(format!(
                "a command removed parts of {} that make it a repository. Outside nothing was removed, and inside it is \
                 as before again",
                self.path.display()
            ));
            return self.layer.remove_all(Path::new(""));
        }
        self.tell_of_kept(&changes, said);
        let is_work = |entry: &Entry, verdict: &Verdict| match verdict {
            Verdict::Into | Verdict::Keep(_) => false,
            Verdict::Index => self.same_index != Some(entry.stamp),
            _ => true,
        };
        if changes.entries.iter().any(|(_, entry, verdict)| is_work(entry, verdict)) {
            let real = &self.real;
            // Objects first: what comes after may speak of them.
            let found = objects::Found::of(
                changes.entries.iter().map(|(path, entry, verdict)| (path, entry, *verdict)),
            );
            let brought = objects::bring(
                &self.path,
                real,
                &self.layer,
                &found,
                &mut self.settled,
                &mut self.refused,
                said,
            )?;
            self.bring_rest(&changes, &brought, said)?;
        }
        self.finish_underway(&changes)?;
        if use_of == Layer::Quiet && !self.pending {
            self.clean(&changes)?;
        }
        Ok(())
    }

    fn bring_rest(
        &mut self,
        changes: &Changes,
        brought: &objects::Brought,
        said: &mut Vec<String>,
    ) -> io::Result<()> {
        let mut base = self.base.clone();
        let outside = Outside::begin(&self.real)?;
        let underway = self.is_underway();
        let mut round = Round {
            path: &self.path,
            real: &self.real,
            layer: &self.layer,
            outside: &outside,
            base: &mut base,
            said,
            pending: false,
            theirs: BTreeSet::new(),
            id_length: self.id_length,
        };
        let done = round.references(changes, brought).and_then(|()| round.logs(changes)).and_then(|()| {
            if underway {
                return Ok(());
            }
            round.index(changes)?;
            round.notes(changes)?;
            round.head(changes, brought)
        });
        let pending = round.pending;
        drop(outside);
        self.pending |= pending;
        if underway {
            said.push(filter::is_underway_in(&self.path.display().to_string()));
        }
        if base != self.base {
            self.base = base;
            self.keep_base(said);
        }
        done
    }

    fn scan(&self) -> io::Result<Changes> {
        let into = |path: &Path| filter::judge(path, Kind::Directory) == Verdict::Into;
        let entries: Vec<_> = self
            .layer
            .walk(into)?
            .into_iter()
            .map(|(path, entry)| {
                let verdict = filter::judge(&path, entry.kind);
                (path, entry, verdict)
            })
            .collect();
        let opaque = entries
            .iter()
            .filter(|(path, entry, _)| entry.kind == Kind::Directory && self.layer.is_opaque(path))
            .map(|(path, ..)| path.clone())
            .collect();
        Ok(Changes { entries, opaque })
    }

    /// Whether something is going on whose rest only the session knows.
    fn is_underway(&self) -> bool {
        UNDERWAY.iter().any(|name| {
            let inside = self.layer.stat(Path::new(name)).ok().flatten();
            inside.is_some_and(|(kind, _)| kind != Kind::Gone)
        })
    }

    /// Ends outside what was under way there, and was ended inside.
    fn finish_underway(&self, changes: &Changes) -> io::Result<()> {
        for name in UNDERWAY.iter().filter(|name| changes.kind(name) == Some(Kind::Gone)) {
            match self.real.stat(Path::new(name))? {
                Some((Kind::Directory, _)) => self.real.remove_all(Path::new(name))?,
                Some((Kind::File, _)) => self.real.remove(Path::new(name))?,
                _ => {}
            }
        }
        Ok(())
    }

    fn tell_of_kept(&self, changes: &Changes, said: &mut Vec<String>) {
        let names = |why: Keep| -> String {
            let names: BTreeSet<&str> = changes
                .entries
                .iter()
                .filter(|(path, entry, verdict)| {
                    *verdict == Verdict::Keep(why) && !self.says_nothing(path, entry.kind)
                })
                .filter_map(|(path, ..)| path.to_str())
                .collect();
            names.into_iter().take(5).collect::<Vec<_>>().join(", ")
        };
        let at = self.path.display();
        let (obeyed, unlisted) = (names(Keep::Obeyed), names(Keep::Unlisted));
        if !obeyed.is_empty() {
            said.push(format!(
                "changed in {at}, {SESSION_ONLY}: {obeyed}. Git outside would obey it, so that only \
                 the user can change it there"
            ));
        }
        if !unlisted.is_empty() {
            said.push(format!(
                "changed in {at}, {SESSION_ONLY}: {unlisted}. Only branches, tags and the stash are \
                 brought out"
            ));
        }
    }

    /// Whether something that stays inside is not worth a word: an empty directory, or a file that says what it said.
    fn says_nothing(&self, path: &Path, kind: Kind) -> bool {
        match kind {
            Kind::Directory => self.layer.list(path).is_ok_and(|entries| entries.is_empty()),
            Kind::File => matches!(
                (self.layer.read(path, SMALL), self.real.read(path, SMALL)),
                (Ok(Some(ours)), Ok(Some(theirs))) if ours == theirs
            ),
            Kind::Gone | Kind::Other => false,
        }
    }

    /// Takes out of the layer what is outside by now.
    fn clean(&mut self, changes: &Changes) -> io::Result<()> {
        let underway = self.is_underway();
        for (path, entry, verdict) in changes.entries.iter().rev() {
            if entry.kind == Kind::Directory {
                let ours = ["objects", "refs", "logs"].iter().any(|top| path.starts_with(top));
                if ours && *verdict == Verdict::Into {
                    // What stays in it stays with it.
                    let _ = self.layer.remove_empty(path);
                }
                continue;
            }
            let out = match verdict {
                Verdict::Object | Verdict::Pack => !self.refused.contains(path),
                Verdict::Ref | Verdict::PackedRefs | Verdict::Log => true,
                Verdict::Head | Verdict::Note => !underway,
                // What git remembers of the files is good for the next command too.
                Verdict::Index => !underway && !self.is_same_index(entry),
                Verdict::Keep(Keep::Passing) => {
                    path.starts_with("objects")
                        || (entry.kind == Kind::Gone && UNDERWAY.iter().any(|name| path == Path::new(name)))
                }
                Verdict::Into | Verdict::Keep(_) => false,
            };
            if out {
                self.layer.remove(path)?;
            }
        }
        Ok(())
    }

    /// Whether the index of the layer says what the real one says.
    fn is_same_index(&mut self, entry: &Entry) -> bool {
        if entry.kind != Kind::File {
            return false;
        }
        if self.same_index != Some(entry.stamp) {
            let said = base::index_of(&self.layer, self.id_length).ok();
            let same = said.is_some() && said == self.base.index.as_ref().map(|said| said.value.clone());
            self.same_index = same.then_some(entry.stamp);
        }
        self.same_index.is_some()
    }
}

/// One time of bringing things out: what is needed for that.
struct Round<'a> {
    path: &'a Path,
    real: &'a Tree,
    layer: &'a Tree,
    outside: &'a Outside<'a>,
    base: &'a mut Base,
    said: &'a mut Vec<String>,
    pending: bool,
    /// References that stay as the user made them.
    theirs: BTreeSet<String>,
    id_length: usize,
}

impl Round<'_> {
    fn references(&mut self, changes: &Changes, brought: &objects::Brought) -> io::Result<()> {
        if !changes.has(Verdict::Ref) && !changes.has(Verdict::PackedRefs) && changes.opaque.is_empty() {
            return Ok(());
        }
        let inside = self.inside(changes)?;
        let names: BTreeSet<String> = self.base.names().chain(inside.keys()).cloned().collect();
        let changed: Vec<(String, Option<String>)> = names
            .into_iter()
            .filter(|name| inside.get(name).map(String::as_str) != self.base.reference(name))
            .map(|name| {
                let value = inside.get(&name).cloned();
                (name, value)
            })
            .collect();
        // Those that go make room for those that come.
        let (gone, set): (Vec<_>, Vec<_>) = changed.into_iter().partition(|(_, value)| value.is_none());
        let known: BTreeSet<&str> = self.base.names().filter_map(|name| self.base.reference(name)).collect();
        let missing = objects::missing(
            self.path,
            self.real,
            brought,
            set.iter().filter_map(|(_, value)| value.as_deref()).filter(|value| !known.contains(*value)),
        )?;
        for (name, value) in gone.into_iter().chain(set) {
            if let Some(value) = &value
                && missing.contains(value)
            {
                self.keep(&name, &format!("object {value} is not there"));
                continue;
            }
            self.reference(&name, value.as_deref())?;
        }
        Ok(())
    }

    /// All references as commands see them.
    fn inside(&mut self, changes: &Changes) -> io::Result<BTreeMap<String, String>> {
        let mut loose: BTreeMap<String, String> =
            self.base.loose.iter().map(|(name, said)| (name.clone(), said.value.clone())).collect();
        let mut all = self.base.packed.clone();
        for (path, entry, verdict) in &changes.entries {
            let Some(name) = path.to_str() else { continue };
            if *verdict == Verdict::PackedRefs {
                all = match entry.kind {
                    Kind::Gone => BTreeMap::new(),
                    _ => base::packed(self.layer)?,
                };
            } else if path.starts_with("refs") {
                // A file in the place of a directory hides what was in that.
                if entry.kind != Kind::Directory || changes.opaque.contains(path) {
                    loose.retain(|known, _| !Path::new(known).starts_with(path));
                }
                if *verdict == Verdict::Ref && entry.kind == Kind::File {
                    let content = self.layer.read(path, SMALL)?.unwrap_or_default();
                    match content::id(&content) {
                        Some(id) => drop(loose.insert(name.to_owned(), id.to_owned())),
                        None => self.keep(name, "it does not name an object"),
                    }
                }
            }
        }
        all.extend(loose);
        Ok(all)
    }

    /// Brings one reference out.
    fn reference(&mut self, name: &str, value: Option<&str>) -> io::Result<()> {
        let path = Path::new(name);
        let before = self.base.reference(name).map(str::to_owned);
        let (real, outside) = (self.real, self.outside);
        let mut found = None;
        let came = outside.change(path, SMALL, |loose| {
            let packed = || -> io::Result<Option<String>> { Ok(base::packed(real)?.remove(name)) };
            found = match &loose {
                Some(loose) => Some(String::from_utf8_lossy(loose).trim_end().to_owned()),
                None => packed()?,
            };
            if found != before {
                return Ok(Decision::Leave);
            }
            let Some(value) = value else {
                if packed()?.is_some() {
                    let thinned = outside.change(Path::new("packed-refs"), LARGE, |content| {
                        Ok(content.map_or(Decision::Leave, |content| {
                            Decision::Write(content::without(&content, |other| other == name))
                        }))
                    })?;
                    if thinned == Came::Busy {
                        return Err(busy("packed-refs"));
                    }
                }
                return Ok(Decision::Remove);
            };
            Ok(Decision::Write(format!("{value}\n").into_bytes()))
        })?;
        match came {
            Came::Busy => {
                self.pending = true;
                self.said.push(format!(
                    "{name} of {} is locked by another git, and is brought out later. If no git runs, remove {name}.lock",
                    self.path.display()
                ));
                return Ok(());
            }
            Came::Left if found.as_deref() != value => {
                let made = value.map_or_else(
                    || "a command had removed it".to_owned(),
                    |value| {
                        format!(
                            "what a command made of it is commit {value} (git branch NAME {value} keeps it)"
                        )
                    },
                );
                let is = found.as_deref().unwrap_or("removed");
                self.theirs.insert(format!("logs/{name}"));
                self.said.push(format!(
                    "{name} of {} was changed outside of the sandbox meanwhile ({is}) and stays so; {made}",
                    self.path.display()
                ));
            }
            Came::Left | Came::Done => {}
        }
        let now = if came == Came::Done { value.map(str::to_owned) } else { found };
        self.base.loose.remove(name);
        self.base.packed.remove(name);
        match (now, self.real.stat(path)?) {
            (Some(value), Some((Kind::File, stamp))) => {
                self.base.loose.insert(name.to_owned(), Said { stamp, value });
            }
            (Some(value), _) => drop(self.base.packed.insert(name.to_owned(), value)),
            (None, _) => self.remove_empty_above(path),
        }
        Ok(())
    }

    /// Removes directories that only the name of a reference had made.
    fn remove_empty_above(&self, path: &Path) {
        for directory in path.ancestors().skip(1).take_while(|path| path.components().count() > 2) {
            if self.real.remove_empty(directory).is_err() {
                return;
            }
        }
    }

    fn logs(&mut self, changes: &Changes) -> io::Result<()> {
        for (path, entry, verdict) in &changes.entries {
            let Some(name) = path.to_str().filter(|_| *verdict == Verdict::Log) else { continue };
            if self.theirs.contains(name) {
                continue;
            }
            if entry.kind == Kind::Gone {
                self.forget_logs(path)?;
                continue;
            }
            let ours = self.layer.read(path, LARGE)?.unwrap_or_default();
            if !content::is_log(&ours) {
                self.keep(name, "it is no log of git's");
                continue;
            }
            let there = self.real.stat(path)?;
            if there.is_some_and(|(kind, _)| kind == Kind::Directory) {
                self.forget_logs(path)?;
            }
            let theirs = match there {
                Some((Kind::File, _)) => self.real.read(path, LARGE)?.unwrap_or_default(),
                _ => Vec::new(),
            };
            let is_known = there.map(|(_, stamp)| stamp) == self.base.logs.get(name).copied();
            let joined = if is_known { ours.clone() } else { content::join_logs(&theirs, &ours) };
            if joined != theirs {
                let mut draft = self.outside.draft(0o666)?;
                draft.write(&joined)?;
                draft.place(path)?;
            }
            if joined != ours {
                // What is there now is what commands go on from.
                self.layer.remove(path)?;
            }
            self.stamp_log(name)?;
        }
        Ok(())
    }

    fn stamp_log(&mut self, name: &str) -> io::Result<()> {
        match self.real.stat(Path::new(name))? {
            Some((_, stamp)) => self.base.logs.insert(name.to_owned(), stamp),
            None => self.base.logs.remove(name),
        };
        Ok(())
    }

    /// Removes logs that a command removed, unless the user has added to them.
    fn forget_logs(&mut self, path: &Path) -> io::Result<()> {
        let gone: Vec<String> =
            self.base.logs.keys().filter(|name| Path::new(name).starts_with(path)).cloned().collect();
        for name in gone {
            let at = Path::new(&name);
            if self.real.stat(at)?.map(|(_, stamp)| stamp) == self.base.logs.get(&name).copied() {
                self.real.remove(at)?;
                self.base.logs.remove(&name);
            }
        }
        Ok(())
    }

    fn head(&mut self, changes: &Changes, brought: &objects::Brought) -> io::Result<()> {
        if changes.kind("HEAD") != Some(Kind::File) {
            return Ok(());
        }
        let path = Path::new("HEAD");
        let content = self.layer.read(path, SMALL)?.unwrap_or_default();
        let value = String::from_utf8_lossy(&content).trim_end().to_owned();
        if !content::is_head(&content) {
            self.keep("HEAD", "it is neither a branch nor a commit");
            return Ok(());
        }
        if let Some(id) = content::id(&content)
            && !objects::missing(self.path, self.real, brought, std::iter::once(id))?.is_empty()
        {
            self.keep("HEAD", &format!("object {id} is not there"));
            return Ok(());
        }
        let before = self.base.head.clone();
        if Some(&value) == before.as_ref() {
            return Ok(());
        }
        let mut found = None;
        let came = self.outside.change(path, SMALL, |content| {
            found = content.map(|content| String::from_utf8_lossy(&content).trim_end().to_owned());
            Ok(if found == before {
                Decision::Write(format!("{value}\n").into_bytes())
            } else {
                Decision::Leave
            })
        })?;
        self.settle("HEAD", &came, found.as_deref() == Some(&value));
        match came {
            Came::Done => self.base.head = Some(value),
            Came::Left => self.base.head = found,
            Came::Busy => {}
        }
        Ok(())
    }

    fn index(&mut self, changes: &Changes) -> io::Result<()> {
        let path = Path::new("index");
        let kind = changes.kind("index");
        if !matches!(kind, Some(Kind::File | Kind::Gone)) {
            return Ok(());
        }
        let content = self.layer.read(path, LARGE).ok().flatten();
        let value = match content.as_ref().filter(|_| kind == Some(Kind::File)) {
            None => None,
            Some(content) => match index::digest(content, self.id_length) {
                Ok(value) => Some(value),
                Err(why) => {
                    self.keep("index", why);
                    return Ok(());
                }
            },
        };
        let before = self.base.index.as_ref().map(|said| said.value.clone());
        if value == before {
            return Ok(());
        }
        let mut honest = None;
        if let Some(content) = &content {
            let theirs = self.real.read(path, LARGE).ok().flatten();
            let judged = index::may_replace(content, theirs.as_deref(), self.id_length)
                .and_then(|()| index::distrusted(content, theirs.as_deref(), self.id_length));
            match judged {
                Ok(content) => honest = Some(content),
                Err(why) => {
                    self.keep("index", why);
                    return Ok(());
                }
            }
        }
        let mut same = false;
        let (known, id_length, real) = (self.base.index.clone(), self.id_length, self.real);
        let came = self.outside.change(path, LARGE, |_| {
            let stamp = real.stat(path)?.map(|(_, stamp)| stamp);
            let found = match (stamp, known) {
                (None, _) => None,
                (Some(stamp), Some(said)) if said.stamp == stamp => Some(said.value),
                _ => Some(base::index_of(real, id_length)?),
            };
            same = found == value;
            Ok(match honest {
                _ if found != before => Decision::Leave,
                Some(content) if value.is_some() => Decision::Write(content),
                _ => Decision::Remove,
            })
        })?;
        self.settle("index", &came, same);
        if came != Came::Busy {
            self.base.index = match self.real.stat(path)? {
                Some((_, stamp)) => Some(Said { stamp, value: base::index_of(self.real, self.id_length)? }),
                None => None,
            };
        }
        Ok(())
    }

    fn notes(&mut self, changes: &Changes) -> io::Result<()> {
        for (path, entry, verdict) in &changes.entries {
            let Some(name) = path.to_str().filter(|_| *verdict == Verdict::Note) else { continue };
            let known = self.base.notes.get(name);
            let ours = (entry.kind == Kind::File).then(|| base::digest(self.layer, name));
            if ours.as_ref() == known.map(|said| &said.value) {
                continue;
            }
            let now = self.real.stat(path)?.map(|(_, stamp)| stamp);
            if now != known.map(|said| said.stamp) {
                let differs = now.map(|_| base::digest(self.real, name)) != ours;
                // These two only remember the last thing that was done, whoever did it.
                if differs && !matches!(name, "COMMIT_EDITMSG" | "ORIG_HEAD") {
                    self.settle(name, &Came::Left, false);
                }
            } else if entry.kind == Kind::Gone {
                self.real.remove(path)?;
            } else {
                let content = match self.layer.read(path, SMALL) {
                    Ok(content) => content.unwrap_or_default(),
                    Err(error) => {
                        self.keep(name, &error.to_string());
                        continue;
                    }
                };
                if !content::is_note(name, &content) {
                    self.keep(name, "it does not hold what its name says");
                    continue;
                }
                let mut draft = self.outside.draft(0o666)?;
                draft.write(&content)?;
                draft.place(path)?;
            }
            match self.real.stat(path)? {
                Some((_, stamp)) => {
                    let value = base::digest(self.real, name);
                    self.base.notes.insert(name.to_owned(), Said { stamp, value })
                }
                None => self.base.notes.remove(name),
            };
        }
        Ok(())
    }

    /// Says what came of one of the files that there is one of.
    fn settle(&mut self, name: &str, came: &Came, same: bool) {
        let at = self.path.display();
        match came {
            Came::Busy => {
                self.pending = true;
                self.said.push(format!(
                    "{name} of {at} is locked by another git, and is brought out later. If no git runs, remove {name}.lock"
                ));
            }
            Came::Left if !same => self.said.push(format!(
                "{name} of {at} was changed outside of the sandbox meanwhile, and stays so: what a command made of it is \
                 not brought out"
            )),
            Came::Left | Came::Done => {}
        }
    }

    fn keep(&mut self, name: &str, why: &str) {
        self.said.push(format!("{name} of {} is not brought out: {why}", self.path.display()));
    }
}

/// Whether this is a repository whose files lie where they always did.
fn is_plain(tree: &Tree) -> io::Result<()> {
    let kind = |name: &str| tree.stat(Path::new(name)).map(|found| found.map(|(kind, _)| kind));
    let whole = kind("HEAD")? == Some(Kind::File)
        && kind("objects")? == Some(Kind::Directory)
        && kind("refs")? == Some(Kind::Directory);
    if !whole {
        return Err(io::Error::other("it is not a whole repository"));
    }
    for (name, what) in
        [("commondir", "it belongs to another repository"), ("reftable", "its references are in a table")]
    {
        if kind(name)?.is_some() {
            return Err(io::Error::other(what));
        }
    }
    Ok(())
}

/// Whether commands removed what makes it a repository.
fn destroyed(changes: &Changes) -> bool {
    ["HEAD", "objects", "refs", "refs/heads"].iter().any(|name| {
        changes.kind(name) == Some(Kind::Gone)
            || changes.opaque.contains(Path::new(name)) && *name != "refs/heads"
    })
}

fn busy(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, format!("{name} is locked by another git"))
}

/// The names whose values differ.
fn changed<'a, T: PartialEq>(a: &'a BTreeMap<String, T>, b: &'a BTreeMap<String, T>) -> BTreeSet<&'a String> {
    a.keys().chain(b.keys()).filter(|name| a.get(*name) != b.get(*name)).collect()
}

/// A directory in the place of a file holds what is judged by itself.
fn directory_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::IsADirectory { Ok(()) } else { Err(error) }
}
