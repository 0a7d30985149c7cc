//! Carrying changes over the border, both ways.
//!
//! Both sides are compared with what they had in common last. What only one side changed goes to the other one; what
//! both changed stays as it is outside, for that is the user's, and the other version is laid aside.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    inside::Inside,
    listing::Listing,
    manifest::{Content, Entry, Manifest},
    scan::{Scan, Unseen, scan},
    underway::Held,
};
use crate::{protocol::printable, sandbox::publish::survey::Survey};

/// Sentences about what was kept back, at most; more are counted.
const SENTENCES: usize = 12;

/// What is carried, and where to.
pub(super) struct Carrier {
    pub(super) root: PathBuf,
    /// Where a command's version lies that was not brought out.
    pub(super) aside: PathBuf,
    pub(super) asides: u32,
    pub(super) manifest: Manifest,
    pub(super) unseen: Unseen,
    /// Looks for what others obey outside.
    pub(super) survey: Survey,
    /// Repositories in which a command made an object that is not what its name says: nothing there speaks of sound ones
    /// alone any more, and nothing comes out of them.
    pub(super) forged: BTreeSet<PathBuf>,
    /// Repositories in which something goes on inside.
    pub(super) held: Held,
    /// What the user was told of already.
    told: BTreeSet<String>,
    warnings: Vec<String>,
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
    pub(super) fn new(root: PathBuf, aside: PathBuf, mut unseen: Unseen) -> Self {
        unseen.own.retain(|own| !root.starts_with(own));
        Self {
            survey: Survey::new(vec![root.clone()], unseen.own.clone()),
            unseen,
            root,
            aside,
            asides: 0,
            manifest: Manifest::default(),
            forged: BTreeSet::new(),
            held: Held::new(),
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
        self.held.clear();
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
            // Of a directory only which one it is counts.
            if files.get(&path).is_some_and(|look| !look.is_directory()) {
                files.remove(&path);
            }
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
        let unseen = self.unseen.clone();
        let work = move || (scan(&root, &mut manifest, &unseen), manifest);
        let (scan, manifest) = tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?;
        self.manifest = manifest;
        let scan = scan?;
        for path in &scan.unreadable {
            let sentence = format!("{} can't be read, so that commands don't have it", shown(path));
            self.warn(sentence);
        }
        Ok(scan)
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

pub(super) fn shown(path: &Path) -> String {
    format!("`{}`", printable(&path.to_string_lossy()).replace('\n', "\\n"))
}
