//! What a command would remove or change, told before it runs.
//!
//! As far as it can be told: what could not be found out is named, and counts as something outside the workspace.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

/// What a command would do to files, by what is on the disk before it runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Effects {
    /// Of all that would be lost: removed, overwritten, or thrown away.
    #[serde(default)]
    pub lost: Tally,
    /// What is touched, place by place. The first of them; `more` others are only counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub touched: Vec<Touched>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
    /// What is lost that is no file: a branch, a stash, a process.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub besides: Vec<String>,
    /// What can't be told. Each of these counts as something outside the workspace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

/// One place that is touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    pub verb: Verb,
    /// Absolute, with links resolved where the command follows them.
    pub path: PathBuf,
    #[serde(flatten)]
    pub tally: Tally,
}

/// Files, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    #[serde(default)]
    pub files: u64,
    #[serde(default)]
    pub bytes: u64,
    /// Of the files: those that lie outside the workspace.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub outside: u64,
    /// Those that git ignores, and could not bring back.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ignored: u64,
    /// Those that no commit holds as they are, and that git does not ignore.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub uncommitted: u64,
    #[serde(default, skip_serializing_if = "Bound::is_exact")]
    pub bound: Bound,
}

/// How sure a count is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    #[default]
    Exact,
    /// The command chooses among these by something that was not looked at.
    AtMost,
    /// There was more than could be counted in time.
    AtLeast,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// What happens to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    Remove,
    /// Its content is replaced.
    Overwrite,
    /// Changes that were not committed go.
    Discard,
    /// It is changed where it is.
    Change,
    /// Who may read, write and run it.
    Permissions,
    Move,
    Create,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

impl Effects {
    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.touched.is_empty() && self.besides.is_empty() && self.unknown.is_empty()
    }

    /// In sentences for a person, the most important first. Paths stand in them as they are: whoever shows them
    /// makes them printable.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.touched.len() > 1 || self.more > 0 {
            if self.lost.files > 0 {
                lines.push(format!("All in all {} would be lost", self.lost));
            } else if self.touched.iter().any(|touched| touched.verb.loses()) {
                lines.push("No file would be lost".to_owned());
            }
        }
        lines.extend(self.touched.iter().map(Touched::to_string));
        if self.more > 0 {
            lines.push(format!("… and {} more places", self.more));
        }
        lines.extend(self.besides.iter().cloned());
        lines.extend(self.unknown.iter().map(|what| format!("Can't tell: {what}")));
        if !self.unknown.is_empty() {
            lines.push("What can't be told may reach outside the workspace".to_owned());
        }
        lines
    }
}

impl Verb {
    /// Whether something is gone afterwards.
    #[must_use]
    pub fn loses(self) -> bool {
        matches!(self, Self::Remove | Self::Overwrite | Self::Discard)
    }
}

impl Bound {
    /// Whether it is what was counted.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        *self == Self::Exact
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.files += other.files;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.outside += other.outside;
        self.ignored += other.ignored;
        self.uncommitted += other.uncommitted;
        // Of one that has at most and one that has at least so many nothing is known.
        self.bound = match (self.bound, other.bound) {
            (Bound::Exact, bound) | (bound, Bound::Exact) => bound,
            (one, two) if one == two => one,
            _ => Bound::Unknown,
        };
    }
}

impl fmt::Display for Touched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.verb {
            Verb::Remove => "remove",
            Verb::Overwrite => "overwrite",
            Verb::Discard => "throw away uncommitted changes in",
            Verb::Change => "change",
            Verb::Permissions => "change who may use",
            Verb::Move => "move",
            Verb::Create => "make",
            Verb::Unknown => "touch",
        };
        write!(f, "Would {verb} {}: ", self.path.display())?;
        match (self.verb, self.tally.files, self.tally.bound) {
            (Verb::Create, 0, _) => f.write_str("new")?,
            (_, 0, Bound::Exact) => f.write_str("no file")?,
            _ => self.tally.fmt(f)?,
        }
        let wholly_outside = self.tally.outside >= self.tally.files && self.tally.outside > 0;
        if wholly_outside { f.write_str(" · OUTSIDE the workspace") } else { Ok(()) }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = match self.bound {
            Bound::Exact => "",
            Bound::AtMost => "at most ",
            Bound::AtLeast => "at least ",
            Bound::Unknown => "about ",
        };
        let plural = if self.files == 1 { "" } else { "s" };
        write!(f, "{bound}{} file{plural}, {}", self.files, size(self.bytes))?;
        for (count, what) in [(self.uncommitted, "not committed"), (self.ignored, "ignored by git")] {
            match count {
                0 => {}
                count if count == self.files => write!(f, " · {what}")?,
                count => write!(f, " · {count} {what}")?,
            }
        }
        if self.outside > 0 && self.outside < self.files {
            write!(f, " · {} OUTSIDE the workspace", self.outside)?;
        }
        Ok(())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Bytes in the unit in which they are a short number.
fn size(bytes: u64) -> String {
    let mut rest = bytes as f64;
    for unit in ["bytes", "kB", "MB", "GB"] {
        if rest < 1000.0 {
            return if unit == "bytes" { format!("{bytes} {unit}") } else { format!("{rest:.1} {unit}") };
        }
        rest /= 1000.0;
    }
    format!("{rest:.1} TB")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touched(verb: Verb, path: &str, tally: Tally) -> Touched {
        Touched { verb, path: path.into(), tally }
    }

    #[test]
    fn a_loss_is_told_in_a_sentence() {
        let tally = Tally { files: 3, bytes: 4_096, ignored: 1, uncommitted: 2, ..Tally::default() };
        let table = [
            (
                touched(Verb::Remove, "/w/a", tally),
                "Would remove /w/a: 3 files, 4.1 kB · 2 not committed · 1 ignored by git",
            ),
            (
                touched(
                    Verb::Overwrite,
                    "/etc/x",
                    Tally { files: 1, bytes: 7, outside: 1, uncommitted: 1, ..Tally::default() },
                ),
                "Would overwrite /etc/x: 1 file, 7 bytes · not committed · OUTSIDE the workspace",
            ),
            (
                touched(
                    Verb::Remove,
                    "/",
                    Tally { files: 9, outside: 8, bound: Bound::AtLeast, ..Tally::default() },
                ),
                "Would remove /: at least 9 files, 0 bytes · 8 OUTSIDE the workspace",
            ),
            (touched(Verb::Remove, "/w/none", Tally::default()), "Would remove /w/none: no file"),
            (touched(Verb::Create, "/w/new", Tally::default()), "Would make /w/new: new"),
        ];
        for (touched, told) in table {
            assert_eq!(touched.to_string(), told);
        }
    }

    #[test]
    fn what_can_not_be_told_is_said() {
        let effects = Effects { unknown: vec!["`$X`".into()], ..Effects::default() };
        assert!(!effects.is_empty());
        assert_eq!(
            effects.lines(),
            ["Can't tell: `$X`", "What can't be told may reach outside the workspace"]
        );
        assert_eq!(Effects::default().lines(), [""; 0]);
    }

    #[test]
    fn effects_are_read_as_they_were_written_and_old_ones_as_none() {
        let tally = Tally { files: 1, bytes: 2, bound: Bound::AtLeast, ..Tally::default() };
        let effects = Effects {
            lost: tally,
            touched: vec![touched(Verb::Discard, "/w", tally)],
            more: 3,
            besides: vec!["a".into()],
            unknown: vec!["b".into()],
        };
        let text = serde_json::to_string(&effects).unwrap();
        assert_eq!(serde_json::from_str::<Effects>(&text).unwrap(), effects);
        assert_eq!(serde_json::from_str::<Effects>("{}").unwrap(), Effects::default());
        let newer = r#"{"touched":[{"verb":"melt","path":"/x","bound":"between"}]}"#;
        let newer: Effects = serde_json::from_str(newer).unwrap();
        assert_eq!((newer.touched[0].verb, newer.touched[0].tally.bound), (Verb::Unknown, Bound::Unknown));
    }
}
