//! Dotted paths of keys, as they are written in TOML and on the command line.

use std::fmt::Write as _;

/// Of long texts only the beginning is repeated.
const MAX_SHOWN: usize = 300;

/// Where the key ends: at the first `=` that no quotes surround.
pub(super) fn key_end(text: &str) -> Option<usize> {
    let mut quote = None;
    text.char_indices().find_map(|(at, c)| match (quote, c) {
        (None, '=') => Some(at),
        (None, '"' | '\'') => {
            quote = Some(c);
            None
        }
        (Some(open), c) if open == c => {
            quote = None;
            None
        }
        _ => None,
    })
}

/// The parts of a dotted key, which may be quoted.
pub(super) fn dotted(key: &str) -> Option<Vec<String>> {
    if key.contains(['\n', '\r', '#', '[']) {
        return None;
    }
    let table: toml::Table = format!("{key} = 0").parse().ok()?;
    let mut path = Vec::new();
    let mut table = &table;
    loop {
        let (name, value) = table.iter().next()?;
        path.push(name.clone());
        match value {
            toml::Value::Table(inner) => table = inner,
            _ => return Some(path),
        }
    }
}

/// A path as it would be written in TOML.
pub(super) fn joined(path: &[String]) -> String {
    let mut text = String::new();
    for key in path {
        if !text.is_empty() {
            text.push('.');
        }
        let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if bare {
            text.push_str(key);
        } else {
            // Writing to a string can't fail.
            let _ = write!(text, "{:?}", clipped(key));
        }
    }
    clipped(&text)
}

/// The beginning of a text, which may be hostile in its length.
pub(super) fn clipped(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or("")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_it_is_read() {
        for text in ["a", "a.b_c-1", "projects.\"/a b\".trusted", "a.\"x=y\".b", "\"\""] {
            let path = dotted(text).unwrap();
            assert_eq!(joined(&path), text);
            assert_eq!(key_end(&format!("{text}=1=2")), Some(text.len()));
        }
        for text in ["", "a.", ".a", "a b", "[a]", "a\nb", "a = 1 #", "\"a"] {
            assert_eq!(dotted(text), None, "{text:?}");
        }
    }
}
