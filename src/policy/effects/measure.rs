//! How much it is that would be touched: files, bytes, where they lie, and whether git could bring them back.

use std::{
    collections::VecDeque,
    ffi::OsString,
    path::{Component, Path, PathBuf},
    rc::Rc,
};

use crate::protocol::{Bound, Effects, Tally, Touched, Verb};

use super::{
    Entry, World,
    git::{Mark, Tree},
    run::{Hit, Run},
};

/// As many links in one path as the kernel follows.
const MOST_LINKS: usize = 40;
/// Files and directories that are looked at.
const MOST_SEEN: u64 = 100_000;
/// Places that are listed one by one.
const MOST_LISTED: usize = 12;
/// Questions that are listed one by one.
const MOST_UNKNOWN: usize = 8;

/// A path with its links followed, the last part only when that is wanted. What is not there is taken as it is
/// written.
pub(super) fn real(world: &dyn World, path: &Path, follow: bool) -> Result<PathBuf, String> {
    let parts = |path: &Path| -> Vec<OsString> {
        path.components()
            .filter_map(|part| match part {
                Component::Normal(name) => Some(name.to_owned()),
                Component::ParentDir => Some("..".into()),
                _ => None,
            })
            .collect()
    };
    let mut rest: VecDeque<OsString> = parts(path).into();
    let mut real = PathBuf::from("/");
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            real.pop();
            continue;
        }
        real.push(name);
        if rest.is_empty() && !follow {
            break;
        }
        match world.entry(&real) {
            Entry::Link(target) => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(format!("`{}`, which is too many links", path.display()));
                }
                real.pop();
                if target.is_absolute() {
                    real = PathBuf::from("/");
                }
                for part in parts(&target).into_iter().rev() {
                    rest.push_front(part);
                }
            }
            Entry::Unreadable(why) => return Err(format!("`{}`, because {why}", path.display())),
            _ => {}
        }
    }
    Ok(real)
}

/// Counting.
struct Measure<'a> {
    roots: &'a [PathBuf],
    seen: u64,
    /// Trees that are lost as a whole, and files: what is lost twice is counted once.
    trees: Vec<PathBuf>,
    files: std::collections::HashSet<PathBuf>,
}

/// What was noted, counted.
pub(super) fn effects(mut run: Run<'_>, roots: &[PathBuf]) -> Effects {
    let mut hits = std::mem::take(&mut run.hits);
    // What goes as a whole before what goes one by one.
    hits.sort_by_key(|hit| (hit.verb, !hit.deep, hit.path.as_os_str().len()));
    let mut measure = Measure { roots, seen: 0, trees: Vec::new(), files: Default::default() };
    let mut effects = Effects::default();
    for hit in &hits {
        let inside = measure.inside(&hit.path);
        if hit.verb == Verb::Create && inside {
            continue;
        }
        let mut tally = measure.tally(&mut run, hit);
        if hit.verb == Verb::Create {
            tally = Tally { outside: 1, ..Tally::default() };
        }
        if hit.verb.loses() {
            effects.lost += tally;
        }
        effects.touched.push(Touched { verb: hit.verb, path: hit.path.clone(), tally });
    }
    effects.touched.sort_by_key(|touched| {
        let Tally { files, outside, .. } = touched.tally;
        (std::cmp::Reverse((outside > 0, touched.verb.loses(), files)), touched.path.clone())
    });
    effects.more = effects.touched.len().saturating_sub(MOST_LISTED) as u64;
    effects.touched.truncate(MOST_LISTED);
    effects.besides = run.besides;
    let more = run.unknown.len().saturating_sub(MOST_UNKNOWN);
    run.unknown.truncate(MOST_UNKNOWN);
    if more > 0 {
        run.unknown.push(format!("{more} more"));
    }
    effects.unknown = run.unknown;
    effects
}

impl Measure<'_> {
    fn inside(&self, path: &Path) -> bool {
        self.roots.iter().any(|root| path.starts_with(root))
    }

    fn tally(&mut self, run: &mut Run<'_>, hit: &Hit) -> Tally {
        let mut tally = Tally { bound: hit.bound, ..Tally::default() };
        let near = hit.path.ancestors().find(|path| matches!(run.world.entry(path), Entry::Directory));
        let top = near.and_then(|folder| run.top_of(folder).ok());
        // Questions about who may read a file need no git.
        let tree = match top.filter(|_| hit.verb.loses() || hit.verb == Verb::Change) {
            None => None,
            Some(top) => match run.tree(&top) {
                Ok(tree) => Some(tree),
                Err(why) => {
                    run.unknown(format!("what git could bring back: {why}"));
                    None
                }
            },
        };
        match &hit.files {
            Some(files) => {
                for file in files {
                    self.add(run.world, file.clone(), false, hit.verb, tree.as_ref(), &mut tally);
                }
            }
            None => self.add(run.world, hit.path.clone(), hit.deep, hit.verb, tree.as_ref(), &mut tally),
        }
        if hit.verb.loses() && hit.deep {
            self.trees.push(hit.path.clone());
        }
        tally
    }

    fn add(
        &mut self,
        world: &dyn World,
        path: PathBuf,
        deep: bool,
        verb: Verb,
        tree: Option<&Rc<Tree>>,
        tally: &mut Tally,
    ) {
        if verb.loses() && self.trees.iter().any(|tree| path.starts_with(tree)) {
            return;
        }
        let mut work = vec![path];
        while let Some(path) = work.pop() {
            self.seen += 1;
            if self.seen > MOST_SEEN || world.spent() {
                tally.bound = at_least(tally.bound);
                return;
            }
            let bytes = match world.entry(&path) {
                Entry::Missing => continue,
                Entry::Directory => {
                    match world.list(&path) {
                        _ if !deep => {}
                        Ok(names) => work.extend(names.into_iter().map(|name| path.join(name))),
                        Err(_) => tally.bound = at_least(tally.bound),
                    }
                    continue;
                }
                Entry::File(bytes) => bytes,
                Entry::Link(_) | Entry::Special => 0,
                Entry::Unreadable(_) => {
                    tally.bound = at_least(tally.bound);
                    continue;
                }
            };
            if verb.loses() && !self.files.insert(path.clone()) {
                continue;
            }
            tally.files += 1;
            tally.bytes = tally.bytes.saturating_add(bytes);
            tally.outside += u64::from(!self.inside(&path));
            if verb == Verb::Permissions || verb == Verb::Move {
                continue;
            }
            let own = path.components().any(|part| part.as_os_str() == ".git");
            let known = tree.filter(|tree| !own && path.starts_with(&tree.top));
            match known.map(|tree| tree.mark(&path)) {
                Some(None) => {}
                Some(Some(Mark::Ignored)) => tally.ignored += 1,
                Some(Some(Mark::Changed | Mark::Gone | Mark::Untracked)) | None => tally.uncommitted += 1,
            }
        }
    }
}

fn at_least(bound: Bound) -> Bound {
    match bound {
        Bound::Exact | Bound::AtLeast => Bound::AtLeast,
        Bound::AtMost | Bound::Unknown => Bound::Unknown,
    }
}
