//! Text that somebody decides about: shown so that it can be read back to the byte.
//!
//! [`super::printable`] keeps a terminal safe. Here, moreover, no two texts look the same: what can't be seen, what can
//! be taken for something else, and the marks of escaping themselves are spelled out.

use unicode_width::UnicodeWidthChar as _;

/// Spaces in a row that an eye still counts.
const MOST_SPACES: usize = 12;

/// A part of a text that is shown exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exact {
    /// As it is.
    Plain(String),
    /// Spelled out: `\u{HEX}`, or `\u{20*COUNT}` for so many spaces.
    Spelled(String),
}

/// The text in one: line ends stay, all else can be seen.
#[must_use]
pub fn exact(text: &str) -> String {
    let parts = exact_parts(text).into_iter();
    parts
        .map(|part| match part {
            Exact::Plain(text) | Exact::Spelled(text) => text,
        })
        .collect()
}

/// The same part by part. Two parts of a kind never stand side by side.
#[must_use]
pub fn exact_parts(text: &str) -> Vec<Exact> {
    let chars: Vec<char> = text.chars().collect();
    let spelled = spelled_letters(&chars);
    let mut parts: Vec<Exact> = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let spaces = chars.get(at..).unwrap_or_default().iter().take_while(|c| **c == ' ').count();
        if spaces > 0 {
            let ends = chars.get(at + spaces).is_none_or(|next| *next == '\n');
            match (spaces, ends) {
                (1, true) => put(&mut parts, "\\u{20}", true),
                (_, true) => put(&mut parts, &format!("\\u{{20*{spaces}}}"), true),
                (MOST_SPACES.., false) => put(&mut parts, &format!("\\u{{20*{spaces}}}"), true),
                _ => put(&mut parts, &" ".repeat(spaces), false),
            }
            at += spaces;
            continue;
        }
        let looks_spelled = c == '\\' && chars.get(at + 1..at + 3) == Some(&['u', '{']);
        if c != '\n' && (looks_spelled || hides(c) || misleads(c) || spelled.get(at) == Some(&true)) {
            put(&mut parts, &c.escape_unicode().to_string(), true);
        } else {
            put(&mut parts, c.encode_utf8(&mut [0; 4]), false);
        }
        at += 1;
    }
    parts
}

fn put(parts: &mut Vec<Exact>, text: &str, spell: bool) {
    match (parts.last_mut(), spell) {
        (Some(Exact::Plain(last)), false) | (Some(Exact::Spelled(last)), true) => last.push_str(text),
        (_, false) => parts.push(Exact::Plain(text.to_owned())),
        (_, true) => parts.push(Exact::Spelled(text.to_owned())),
    }
}

/// Takes no room by itself, is blank, acts on a terminal, or turns around what stands beside it.
fn hides(c: char) -> bool {
    c.width().unwrap_or(0) == 0
        || c.is_whitespace() && c != ' '
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{2800}' | '\u{3164}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffd}' | '\u{e0000}'..='\u{e0fff}'
            // Written from right to left.
            | '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}' | '\u{10800}'..='\u{10fff}'
            | '\u{1e800}'..='\u{1efff}'
            // Of private meaning: no two fonts show the same.
            | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}')
}

/// Can be taken for a character of ASCII, wherever it stands.
fn misleads(c: char) -> bool {
    matches!(c,
        '\u{b4}' | '\u{b8}' | '\u{131}' | '\u{17f}' | '\u{1c0}'..='\u{1c3}' | '\u{237}' | '\u{250}'..='\u{2ff}' | '\u{37e}' | '\u{387}'
        | '\u{589}' | '\u{5c0}' | '\u{5c3}' | '\u{1d00}'..='\u{1dbf}' | '\u{2010}'..='\u{2015}' | '\u{2018}'..='\u{201f}'
        | '\u{2024}' | '\u{2032}'..='\u{2037}' | '\u{2039}' | '\u{203a}' | '\u{2041}' | '\u{2043}' | '\u{2044}' | '\u{204e}' | '\u{204f}'
        | '\u{2052}' | '\u{2053}' | '\u{2070}'..='\u{209f}' | '\u{2100}'..='\u{218b}' | '\u{2212}' | '\u{2215}'..='\u{2217}'
        | '\u{2223}' | '\u{2236}' | '\u{223c}' | '\u{2260}' | '\u{22c5}' | '\u{22ef}' | '\u{2460}'..='\u{24ff}' | '\u{2768}'..='\u{2775}'
        | '\u{2795}'..='\u{2797}' | '\u{27cb}' | '\u{27cd}' | '\u{29f5}' | '\u{29f8}' | '\u{29f9}' | '\u{2a74}' | '\u{2a75}' | '\u{2c60}'..='\u{2c7f}' | '\u{3014}' | '\u{3015}'
        | '\u{2cf9}'..='\u{2cff}' | '\u{a4d0}'..='\u{a4ff}' | '\u{a720}'..='\u{a7ff}' | '\u{ab30}'..='\u{ab6f}' | '\u{f900}'..='\u{faff}' | '\u{fe10}'..='\u{fe19}' | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ffef}' | '\u{1d400}'..='\u{1d7ff}' | '\u{1f100}'..='\u{1f1e5}' | '\u{2f800}'..='\u{2fa1f}')
}

/// Letters of other alphabets whose shapes are those of ASCII, in words that can be taken for ASCII: mixed with it, or
/// made of such letters alone.
fn spelled_letters(chars: &[char]) -> Vec<bool> {
    let mut spelled = vec![false; chars.len()];
    let mut at = 0;
    while at < chars.len() {
        let word = chars
            .get(at..)
            .unwrap_or_default()
            .iter()
            .take_while(|c| c.is_alphanumeric() || **c == '_')
            .count();
        let letters = chars.get(at..at + word).unwrap_or_default();
        let mixed = letters.iter().any(char::is_ascii_alphanumeric);
        let alike = letters.iter().filter(|c| !c.is_ascii()).all(|c| is_alike(*c));
        for (index, c) in letters.iter().enumerate() {
            if is_foreign(*c)
                && (mixed || alike)
                && let Some(mark) = spelled.get_mut(at + index)
            {
                *mark = true;
            }
        }
        at += word.max(1);
    }
    spelled
}

/// Of an alphabet with letters that look like ours.
fn is_foreign(c: char) -> bool {
    matches!(c,
        '\u{370}'..='\u{58f}' | '\u{10a0}'..='\u{10ff}' | '\u{13a0}'..='\u{167f}' | '\u{1c80}'..='\u{1c8f}' | '\u{1f00}'..='\u{1fff}'
        | '\u{2c80}'..='\u{2dff}' | '\u{a640}'..='\u{a69f}' | '\u{ab70}'..='\u{abbf}' | '\u{10280}'..='\u{107ff}' | '\u{118a0}'..='\u{118ff}')
}

fn is_alike(c: char) -> bool {
    "аеорсухіјѕһԁԛԝӏвкмнтгпАВЕКМНОРСТУХІЈЅԌԚԜҮүοανρυικωηγτΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹϲϳᏀᏟᎠᎡᎢᎪᎫᎬᎳᎷᎻᏃᏒᏔᏕᏙᏚᏞᏢᏦᏧՕօոսհ"
        .contains(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What was meant by what is shown.
    fn read(shown: &str) -> String {
        let mut out = String::new();
        let mut rest = shown;
        while let Some((before, after)) = rest.split_once("\\u{") {
            let (code, after) = after.split_once('}').expect("a spelling ends");
            out.push_str(before);
            match code.split_once('*') {
                Some((code, count)) => {
                    let c = char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap();
                    out.extend(std::iter::repeat_n(c, count.parse().unwrap()));
                }
                None => out.push(char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap()),
            }
            rest = after;
        }
        out + rest
    }

    #[test]
    fn what_could_be_taken_for_something_else_is_spelled_out() {
        for (text, shown) in [
            ("ls -la 'ünï 漢字' 🎉", "ls -la 'ünï 漢字' 🎉"),
            ("a\nb", "a\nb"),
            ("a\tb\r\n", "a\\u{9}b\\u{d}\n"),
            ("a ", "a\\u{20}"),
            ("a   \nb", "a\\u{20*3}\nb"),
            ("a            b", "a\\u{20*12}b"),
            ("    indented", "    indented"),
            ("\\u{1b}", "\\u{5c}u{1b}"),
            ("\u{1b}", "\\u{1b}"),
            ("\\\\u{41}", "\\\\u{5c}u{41}"),
            ("\\n", "\\n"),
            ("rm \u{202e}txt", "rm \\u{202e}txt"),
            ("e\u{301}", "e\\u{301}"),
            ("r\u{43c} x", "r\\u{43c} x"),
            ("\u{441}\u{430}\u{442} f", "\\u{441}\\u{430}\\u{442} f"),
            ("привет мир", "привет мир"),
            ("καλημέρα", "καλημέρα"),
            ("a\u{ff1b}b", "a\\u{ff1b}b"),
            ("\u{2013}rf", "\\u{2013}rf"),
            ("a\u{a0}b", "a\\u{a0}b"),
            ("\u{5d0}\u{5d1}", "\\u{5d0}\\u{5d1}"),
            ("\u{2800}", "\\u{2800}"),
        ] {
            assert_eq!(exact(text), shown);
            assert_eq!(read(&exact(text)), text);
        }
    }

    fn hostile() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            4 => "[a-z./ $'\"\\\\{}*;|&<>()-]{1,8}",
            1 => " {1,40}",
            1 => Just("\\u{".to_owned()),
            1 => Just("\\u{20*3}".to_owned()),
            1 => "[\\n\\t\\r]{1,3}",
            2 => any::<char>().prop_map(String::from),
            1 => "[а-яΑ-ω]{1,4}",
            1 => prop::sample::select(vec!["\u{200b}", "\u{202e}", "\u{e0041}", "\u{301}", "\u{ff0f}", "\u{1b}[2J", "\u{9b}", "🎉", "👨\u{200d}👩"])
                .prop_map(str::to_owned),
        ];
        prop::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
    }

    /// The long form is for before a release: `AGENT_TEST_LONG=1`.
    fn cases() -> u32 {
        if std::env::var_os("AGENT_TEST_LONG").is_some() { 10_000 } else { 1_500 }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

        #[test]
        fn what_is_shown_is_read_back_to_the_byte(text in hostile()) {
            let shown = exact(&text);
            prop_assert_eq!(&read(&shown), &text);
            // Nothing in it hides, and no line ends in a blank.
            prop_assert!(shown.chars().all(|c| c == '\n' || c == ' ' || !hides(c) && !misleads(c)));
            prop_assert!(shown.lines().all(|line| !line.ends_with(' ')));
        }
    }
}
