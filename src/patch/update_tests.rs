use super::*;
use crate::patch::parse::{Action, Patch};

/// The file after the body of an update.
fn updated(file: &str, body: &str) -> Result<String, String> {
    let text = format!("*** Begin Patch\n*** Update File: f\n{body}\n*** End Patch");
    let patch = Patch::parse(&text).unwrap_or_else(|error| panic!("{error}"));
    let Action::Update { chunks, .. } = &patch.operations[0].action else { unreachable!() };
    let subject = Subject { path: Path::new("/w/f"), quotable: true };
    update(file.as_bytes(), chunks, subject).map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn chunks_find_their_lines() {
    let cases = [
        // One line, context around, several chunks in order.
        ("a\nb\nc\n", "-b\n+B", "a\nB\nc\n"),
        ("a\nb\nc\n", "@@\n a\n-b\n c", "a\nc\n"),
        ("a\nb\nc\n", "@@\n-a\n+A\n@@\n-c\n+C", "A\nb\nC\n"),
        ("a\nb\n", " a\n+x\n b", "a\nx\nb\n"),
        // An exact place later beats a loose one earlier.
        ("  x\nx\n", "-x\n+y", "  x\ny\n"),
        // Loosely found context keeps the text of the file; only what is removed is replaced.
        ("\tif (a) {  \n\t\tb\u{2014}c\n\t}\n", " if (a) {\n-b-c\n+d\n }", "\tif (a) {  \nd\n\t}\n"),
        // A block that ends in an empty line is tried again without it.
        ("a\nb\n", "-b\n+c\n \n", "a\nc\n"),
        ("a\nb\n", "@@\n-a\n+A\n\n@@\n-b\n+B", "A\nB\n"),
        ("a\n", "-a\n-\n+b", "b\n"),
        // A chunk of context only moves the search on.
        ("x\nm\nx\n", "@@\n m\n@@\n-x\n+y", "x\nm\ny\n"),
    ];
    for (file, body, expected) in cases {
        assert_eq!(updated(file, body).as_deref(), Ok(expected), "{body}");
    }
}

#[test]
fn an_anchor_moves_the_search_behind_its_line() {
    let file = "class A:\n  def f():\n    x\nclass B:\n  def f():\n    x\n";
    let cases = [
        ("@@ class B:\n-    x\n+    y", "class A:\n  def f():\n    x\nclass B:\n  def f():\n    y\n"),
        ("@@ class A:\n-    x\n+    y", "class A:\n  def f():\n    y\nclass B:\n  def f():\n    x\n"),
        (
            "@@ class B:\n@@ def f():\n-    x\n+    y",
            "class A:\n  def f():\n    x\nclass B:\n  def f():\n    y\n",
        ),
        ("@@ def f():\n@@ def f():\n-    x", "class A:\n  def f():\n    x\nclass B:\n  def f():\n"),
        ("@@ class B:\n+  z = 1", "class A:\n  def f():\n    x\nclass B:\n  z = 1\n  def f():\n    x\n"),
        (
            "@@ class A:\n+  z = 1\n@@   def f():\n+    # f",
            "class A:\n  z = 1\n  def f():\n    # f\n    x\nclass B:\n  def f():\n    x\n",
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(updated(file, body).as_deref(), Ok(expected), "{body}");
    }
}

#[test]
fn lines_to_add_without_a_place_go_to_the_end() {
    let cases = [
        ("a\nb\n", "+c", "a\nb\nc\n"),
        ("", "+c", "c\n"),
        ("a\n\n", "@@\n+c\n+d", "a\n\nc\nd\n"),
        // They do not hold up the chunks after them.
        ("a\nb\n", "@@\n+z\n@@\n-a\n+A\n@@\n+zz", "A\nb\nz\nzz\n"),
        ("a\nb\n", "@@ a\n+z\n*** End of File", "a\nb\nz\n"),
    ];
    for (file, body, expected) in cases {
        assert_eq!(updated(file, body).as_deref(), Ok(expected), "{body}");
    }
}

#[test]
fn end_of_file_pins_the_chunk_to_the_last_lines() {
    assert_eq!(updated("x\na\nx\n", "-x\n+y\n*** End of File").as_deref(), Ok("x\na\ny\n"));
    assert_eq!(updated("x\na\nx\n", "-x\n+y\n\n*** End of File").as_deref(), Ok("x\na\ny\n"));
    let error = updated("x\na\n", "-x\n*** End of File").unwrap_err();
    assert!(error.contains("must end with the last line of the file, line 2: a"), "{error}");
}

#[test]
fn several_equally_good_places_are_an_error_that_names_them() {
    let error = updated("x\na\nx\nb\nx\n", "-x\n+y").unwrap_err();
    assert!(error.starts_with("Found the expected lines more than once in /w/f:\nx\n"), "{error}");
    assert!(
        error.contains(
            "This is chunk 1 of 1 (line 3 of the patch), and it fits equally well at lines 1, 3, 5."
        ),
        "{error}"
    );
    let error = updated(&"x\ny\n".repeat(50), "@@\n-x").unwrap_err();
    assert!(error.contains("at lines 1, 3, 5, 7, 9 and more."), "{error}");
}

#[test]
fn the_order_of_chunks_and_equal_outcomes_decide_between_places() {
    let cases = [
        // Three chunks for three places.
        ("x\na\nx\nb\nx\n", "@@\n-x\n+1\n@@\n-x\n+2\n@@\n-x\n+3", "1\na\n2\nb\n3\n"),
        // Only one of them leaves room for the next chunk.
        ("x\nm\nx\n", "@@\n-x\n+y\n@@\n-m\n+n", "y\nn\nx\n"),
        // Which of two equal lines goes does not matter.
        ("a\n\n\nb\n", "@@\n-\n", "a\n\nb\n"),
        // A better match is no rival of a worse one.
        ("x\nx \n", "-x\n+y", "y\nx \n"),
    ];
    for (file, body, expected) in cases {
        assert_eq!(updated(file, body).as_deref(), Ok(expected), "{body}");
    }
    assert!(updated("x\na\nx\nb\nx\n", "@@\n-x\n+1\n@@\n-x\n+2").is_err());
}

#[test]
fn the_search_never_goes_back_and_chunks_never_overlap() {
    let error = updated("a\nb\n", "@@\n-b\n+B\n@@\n-a\n+A").unwrap_err();
    assert!(error.contains("chunk 2 of 2") && error.contains("in the order of the file"), "{error}");
    assert!(updated("a\nb\nc\n", "@@\n a\n-b\n@@\n b\n-c").is_err());
    assert_eq!(updated("a\na\n", "@@\n-a\n+1\n@@\n-a\n+2").as_deref(), Ok("1\n2\n"));
}

#[test]
fn every_line_keeps_its_ending_and_a_new_one_takes_its_neighbours() {
    let cases = [
        ("a\r\nb\r\n", "-b\n+c\n+d", "a\r\nc\r\nd\r\n"),
        ("a\r\nb\nc\r\n", "-b\n+B", "a\r\nB\nc\r\n"),
        ("a\r\nb\nc\r\n", " a\n+x", "a\r\nx\r\nb\nc\r\n"),
        ("a\nb\r\n", "@@\n+x\n a", "x\na\nb\r\n"),
        ("a\r\n", "+z", "a\r\nz\r\n"),
        // No final newline: stays so while the last line is untouched.
        ("a\nb", "-a\n+A", "A\nb"),
        ("a\nb", " a\n+x\n b", "a\nx\nb"),
        ("a\nb", "-b\n+B", "a\nB\n"),
        ("a\r\nb", "-b\n+B", "a\r\nB\r\n"),
        ("a\r\nb", "+c", "a\r\nb\r\nc\r\n"),
        ("a\nb", "-b", "a\n"),
        ("b", "-b\n+B", "B\n"),
        // A byte order mark stays, and does not hide the first line.
        ("\u{feff}a\nb\n", "-a\n+A", "\u{feff}A\nb\n"),
        ("\u{feff}a\n", "+b", "\u{feff}a\nb\n"),
    ];
    for (file, body, expected) in cases {
        assert_eq!(updated(file, body).as_deref(), Ok(expected), "{file:?} {body}");
        if !file.contains('\r') {
            let crlf = body.replace('\n', "\r\n");
            assert_eq!(updated(file, &crlf).as_deref(), Ok(expected), "{file:?} {body}");
        }
    }
}

#[test]
fn a_miss_names_the_nearest_lines_and_what_differs() {
    let file = "fn one() {\n    let x = 1;\n    done(x);\n}\n\nfn two() {\n    let x = 2;\n    done(x);\n}\n";
    let error = updated(
        file,
        "@@ fn one() {\n-    let x = 1;\n+    let x = 5;\n@@\n-    let X = 2;\n     done(x);\n }",
    )
    .unwrap_err();
    assert_eq!(
        error,
        "Failed to find expected lines in /w/f:\n    let X = 2;\n    done(x);\n}\n\n\
         This is chunk 2 of 2 (line 6 of the patch); searched from line 3 to 9.\n\
         Nearest is line 2, where 2 of 3 lines are the same. What differs:\n  \
         line 2 of the file: `    let x = 1;`\n  but the patch has: `    let X = 2;`\n\
         Nearest is line 7, where 2 of 3 lines are the same. What differs:\n  \
         line 7 of the file: `    let x = 2;`\n  but the patch has: `    let X = 2;` (only upper and lower case differ)\n"
    );
    let error = updated(file, "-    let  x=1;").unwrap_err();
    assert!(error.contains("line 2: `    let x = 1;` (only white space differs)"), "{error}");
    let error = updated(file, "-completely different").unwrap_err();
    assert!(error.contains("Nothing in the file looks like it"), "{error}");
    let error = updated("", "-a").unwrap_err();
    assert!(error.contains("the file is empty"), "{error}");
}

#[test]
fn a_missed_anchor_says_why() {
    let file = "fn first() {\n}\nfn main() {\n}\n";
    let cases = [
        ("@@ main\n-}", "Failed to find context 'main' in /w/f\n"),
        (
            "@@ main\n-}",
            "takes a whole line of the file. Lines that contain the text:\n  line 3: fn main() {",
        ),
        ("@@ -1,3 +1,4 @@\n-}", "Line numbers mean nothing"),
        ("@@ fn maim() {\n-}", "line 3: `fn main() {`"),
        ("@@ fn main() {\n-}\n@@ fn first() {\n-}", "It stands at line 1, before the place"),
    ];
    for (body, expected) in cases {
        let error = updated(file, body).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn nothing_of_an_unquotable_file_is_told() {
    let text = "*** Begin Patch\n*** Update File: f\n-secrex\n*** End Patch";
    let patch = Patch::parse(text).unwrap();
    let Action::Update { chunks, .. } = &patch.operations[0].action else { unreachable!() };
    let subject = Subject { path: Path::new("/w/f"), quotable: false };
    let error = update(b"secret\n", chunks, subject).unwrap_err();
    assert!(error.contains("secrex") && !error.contains("secret"), "{error}");
}

#[test]
fn a_file_of_a_hundred_thousand_lines_takes_a_thousand_chunks() {
    let file: String = (0..100_000).map(|line| format!("  line {line}\n}}\n")).collect();
    let body: String = (0..1_000).map(|chunk| format!("@@\n-line {}\n+new\n }}\n", chunk * 100)).collect();
    let result = updated(&file, &body).unwrap();
    assert_eq!(result.matches("new\n").count(), 1_000);
}
