//! Names for values that were taken out, and the values for those who ask.
//!
//! A name is a keyed hash, and the key is made anew by each run of the program: the same value has the same name,
//! and nobody can find the value by trying.

use std::collections::HashMap;

use zeroize::Zeroizing;

/// Values that are remembered at most, and bytes of all of them. A flood of keys must not fill the memory.
const VALUES: usize = 1000;
const BYTES: usize = 1 << 20;
/// Digits of a name, and of the name of a value that is not remembered.
const DIGITS: usize = 4;
const DIGITS_FORGOTTEN: usize = 12;

/// What was taken out.
pub(super) struct Handles {
    key: [u8; 32],
    values: HashMap<String, Zeroizing<Vec<u8>>>,
    bytes: usize,
}

impl Handles {
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the system has random numbers: the ids of sessions need them too");
        Self { key, values: HashMap::new(), bytes: 0 }
    }

    /// The name of a value: hexadecimal digits.
    pub(super) fn name(&mut self, value: &[u8]) -> String {
        let hash = blake3::keyed_hash(&self.key, value).to_hex();
        let full = self.values.len() >= VALUES || self.bytes + value.len() > BYTES;
        // Two values with one name are told apart by other digits of the hash.
        for at in 0..=hash.len() - DIGITS {
            let name = hash.get(at..at + DIGITS).unwrap_or_default();
            match self.values.get(name) {
                Some(known) if known.as_slice() == value => return name.to_owned(),
                Some(_) => {}
                None if full => break,
                None => {
                    self.bytes += value.len();
                    self.values.insert(name.to_owned(), Zeroizing::new(value.to_vec()));
                    return name.to_owned();
                }
            }
        }
        hash.get(..DIGITS_FORGOTTEN).unwrap_or_default().to_owned()
    }

    /// The value of a name.
    pub(super) fn value(&self, name: &str) -> Option<&[u8]> {
        self.values.get(&name.to_ascii_lowercase()).map(|value| value.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_one_name_and_a_name_one_value() {
        let mut handles = Handles::new();
        let values: Vec<String> = (0..VALUES).map(|n| format!("value {n}")).collect();
        let names: Vec<String> = values.iter().map(|value| handles.name(value.as_bytes())).collect();
        for (value, name) in values.iter().zip(&names) {
            assert_eq!(handles.name(value.as_bytes()), *name);
            assert_eq!(handles.value(name), Some(value.as_bytes()));
            assert!(name.len() == DIGITS && name.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
        }
    }

    #[test]
    fn a_flood_of_values_is_named_and_not_remembered() {
        let mut handles = Handles::new();
        let name = |handles: &mut Handles, n: usize| handles.name(format!("value {n}").as_bytes());
        (0..VALUES).for_each(|n| drop(name(&mut handles, n)));
        let late = name(&mut handles, VALUES);
        assert_eq!((late.len(), handles.value(&late)), (DIGITS_FORGOTTEN, None));
        assert_eq!(name(&mut handles, VALUES), late, "and it keeps its name");
        let mut handles = Handles::new();
        let large = handles.name(&vec![b'x'; BYTES + 1]);
        assert_eq!(handles.value(&large), None);
    }

    #[test]
    fn names_say_nothing_about_values() {
        let mut names: Vec<String> = (0..8).map(|_| Handles::new().name(b"hunter2hunter2")).collect();
        names.sort();
        names.dedup();
        assert!(names.len() > 4, "the name of a value is the same in every run: {names:?}");
    }
}
