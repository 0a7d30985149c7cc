use std::collections::BTreeMap;

use super::*;

/// A tree in memory. Links are written `-> target`.
#[derive(Default)]
struct Memory(BTreeMap<PathBuf, String>);

impl Memory {
    fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| (PathBuf::from("/w").join(path), (*text).to_owned())).collect())
    }

    fn after(&self, plan: &Plan) -> BTreeMap<PathBuf, String> {
        let mut files = self.0.clone();
        for step in &plan.steps {
            match &step.after {
                Some(bytes) => files.insert(step.path.clone(), String::from_utf8(bytes.to_vec()).unwrap()),
                None => files.remove(&step.path),
            };
        }
        files
    }
}

impl Tree for Memory {
    fn locate(&self, path: &str) -> Result<Place, String> {
        let entry = Path::new("/w").join(path.trim_start_matches("./"));
        let target = match self.0.get(&entry).and_then(|text| text.strip_prefix("-> ")) {
            Some(target) => Path::new("/w").join(target),
            None => entry.clone(),
        };
        Ok(Place { entry, target, quotable: true })
    }

    fn read(&self, path: &Path) -> Result<Option<Node>, String> {
        Ok(self.0.get(path).map(|text| match text.strip_prefix("-> ") {
            Some(target) => Node::Link(PathBuf::from(target)),
            None => Node::File(Arc::new(text.clone().into_bytes())),
        }))
    }
}

/// What a patch makes of a tree: its changes, its files afterwards, and what the model is told.
fn outcome(files: &[(&str, &str)], body: &str) -> Result<(String, String, String), String> {
    let text = format!("*** Begin Patch\n{body}\n*** End Patch");
    let patch = Patch::parse(&text).unwrap_or_else(|error| panic!("{error}"));
    let tree = Memory::of(files);
    let plan = plan(&patch, &tree).map_err(|error| error.to_string())?;
    let name = |path: &Path| path.strip_prefix("/w").unwrap().display().to_string();
    let changes: Vec<String> = plan
        .changes
        .iter()
        .map(|change| {
            let moved = change.moved_to.as_ref().map(|to| format!(" to {}", name(to))).unwrap_or_default();
            format!("{:?} {}{moved}", change.kind, name(&change.path))
        })
        .collect();
    let after: Vec<String> =
        tree.after(&plan).iter().map(|(path, text)| format!("{}={}", name(path), text.trim_end())).collect();
    let summary = plan.summary();
    let told = summary.strip_prefix("Success. Updated the following files:\n").unwrap();
    Ok((changes.join(", "), after.join(" "), told.trim_end().replace('\n', ", ")))
}

#[test]
fn operations_work_in_order_and_are_told_by_their_outcome() {
    let files = [("a", "1\n"), ("b", "2\n"), ("l", "-> a")];
    let cases = [
        ("*** Add File: n\n+x", "Add n", "a=1 b=2 l=-> a n=x", "A n"),
        ("*** Add File: a\n+x", "Overwrite a", "a=x b=2 l=-> a", "A a"),
        ("*** Delete File: a", "Delete a", "b=2 l=-> a", "D a"),
        ("*** Update File: a\n-1\n+x", "Update a", "a=x b=2 l=-> a", "M a"),
        ("*** Update File: a\n 1", "Update a", "a=1 b=2 l=-> a", "M a"),
        ("*** Update File: a\n*** Move to: n\n-1\n+x", "Update a to n", "b=2 l=-> a n=x", "M n"),
        ("*** Update File: a\n*** Move to: b\n-1\n+x", "Overwrite a to b", "b=x l=-> a", "M b"),
        ("*** Update File: a\n*** Move to: ./a\n-1\n+x", "Update a", "a=x b=2 l=-> a", "M ./a"),
        // Several on one file.
        ("*** Add File: n\n+x\n*** Update File: n\n-x\n+y", "Add n", "a=1 b=2 l=-> a n=y", "A n, M n"),
        ("*** Delete File: a\n*** Add File: a\n+x", "Overwrite a", "a=x b=2 l=-> a", "A a, D a"),
        ("*** Add File: n\n+x\n*** Delete File: n", "", "a=1 b=2 l=-> a", "A n, D n"),
        ("*** Update File: a\n-1\n+x\n*** Update File: a\n-x\n+y", "Update a", "a=y b=2 l=-> a", "M a"),
        (
            "*** Update File: a\n*** Move to: n\n-1\n+x\n*** Delete File: n",
            "Delete a",
            "b=2 l=-> a",
            "M n, D n",
        ),
        (
            "*** Update File: a\n*** Move to: n\n-1\n+x\n*** Update File: n\n*** Move to: m\n x\n+y",
            "Update a to m",
            "b=2 l=-> a m=x\ny",
            "M n, M m",
        ),
        (
            "*** Update File: a\n*** Move to: n\n-1\n+x\n*** Update File: n\n*** Move to: a\n-x\n+y",
            "Update a",
            "a=y b=2 l=-> a",
            "M n, M a",
        ),
        (
            "*** Update File: a\n*** Move to: n\n 1\n*** Add File: a\n+new",
            "Overwrite a, Add n",
            "a=new b=2 l=-> a n=1",
            "A a, M n",
        ),
        // Grouped as added, modified, deleted.
        (
            "*** Delete File: a\n*** Update File: b\n-2\n*** Add File: n",
            "Delete a, Update b, Add n",
            "b= l=-> a n=",
            "A n, M b, D a",
        ),
        // Links: updated through, deleted themselves.
        ("*** Update File: l\n-1\n+x", "Update a", "a=x b=2 l=-> a", "M l"),
        ("*** Add File: l\n+x", "Overwrite a", "a=x b=2 l=-> a", "A l"),
        ("*** Delete File: l", "Delete l", "a=1 b=2", "D l"),
        ("*** Delete File: l\n*** Add File: l\n+x", "Overwrite l", "a=1 b=2 l=x", "A l, D l"),
        ("*** Update File: l\n*** Move to: n\n-1\n+x", "Update l to n", "a=1 b=2 n=x", "M n"),
    ];
    for (body, changes, after, told) in cases {
        let expected = Ok((changes.to_owned(), after.to_owned(), told.to_owned()));
        assert_eq!(outcome(&files, body), expected, "{body}");
    }
}

#[test]
fn what_does_not_fit_is_an_error_in_known_words() {
    let files = [("a", "1\n")];
    let missing = "No such file or directory (os error 2)";
    let cases = [
        ("*** Update File: n\n-x", format!("Failed to read file to update /w/n: {missing}")),
        ("*** Delete File: n", format!("Failed to delete file /w/n: {missing}")),
        (
            "*** Delete File: a\n*** Update File: a\n-1",
            format!("Failed to read file to update /w/a: {missing}"),
        ),
        ("*** Update File: a\n-2", "Failed to find expected lines in /w/a:\n2\n".to_owned()),
        (
            "*** Add File: n\n+x\n*** Update File: a\n-2",
            "Failed to find expected lines in /w/a:\n2\n".to_owned(),
        ),
        (
            "*** Add File: n\n*** Add File: n/m",
            "/w/n can't be both a file and the directory of /w/n/m".to_owned(),
        ),
    ];
    for (body, expected) in cases {
        let error = outcome(&files, body).unwrap_err();
        assert!(error.starts_with(&expected), "{error}\n{body}");
    }
}

#[test]
fn a_move_keeps_the_mode_of_its_source_and_an_overwrite_its_own() {
    let tree = Memory::of(&[("a", "1\n"), ("b", "2\n"), ("l", "-> a")]);
    let modes = |body: &str| -> Vec<Option<PathBuf>> {
        let text = format!("*** Begin Patch\n{body}\n*** End Patch");
        let plan = plan(&Patch::parse(&text).unwrap(), &tree).unwrap();
        plan.steps.into_iter().filter(|step| step.after.is_some()).map(|step| step.mode_of).collect()
    };
    let path = |name: &str| Some(Path::new("/w").join(name));
    assert_eq!(modes("*** Update File: a\n*** Move to: b\n 1"), [path("a")]);
    assert_eq!(modes("*** Update File: l\n*** Move to: n\n 1"), [path("a")]);
    assert_eq!(modes("*** Add File: b\n+x"), [path("b")]);
    assert_eq!(modes("*** Add File: n\n+x"), [None]);
}
