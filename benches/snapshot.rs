//! What snapshots cost: the first one, one with nothing changed, one with a line changed, putting back a directory; and
//! the store beside a solid `tar | zstd -3`. Two thirds sources, one third binaries, warm cache.
//!
//! `cargo bench --bench snapshot -- 10000 205` says how many files and how many megabytes; `cargo bench --bench snapshot --
//! FOLDER` takes a copy of files that are there, such as sources, and changes nothing of them.

mod figures;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use agent::snapshot::{Limits, Settings, Snapshots, Which};

use figures::{median, peak, report, timed};

const ROUNDS: usize = 9;
const WORDS: &[&str] = &[
    "let",
    "fn",
    "self",
    "return",
    "if",
    "else",
    "match",
    "struct",
    "impl",
    "for",
    "in",
    "while",
    "Option",
    "Result",
    "String",
    "path",
    "error",
    "value",
    "index",
    "buffer",
    "->",
    "{",
    "}",
    "(",
    ")",
    ";",
    "=",
    "==",
    "&",
    "mut",
    "pub",
    "use",
    "crate",
    "::",
    "Some",
    "None",
    "Ok",
    "Err",
    "0",
    "1",
    "usize",
    "u64",
    "//",
    "the",
    "of",
    "and",
    "\n    ",
    "\n        ",
    "\n",
    "\n\n",
];

/// The same numbers each time.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % most as u64).unwrap_or_default()
    }
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let (files, megabytes) = match numbers[..] {
        [files, megabytes] => (files, megabytes),
        _ => (10_000, 205),
    };
    let given = std::env::args().skip(1).map(PathBuf::from).find(|path| path.is_dir());
    let folder = tempfile::tempdir().expect("a temporary directory");
    let work = folder.path().join("work");
    match &given {
        None => make(&work, files, megabytes * 1_000_000),
        Some(given) => {
            let copied = Command::new("cp").args(["-a", "--"]).arg(given).arg(&work).status();
            assert!(copied.is_ok_and(|status| status.success()), "{} can't be copied", given.display());
        }
    }
    let settings = Settings {
        folder: folder.path().join("snapshots"),
        workspace: work.clone(),
        own: Vec::new(),
        limits: Limits::default(),
        remote: None,
    };
    let snapshots = Snapshots::open(settings).expect("a store");
    let before = peak();
    let (first, taken) = timed(|| snapshots.take().expect("a snapshot"));
    report(&format!(
        "first: {first:.3} s, {} files, {} MB, stored {:.1} MB, peak {} MB (before it {before} MB)",
        taken.files,
        taken.bytes / 1_000_000,
        snapshots.size() as f64 / 1e6,
        peak(),
    ));
    let unchanged = median(ROUNDS, || timed(|| snapshots.take().expect("a snapshot")).0);
    report(&format!("nothing changed: {unchanged:.4} s"));
    if given.is_some() {
        let (seconds, bytes) = timed(|| tar(&work));
        let ratio = snapshots.size() as f64 / bytes as f64;
        report(&format!(
            "tar | zstd -3 -T0: {seconds:.3} s, {:.1} MB; the store is {ratio:.3} of it",
            bytes as f64 / 1e6
        ));
        return;
    }
    let mut stored = 0;
    let mut round = 0;
    let file = work.join("d2/s32/f32.rs");
    let text = fs::read_to_string(&file).expect("a source");
    let line = median(ROUNDS, || {
        round += 1;
        fs::write(&file, text.replacen('\n', &format!("\n// line {round}\n"), 1)).expect("a file");
        let (seconds, taken) = timed(|| snapshots.take().expect("a snapshot"));
        stored = taken.stored;
        seconds
    });
    report(&format!("a line changed: {line:.4} s, {stored} bytes stored"));
    let whole = snapshots.take().expect("a snapshot");
    let gone = work.join("d1");
    let many = walk(&gone);
    fs::remove_dir_all(gone).expect("a directory");
    let now = snapshots.take().expect("a snapshot");
    let (seconds, done) = timed(|| {
        let plan = snapshots.plan(&now.id, &whole.id, &[]).expect("a plan");
        snapshots.restore(&plan, Which::All).expect("put back").0
    });
    assert!(done.left.is_empty(), "{:?}", done.left);
    report(&format!("put back {many} deleted files: {seconds:.3} s"));
    let (seconds, bytes) = timed(|| tar(&work));
    report(&format!("tar | zstd -3 -T0: {seconds:.3} s, {:.1} MB", bytes as f64 / 1e6));
}

fn make(work: &Path, files: usize, bytes: usize) {
    let mut chance = Chance(0x2545_f491_4f6c_dd1d);
    for file in 0..files {
        let folder = work.join(format!("d{}/s{}", file % 10, file % 50));
        fs::create_dir_all(&folder).expect("a directory");
        let length = bytes / files / 2 + chance.below(bytes / files);
        let source = file % 20 < 13;
        let mut content = Vec::with_capacity(length + 64);
        while content.len() < length {
            if source {
                content.extend(WORDS[chance.below(WORDS.len())].as_bytes());
                content.push(b' ');
                if chance.below(12) == 0 {
                    content.extend(format!("name_{} ", chance.below(500)).bytes());
                }
            } else if chance.below(3) == 0 {
                content.extend([0; 16]);
            } else {
                content.extend(chance.next().to_le_bytes());
            }
        }
        let kind = if source { "rs" } else { "o" };
        fs::write(folder.join(format!("f{file}.{kind}")), content).expect("a file");
    }
}

fn walk(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).expect("a directory").flatten();
    entries.map(|entry| if entry.path().is_dir() { walk(&entry.path()) } else { 1 }).sum()
}

/// Bytes of the workspace as one compressed archive; 0 without these programs.
fn tar(work: &Path) -> usize {
    let tar = Command::new("sh")
        .arg("-c")
        .arg("tar -cf - -C \"$0\" . | zstd -3 -T0 -c")
        .arg(work)
        .stdout(Stdio::piped())
        .output();
    tar.map(|output| output.stdout.len()).unwrap_or(0)
}
