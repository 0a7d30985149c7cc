//! Vim keys: text before, keys in normal mode, text after.

use super::{
    tests::{at, check, composer, press},
    *,
};

fn normal() -> Composer {
    let mut composer = composer();
    composer.set_vim(true);
    press(&mut composer, "<esc>");
    composer
}

#[test]
fn motions_go_where_those_of_vim_go() {
    check(
        normal,
        &[
            ("ab|c", "hh", "|abc"),
            ("|abc", "lll", "ab|c"),
            ("|abcde", "3l2h", "a|bcde"),
            ("|one two, three", "w", "one |two, three"),
            ("|one two, three", "2w", "one two|, three"),
            ("|one two, three", "3w", "one two, |three"),
            ("|one two, three", "2W", "one two, |three"),
            ("|one\n\ntwo", "w", "one\n|\ntwo"),
            ("|one\n\ntwo", "ww", "one\n\n|two"),
            ("one two|", "b", "one |two"),
            ("one, t|wo", "bb", "one|, two"),
            ("one, two|", "BB", "|one, two"),
            ("|one two", "e", "on|e two"),
            ("|one two", "ee", "one tw|o"),
            ("|one two", "9e", "one tw|o"),
            ("  on|e", "0", "|  one"),
            ("  on|e", "^", "  |one"),
            ("|one\ntwo", "$", "on|e\ntwo"),
            ("|one\ntwo", "$j", "one\ntw|o"),
            ("one\ntwo\nthr|ee", "gg", "|one\ntwo\nthree"),
            ("|one\ntwo\n  three", "G", "one\ntwo\n  |three"),
            ("|one\ntwo\nthree", "2G", "one\n|two\nthree"),
            ("a|bc\nd\nefg", "jj", "abc\nd\ne|fg"),
            ("abc\nd\nef|g", "kk", "ab|c\nd\nefg"),
            ("|a.b.c", "f.", "a|.b.c"),
            ("|a.b.c", "2f.", "a.b|.c"),
            ("|a.b.c", "f.;", "a.b|.c"),
            ("|a.b.c", "f.;,", "a|.b.c"),
            ("|abc.", "t.", "ab|c."),
            ("|a.b.c", "t.;", "a.|b.c"),
            ("a.b.|c", "F.", "a.b|.c"),
            ("a.b.|c", "2F.", "a|.b.c"),
            ("a.bc|d", "T.", "a.|bcd"),
            ("|abc", "fz", "|abc"),
            ("|漢字 👩\u{200d}👧x", "w", "漢字 |👩\u{200d}👧x"),
            ("ab|c", "i<esc>", "a|bc"),
        ],
    );
}

#[test]
fn operators_take_what_those_of_vim_take() {
    check(
        normal,
        &[
            ("a|bc", "x", "a|c"),
            ("|abcd", "2x", "|cd"),
            ("ab|c", "x", "a|b"),
            ("ab|c", "X", "a|c"),
            ("one\n|two\nthree", "dd", "one\n|three"),
            ("one\ntwo\nth|ree", "dd", "one\n|two"),
            ("o|ne", "dd", "|"),
            ("|one\ntwo\nthree\nfour", "3dd", "|four"),
            ("|one\ntwo", "9dd", "|"),
            ("one\n|\nthree", "dd", "one\n|three"),
            ("|one two three", "dw", "|two three"),
            ("|one two three", "2dw", "|three"),
            ("|one two three", "d2w", "|three"),
            ("one |two\nthree", "dw", "one| \nthree"),
            ("one |two three", "db", "|two three"),
            ("|one two", "de", "| two"),
            ("on|e two", "d$", "o|n"),
            ("on|e two", "D", "o|n"),
            ("one |two", "d0", "|two"),
            ("one\nt|wo\nthree", "dj", "|one"),
            ("one\nt|wo\nthree", "dk", "|three"),
            ("one\nt|wo\nthree", "dgg", "|three"),
            ("one\nt|wo\nthree", "dG", "|one"),
            ("one\nt|wo", "dj", "one\nt|wo"),
            ("|a(b)c", "df(", "|b)c"),
            ("|a(b)c", "dt(", "|(b)c"),
            ("a b|c d", "diw", "a | d"),
            ("a b|c d", "daw", "a |d"),
            ("a b|c", "daw", "|a"),
            ("one t|wo", "ciwnew<esc>", "one ne|w"),
            ("|one two", "cwnew<esc>", "ne|w two"),
            ("|one two three", "2cwx<esc>", "|x three"),
            ("o|ne two", "Cx<esc>", "o|x"),
            ("one\nt|wo\nthree", "ccx<esc>", "one\n|x\nthree"),
            ("one\nt|wo", "Sx<esc>", "one\n|x"),
            ("a|bc", "sx<esc>", "a|xc"),
            ("|one two", "ywP", "one| one two"),
            ("|one\ntwo", "yyp", "one\n|one\ntwo"),
            ("one\nt|wo", "yyP", "one\n|two\ntwo"),
            ("|one\ntwo", "ddp", "two\n|one"),
            ("|one\ntwo\nthree", "2yyjp", "one\ntwo\n|one\ntwo\nthree"),
            ("|ab", "xp", "b|a"),
            ("|ab", "x3p", "baa|a"),
            ("|ab", "rz", "|zb"),
            ("|abc", "2rz", "z|zc"),
            ("|abc", "5rz", "|abc"),
            ("|aBc", "2~", "Ab|c"),
            ("o|ne\n  two", "J", "one| two"),
            ("|ab", "dq", "|ab"),
            ("|ab", "d<esc>w", "a|b"),
        ],
    );
}

#[test]
fn insertions_begin_where_those_of_vim_begin_and_are_one_step_back() {
    check(
        normal,
        &[
            ("a|bc", "ix<esc>", "a|xbc"),
            ("a|bc", "ax<esc>", "ab|xc"),
            ("  a|b", "Ix<esc>", "  |xab"),
            ("a|b\nc", "Ax<esc>", "ab|x\nc"),
            ("a|b\nc", "ox<esc>", "ab\n|x\nc"),
            ("a\n|b", "Ox<esc>", "a\n|x\nb"),
            ("|", "ione two three<esc>u", "|"),
            ("|one two", "cwnew words<esc>u", "|one two"),
            ("|ab", "xxuu", "|ab"),
            ("|abc", "xx2u", "|abc"),
            ("|abc", "xu<ctrl-r>", "|bc"),
            ("|ab", "onew<esc>u", "|ab"),
            ("|a b", "dwix<esc>uu", "|a b"),
        ],
    );
}

#[test]
fn the_mode_shows_and_esc_is_the_screens_when_nothing_waits() {
    let mut composer = normal();
    assert_eq!(composer.mode(), Some("NORMAL"));
    assert_eq!(press(&mut composer, "<esc>"), Reaction::Ignored);
    assert_eq!(press(&mut composer, "2d<esc>"), Reaction::Consumed);
    press(&mut composer, "ihello");
    assert_eq!((composer.mode(), composer.text()), (Some("INSERT"), "hello"));
    assert_eq!(press(&mut composer, "<esc>"), Reaction::Consumed);
    let sent = press(&mut composer, "<enter>");
    assert!(matches!(sent, Reaction::Submit(message) if message.text == "hello"));
    assert_eq!(composer.mode(), Some("INSERT"), "a new text begins with writing");
    press(&mut composer, "<esc>kkj");
    assert_eq!(composer.text(), "hello", "up and down go on through history");
    composer.set_text("ab");
    press(&mut composer, "x");
    assert_eq!(composer.text(), "a", "the cursor stands on the last character");
    composer.set_vim(false);
    assert_eq!(composer.mode(), None);
    at(&mut composer, "a|");
    press(&mut composer, "x");
    assert_eq!(composer.text(), "ax");
}
