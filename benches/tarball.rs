//! What a tarball of a snapshot costs beside `tar -c | zstd -3 -T0` of the same files, turn by turn in one run.
//!
//! `cargo bench --bench tarball -- 50000 1000` says how many files and how many megabytes; `cargo bench --bench tarball --
//! FOLDER` takes files that are there.

#![expect(clippy::unwrap_used, reason = "a benchmark that fails may say so by panicking")]

mod figures;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::AtomicBool,
    time::Instant,
};

use agent::snapshot::{Limits, Settings, Snapshots};

use figures::{peak, report};

const ROUNDS: usize = 5;

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let given = std::env::args().skip(1).map(PathBuf::from).find(|path| path.is_dir());
    let (files, megabytes) = match numbers[..] {
        [files, megabytes] => (files, megabytes),
        _ => (10_000, 205),
    };
    let folder = tempfile::tempdir().unwrap();
    let work = given.unwrap_or_else(|| {
        let work = folder.path().join("work");
        make(&work, files, megabytes * 1_000_000);
        work
    });
    let settings = Settings {
        folder: folder.path().join("snapshots"),
        workspace: work.clone(),
        own: Vec::new(),
        limits: Limits::default(),
        remote: None,
    };
    let snapshots = Snapshots::open(settings).unwrap();
    let taken = snapshots.take().unwrap();
    report(&format!("{} files, {} MB", taken.files, taken.bytes / 1_000_000));
    // The peak of the snapshot is not that of the tarball.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        let started = Instant::now();
        snapshots.tarball(&taken.id, &ours, &AtomicBool::new(false)).unwrap();
        let one = started.elapsed().as_secs_f64();
        let started = Instant::now();
        tar(&work, &theirs);
        let other = started.elapsed().as_secs_f64();
        ratios.push(one / other);
        report(&format!(
            "{round}: {one:.2} s, {:.1} MB; tar | zstd {other:.2} s, {:.1} MB; {:.2}",
            megabytes_of(&ours),
            megabytes_of(&theirs),
            one / other
        ));
    }
    ratios.sort_by(f64::total_cmp);
    report(&format!("median {:.2} of the time; peak memory {} MB", ratios[ROUNDS / 2], peak()));
}

/// Files such as repositories have: two thirds words, one third bytes without a pattern.
fn make(work: &Path, files: usize, bytes: usize) {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for file in 0..files {
        let folder = work.join(format!("d{}/s{}", file % 10, file % 50));
        fs::create_dir_all(&folder).unwrap();
        let length = bytes / files / 2 + usize::try_from(next() % (bytes / files) as u64).unwrap();
        let mut content = Vec::with_capacity(length + 64);
        while content.len() < length {
            if file % 20 < 13 {
                content.extend(format!("word_{} = {};\n", next() % 700, next() % 50).bytes());
            } else if next() % 3 == 0 {
                content.extend([0; 16]);
            } else {
                content.extend(next().to_le_bytes());
            }
        }
        fs::write(folder.join(format!("f{file}")), content).unwrap();
    }
}

fn tar(work: &Path, to: &Path) {
    let line = "tar -cf - -C \"$0\" . | zstd -3 -T0 -q -f -o \"$1\" && sync \"$1\"";
    assert!(Command::new("sh").arg("-c").arg(line).arg(work).arg(to).status().unwrap().success());
}

fn megabytes_of(file: &Path) -> f64 {
    fs::metadata(file).unwrap().len() as f64 / 1e6
}
