//! The repositories of a session, as the agent keeps them: which have a layer for commands, and what comes out of it.

use std::{
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::overlay::{self, UPPER, WORK};
use crate::sandbox::publish::repository::{Layer, Repository};

/// All repositories of a session.
pub(super) struct Repositories {
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
    /// Device and inode: another one in its place has another layer.
    is: (u64, u64),
    name: PathBuf,
    repository: Repository,
}

impl Repositories {
    pub(super) fn new(roots: Vec<PathBuf>, scratch: &Path) -> Self {
        Self { roots, layers: overlay::place(scratch), slots: Vec::new(), told: Vec::new() }
    }

    /// Each `.git` that has a layer, with the layer's name.
    pub(super) fn overlays(&self) -> Vec<(PathBuf, PathBuf)> {
        self.slots.iter().map(|slot| (slot.git.clone(), slot.name.clone())).collect()
    }

    /// Makes what the user changed visible to the next command. Gives what is to be told.
    pub(super) fn refresh(&mut self) -> Vec<String> {
        let mut said = self.look();
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

    /// Finds the repositories there are now.
    fn look(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        for root in self.roots.clone() {
            let git = root.join(".git");
            let is = git
                .symlink_metadata()
                .ok()
                .filter(std::fs::Metadata::is_dir)
                .map(|meta| (meta.dev(), meta.ino()));
            if self.slots.iter().any(|slot| slot.git == git && Some(slot.is) == is) {
                continue;
            }
            self.slots.retain(|slot| slot.git != git);
            let Some(is) = is else { continue };
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

    fn open(&self, git: &Path, is: (u64, u64)) -> io::Result<Slot> {
        let digest = blake3::hash(git.as_os_str().as_encoded_bytes()).to_hex();
        let name = PathBuf::from(format!("{}-{:x}-{:x}", digest.get(..12).unwrap_or_default(), is.0, is.1));
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
