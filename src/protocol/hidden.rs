//! What a person types and nobody is to see.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize as _;

/// A line that is not shown: a password, as a rule. Its bytes are wiped when it is dropped.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hidden(String);

impl Hidden {
    /// The line itself, for the process that waits for it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Adds what was typed.
    pub fn push_str(&mut self, text: &str) {
        // A string that grows leaves its bytes where they were.
        let mut longer = String::with_capacity((self.0.len() + text.len()).next_power_of_two().max(64));
        longer.push_str(&self.0);
        longer.push_str(text);
        std::mem::swap(&mut self.0, &mut longer);
        longer.zeroize();
    }

    /// Takes the last character back.
    pub fn pop(&mut self) {
        self.0.pop();
    }

    /// Takes everything back.
    pub fn clear(&mut self) {
        self.0.zeroize();
    }
}

impl From<String> for Hidden {
    fn from(line: String) -> Self {
        Self(line)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_line_is_not_shown_to_those_who_debug() {
        let mut line = Hidden::from("hun".to_owned());
        line.push_str("terx");
        line.pop();
        assert_eq!(line.expose(), "hunter");
        assert!(!format!("{line:?} {:#?}", Some(&line)).contains("hunter"));
        line.clear();
        assert_eq!(line, Hidden::default());
    }
}
