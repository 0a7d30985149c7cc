//! The commands that are known to look and not to touch.
//!
//! A short list on purpose, and `git` is not on it: its configuration can name programs to run. It only takes
//! questions away under `untrusted`; it opens nothing.

use std::path::{Path, PathBuf};

use crate::protocol::SandboxMode;

use super::{command, plain_path};

/// What no PATH can put another program in the place of.
const BUILTINS: &[&str] = &["cd", "echo", "false", "pwd", "true"];

/// Whether every command of the line is known to do nothing but look, when it begins in `workdir`.
///
/// Without a sandbox a program must be named by its whole path: what its name alone means is up to PATH, which may
/// lead into the repository.
#[must_use]
pub fn is_harmless(text: &str, workdir: &Path, sandbox: SandboxMode) -> bool {
    let Some(commands) = command::plain(text) else { return false };
    let mut cwd = Some(workdir.to_owned());
    commands.iter().all(|words| {
        let Some((program, args)) = words.split_first() else { return false };
        let named = sandbox != SandboxMode::DangerFullAccess
            || program.starts_with('/')
            || BUILTINS.contains(&program.as_str());
        let harmless = named && cwd.as_deref().is_some_and(holds_files) && only_looks(program, args);
        if program == "cd" {
            cwd = cwd.as_ref().zip(args.first()).and_then(|(cwd, to)| entered(cwd, to));
        }
        harmless
    })
}

/// Whether names in a directory mean files, as far as its own name tells: opening a device can do something, opening
/// a file can't.
fn holds_files(directory: &Path) -> bool {
    directory.is_absolute()
        && directory != Path::new("/")
        && !["/dev", "/proc", "/sys"].iter().any(|system| directory.starts_with(system))
}

/// Where `cd` leads, by the names alone. Nothing when only the shell knows.
fn entered(cwd: &Path, to: &str) -> Option<PathBuf> {
    if to.starts_with('-') {
        return None;
    }
    Some(plain_path(&cwd.join(to)))
}

fn only_looks(program: &str, args: &[String]) -> bool {
    let device = args.iter().any(|arg| arg.contains("/dev/") && arg != "/dev/null");
    let name = ["/usr/bin/", "/bin/"].iter().find_map(|dir| program.strip_prefix(dir)).unwrap_or(program);
    !device
        && match name {
            // No option of these writes a file or starts a program.
            "basename" | "cat" | "cut" | "dirname" | "echo" | "expr" | "false" | "grep" | "head" | "id"
            | "ls" | "nl" | "numfmt" | "paste" | "pwd" | "readlink" | "realpath" | "rev" | "seq" | "stat"
            | "tac" | "tail" | "tr" | "true" | "uname" | "wc" | "which" | "whoami" => true,
            "cd" => args.len() <= 1,
            "base64" => {
                operands(args) <= 1
                    && options(args).all(|arg| matches!(arg, "-d" | "-D" | "--decode" | "-w0" | "--wrap=0"))
            }
            "date" => args.iter().all(|arg| arg == "-u" || arg == "-R" || arg.starts_with('+')),
            "find" => find(args),
            "rg" => rg(args),
            "sed" => sed(args),
            // The second operand is a file to write.
            "uniq" => {
                operands(args) <= 1
                    && options(args)
                        .all(|arg| is_in("-c -d -i -u -D -cd -ci --count --repeated --unique", arg))
            }
            _ => false,
        }
}

fn options(args: &[String]) -> impl Iterator<Item = &str> {
    args.iter().map(String::as_str).filter(|arg| arg.starts_with('-') && arg.len() > 1)
}

fn is_in(list: &str, word: &str) -> bool {
    list.split(' ').any(|known| known == word)
}

fn operands(args: &[String]) -> usize {
    args.len() - options(args).count()
}

fn find(args: &[String]) -> bool {
    const TESTS: &str = "-H -L -P -a -and -atime -cmin -ctime -depth -empty -executable -follow -gid -group -iname \
        -inum -ipath -iregex -links -ls -maxdepth -mindepth -mmin -mount -mtime -name -newer -not -o \
        -or -path -perm -print -print0 -printf -prune -quit -readable -regex -regextype -samefile \
        -size -true -type -uid -user -writable -xdev -xtype";
    // `-mtime -1`: a number may be negative.
    let number =
        |arg: &str| arg.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    options(args).all(|arg| is_in(TESTS, arg) || number(arg))
}

fn rg(args: &[String]) -> bool {
    const LONG: &str = "--after-context --before-context --case-sensitive --color --column --context --count --count-matches \
        --files --files-with-matches --files-without-match --fixed-strings --follow --glob \
        --heading --hidden --iglob --ignore-case --invert-match --json --line-number --line-regexp \
        --max-columns --max-count --max-depth --multiline --no-config --no-filename --no-heading --no-ignore \
        --no-line-number --no-messages --null --only-matching --pcre2 --pretty --quiet --regexp \
        --replace --smart-case --sort --sortr --stats --text --trim --type --type-list --type-not \
        --unrestricted --vimgrep --with-filename --word-regexp";
    options(args).all(|arg| match arg.strip_prefix("--") {
        Some("") => true,
        Some(_) => is_in(LONG, arg.split('=').next().unwrap_or(arg)),
        // `-z` starts programs to decompress with.
        None => !arg.contains('z'),
    })
}

/// `sed -n 10,20p FILE` and nothing else: a script of sed can write files and run programs.
fn sed(args: &[String]) -> bool {
    let (script, file) = match args {
        [n, script] if n == "-n" => (script, None),
        [n, script, file] if n == "-n" => (script, Some(file)),
        _ => return false,
    };
    let number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let lines = script.strip_suffix('p').is_some_and(|range| match range.split_once(',') {
        None => number(range),
        Some((from, to)) => number(from) && (number(to) || to == "$"),
    });
    lines && file.is_none_or(|file| !file.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn is_harmless(text: &str) -> bool {
        super::is_harmless(text, Path::new("/home/me/ws"), SandboxMode::WorkspaceWrite)
    }

    #[test]
    fn where_a_command_stands_decides_what_a_name_means() {
        for (text, workdir, harmless) in [
            ("cat watchdog", "/dev", false),
            ("cat f", "/", false),
            ("cat f", "/proc/1", false),
            ("cat f", "relative", false),
            ("cd ../dev && cat watchdog", "/home", false),
            ("cd .. && cd .. && cat f", "/a/b", false),
            ("cd ../.. && cd home && cat f", "/a/b", false),
            ("cd ../b && cat f", "/a/b", true),
            ("cat f", "/devices", true),
        ] {
            let seen = super::is_harmless(text, Path::new(workdir), SandboxMode::WorkspaceWrite);
            assert_eq!(seen, harmless, "{text} in {workdir}");
        }
    }

    #[test]
    fn without_a_sandbox_a_bare_name_may_be_a_program_of_the_repository() {
        for (text, harmless) in [
            ("ls", false),
            ("echo x && ls", false),
            ("/bin/ls -la", true),
            ("cd src && /usr/bin/cat f", true),
            ("echo x && pwd", true),
            ("./ls", false),
        ] {
            let seen = super::is_harmless(text, Path::new("/ws"), SandboxMode::DangerFullAccess);
            assert_eq!(seen, harmless, "{text}");
        }
    }

    #[test]
    fn looking_is_harmless() {
        for text in [
            "ls",
            "ls -la src",
            "pwd",
            "whoami",
            "id -u",
            "uname -a",
            "true",
            "false",
            "echo hello world",
            "cat README.md",
            "cat 'a b.txt'",
            "head -n 20 f",
            "tail -f log",
            "wc -l f",
            "nl f",
            "rev f",
            "tac f",
            "cut -d: -f1 f",
            "paste a b",
            "seq 1 10",
            "stat f",
            "tr a b",
            "which cargo",
            "expr 1 + 2",
            "basename a/b",
            "dirname a/b",
            "realpath .",
            "readlink f",
            "grep -rn 'fn main' src",
            "grep -c x f",
            "cd src && ls",
            "cd src; pwd",
            "cat f | head -5 | wc -l",
            "ls || true",
            "find . -name '*.rs'",
            "find . -type f -print0",
            "find . -maxdepth 2 -mtime -1",
            "find . '(' -name a -o -name b ')'",
            "rg foo",
            "rg -n foo src",
            "rg --glob='*.rs' foo",
            "rg -t rust -e foo",
            "rg --files",
            "rg --no-ignore --count-matches x",
            "sed -n 1,20p f",
            "sed -n 5p f",
            "sed -n '5,$p' f",
            "uniq f",
            "uniq -c f",
            "cat f | uniq -c",
            "base64 f",
            "base64 -d f",
            "date",
            "date -u",
            "date +%s",
            "/bin/ls",
            "/usr/bin/cat f",
            "numfmt 10",
            "cat /dev/null",
            "echo 'rm -rf /'",
            "echo \"a; rm x\"",
        ] {
            assert!(is_harmless(text), "{text}");
        }
    }

    #[test]
    fn everything_else_is_not() {
        let all = [
            // programs that are not on the list
            "rm f",
            "mv a b",
            "cp a b",
            "touch f",
            "mkdir d",
            "chmod +x f",
            "git status",
            "git log",
            "git diff",
            "cargo test",
            "npm test",
            "make",
            "python3 -c 'print(1)'",
            "bash -c ls",
            "sh x",
            "node -e 1",
            "perl -e 1",
            "awk '{print}' f",
            "tee f",
            "dd if=a",
            "curl x.org",
            "wget x",
            "ssh h",
            "nc h 1",
            "env",
            "env ls",
            "sudo ls",
            "xargs ls",
            "time ls",
            "nohup ls",
            "command ls",
            "builtin echo",
            "exec ls",
            "eval ls",
            "source f",
            ". f",
            "printf -v x y",
            "export A",
            "alias ls",
            "trap x EXIT",
            "set -x",
            "test -f x",
            "read x",
            "sort f",
            "sort -o f f",
            "file f",
            "tree",
            "jq . f",
            "less f",
            "more f",
            "vim f",
            "man ls",
            "yes",
            "kill 1",
            // paths that are not the system's
            "./ls",
            "bin/ls",
            "/tmp/ls",
            "../ls",
            "/usr/local/bin/ls",
            "/usr/bin/../../tmp/ls",
            "/bin/./ls",
            "/bin//ls",
            // options and operands that do something
            "uniq a b",
            "uniq -c a b",
            "uniq -- a",
            "uniq -f 1 a",
            "uniq - a",
            "find . -delete",
            "find . -exec rm {} +",
            "find . -exec rm '{}' ';'",
            "find . -execdir x ';'",
            "find . -ok x ';'",
            "find . -okdir x ';'",
            "find . -fls f",
            "find . -fprint f",
            "find . -fprint0 f",
            "find . -fprintf f x",
            "find . -files0-from f",
            "find -'delete'",
            "find . \"-exec\" x ';'",
            "rg --pre x foo",
            "rg --pre=x foo",
            "rg -z foo",
            "rg -nz foo",
            "rg --search-zip foo",
            "rg --hostname-bin=x foo",
            "rg --hostname-bin x",
            "rg --'pre' x",
            "sed -i s/a/b/ f",
            "sed s/a/b/ f",
            "sed -n 1p -i",
            "sed -n 1p f g",
            "sed -n 'w f' g",
            "sed -n 1e f",
            "sed -n '1p;w f' g",
            "sed -n -e 1p f",
            "sed -n 1,p f",
            "sed -n p f",
            "base64 -o f g",
            "base64 --output=f g",
            "base64 --out f",
            "date -s 10:00",
            "date --set=x",
            "date 010101",
            "cd a b",
            "cat /dev/sda",
            "cat /dev/tty",
            "cd /dev && cat watchdog",
            "cd / && head dev/sda",
            "cd ../../.. && head dev/sda",
            "cd /home/../dev && cat watchdog",
            "cd && cat f",
            "cd - && cat f",
            "head //dev/sda",
            // what a shell would change
            "cat *",
            "ls ~",
            "cat $HOME/x",
            "cat $(ls)",
            "cat `ls`",
            "ls > f",
            "cat < f",
            "echo a >> f",
            "cat {a,b}",
            "A=1 ls",
            "PATH=. ls",
            "LD_PRELOAD=x ls",
            "l\\s",
            "$'ls'",
            "\"$x\" y",
            "ls & rm x",
            "ls\nrm x",
            "(ls)",
            "! ls",
            "cat <<E\nE",
            "cat <(ls)",
            "ls |& tee f",
            "echo ${x:=y}",
            "ls; ",
            "ls #",
            "if ls; then ls; fi",
            // a good beginning and a bad end, and the other way round
            "ls && rm x",
            "ls; rm x",
            "ls | sh",
            "ls || rm x",
            "rm x; ls",
            "cat f | tee g",
            "cat f | uniq - g",
            "true && ls && find . -delete",
            "ls|sh",
            "ls;rm x",
            "ls&&rm x",
            // letters that only look like ours, and characters that can't be seen
            "l\u{455}",
            "\u{441}at f",
            "ls\u{200b}",
            "ls\u{a0}f",
            "cat 'a\u{202e}b'",
            "ls\u{2003}f",
            "cat \u{ff46}",
            "",
            " ",
            "''",
        ];
        let wrong: Vec<_> = all.into_iter().filter(|text| is_harmless(text)).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
