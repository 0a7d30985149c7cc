//! Whether a file that may leave a `.git` by its name holds what its name says. Pure.

use super::filter::is_hex;

/// A small file at most: messages of commits and merges.
pub(in crate::sandbox) const SMALL: u64 = 1 << 20;

/// Bytes of an object's name in the repository that has this configuration.
pub(in crate::sandbox) fn id_length(config: &[u8]) -> usize {
    let config = String::from_utf8_lossy(config).to_ascii_lowercase();
    let sha256 = config.lines().any(|line| line.contains("objectformat") && line.contains("sha256"));
    if sha256 { 32 } else { 20 }
}

/// The object that the content of a reference names.
pub(in crate::sandbox) fn id(content: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(content).ok()?.trim_end_matches('\n');
    (matches!(text.len(), 40 | 64) && is_hex(text)).then_some(text)
}

/// Whether a HEAD says only what is checked out: a branch, or a commit.
pub(in crate::sandbox) fn is_head(content: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(content) else { return false };
    match text.strip_prefix("ref: ") {
        Some(name) => {
            let name = name.trim_end_matches('\n');
            name.starts_with("refs/heads/") && super::filter::is_ref(name)
        }
        None => id(content).is_some(),
    }
}

/// Whether each line of a log tells of a change from one object to another.
pub(in crate::sandbox) fn is_log(content: &[u8]) -> bool {
    let text = |bytes: &[u8]| bytes.iter().all(|byte| *byte >= b' ' && *byte != 0x7f || *byte == b'\t');
    content.is_empty()
        || content.strip_suffix(b"\n").is_some_and(|lines| {
            lines.split(|byte| *byte == b'\n').all(|line| {
                let mut words = line.splitn(3, |byte| *byte == b' ');
                let ids = [words.next(), words.next()];
                ids.iter().all(|word| word.is_some_and(|word| id(word).is_some()))
                    && words.next().is_some_and(text)
            })
        })
}

/// Whether one of the small files about a commit or merge is what its name says.
pub(in crate::sandbox) fn is_note(name: &str, content: &[u8]) -> bool {
    match name {
        "ORIG_HEAD" | "MERGE_HEAD" | "MERGE_AUTOSTASH" => {
            content.split_inclusive(|byte| *byte == b'\n').all(|line| id(line).is_some())
        }
        "MERGE_MODE" => content.is_empty() || content.trim_ascii() == b"no-ff",
        _ => !content.contains(&0),
    }
}

/// Brings together two logs that grew from a common beginning: what `ours` has more comes behind `theirs`.
pub(in crate::sandbox) fn join_logs(theirs: &[u8], ours: &[u8]) -> Vec<u8> {
    let lines = |log: &[u8]| -> Vec<Vec<u8>> {
        log.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    };
    let (known, own) = (lines(theirs), lines(ours));
    let common = known.iter().zip(&own).take_while(|(a, b)| a == b).count();
    known.into_iter().chain(own.into_iter().skip(common)).collect::<Vec<_>>().concat()
}

/// References in one file, by name. What git writes there, and nothing else.
pub(in crate::sandbox) fn packed(content: &[u8]) -> Option<Vec<(String, String)>> {
    let text = std::str::from_utf8(content).ok()?;
    let mut refs = Vec::new();
    for line in text.lines() {
        if line.starts_with('#') {
            continue;
        }
        // What the tag above it means.
        if let Some(peeled) = line.strip_prefix('^') {
            id(peeled.as_bytes())?;
            continue;
        }
        let (value, name) = line.split_once(' ')?;
        refs.push((name.to_owned(), id(value.as_bytes())?.to_owned()));
    }
    Some(refs)
}

/// The same file without some of its references.
pub(in crate::sandbox) fn without(content: &[u8], gone: impl Fn(&str) -> bool) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut dropped = false;
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"#") {
            kept.extend(line);
            continue;
        }
        if !line.starts_with(b"^") {
            let name = line.splitn(2, |byte| *byte == b' ').nth(1).unwrap_or_default();
            dropped = std::str::from_utf8(name).is_ok_and(|name| gone(name.trim_end_matches('\n')));
        }
        if !dropped {
            kept.extend(line);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "0123456789abcdef0123456789abcdef01234567";
    const B: &str = "1123456789abcdef0123456789abcdef01234567";

    #[test]
    fn a_head_is_a_branch_or_a_commit() {
        for (text, good) in [
            ("ref: refs/heads/main\n", true),
            (&format!("{A}\n"), true),
            ("ref: refs/heads/../../config\n", false),
            ("ref: refs/remotes/origin/main\n", false),
            ("ref: config\n", false),
            ("ref: refs/heads/a\nb\n", false),
            ("", false),
            ("x", false),
        ] {
            assert_eq!(is_head(text.as_bytes()), good, "{text}");
        }
    }

    #[test]
    fn a_log_is_lines_of_changes() {
        let line = format!("{A} {B} A <a@b> 1 +0000\tcommit: x\n");
        assert!(is_log(b"") && is_log(line.as_bytes()) && is_log(line.repeat(2).as_bytes()));
        for bad in
            [line.trim_end().to_owned(), format!("{A} x\n"), line.replace("commit", "\x1b[2J"), "\n".into()]
        {
            assert!(!is_log(bad.as_bytes()), "{bad:?}");
        }
    }

    #[test]
    fn logs_that_grew_apart_keep_all_their_lines() {
        assert_eq!(join_logs(b"a\nb\nc\n", b"a\nd\n"), b"a\nb\nc\nd\n");
        assert_eq!(join_logs(b"a\n", b"a\nb\n"), b"a\nb\n");
        assert_eq!(join_logs(b"", b"a\n"), b"a\n");
    }

    #[test]
    fn packed_references_are_read_and_thinned() {
        let text =
            format!("# pack-refs with: peeled\n{A} refs/heads/a\n{A} refs/tags/t\n^{B}\n{B} refs/tags/u\n");
        let read = packed(text.as_bytes()).unwrap();
        assert_eq!(
            read.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["refs/heads/a", "refs/tags/t", "refs/tags/u"]
        );
        let less = without(text.as_bytes(), |name| name == "refs/tags/t");
        assert_eq!(less, format!("# pack-refs with: peeled\n{A} refs/heads/a\n{B} refs/tags/u\n").as_bytes());
        assert_eq!(packed(b"nonsense\n"), None);
    }

    #[test]
    fn notes_hold_what_their_names_say() {
        for (name, text, good) in [
            ("ORIG_HEAD", format!("{A}\n"), true),
            ("MERGE_HEAD", format!("{A}\n{B}\n"), true),
            ("MERGE_HEAD", "x\n".into(), false),
            ("MERGE_MODE", "no-ff".into(), true),
            ("MERGE_MODE", "exec".into(), false),
            ("COMMIT_EDITMSG", "anything\n".into(), true),
            ("COMMIT_EDITMSG", "a\0b".into(), false),
        ] {
            assert_eq!(is_note(name, text.as_bytes()), good, "{name} {text}");
        }
    }
}
