//! The forms in which a value is written: as it is, and in the encodings that programs put it into.

use std::collections::BTreeSet;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};

use super::SHORTEST;

/// All forms of a value that differ, each long enough to be looked for.
pub(super) fn forms(value: &str) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::from([value.as_bytes().to_vec()]);
    if value.contains('\n') {
        forms.insert(value.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes());
    }
    forms.extend(base64(value.as_bytes()));
    forms.extend([hex(value, |byte| format!("{byte:02x}")), hex(value, |byte| format!("{byte:02X}"))]);
    for kept in [&b"-_.~"[..], b"-_.~/", b"-_.", b"-_.~!*'()"] {
        forms.insert(percent(value, kept, |byte| format!("%{byte:02X}")));
        forms.insert(percent(value, kept, |byte| format!("%{byte:02x}")));
    }
    forms.extend(json(value));
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

/// In base64, whatever stands before and behind it: then it begins at one of three places of a group of characters.
fn base64(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for engine in [&STANDARD, &URL_SAFE] {
        let whole = engine.encode(value);
        forms.push(whole.trim_end_matches('=').as_bytes().to_vec());
        forms.push(whole.into_bytes());
        for before in 0..3 {
            let padded = [&vec![0; before][..], value].concat();
            let encoded = engine.encode(&padded).into_bytes();
            // Characters that other bytes take part in are not of the value alone.
            let first = (before * 8).div_ceil(6);
            let last = padded.len() * 8 / 6;
            forms.extend(encoded.get(first..last).map(<[u8]>::to_vec));
        }
    }
    forms
}

fn hex(value: &str, digits: impl Fn(u8) -> String) -> Vec<u8> {
    value.bytes().map(digits).collect::<String>().into_bytes()
}

/// As in URLs, where letters, digits and what is `kept` stay as they are.
fn percent(value: &str, kept: &[u8], escape: impl Fn(u8) -> String) -> Vec<u8> {
    let mut form = Vec::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            form.push(byte);
        } else {
            form.extend(escape(byte).into_bytes());
        }
    }
    form
}

/// As a string in JSON, without its quotes: as serde writes it, with slashes escaped, and in ASCII alone.
fn json(value: &str) -> Vec<Vec<u8>> {
    let Ok(text) = serde_json::to_string(value) else { return Vec::new() };
    let text = text.trim_start_matches('"');
    let text = text.strip_suffix('"').unwrap_or(text);
    let ascii = |text: &str| {
        let mut form = String::new();
        for char in text.chars() {
            if char.is_ascii() {
                form.push(char);
            } else {
                form.extend(char.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
            }
        }
        form
    };
    let slashes = text.replace('/', "\\/");
    [ascii(text), ascii(&slashes), text.to_owned(), slashes].map(String::into_bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(value: &str, form: &str) {
        assert!(forms(value).contains(form.as_bytes()), "{value}: {form}");
    }

    #[test]
    fn a_value_is_known_in_the_encodings_that_programs_use() {
        let key = "pa\"ss/wörd+1";
        has(key, key);
        has(key, "cGEic3Mvd8O2cmQrMQ");
        has(key, "cGEic3Mvd8O2cmQrMQ==");
        has(key, "70612273732f77c3b672642b31");
        has(key, "70612273732F77C3B672642B31");
        has(key, "pa%22ss%2Fw%C3%B6rd%2B1");
        has(key, "pa%22ss/w%c3%b6rd%2b1");
        has(key, "pa\\\"ss/wörd+1");
        has(key, "pa\\\"ss\\/w\\u00f6rd+1");
        has("line one\nline two", "line one\\nline two");
        has("line one\nline two", "line one\r\nline two");
    }

    #[test]
    fn base64_is_known_at_every_place_of_a_longer_text() {
        let key = "hunter2-hunter2";
        let forms = forms(key);
        for before in ["", "u", "us", "user:", "user::"] {
            for after in ["", "x", "xy", "xyz"] {
                for engine in [&STANDARD, &URL_SAFE] {
                    let text = engine.encode(format!("{before}{key}{after}"));
                    let found = forms.iter().any(|form| text.contains(str::from_utf8(form).unwrap()));
                    assert!(found, "{before:?} {after:?}: {text}");
                }
            }
        }
    }
}
