//! What comes from outside is thrown at what reads it: damaged, mixed and cut.
//!
//! Each target runs for a second in the normal suite, and for ten minutes in its long form (`AGENT_TEST_LONG=1`).
//! Only these, optimised, for as long as you like:
//!
//! ```text
//! AGENT_FUZZ_SECONDS=600 cargo test --release --test it fuzz -- --nocapture --test-threads 2
//! ```
//!
//! A failure prints its seed (`AGENT_TEST_SEED=… ` has it again) and what it was about. What is not public is
//! held by properties beside the code, which take more cases in the same way:
//!
//! ```text
//! PROPTEST_CASES=1000000 cargo test --release --lib -- shell::output shell::text patch::properties session::tests
//! ```

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use agent::{
    model::Chunk,
    patch::{self, Patch},
    policy::command::plain,
    protocol::{Time, printable},
    store::read_whole_lines,
};
use bytes::Bytes;

use crate::support::{
    chance::{Chance, fuzz},
    scripted::open_log,
    wires::{self, Wired},
};

const SHORT: Duration = Duration::from_secs(1);

/// No input of this size takes longer, also unoptimised on a busy machine.
const SLOW: Duration = Duration::from_secs(5);

fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(path)
}

/// All files below a folder of the test data with this ending.
fn samples(folder: &str, ending: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut folders = vec![data(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().unwrap().ends_with(ending) {
                found.push((path.clone(), fs::read(path).unwrap()));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty());
    found
}

/// A sample with a few changes: bits, pieces lost, doubled, moved, and words of the language put in.
fn mutated(chance: &mut Chance, samples: &[(PathBuf, Vec<u8>)], words: &[&str]) -> Vec<u8> {
    let mut bytes = chance.of(samples).1.clone();
    for _ in 0..chance.below(6) {
        let (a, b) = (chance.below(bytes.len() + 1), chance.below(bytes.len() + 1));
        let (from, to) = (a.min(b), a.max(b).min(a.min(b) + 200));
        match chance.below(8) {
            0 if from < bytes.len() => bytes[from] ^= 1 << chance.below(8),
            1 => drop(bytes.drain(from..to)),
            2 => {
                let piece = bytes[from..to].to_vec();
                bytes.splice(from..from, piece);
            }
            3 => bytes.truncate(from),
            4 => {
                let other = &chance.of(samples).1;
                let at = chance.below(other.len() + 1);
                bytes.splice(from..from, other[at..other.len().min(at + 300)].to_vec());
            }
            5 => {
                let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
                if lines.len() > 1 {
                    let (one, other) = (chance.below(lines.len()), chance.below(lines.len()));
                    lines.swap(one, other);
                    bytes = lines.concat();
                }
            }
            _ => {
                let word = chance.of(words).as_bytes().to_vec();
                bytes.splice(from..from, word);
            }
        }
    }
    bytes
}

/// Fails when one input takes far too long.
fn timed<T>(what: &dyn std::fmt::Debug, work: impl FnOnce() -> T) -> T {
    let since = Instant::now();
    let done = work();
    assert!(since.elapsed() < SLOW, "{:?} for {what:?}", since.elapsed());
    done
}

/// Files in memory.
struct Files(BTreeMap<PathBuf, Vec<u8>>);

impl patch::Tree for Files {
    fn locate(&self, path: &str) -> Result<patch::Place, String> {
        let path = Path::new("/w").join(path);
        Ok(patch::Place { entry: path.clone(), target: path, quotable: true })
    }

    fn read(&self, path: &Path) -> Result<Option<patch::Node>, String> {
        Ok(self.0.get(path).map(|bytes| patch::Node::File(Arc::new(bytes.clone()))))
    }
}

const PATCH_WORDS: &[&str] = &[
    "*** Begin Patch\n",
    "*** End Patch\n",
    "*** Update File: ",
    "*** Add File: ",
    "*** Delete File: ",
    "*** Move to: ",
    "*** End of File\n",
    "*** Environment ID: x\n",
    "@@\n",
    "@@ ",
    "\n-",
    "\n+",
    "\n ",
    "\r\n",
    "\u{feff}",
    "\u{2014}",
    "\u{a0}",
    "apply_patch <<'EOF'\n",
    "EOF\n",
    "cd /w && ",
    "\0",
    "../",
    "*** ",
];

#[test]
fn patches() {
    let patches = samples("patches", "patch.txt");
    let inputs: Vec<(PathBuf, Vec<u8>)> = samples("patches", "")
        .into_iter()
        .filter(|(path, _)| path.iter().any(|part| part == "input"))
        .collect();
    fuzz("patches", SHORT, |chance| {
        let text = String::from_utf8_lossy(&mutated(chance, &patches, PATCH_WORDS)).into_owned();
        let wrapped = format!("apply_patch <<'EOF'\n{text}\nEOF\n");
        timed(&text, || {
            let _ = patch::typed(&text);
            let _ = patch::typed(&wrapped);
            let Ok(parsed) = Patch::parse(&text) else { return };
            // The files that the patch names, with content that may fit.
            let names = text.lines().filter_map(|line| line.split_once(": ")).map(|(_, name)| name);
            let files = names
                .map(|name| (Path::new("/w").join(name), mutated(chance, &inputs, PATCH_WORDS)))
                .collect();
            let files = Files(files);
            if let Ok(plan) = patch::plan(&parsed, &files) {
                assert!(!plan.summary().is_empty());
                for change in &plan.changes {
                    let diff = patch::Diff::between(&change.old, &change.new, patch::DIFF_LIMIT);
                    assert!(diff.text.len() <= patch::DIFF_LIMIT + 1024, "{}", diff.text.len());
                }
                // A plan is what the files are and will be: the same again for the same files.
                assert_eq!(Ok(plan), patch::plan(&parsed, &files));
            }
        });
    });
}

/// What stands in streams of every wire; each has words of its own.
const STREAM_WORDS: &[&str] = &[
    "data: ",
    "event: ",
    "\n\n",
    "\r\n\r\n",
    "\r",
    "\u{feff}",
    ":\n",
    "data: [DONE]\n\n",
    "retry: 5\n",
    "{",
    "}",
    "[",
    "null",
    "\"\"",
    "\\ud800",
    "1e999",
    "-1",
];

/// Streams of one wire.
fn streams(wire: &Wired) {
    let recorded = wire.samples();
    let words = [STREAM_WORDS, wire.words].concat();
    fuzz(&format!("streams of {}", wire.name), SHORT, |chance| {
        let bytes = mutated(chance, &recorded, &words);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        timed(&text, || {
            let whole = (wire.read)(vec![Bytes::copy_from_slice(&bytes)], 1 << 16);
            let finished = matches!(whole.0.last(), Some(Chunk::Finished { .. }));
            assert!(finished != whole.1.is_some(), "neither an end nor an error: {whole:?} for {text:?}");
            assert!(whole.1.as_ref().is_none_or(|error| !error.message.is_empty()), "{text:?}");
            let mut pieces = Vec::new();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(1 + chance.below(rest.len().min(400)));
                pieces.push(Bytes::copy_from_slice(piece));
                rest = after;
            }
            let split = (wire.read)(pieces, 1 << 16);
            assert!(split == whole, "split otherwise it gives {split:?}, not {whole:?}, for {text:?}");
            let (chunks, error) = (wire.document)(&bytes);
            let finished = matches!(chunks.last(), Some(Chunk::Finished { .. }));
            assert!(finished != error.is_some(), "{chunks:?} {error:?} for the document {text:?}");
        });
    });
}

#[test]
fn streams_of_responses() {
    streams(&wires::ALL[0]);
}

#[test]
fn streams_of_chat() {
    streams(&wires::ALL[1]);
}

#[test]
fn streams_of_anthropic() {
    streams(&wires::ALL[2]);
}

#[test]
fn streams_of_ollama() {
    streams(&wires::ALL[3]);
}

#[test]
fn printed_text() {
    let alphabet: Vec<char> =
        "a é漢🎉\n\t\r\0\u{1b}[]\u{7f}\u{85}\u{9b}\u{ad}\u{200b}\u{202e}\u{2066}\u{feff}\u{e0041}\\{}"
            .chars()
            .collect();
    fuzz("printed text", SHORT, |chance| {
        let any = |chance: &mut Chance| char::from_u32(u32::try_from(chance.below(0x0011_0000)).unwrap());
        let text: String = (0..chance.below(40))
            .filter_map(|_| if chance.one_in(3) { any(chance) } else { Some(*chance.of(&alphabet)) })
            .collect();
        let shown = printable(&text);
        let bad = shown.chars().find(|char| {
            (char.is_control() && !"\n\t".contains(*char))
                || ('\u{202a}'..='\u{202e}').contains(char)
                || ('\u{2066}'..='\u{2069}').contains(char)
                || ('\u{e0000}'..='\u{e007f}').contains(char)
        });
        assert_eq!(bad, None, "{text:?}");
        assert_eq!(printable(&shown), shown, "{text:?}");
    });
}

#[test]
fn logs() {
    let sessions = samples("sessions", ".jsonl");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let whole: Vec<_> = sessions.iter().map(|(path, _)| read_whole_lines(path).unwrap().0).collect();
    fuzz("logs", SHORT, |chance| {
        let bytes = mutated(chance, &sessions, &["\n", "\0", "{", "}", ",\"sum\":\"", "{}\n", "null\n"]);
        fs::write(&path, &bytes).unwrap();
        let (events, damage) = read_whole_lines(&path).unwrap();
        let known = whole.iter().any(|whole| whole.starts_with(&events));
        assert!(known, "a changed line was taken: {}", String::from_utf8_lossy(&bytes));
        let opened = open_log(&path);
        assert_eq!(opened.is_err(), damage.is_some());
        let Ok((mut log, opened)) = opened else { return };
        assert_eq!(opened, events);
        // What was cut off was the last line, and not whole.
        let kept = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
        let cut = &bytes[kept..];
        let lines = cut.split_inclusive(|byte| *byte == b'\n').count();
        let torn = !cut.ends_with(b"\n") || cut.contains(&0);
        assert!(cut.is_empty() || (lines == 1 && torn), "cut off: {}", String::from_utf8_lossy(cut));
        log.append(vec![agent::protocol::Fact::Renamed { title: "t".into() }], Time::UNIX_EPOCH).unwrap();
        assert_eq!(agent::store::read_events(&path).unwrap().len(), events.len() + 1);
    });
}

const SHELL_WORDS: &[&str] = &[
    "a", "b", "-x", "--long=1", "\"q w\"", "'s t'", "\"", "'", " ", " ", " ", "\t", "\\", "$x", "$(a)",
    "`a`", "*", "?", "[a]", "{a,b}", "~", "#", "!", "&", "|", ";", "&&", "||", "<", ">", "(", ")", "=",
    "a=1", "%", "^", "@", ":", "+", ",", "é", "\u{a0}", "\n", "''", "\"\"", "$'x'", "-", ".", "/", "if", "{",
    "}", "[[", "\\\n", "!!", "~a", "=a", "a~",
];

/// What `plain` understands, bash understands in the same way.
#[test]
fn commands() {
    fuzz("commands", SHORT, |chance| {
        let mut texts = Vec::new();
        let mut understood = Vec::new();
        while texts.len() < 100 {
            let mut text = String::new();
            for member in 0..1 + chance.below(3) {
                if member > 0 {
                    text.push_str(chance.of::<&str>(&[";", " && ", " ; ", "&&"]));
                }
                text.push_str("args ");
                (0..chance.below(7)).for_each(|_| text.push_str(chance.of::<&str>(SHELL_WORDS)));
            }
            if let Some(commands) = timed(&text, || plain(&text)) {
                texts.push(text);
                understood.push(commands);
            }
        }
        // Whatever the first word is, its words are printed.
        let script = r#"command_not_found_handle() { printf '%s\0' "$@"; printf '\1'; }
                        for text; do eval "$text"; printf '\2'; done"#;
        let output = Command::new("/bin/bash")
            .args(["-c", script, "bash"])
            .args(&texts)
            .env_clear()
            .env("PATH", "/nonexistent")
            .output()
            .unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let seen: Vec<&str> = output.split_terminator('\u{2}').collect();
        assert_eq!(seen.len(), texts.len());
        for ((text, commands), seen) in texts.iter().zip(&understood).zip(seen) {
            let seen: Vec<Vec<&str>> = seen
                .split_terminator('\u{1}')
                .map(|command| command.split_terminator('\0').collect())
                .collect();
            // A builtin, a path, a job, and what comes behind a pipe or an or print nothing, or in any order.
            let mute = |words: &Vec<String>| {
                [":", "."].contains(&&*words[0]) || words[0].contains('/') || words[0].starts_with('%')
            };
            let compared = !text.contains('|') && !commands.iter().any(mute);
            assert!(!compared || *commands == seen, "{text:?} is {commands:?}, and for bash {seen:?}");
        }
    });
}
