//! The shapes of keys that services give out: how they begin, and what may follow.
//!
//! Each judgement looks at a bounded part of the text only, so that a stream can wait for it.

/// Whether a shape begins a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It is a key of so many bytes.
    Key(usize),
    /// What is there so far may become one.
    Open,
    No,
}

/// A kind of key.
#[derive(Debug)]
pub(super) struct Shape {
    pub prefix: &'static str,
    body: Body,
}

#[derive(Debug)]
enum Body {
    /// So many characters that are allowed.
    Run {
        allowed: Allowed,
        least: usize,
        most: usize,
    },
    /// Exactly so many, and then none that would be allowed.
    Exactly {
        allowed: Allowed,
        count: usize,
    },
    /// Like a run, but names such as `sk-fading-circle` are none.
    Hyphened,
    /// Three parts with points between them.
    Jwt,
    Pem,
}

#[derive(Debug, Clone, Copy)]
enum Allowed {
    Alphanumeric,
    /// `A` to `Z` and digits.
    Capitals,
    /// With `_`.
    Word,
    /// With `_` and `-`: the alphabet of base64 in URLs.
    Url,
    /// With `-`.
    Hyphen,
}

/// The longest key of one part.
const LONG: usize = 255;
const HYPHENED: (usize, usize) = (20, 512);
const JWT_PART: (usize, usize) = (8, 8 << 10);
/// The longest private key, with its lines around.
const PEM: usize = 32 << 10;
/// The shortest line of a private key that is no last one; words are shorter.
const PEM_LINE: usize = 16;
/// What has to be there before the next part of a private key is judged; no line in front of the body is longer.
const PEM_AHEAD: usize = 200;
/// Lines in front of the body.
const PEM_HEADERS: [&[u8]; 4] = [b"Proc-Type:", b"DEK-Info:", b"Comment:", b"Version:"];

const fn run(prefix: &'static str, allowed: Allowed, least: usize) -> Shape {
    Shape { prefix, body: Body::Run { allowed, least, most: LONG } }
}

const fn exactly(prefix: &'static str, allowed: Allowed, count: usize) -> Shape {
    Shape { prefix, body: Body::Exactly { allowed, count } }
}

/// All shapes. No prefix is the beginning of another one.
pub(super) const SHAPES: &[Shape] = &[
    Shape { prefix: "-----BEGIN ", body: Body::Pem },
    Shape { prefix: "eyJ", body: Body::Jwt },
    Shape { prefix: "sk-", body: Body::Hyphened },
    exactly("AKIA", Allowed::Capitals, 16),
    exactly("ASIA", Allowed::Capitals, 16),
    exactly("AIza", Allowed::Url, 35),
    run("ghp_", Allowed::Alphanumeric, 30),
    run("gho_", Allowed::Alphanumeric, 30),
    run("ghu_", Allowed::Alphanumeric, 30),
    run("ghs_", Allowed::Alphanumeric, 30),
    run("ghr_", Allowed::Alphanumeric, 30),
    run("github_pat_", Allowed::Word, 30),
    run("glpat-", Allowed::Url, 20),
    run("npm_", Allowed::Alphanumeric, 30),
    run("sk_live_", Allowed::Alphanumeric, 16),
    run("rk_live_", Allowed::Alphanumeric, 16),
    run("xapp-", Allowed::Hyphen, 20),
    run("xoxa-", Allowed::Hyphen, 10),
    run("xoxb-", Allowed::Hyphen, 10),
    run("xoxe-", Allowed::Hyphen, 10),
    run("xoxo-", Allowed::Hyphen, 10),
    run("xoxp-", Allowed::Hyphen, 10),
    run("xoxr-", Allowed::Hyphen, 10),
    run("xoxs-", Allowed::Hyphen, 10),
];

impl Allowed {
    fn has(self, byte: u8) -> bool {
        match self {
            Self::Alphanumeric => byte.is_ascii_alphanumeric(),
            Self::Capitals => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Word => byte.is_ascii_alphanumeric() || byte == b'_',
            Self::Url => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Self::Hyphen => byte.is_ascii_alphanumeric() || byte == b'-',
        }
    }

    /// How many bytes at the beginning of `text` are allowed, `most` at most.
    fn count(self, text: &[u8], most: usize) -> usize {
        text.iter().take(most).take_while(|byte| self.has(**byte)).count()
    }
}

impl Shape {
    /// Whether it may begin behind these bytes: keys do not stand in the middle of words. Private keys say so
    /// themselves.
    pub(super) fn may_follow(&self, before: &[u8]) -> bool {
        if matches!(self.body, Body::Pem) {
            return true;
        }
        match before {
            // An escaped control character of JSON or a shell, or one of a URL.
            [.., b'\\', b'n' | b'r' | b't'] => true,
            [.., b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => true,
            [.., last] => !last.is_ascii_alphanumeric(),
            [] => true,
        }
    }

    /// Whether this is the beginning of `text`, which begins with the prefix. No more comes when it has `ended`.
    pub(super) fn judge(&self, text: &[u8], ended: bool) -> Judgement {
        let start = self.prefix.len();
        let rest = text.get(start..).unwrap_or_default();
        match self.body {
            Body::Run { allowed, least, most } => match allowed.count(rest, most) {
                count if count == rest.len() && count < most && !ended => Judgement::Open,
                count if count >= least => Judgement::Key(start + count),
                _ => Judgement::No,
            },
            Body::Exactly { allowed, count } => match allowed.count(rest, count + 1) {
                found if found == rest.len() && found <= count && !ended => Judgement::Open,
                found if found == count => Judgement::Key(start + count),
                _ => Judgement::No,
            },
            Body::Hyphened => {
                let (least, most) = HYPHENED;
                match Allowed::Url.count(rest, most) {
                    count if count == rest.len() && count < most && !ended => Judgement::Open,
                    count if count >= least && !is_name(&rest[..count]) => Judgement::Key(start + count),
                    _ => Judgement::No,
                }
            }
            Body::Jwt => jwt(text, ended),
            Body::Pem => pem(text, ended),
        }
    }
}

/// Words with hyphens between them, such as the names of classes in style sheets.
fn is_name(body: &[u8]) -> bool {
    body.split(|byte| matches!(byte, b'-' | b'_'))
        .all(|word| word.len() < 16 && word.iter().all(u8::is_ascii_lowercase))
}

fn jwt(text: &[u8], ended: bool) -> Judgement {
    let (least, most) = JWT_PART;
    let mut at = 0;
    for part in 0..3 {
        let rest = text.get(at..).unwrap_or_default();
        let count = Allowed::Url.count(rest, most);
        if count == rest.len() && count < most && !ended {
            return Judgement::Open;
        }
        if count < least {
            return Judgement::No;
        }
        at += count;
        if part < 2 {
            match text.get(at) {
                Some(b'.') => at += 1,
                None if !ended => return Judgement::Open,
                _ => return Judgement::No,
            }
        }
    }
    Judgement::Key(at)
}

/// A private key between its two lines, however its lines are ended, indented or numbered. Where the second of them
/// is missing, as far as it goes.
fn pem(text: &[u8], ended: bool) -> Judgement {
    // What can't be decided yet is so only while more may come, and may count.
    let open = !ended && text.len() <= PEM;
    let text = text.get(..PEM).unwrap_or(text);
    let body = match pem_head(text) {
        Some(Ok(body)) => body,
        Some(Err(())) if open => return Judgement::Open,
        _ => return Judgement::No,
    };
    let (mut at, mut end) = (body, None);
    let so_far = |end: Option<usize>| end.map_or(Judgement::No, Judgement::Key);
    loop {
        at += separators(text.get(at..).unwrap_or_default());
        let rest = text.get(at..).unwrap_or_default();
        if let Some(last) = pem_end(rest) {
            return if end.is_some() { Judgement::Key(at + last) } else { Judgement::No };
        }
        if open && rest.len() < PEM_AHEAD {
            return Judgement::Open;
        }
        if PEM_HEADERS.iter().any(|name| rest.starts_with(name)) {
            let line = rest.get(..PEM_AHEAD).unwrap_or(rest);
            let ends = [memchr::memchr(b'\n', line), memchr::memmem::find(line, b"\\n")];
            match ends.into_iter().flatten().min() {
                Some(line) => at += line,
                None => return so_far(end),
            }
            continue;
        }
        let count =
            rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte)).count();
        let behind = rest.get(count..).unwrap_or_default();
        if open
            && behind.len() < PEM_AHEAD
            && pem_end(behind.get(separators(behind)..).unwrap_or_default()).is_none()
        {
            return Judgement::Open;
        }
        // A short line is the last one: in front of the end, or where the text ends.
        let last =
            behind.is_empty() || pem_end(behind.get(separators(behind)..).unwrap_or_default()).is_some();
        if count < PEM_LINE && !(count > 0 && last && end.is_some()) {
            return so_far(end);
        }
        at += count;
        end = Some(at);
    }
}

/// Where the first line of a private key ends; an error when it may still become one.
fn pem_head(text: &[u8]) -> Option<Result<usize, ()>> {
    let line = text.get(11..text.len().min(11 + 64)).unwrap_or_default();
    let named = |byte: &&u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || **byte == b' ';
    let count = line.iter().take_while(named).count();
    let (kind, dashes) = line.split_at(count);
    if dashes.len() < 5 && text.len() < 11 + 64 {
        return b"-----".starts_with(dashes).then_some(Err(()));
    }
    let fits = kind.ends_with(b"PRIVATE KEY") || kind.ends_with(b"PRIVATE KEY BLOCK");
    (fits && dashes.starts_with(b"-----")).then_some(Ok(11 + count + 5))
}

/// The length of the last line of a private key, if it is here.
fn pem_end(text: &[u8]) -> Option<usize> {
    let line = text.strip_prefix(b"-----END ")?;
    let dashes = memchr::memmem::find(line.get(..64).unwrap_or(line), b"-----")?;
    Some(9 + dashes + 5)
}

/// How many bytes at the beginning of `text` stand between two lines of a private key: ends of lines, also escaped
/// ones, indents, numbers, and the marks of quotes, strings and differences.
fn separators(text: &[u8]) -> usize {
    let mut at = 0;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        at += match rest {
            rest if rest.starts_with(b"-----END ") => return at,
            [b'\\', b'n' | b'r', ..] => 2,
            [b' ' | b'\t' | b'\r' | b'\n' | b'"' | b'\'' | b',' | b'>' | b'|' | b'-' | b'\\', ..] => 1,
            rest => {
                let digits = rest.iter().take(8).take_while(|byte| byte.is_ascii_digit()).count();
                match rest.get(digits) {
                    Some(b':' | b'\t' | b'-' | b'|' | b' ') if (1..8).contains(&digits) => digits + 1,
                    _ => return at,
                }
            }
        };
    }
}
