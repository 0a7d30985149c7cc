//! What was cut and can be put back: the last sixty pieces, newest first.

use std::collections::VecDeque;

use super::buffer::Fragment;

const KEPT: usize = 60;

/// Which end of the newest piece a further cut joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Before,
    Behind,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Kill {
    pub fragment: Fragment,
    /// Cut as whole lines (vim): put back as whole lines.
    pub lines: bool,
}

#[derive(Debug, Default)]
pub(super) struct KillRing {
    kills: VecDeque<Kill>,
}

impl KillRing {
    pub fn push(&mut self, fragment: Fragment, lines: bool) {
        if fragment.is_empty() {
            return;
        }
        self.kills.push_front(Kill { fragment, lines });
        self.kills.truncate(KEPT);
    }

    /// Cuts in a row make one piece.
    pub fn join(&mut self, fragment: &Fragment, side: Side) {
        let Some(newest) = self.kills.front_mut() else {
            return self.push(fragment.clone(), false);
        };
        match side {
            Side::Behind => newest.fragment.append(fragment),
            Side::Before => {
                let old = std::mem::replace(&mut newest.fragment, fragment.clone());
                newest.fragment.append(&old);
            }
        }
    }

    /// A piece by age, going round.
    pub fn get(&self, age: usize) -> Option<&Kill> {
        self.kills.get(age.checked_rem(self.kills.len())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_in_a_row_are_one_piece_and_ages_go_round() {
        let mut ring = KillRing::default();
        assert!(ring.get(0).is_none());
        ring.join(&"b".into(), Side::Behind);
        ring.join(&"c".into(), Side::Behind);
        ring.join(&"a".into(), Side::Before);
        ring.push("z".into(), true);
        ring.push("".into(), false);
        let texts: Vec<_> = (0..3).map(|age| ring.get(age).unwrap().fragment.text.as_str()).collect();
        assert_eq!(texts, ["z", "abc", "z"]);
    }
}
