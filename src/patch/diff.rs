//! What changed, as unified diff hunks for people.

use std::fmt::Write as _;

use similar::{Algorithm, ChangeTag, capture_diff_slices, group_diff_ops, udiff::UnifiedHunkHeader};

/// Bytes of one diff at most, before the line that says it was cut.
pub const DIFF_LIMIT: usize = 64 * 1024;

/// The difference of two texts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diff {
    /// Lines, also those that were cut off.
    pub added: u32,
    pub removed: u32,
    /// Hunks with three lines of context, without a file header.
    pub text: String,
}

impl Diff {
    /// Compares two files, and shows at most `limit` bytes of what differs.
    #[must_use]
    pub fn between(old: &[u8], new: &[u8], limit: usize) -> Self {
        if old == new {
            return Self::default();
        }
        let (Some(old), Some(new)) = (as_text(old), as_text(new)) else {
            let text = format!("[binary content: {} bytes before, {} bytes after]\n", old.len(), new.len());
            return Self { added: 0, removed: 0, text };
        };
        let old: Vec<&str> = old.split_inclusive('\n').collect();
        let new: Vec<&str> = new.split_inclusive('\n').collect();
        let operations = capture_diff_slices(Algorithm::Myers, &old, &new);
        let mut diff = Self::default();
        let mut page = Page { text: String::new(), limit, lines: 0, cut: 0 };
        for group in group_diff_ops(operations, 3) {
            page.line("", &format!("{}\n", UnifiedHunkHeader::new(&group)));
            for operation in &group {
                for change in operation.iter_changes(&old, &new) {
                    let sign = match change.tag() {
                        ChangeTag::Equal => " ",
                        ChangeTag::Delete => "-",
                        ChangeTag::Insert => "+",
                    };
                    diff.removed += u32::from(change.tag() == ChangeTag::Delete);
                    diff.added += u32::from(change.tag() == ChangeTag::Insert);
                    page.line(sign, change.value());
                }
            }
        }
        diff.text = page.finish();
        diff
    }
}

fn as_text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

/// Text up to a limit.
struct Page {
    text: String,
    limit: usize,
    lines: usize,
    cut: usize,
}

impl Page {
    fn line(&mut self, sign: &str, line: &str) {
        self.lines += 1;
        if self.cut > 0 || self.text.len() + sign.len() + line.len() > self.limit {
            if self.cut == 0 {
                self.begin_of_a_long_line(sign, line);
            }
            self.cut += 1;
            return;
        }
        self.text.push_str(sign);
        self.text.push_str(line);
        if !line.ends_with('\n') {
            self.text.push_str("\n\\ No newline at end of file\n");
        }
    }

    /// A line that is long by itself is shown in part, as there may be nothing else to show.
    fn begin_of_a_long_line(&mut self, sign: &str, line: &str) {
        const LONG: usize = 1024;
        let room = self.limit.saturating_sub(self.text.len() + sign.len());
        if line.len() > LONG && room > LONG {
            let end = (0..=room).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
            let _ = writeln!(self.text, "{sign}{}…", line.get(..end).unwrap_or_default());
        }
    }

    fn finish(mut self) -> String {
        if self.cut > 0 {
            let _ = writeln!(self.text, "[diff cut here: {} of {} lines not shown]", self.cut, self.lines);
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hunks_have_three_lines_of_context_and_lines_are_counted() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let new = "1\n2\n3\n4\nfive\nand\n6\n7\n8\n9";
        let diff = Diff::between(old.as_bytes(), new.as_bytes(), DIFF_LIMIT);
        assert_eq!((diff.added, diff.removed), (3, 2));
        assert_eq!(
            diff.text,
            "@@ -2,8 +2,9 @@\n 2\n 3\n 4\n-5\n+five\n+and\n 6\n 7\n 8\n-9\n+9\n\\ No newline at end of file\n"
        );
    }

    #[test]
    fn new_and_deleted_files_are_all_plus_or_all_minus() {
        let diff = Diff::between(b"", b"a\nb\n", DIFF_LIMIT);
        assert_eq!(diff, Diff { added: 2, removed: 0, text: "@@ -0,0 +1,2 @@\n+a\n+b\n".to_owned() });
        let diff = Diff::between(b"a\n", b"", DIFF_LIMIT);
        assert_eq!(diff, Diff { added: 0, removed: 1, text: "@@ -1 +0,0 @@\n-a\n".to_owned() });
    }

    #[test]
    fn a_long_diff_is_cut_and_says_so_but_counts_everything() {
        let new = "a line of text\n".repeat(100_000);
        let diff = Diff::between(b"", new.as_bytes(), DIFF_LIMIT);
        assert_eq!((diff.added, diff.removed), (100_000, 0));
        assert!(diff.text.len() < DIFF_LIMIT + 100);
        assert!(diff.text.ends_with("of 100001 lines not shown]\n"), "{}", diff.text);
    }

    #[test]
    fn one_endless_line_is_shown_in_part() {
        let diff = Diff::between(b"", "ä".repeat(1 << 20).as_bytes(), DIFF_LIMIT);
        assert!(
            diff.text.contains("+ää") && diff.text.ends_with("…\n[diff cut here: 1 of 2 lines not shown]\n")
        );
        assert!(diff.text.len() < DIFF_LIMIT + 100);
    }

    #[test]
    fn binary_content_is_not_shown() {
        let diff = Diff::between(b"\0\x01", b"\xff", DIFF_LIMIT);
        assert_eq!(diff.text, "[binary content: 2 bytes before, 1 bytes after]\n");
    }
}
