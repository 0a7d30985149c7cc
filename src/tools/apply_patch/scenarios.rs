//! Walks `tests/data/patches`: each folder is a tree, a patch, and the tree or the error that comes of it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::*;
use crate::tools::testing;

/// All files below a directory. A directory that is missing is empty.
fn tree(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

#[tokio::test]
async fn every_scenario_gives_its_tree_or_its_error() {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/patches");
    let mut count = 0;
    for scenario in
        fs::read_dir(&all).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        count += 1;
        let dir = tempfile::tempdir().unwrap();
        let input = tree(&scenario.join("input"));
        for (path, bytes) in &input {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let patch = fs::read_to_string(scenario.join("patch.txt")).unwrap();
        let cx = testing::context(dir.path());
        let root = cx.workspace.root.display().to_string();
        let args = Args::Text(patch);
        let intent = ApplyPatch.intent(&args, &cx.workspace);
        let result = ApplyPatch.run(&args, cx).await;
        let name = scenario.file_name().unwrap().display();
        match fs::read_to_string(scenario.join("error.txt")) {
            Ok(error) => {
                let told = result.expect_err("it has an error.txt").0.replace(&root, "$WORKSPACE");
                assert_eq!(told.trim_end(), error.trim_end(), "{name}");
                assert!(intent.is_err(), "{name}: it is known beforehand");
                assert_eq!(tree(dir.path()), input, "{name}: an error changes nothing");
            }
            Err(_) => {
                result.unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(tree(dir.path()), tree(&scenario.join("expected")), "{name}");
            }
        }
    }
    assert!(count >= 15, "only {count} scenarios were found");
}
