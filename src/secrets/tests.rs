//! What is taken out, what is left alone, and that it does not matter how a stream is cut.

use std::borrow::Cow;

use proptest::prelude::*;
use secrecy::SecretString;

use super::Secrets;

const KNOWN: &str = "hunter2/hunter2\"x";
const PEM: &str = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123456789ABCDEF\n\n\
                   MIIEowIBAAKCAQEAr1Vd0yYzKk8bmBvN3nbHzGvW3f2tE9x1Qk5p7Yt6sU0aLw==\n\
                   q8Zt2m5N7vP1xR4cT6yU8iO0pA3sD5fG7hJ9kL1zX3cV5bN7mQ9wE1rT3yU5iO7p\nQ9wE==\n-----END RSA PRIVATE KEY-----";

fn secrets() -> Secrets {
    Secrets::new([SecretString::from(KNOWN), SecretString::from("short")])
}

/// The text with every handle as `[]`.
fn redacted(text: &str) -> String {
    let handles = regex::Regex::new(r"\[redacted:[0-9a-f]{4}\]").unwrap();
    handles.replace_all(&secrets().text(text), "[]").into_owned()
}

#[test]
fn keys_are_known_by_their_shape() {
    let letters = "aZ09".repeat(64);
    let cut = |count: usize| letters.get(..count).unwrap();
    for key in [
        format!("sk-{}", cut(48)),
        format!("sk-proj-{}_{}-x", cut(40), cut(20)),
        format!("sk-ant-api03-{}-AA", cut(90)),
        "sk-abcdefghijklmnopqrstuvwxyz".to_owned(),
        format!("ghp_{}", cut(36)),
        format!("ghs_{}", cut(36)),
        format!("github_pat_{}_{}", cut(22), cut(59)),
        format!("glpat-{}", cut(20)),
        format!("npm_{}", cut(36)),
        format!("sk_live_{}", cut(24)),
        format!("AIza{}", cut(35)),
        "AKIAIOSFODNN7EXAMPLE".to_owned(),
        "ASIAIOSFODNN7EXAMPLE".to_owned(),
        format!("xoxb-123456789012-{}", cut(24)),
        format!("xapp-1-A0123-{}", cut(24)),
        format!("eyJ{}.eyJ{}.{}", cut(30), cut(60), cut(43)),
        PEM.to_owned(),
        PEM.replace('\n', "\r\n"),
        PEM.replace('\n', "\\n"),
        PEM.replace('\n', "\n    "),
        PEM.replace('\n', "\n  12\t"),
        PEM.replace('\n', "\n3:"),
        PEM.replace('\n', "\n-"),
        PEM.replace("RSA ", "").lines().filter(|line| !line.contains(": ")).collect::<Vec<_>>().join("\n"),
        PEM.replace("RSA PRIVATE KEY", "OPENSSH PRIVATE KEY"),
    ] {
        for (before, after) in
            [("", ""), ("key=", "\n"), ("\"", "\","), ("a\\n", "'"), ("%3D", "&x"), ("ö ", " ö")]
        {
            let text = format!("{before}{key}{after}");
            assert_eq!(redacted(&text), format!("{before}[]{after}"), "{text}");
        }
    }
}

#[test]
fn ordinary_text_is_left_alone() {
    for text in [
        "",
        "sk-",
        "sk-fading-circle-container-second",
        "sk_live_",
        "task-0123456789abcdef0123456789abcdef",
        "risk-aZ09aZ09aZ09aZ09aZ09aZ09",
        "AKIAIOSFODNN7EXAMPLEX",
        "AKIAlower5FODNN7EXAM",
        "xAKIAIOSFODNN7EXAMPLE",
        "ghp_short",
        "npm_config_registry_and_more_words_of_it",
        "eyJ2ZXJzaW9uIjozLCJzb3VyY2VzIjpbXX0=",
        "eyJhbGciOiJIUzI1NiJ9.only.two",
        "AIzaSy",
        "xoxb-",
        "--------------------------------",
        "-----BEGIN CERTIFICATE-----\nMIIEowIBAAKCAQEAr1Vd0yYzKk8bmBvN3nbHzGvW3f2tE9x1Qk5p7Yt6sU0aLw==\n-----END CERTIFICATE-----",
        "if text.contains(\"-----BEGIN RSA PRIVATE KEY-----\") { return Err(Error::Private) }",
        "-----BEGIN PRIVATE KEY----- begins what nobody may see, and -----END PRIVATE KEY----- ends it",
        "a short known value is none",
        "0123456789abcdef0123456789abcdef01234567 a hash",
    ] {
        assert_eq!(redacted(text), text);
        assert!(matches!(secrets().text(text), Cow::Borrowed(_)), "{text} was copied");
    }
}

#[test]
fn a_private_key_without_its_end_goes_as_far_as_it_is_there() {
    let lines: Vec<&str> = PEM.lines().collect();
    assert_eq!(redacted(&lines[..5].join("\n")), "[]");
    assert_eq!(redacted(&format!("{}\nand more words", lines[..6].join("\n"))), "[]\nand more words");
    // No longer than a key is.
    let endless = format!("{}\n{}", lines[0], "MIIEowIBAAKCAQEAr1Vd\n".repeat(10_000));
    let rest = redacted(&endless);
    assert!(rest.starts_with("[]") && rest.len() > 150_000, "{}", rest.len());
}

#[test]
fn a_known_value_has_one_handle_in_all_its_forms_and_can_be_revealed() {
    let secrets = secrets();
    let text = secrets.text(KNOWN).into_owned();
    for form in [
        "aHVudGVyMi9odW50ZXIyIng=",
        "hunter2%2Fhunter2%22x",
        "hunter2/hunter2\\\"x",
        "68756e746572322f68756e746572322278",
    ] {
        assert_eq!(secrets.text(form), text, "{form}");
    }
    assert_eq!(secrets.text("basic dXNlcjpodW50ZXIyL2h1bnRlcjIieA==").matches(&text).count(), 1);
    let handle = text.trim_matches(['[', ']']).trim_start_matches("redacted:");
    for asked in [text.as_str(), handle, &handle.to_uppercase()] {
        assert_eq!(secrets.reveal(asked).as_deref(), Some(KNOWN), "{asked}");
    }
    assert_eq!(secrets.reveal("ffff0"), None);
    assert_ne!(self::secrets().reveal(handle).as_deref(), Some(KNOWN), "of another run");
}

#[test]
fn what_becomes_known_is_taken_out_of_streams_that_have_begun() {
    let secrets = Secrets::default();
    let mut filter = secrets.filter();
    assert_eq!(filter.push(b"typed in later; "), b"typed in later; ".as_slice());
    secrets.know([SecretString::from("typed in later")]);
    let out = [filter.push(b"typed in later.").into_owned(), filter.finish()].concat();
    assert_eq!(out, [secrets.text("typed in later").as_bytes(), b"."].concat());
}

#[test]
fn short_beginnings_are_given_out_when_nothing_more_comes() {
    let secrets = secrets();
    let key = format!("sk-{}", "aZ09".repeat(10));
    let mut filter = secrets.filter();
    assert_eq!(filter.push(b"Proceed, yes"), b"Proceed, ye".as_slice());
    assert!(filter.can_release());
    assert_eq!((filter.release(), filter.release()), (b"s".to_vec(), Vec::new()));
    assert_eq!(filter.push(b"? s"), b"? ".as_slice());
    assert_eq!(filter.release(), b"s");
    let rest = key.get(1..).unwrap();
    let out = [filter.push(rest.as_bytes()).into_owned(), filter.finish()].concat();
    assert_eq!(String::from_utf8(out).unwrap(), secrets.text(&key));
    filter = secrets.filter();
    assert_eq!(filter.push(b"sk-aZ09"), b"".as_slice());
    assert!(!filter.can_release(), "that would say something");
}

/// Parts of a text, with what of them no output may hold.
fn part() -> impl Strategy<Value = (String, bool)> {
    let secret = |text: &str| Just((text.to_owned(), true));
    prop_oneof![
        4 => "[ -~é€😀\n]{0,12}".prop_map(|text| (text, false)),
        1 => "(sk-|ghp_|AKIA|AIza|eyJ|xoxb-|-----BEGIN |-----END |-----|hunter2|aHVudGVy){1,3}".prop_map(|text| (text, false)),
        1 => "[a-z]{0,3}sk-[A-Za-z0-9_-]{10,60}".prop_map(|text| (text, false)),
        1 => "eyJ[a-z.]{5,30}\\.[a-z]{5,30}\\.[a-z]{5,30}".prop_map(|text| (text, false)),
        1 => "-----BEGIN (RSA )?PRIVATE KEY-----\n([A-Za-z0-9+/]{10,20}\n){0,4}[ -~]{0,8}(-----END PRIVATE KEY-----)?".prop_map(|text| (text, false)),
        1 => secret(&format!("\n{PEM}\n")),
        1 => secret(&format!(" {KNOWN} ")),
        1 => secret(" sk-proj-Q1w2E3r4T5y6U7i8O9p0Q1w2 "),
        1 => secret(" AKIAIOSFODNN7EXAMPLE "),
        1 => secret(" ghp_Q1w2E3r4T5y6U7i8O9p0Q1w2E3r4T5y6U7i8 "),
        1 => secret(" aHVudGVyMi9odW50ZXIyIng= "),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn a_stream_comes_out_the_same_however_it_is_cut_and_no_secret_is_in_it(
        parts in prop::collection::vec(part(), 0..8),
        cuts in prop::collection::vec((0usize..400, any::<bool>()), 0..20),
        small in 1usize..40,
    ) {
        let all: String = parts.iter().map(|(text, _)| text.as_str()).collect();
        let secrets = secrets();
        let whole = secrets.text(&all).into_owned();
        for (text, _) in parts.iter().filter(|(_, secret)| *secret) {
            let secret = text.trim();
            let runs = secret.as_bytes().windows(16).filter_map(|run| str::from_utf8(run).ok());
            for run in runs.filter(|run| !run.contains(['-', ':', ' '])) {
                prop_assert!(!whole.contains(run) || parts.iter().any(|(other, _)| other != text && other.contains(run)), "{run:?} in {whole:?}");
            }
        }
        let mut filter = secrets.filter();
        let (mut out, mut at) = (Vec::new(), 0);
        let mut pieces: Vec<usize> = cuts.iter().map(|(size, _)| *size).collect();
        pieces.extend(std::iter::repeat_n(small, all.len() / small + 1));
        for size in pieces {
            let end = (at + size).min(all.len());
            out.extend_from_slice(&filter.push(&all.as_bytes()[at..end]));
            at = end;
        }
        out.extend(filter.finish());
        prop_assert_eq!(&String::from_utf8(out).unwrap(), &whole);
        // Given out early, at most the first bytes of a secret stand in front of its handle.
        let mut filter = secrets.filter();
        let mut out = Vec::new();
        for byte in all.bytes() {
            out.extend_from_slice(&filter.push(&[byte]));
            out.extend(filter.release());
        }
        out.extend(filter.finish());
        let out = String::from_utf8(out).unwrap();
        let strip = regex::Regex::new(r".{0,3}\[redacted:[0-9a-f]{4}\]").unwrap();
        let handles = |text: &str| strip.find_iter(text).count();
        prop_assert_eq!(handles(&out), handles(&whole));
    }
}
