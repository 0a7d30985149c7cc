//! Patches that are large, loose, or meant to take long.

#![expect(clippy::unwrap_used, reason = "a benchmark that fails may say so by panicking")]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use agent::patch::{DIFF_LIMIT, Diff, Node, Patch, Place, Tree, plan};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

/// A tree with one file, `/f`.
struct Single(Arc<Vec<u8>>);

impl Single {
    fn of(lines: impl Iterator<Item = String>) -> Self {
        Self(Arc::new(lines.flat_map(|line| (line + "\n").into_bytes()).collect()))
    }
}

impl Tree for Single {
    fn locate(&self, path: &str) -> Result<Place, String> {
        let path = PathBuf::from("/").join(path);
        Ok(Place { entry: path.clone(), target: path, quotable: true })
    }

    fn read(&self, _path: &Path) -> Result<Option<Node>, String> {
        Ok(Some(Node::File(Arc::clone(&self.0))))
    }
}

fn patch(body: &str) -> String {
    format!("*** Begin Patch\n*** Update File: f\n{body}*** End Patch\n")
}

/// A chunk for every hundredth line, with three lines of context around.
fn chunks(count: usize, indent: &str) -> String {
    let line = |number: usize| format!("{indent}let value_{number} = {number};");
    let chunk = |at: usize| {
        format!("@@\n {}\n-{}\n+changed\n {}\n {}\n", line(at), line(at + 1), line(at + 2), line(at + 3))
    };
    patch(&(0..count).map(|index| chunk(index * 100)).collect::<String>())
}

fn source(lines: usize) -> Single {
    Single::of((0..lines).map(|number| format!("    let value_{number} = {number};")))
}

/// The sizes of everyday work.
#[divan::bench]
fn small(bencher: Bencher<'_, '_>) {
    let (tree, text) = (source(300), chunks(2, "    "));
    bencher.bench(|| plan(&Patch::parse(black_box(&text)).unwrap(), &tree).unwrap());
}

#[divan::bench]
fn thousand_chunks_in_a_hundred_thousand_lines(bencher: Bencher<'_, '_>) {
    let (tree, text) = (source(100_000), chunks(1_000, "    "));
    bencher.bench(|| plan(&Patch::parse(black_box(&text)).unwrap(), &tree).unwrap());
}

/// Every chunk is found in the third pass only.
#[divan::bench]
fn the_same_with_wrong_indentation(bencher: Bencher<'_, '_>) {
    let (tree, text) = (source(100_000), chunks(1_000, "  "));
    bencher.bench(|| plan(&Patch::parse(black_box(&text)).unwrap(), &tree).unwrap());
}

#[divan::bench]
fn a_miss_in_a_hundred_thousand_lines(bencher: Bencher<'_, '_>) {
    let (tree, text) = (source(100_000), patch(" let other_7 = 7;\n-let other_8 = 8;\n"));
    bencher.bench(|| plan(&Patch::parse(black_box(&text)).unwrap(), &tree).unwrap_err());
}

/// Every place looks right for long: the budget must end it.
#[divan::bench(sample_count = 3)]
fn hostile(bencher: Bencher<'_, '_>) {
    let tree = Single::of((0..100_000).map(|number| if number % 2 == 0 { "a" } else { "a " }.to_owned()));
    let text = patch(&"@@\n a\n-a\n".repeat(40_000));
    bencher.bench(|| plan(&Patch::parse(black_box(&text)).unwrap(), &tree).map(|_| ()).is_err());
}

/// Few different lines, everywhere: the hard case of every diff.
#[divan::bench(sample_count = 3)]
fn diff_of_two_shuffled_texts(bencher: Bencher<'_, '_>) {
    let shuffled = |seed: u64| -> String {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 61
        };
        (0..50_000).map(|_| format!("line {}\n", next())).collect()
    };
    let (old, new) = (shuffled(1), shuffled(2));
    bencher.bench(|| Diff::between(old.as_bytes(), black_box(new.as_bytes()), DIFF_LIMIT));
}
