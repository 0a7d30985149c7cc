//! Finding where a secret may begin, fast: most of a flood is looked at by this and nothing else.

use aho_corasick::{AhoCorasick, Input, MatchKind};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    forms::forms,
    shapes::{Judgement, SHAPES, Shape},
};

/// All beginnings of shapes and all forms of known values.
pub(super) struct Matcher {
    automaton: Option<AhoCorasick>,
    literals: Vec<Literal>,
    /// Literals by their first byte.
    first: Vec<Vec<usize>>,
    longest: usize,
}

struct Literal {
    text: Vec<u8>,
    means: Means,
}

#[derive(Clone)]
enum Means {
    Shape(&'static Shape),
    /// A form of this value.
    Value(SecretString),
}

/// What is at a place of a text.
pub(super) enum Found {
    /// A secret of so many bytes, and the value that it is a form of.
    Secret {
        length: usize,
        value: Option<SecretString>,
    },
    /// More has to be known.
    Open,
    Nothing,
}

impl Matcher {
    pub(super) fn new(known: &[SecretString]) -> Self {
        let shapes = SHAPES
            .iter()
            .map(|shape| Literal { text: shape.prefix.as_bytes().to_vec(), means: Means::Shape(shape) });
        let values = known.iter().flat_map(|value| {
            let means = Means::Value(value.clone());
            forms(value.expose_secret()).into_iter().map(move |text| Literal { text, means: means.clone() })
        });
        let literals: Vec<Literal> = shapes.chain(values).collect();
        let mut first = vec![Vec::new(); 256];
        for (index, literal) in literals.iter().enumerate() {
            if let Some(byte) = literal.text.first() {
                first[usize::from(*byte)].push(index);
            }
        }
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .build(literals.iter().map(|literal| &literal.text))
            // Only more text than memory holds is refused; without it everything is looked at byte by byte.
            .ok();
        let longest = literals.iter().map(|literal| literal.text.len()).max().unwrap_or_default();
        Self { automaton, literals, first, longest }
    }

    /// The first place from `from` on where a secret may begin.
    pub(super) fn candidate(&self, text: &[u8], from: usize) -> Option<usize> {
        match &self.automaton {
            Some(automaton) => automaton.find(Input::new(text).range(from..)).map(|found| found.start()),
            None => (from..text.len()).find(|at| {
                let rest = text.get(*at..).unwrap_or_default();
                self.beginning(rest).any(|literal| rest.starts_with(&literal.text))
            }),
        }
    }

    /// The first place from `from` on where a literal begins and the text ends before it does.
    pub(super) fn unfinished(&self, text: &[u8], from: usize) -> Option<usize> {
        let from = from.max((text.len() + 1).saturating_sub(self.longest));
        (from..text.len()).find(|at| {
            let rest = text.get(*at..).unwrap_or_default();
            self.beginning(rest)
                .any(|literal| literal.text.len() > rest.len() && literal.text.starts_with(rest))
        })
    }

    /// What is at a place: the longest of all that may begin there.
    pub(super) fn at(&self, before: &[u8], rest: &[u8], ended: bool) -> Found {
        let mut longest = Found::Nothing;
        let mut longer = |length: usize, value: Option<SecretString>| match &longest {
            Found::Secret { length: known, .. } if *known >= length => {}
            _ => longest = Found::Secret { length, value },
        };
        for literal in self.beginning(rest).filter(|literal| rest.starts_with(&literal.text)) {
            match &literal.means {
                Means::Value(value) => longer(literal.text.len(), Some(value.clone())),
                Means::Shape(shape) if !shape.may_follow(before) => {}
                Means::Shape(shape) => match shape.judge(rest, ended) {
                    Judgement::Key(length) => longer(length, None),
                    Judgement::Open => return Found::Open,
                    Judgement::No => {}
                },
            }
        }
        longest
    }

    fn beginning(&self, rest: &[u8]) -> impl Iterator<Item = &Literal> {
        let indices = rest.first().map(|byte| self.first[usize::from(*byte)].as_slice()).unwrap_or_default();
        indices.iter().filter_map(|index| self.literals.get(*index))
    }
}
