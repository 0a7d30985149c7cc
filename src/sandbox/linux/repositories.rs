//! The repositories of a session, as the agent keeps them: which have a layer for commands, and what comes out of it.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    overlay::{self, UPPER, WORK},
    plan::Overlay,
};
use crate::sandbox::publish::{
    obeyed::modules,
    repository::{Layer, Repository},
    survey::{Identity, Kind},
};

/// More repositories have no layer, and are read-only.
const MOST: usize = 100;

/// All repositories of a session.
pub(super) struct Repositories {
    /// The directories that commands see, in the order of the plan.
    roots: Vec<PathBuf>,
    /// Where the layers are.
    layers: PathBuf,
    slots: Vec<Slot>,
    /// What could not be given a layer, and why: told once.
    told: Vec<PathBuf>,
}

/// A repository with its layer.
struct Slot {
    git: PathBuf,
    /// Another one in its place has another layer, and the same one has it under another name too.
    is: Identity,
    name: PathBuf,
    repository: Repository,
}

impl Repositories {
    pub(super) fn new(roots: Vec<PathBuf>, scratch: &Path) -> Self {
        Self { roots, layers: overlay::place(scratch), slots: Vec::new(), told: Vec::new() }
    }

    /// Each repository that has a layer, those before that hold others.
    pub(super) fn overlays(&self) -> Vec<Overlay> {
        let overlay = |slot: &Slot| {
            let below = overlay::real(&slot.git, &self.roots)?;
            Some(Overlay { git: slot.git.clone(), below, layer: slot.name.clone() })
        };
        let mut all: Vec<Overlay> = self.slots.iter().filter_map(overlay).collect();
        all.sort_by(|a, b| a.git.cmp(&b.git));
        all
    }

    /// Makes what the user changed visible to the next command, of the repositories that there are now. Gives what is to be
    /// told.
    pub(super) fn refresh(&mut self, found: Vec<PathBuf>) -> Vec<String> {
        let mut said = self.look(found);
        said.extend(self.with_layers(Repository::refresh));
        said
    }

    /// Brings out what commands changed. Gives what is to be told.
    pub(super) fn publish(&mut self) -> Vec<String> {
        self.with_layers(Repository::publish)
    }

    fn with_layers(&mut self, work: impl Fn(&mut Repository, Layer) -> Vec<String>) -> Vec<String> {
        if self.slots.is_empty() {
            return Vec::new();
        }
        // Whoever starts a command meanwhile waits until this is let go.
        let alone = match overlay::alone(&self.layers) {
            Ok(alone) => alone,
            Err(error) => return vec![format!("what commands changed in .git is not brought out: {error}")],
        };
        let layer = if alone.is_some() { Layer::Quiet } else { Layer::Used };
        self.slots.iter_mut().flat_map(|slot| work(&mut slot.repository, layer)).collect()
    }

    /// Opens the repositories there are now, and the modules in them.
    fn look(&mut self, found: Vec<PathBuf>) -> Vec<String> {
        let mut said = Vec::new();
        let mut all = Vec::new();
        for git in found {
            modules(&git, &mut all);
            all.push(git);
        }
        all.truncate(MOST);
        let mut before = std::mem::take(&mut self.slots);
        for git in all {
            let Some(is) = Identity::at(&git).filter(|is| is.kind == Kind::Directory) else { continue };
            if let Some(at) = before.iter().position(|slot| slot.git == git && slot.is == is) {
                self.slots.push(before.swap_remove(at));
                continue;
            }
            match self.open(&git, is) {
                Ok(slot) => self.slots.push(slot),
                Err(error) if !self.told.contains(&git) => {
                    said.push(format!("{} is read-only to commands: {error}", git.display()));
                    self.told.push(git);
                }
                Err(_) => {}
            }
        }
        said
    }

    fn open(&self, git: &Path, is: Identity) -> io::Result<Slot> {
        let name = PathBuf::from(is.name());
        let layer = self.layers.join(&name);
        for part in [UPPER, WORK] {
            std::fs::create_dir_all(layer.join(part))?;
        }
        let repository = Repository::open(git, &layer.join(UPPER), layer.join("base.json"))?;
        Ok(Slot { git: git.to_owned(), is, name, repository })
    }

    /// Brings out the last of it, and removes the layers in which nothing is left. No command runs any more.
    pub(super) fn finish(&mut self) {
        // Nobody hears of it any more; what could not be brought out stays in its layer.
        let _ = self.publish();
        for slot in self.slots.drain(..) {
            let layer = self.layers.join(&slot.name);
            if std::fs::read_dir(layer.join(UPPER)).is_ok_and(|mut entries| entries.next().is_none()) {
                // The kernel's own directory is closed to all but root; it is empty.
                let work = layer.join(WORK);
                let _ = std::fs::remove_dir(work.join("work")).and_then(|()| std::fs::remove_dir_all(&layer));
            }
        }
    }
}
