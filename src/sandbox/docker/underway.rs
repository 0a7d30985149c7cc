//! A rebase, cherry-pick, revert or bisect that goes on inside: only the container knows the rest of it, so that the
//! HEAD and the index stay on either side what they are there, until it is over.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    border::{self, Form},
    carry::{Carrier, shown},
    judge::Judge,
    listing::Listing,
    scan::Scan,
};
use crate::sandbox::publish::filter;

/// What the indexes outside said when something began inside, by repository.
pub(super) type Held = BTreeMap<PathBuf, Option<String>>;

impl Carrier {
    /// Leaves the HEADs and indexes of such repositories out of what is carried, in both directions.
    pub(super) fn hold_back(
        &mut self,
        changed: &mut Vec<PathBuf>,
        judge: &Judge,
        listing: &Listing,
        scan: &mut Scan,
    ) {
        let goes_on = |git: &Path| {
            filter::UNDERWAY.iter().map(|name| git.join(name)).any(|path| {
                // What lies outside as well is the user's.
                listing.files.contains_key(&path) && !self.manifest.entries.contains_key(&path)
            })
        };
        let underway: Vec<PathBuf> =
            judge.repositories().iter().filter(|git| goes_on(git)).cloned().collect();
        self.held.retain(|git, _| underway.contains(git));
        for git in &underway {
            if !self.held.contains_key(git) {
                self.held.insert(git.clone(), border::said_outside(&self.root.join(git)));
                self.warn_again(filter::is_underway_in(&shown(git)));
            }
        }
        let is_held = |path: &Path| {
            let of = judge.part(path).is_some_and(|(git, _)| self.held.contains_key(git));
            of && matches!(judge.form(path), Some(Form::Head | Form::Index | Form::Note))
        };
        changed.retain(|path| !is_held(path));
        let outside: Vec<PathBuf> = scan.changes.keys().filter(|path| is_held(path)).cloned().collect();
        for path in outside {
            let now = scan.changes.remove(&path).flatten();
            let Some((git, _)) = judge.part(&path) else { continue };
            let is_index = judge.form(&path) == Some(Form::Index);
            if let Some((content, outside)) = now
                && is_index
                && self
                    .held
                    .get(git)
                    .is_some_and(|said| said.is_some() && *said == border::said_outside(&self.root.join(git)))
                && let Some(entry) = self.manifest.entries.get_mut(&path)
            {
                // Git only looked at the files anew.
                (entry.content, entry.outside) = (content, outside);
            }
        }
    }
}

/// Whether it is a part of something that began outside, and of which nothing is left inside.
pub(super) fn is_over(path: &Path, judge: &Judge, listing: &Listing) -> bool {
    let Some((git, below)) = judge.part(path) else { return false };
    filter::UNDERWAY
        .iter()
        .any(|name| below.starts_with(name) && !listing.files.contains_key(&git.join(name)))
}
