use super::*;

fn parsed(text: &str) -> Patch<'_> {
    Patch::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn error(text: &str) -> String {
    match Patch::parse(text) {
        Ok(patch) => panic!("parsed: {patch:?}"),
        Err(error) => error.to_string(),
    }
}

fn in_envelope(body: &str) -> String {
    format!("*** Begin Patch\n{body}\n*** End Patch")
}

#[test]
fn the_three_operations_are_read_in_order() {
    let text = in_envelope(
        "*** Add File: a/new.txt\n+one\n+\n+two\n*** Delete File: old.txt\n*** Update File: b.rs\n*** Move to: c.rs\n\
         @@ fn main() {\n x\n-y\n+z\n*** End of File",
    );
    let patch = parsed(&text);
    assert_eq!(
        patch.operations,
        [
            Operation { path: "a/new.txt", action: Action::Add(vec!["one", "", "two"]) },
            Operation { path: "old.txt", action: Action::Delete },
            Operation {
                path: "b.rs",
                action: Action::Update {
                    moved_to: Some("c.rs"),
                    chunks: vec![Chunk {
                        row: 9,
                        anchors: vec!["fn main() {"],
                        lines: vec![Line::Context("x"), Line::Removed("y"), Line::Added("z")],
                        end_of_file: true,
                    }],
                },
            },
        ]
    );
}

#[test]
fn the_envelope_may_have_blanks_around_a_heredoc_and_indented_markers() {
    let body = "*** Delete File: a";
    let cases = [
        in_envelope(body),
        format!("\n\n  {}\n\n\t\n", in_envelope(body)),
        format!("<<EOF\n{}\nEOF", in_envelope(body)),
        format!("\n<<'EOF'\n{}\nEOF\n\n", in_envelope(body)),
        format!("<<\"EOF\"\n\n{}\n\nEOF", in_envelope(body)),
        format!("<<'PATCH'\n{}\nPATCH", in_envelope(body)),
        in_envelope(body).replace('\n', "\r\n"),
        format!("\u{feff}{}", in_envelope(body)),
        in_envelope(&format!("*** Environment ID: e1\n{body}")),
        in_envelope("  *** Delete File: a  "),
        in_envelope("\n\n*** Delete File: a\n\n"),
        " *** Begin Patch \n*** Delete File: a\n\t*** End Patch ".to_owned(),
    ];
    for text in cases {
        assert_eq!(parsed(&text).operations, [Operation { path: "a", action: Action::Delete }], "{text}");
    }
    assert_eq!(parsed(&in_envelope(&format!("*** Environment ID: e1\n{body}"))).environment, Some("e1"));
}

#[test]
fn quotes_in_a_path_are_literal() {
    assert_eq!(parsed(&in_envelope("*** Delete File: \"a b\" \t")).operations[0].path, "\"a b\"");
}

#[test]
fn what_is_not_one_patch_is_an_error() {
    let cases = [
        (String::new(), "The first line of the patch must be '*** Begin Patch'"),
        ("hello".to_owned(), "The first line of the patch must be '*** Begin Patch'"),
        (
            format!("Here it is:\n{}", in_envelope("*** Delete File: a")),
            "The first line of the patch must be",
        ),
        (
            format!("{}\nDone.", in_envelope("*** Delete File: a")),
            "The last line of the patch must be '*** End Patch'",
        ),
        ("*** Begin Patch".to_owned(), "The last line of the patch must be '*** End Patch'"),
        (
            "*** Begin Patch\n*** Delete File: a".to_owned(),
            "The last line of the patch must be '*** End Patch'",
        ),
        (format!("<<EOF\n{}", in_envelope("*** Delete File: a")), "The first line of the patch must be"),
        (format!("<<EOF\n{}\nEOT", in_envelope("*** Delete File: a")), "The first line of the patch must be"),
        (in_envelope(""), "changes no file"),
        (in_envelope("*** Environment ID: x"), "changes no file"),
        (format!("{0}\n{0}", in_envelope("*** Delete File: a")), "line 3 is a second '*** End Patch'"),
        (in_envelope("*** Begin Patch\n*** Delete File: a"), "line 2 is a second '*** Begin Patch'"),
    ];
    for (text, expected) in cases {
        let error = error(&text);
        assert!(error.starts_with("invalid patch: ") && error.contains(expected), "{error}\n{text}");
    }
}

#[test]
fn what_is_wrong_within_a_patch_names_its_line() {
    let cases = [
        ("*** Rename File: a", 2, "is not a valid hunk header"),
        ("what", 2, "is not a valid hunk header"),
        ("*** Add File:", 2, "names no file"),
        ("*** Delete File:   ", 2, "names no file"),
        ("*** Update File: a", 2, "Update file hunk for path 'a' is empty"),
        ("*** Update File: a\n\n", 2, "Update file hunk for path 'a' is empty"),
        ("*** Update File: a\n@@", 3, "Update hunk does not contain any lines"),
        ("*** Update File: a\n@@ fn x", 3, "Update hunk does not contain any lines"),
        ("*** Update File: a\n@@\n\n", 3, "Update hunk does not contain any lines"),
        ("*** Update File: a\n*** End of File", 3, "Update hunk does not contain any lines"),
        ("*** Update File: a\n@@\n*** End of File", 4, "Update hunk does not contain any lines"),
        ("*** Update File: a\n*** Move to: b", 2, "the move of 'a' has no change"),
        ("*** Update File: a\n*** Move to:", 3, "names no file"),
        ("*** Update File: a\n-x\n*** Move to: b", 4, "must be the line after"),
        ("*** Update File: a\n@@fn x\n-x", 3, "put a space after '@@'"),
        ("*** Update File: a\nx", 3, "Unexpected line found in update hunk: 'x'"),
        ("*** Update File: a\n-x\ny", 4, "Unexpected line found in update hunk: 'y'"),
        (
            "*** Update File: a\n-x\n*** End of File\n-y",
            5,
            "Expected update hunk to start with a @@ context marker, got: '-y'",
        ),
        ("*** Add File: a\nx", 3, "must start with '+'"),
        ("*** Add File: a\n+x\ny\n+z", 4, "must start with '+'"),
        ("*** Add File: a\n+x\n\n+z", 4, "an empty one as well"),
        ("*** Delete File: a\n+x", 3, "is not a valid hunk header"),
    ];
    for (body, row, expected) in cases {
        let error = error(&in_envelope(body));
        let start = format!("invalid hunk at line {row}, ");
        assert!(error.starts_with(&start) && error.contains(expected), "{error}\n{body}");
    }
}

fn chunks(body: &str) -> Vec<(Vec<String>, Vec<String>, bool)> {
    let text = in_envelope(&format!("*** Update File: a\n{body}"));
    let Action::Update { chunks, .. } = parsed(&text).operations[0].action.clone() else { unreachable!() };
    let line = |line: &Line<'_>| match line {
        Line::Context(text) => format!(" {text}"),
        Line::Removed(text) => format!("-{text}"),
        Line::Added(text) => format!("+{text}"),
    };
    chunks
        .iter()
        .map(|chunk| {
            let anchors = chunk.anchors.iter().map(|text| (*text).to_owned()).collect();
            (anchors, chunk.lines.iter().map(line).collect(), chunk.end_of_file)
        })
        .collect()
}

fn chunk(anchors: &[&str], lines: &[&str], end_of_file: bool) -> (Vec<String>, Vec<String>, bool) {
    let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    (own(anchors), own(lines), end_of_file)
}

#[test]
fn chunks_are_divided_by_their_markers() {
    let cases: [(&str, Vec<_>); 11] = [
        ("-a\n+b", vec![chunk(&[], &["-a", "+b"], false)]),
        ("@@\n-a\n@@ x\n-b", vec![chunk(&[], &["-a"], false), chunk(&["x"], &["-b"], false)]),
        ("@@ class A\n@@   def f\n-a", vec![chunk(&["class A", "  def f"], &["-a"], false)]),
        ("@@ class A\n\n@@ def f\n-a", vec![chunk(&["class A", "def f"], &["-a"], false)]),
        ("@@ \n-a", vec![chunk(&[], &["-a"], false)]),
        ("\n\n-a", vec![chunk(&[], &["-a"], false)]),
        ("-a\n\n+b\n\n\n", vec![chunk(&[], &["-a", " ", "+b"], false)]),
        ("@@\n-a\n\n@@\n-b", vec![chunk(&[], &["-a", " "], false), chunk(&[], &["-b"], false)]),
        (
            "-a\n*** End of File\n\n@@\n+b\n*** End of File",
            vec![chunk(&[], &["-a"], true), chunk(&[], &["+b"], true)],
        ),
        (
            " *** End Patch\n+*** Begin Patch\n-*** Update File: x\n  *** Delete File: y",
            vec![chunk(
                &[],
                &[" *** End Patch", "+*** Begin Patch", "-*** Update File: x", "  *** Delete File: y"],
                false,
            )],
        ),
        (" a", vec![chunk(&[], &[" a"], false)]),
    ];
    for (body, expected) in cases {
        assert_eq!(chunks(body), expected, "{body}");
    }
}

#[test]
fn a_patch_with_crlf_reads_as_one_with_lf() {
    let text = in_envelope("*** Add File: a\n+x\n+\n*** Update File: b\n@@ f\n \n-y\n\n+z\n*** End of File");
    assert_eq!(parsed(&text.replace('\n', "\r\n")), parsed(&text));
}

#[test]
fn markers_within_a_new_file_are_data() {
    let text = in_envelope("*** Add File: a\n+*** End Patch\n+*** Begin Patch\n+@@");
    assert_eq!(
        parsed(&text).operations[0].action,
        Action::Add(vec!["*** End Patch", "*** Begin Patch", "@@"])
    );
}
