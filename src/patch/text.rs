//! A file as lines, each with the line ending that it really has.

/// UTF-8 text, borrowed, with nothing normalised.
#[derive(Debug, PartialEq, Eq)]
pub struct Text<'a> {
    /// The byte order mark stays where it is, and is no part of line 1.
    pub bom: &'a str,
    pub lines: Vec<FileLine<'a>>,
}

/// A line of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileLine<'a> {
    pub text: &'a str,
    /// `\n`, `\r\n`, or nothing at the end of a file that lacks its final newline.
    pub ending: &'a str,
}

/// Every line costs memory, however short it is.
const MOST_LINES: usize = 4_000_000;

impl<'a> Text<'a> {
    /// Splits a file into its lines.
    ///
    /// # Errors
    /// When it is not UTF-8 (the text names what it seems to be), or has very many lines.
    pub fn read(bytes: &'a [u8]) -> Result<Self, String> {
        if bytes.iter().filter(|byte| **byte == b'\n').count() > MOST_LINES {
            return Err(format!(
                "the file has more than {MOST_LINES} lines: change it with a command instead"
            ));
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) if !looks_like_utf16(bytes) => text,
            _ => return Err(encoding(bytes)),
        };
        let (bom, rest) = match text.strip_prefix('\u{feff}') {
            Some(rest) => ("\u{feff}", rest),
            None => ("", text),
        };
        Ok(Self { bom, lines: rest.split_inclusive('\n').map(FileLine::new).collect() })
    }

    /// The texts of the lines.
    #[must_use]
    pub fn texts(&self) -> Vec<&'a str> {
        self.lines.iter().map(|line| line.text).collect()
    }
}

impl<'a> FileLine<'a> {
    fn new(line: &'a str) -> Self {
        for ending in ["\r\n", "\n"] {
            if let Some(text) = line.strip_suffix(ending) {
                return Self { text, ending: if ending.len() == 2 { "\r\n" } else { "\n" } };
            }
        }
        Self { text: line, ending: "" }
    }
}

/// Text of mostly Latin letters has a zero in every second byte when it is UTF-16, and is valid UTF-8 still.
fn looks_like_utf16(bytes: &[u8]) -> bool {
    utf16(bytes).is_some()
}

fn utf16(bytes: &[u8]) -> Option<&'static str> {
    let sample = bytes.get(..4096).unwrap_or(bytes);
    let pairs = sample.len() / 2;
    let (mut even, mut odd) = (0, 0);
    for pair in sample.chunks_exact(2) {
        even += usize::from(pair[0] == 0);
        odd += usize::from(pair[1] == 0);
    }
    if bytes.starts_with(&[0xff, 0xfe]) || (odd * 2 > pairs && even == 0) {
        Some("UTF-16 (little endian)")
    } else if bytes.starts_with(&[0xfe, 0xff]) || (even * 2 > pairs && odd == 0) {
        Some("UTF-16 (big endian)")
    } else {
        None
    }
}

fn encoding(bytes: &[u8]) -> String {
    let what = match utf16(bytes) {
        Some(name) => name.to_owned(),
        None if bytes.get(..8192).unwrap_or(bytes).contains(&0) => "binary data".to_owned(),
        None => {
            let at = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), |text| text.len());
            let line = bytes.iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
            let byte = bytes.get(at).copied().unwrap_or_default();
            // C1 controls are never used in Latin-1 text, while Windows puts quotes and dashes there.
            let name = if bytes.iter().any(|byte| (0x80..0xa0).contains(byte)) {
                "Windows-1252 or another 8-bit encoding"
            } else {
                "ISO 8859-1 (Latin-1) or another 8-bit encoding"
            };
            format!("{name}; byte 0x{byte:02x} in line {line} is not UTF-8")
        }
    };
    format!("the file is not UTF-8 text (it seems to be {what}), and a patch never re-encodes a file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_keeps_its_own_ending() {
        let text = Text::read(b"\xef\xbb\xbfone\r\ntwo\n\r\nlast").unwrap();
        let lines: Vec<_> = text.lines.iter().map(|line| (line.text, line.ending)).collect();
        assert_eq!(text.bom, "\u{feff}");
        assert_eq!(lines, [("one", "\r\n"), ("two", "\n"), ("", "\r\n"), ("last", "")]);
    }

    #[test]
    fn an_empty_file_has_no_lines() {
        assert_eq!(Text::read(b"").unwrap(), Text { bom: "", lines: Vec::new() });
        assert_eq!(Text::read(b"\n").unwrap().lines.len(), 1);
    }

    #[test]
    fn a_file_with_millions_of_lines_is_refused() {
        let error = Text::read(&vec![b'\n'; MOST_LINES + 1]).unwrap_err();
        assert!(error.contains("more than 4000000 lines"), "{error}");
    }

    #[test]
    fn an_encoding_that_is_not_utf8_is_named() {
        let cases: [(&[u8], &str); 6] = [
            (b"\xff\xfea\0b\0", "UTF-16 (little endian)"),
            (b"\xfe\xff\0a\0b", "UTF-16 (big endian)"),
            (b"a\0b\0c\0d\0", "UTF-16 (little endian)"),
            (b"one\ncaf\xe9\n", "ISO 8859-1 (Latin-1) or another 8-bit encoding; byte 0xe9 in line 2"),
            (b"\x93quoted\x94\n", "Windows-1252"),
            (b"\x7fELF\0\x01\0\0\xff\xff", "binary data"),
        ];
        for (bytes, name) in cases {
            let error = Text::read(bytes).unwrap_err();
            assert!(error.contains(name), "{error}");
        }
        assert!(Text::read("zero \0 alone is text".as_bytes()).is_ok());
    }
}
