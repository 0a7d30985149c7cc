//! Which cells are folded.

use std::collections::HashSet;

/// All cells or none, but for some.
#[derive(Debug, Default)]
pub(super) struct Folds {
    all: bool,
    but: HashSet<usize>,
}

impl Folds {
    pub(super) fn folded(&self, cell: usize) -> bool {
        self.all != self.but.contains(&cell)
    }

    pub(super) fn toggle(&mut self, cell: usize) {
        if !self.but.remove(&cell) {
            self.but.insert(cell);
        }
    }

    pub(super) fn open(&mut self, cell: usize) {
        if self.folded(cell) {
            self.toggle(cell);
        }
    }

    /// Folds all cells, or none.
    pub(super) fn all(&mut self, folded: bool) {
        *self = Self { all: folded, but: HashSet::new() };
    }
}
