//! What each program would touch: where a name leads, builtins, and programs that only look.

use std::path::Path;

use crate::protocol::Verb;

use super::{
    Dialect, Entry,
    expand::Arg,
    options::Options,
    run::{Output, Run, silent},
    state::{State, Value},
};

/// Directories whose programs are those that their names say.
const SYSTEM: &[&str] = &[
    "/bin",
    "/usr/bin",
    "/usr/local/bin",
    "/sbin",
    "/usr/sbin",
    "/opt/homebrew/bin",
    "/run/current-system/sw/bin",
];

/// Programs that change no file, whatever their options. What they print is not followed.
const LOOKS: &[&str] = &[
    "[",
    "basename",
    "cal",
    "cat",
    "cksum",
    "cmp",
    "column",
    "comm",
    "cut",
    "date",
    "df",
    "diff",
    "dirname",
    "du",
    "egrep",
    "expand",
    "expr",
    "false",
    "fgrep",
    "file",
    "fold",
    "free",
    "getconf",
    "grep",
    "groups",
    "head",
    "hexdump",
    "hostname",
    "id",
    "jq",
    "join",
    "ls",
    "lsblk",
    "lsof",
    "md5sum",
    "nl",
    "nproc",
    "numfmt",
    "od",
    "paste",
    "pgrep",
    "pr",
    "ps",
    "readlink",
    "realpath",
    "rev",
    "seq",
    "sha1sum",
    "sha256sum",
    "sha512sum",
    "shasum",
    "sleep",
    "stat",
    "strings",
    "sum",
    "tac",
    "tail",
    "test",
    "tr",
    "tree",
    "true",
    "tsort",
    "tty",
    "type",
    "umask",
    "uname",
    "uptime",
    "wc",
    "wait",
    "which",
    "who",
    "whoami",
    "xxd",
    "yes",
    "hash",
    "jobs",
    "times",
    "ulimit",
    "fg",
    "bg",
    "disown",
    "man",
    "nm",
    "objdump",
    "ldd",
];

/// Variables that decide what a name of a program means, or what it does on its own.
const DECIDING: &[&str] = &[
    "PATH",
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "BASH_ENV",
    "ENV",
    "ZDOTDIR",
    "DYLD_INSERT_LIBRARIES",
    "CDPATH",
];

impl Run<'_> {
    /// Runs a builtin or a program by its name.
    pub(super) fn named(&mut self, name: &str, args: &[Arg], state: &mut State, stdin: Output) -> Output {
        let words = args.iter().map(|arg| arg.text().map(str::to_owned));
        self.calls.push(std::iter::once(Some(name.to_owned())).chain(words).collect());
        if let Some(done) = self.builtin(name, args, state, &stdin) {
            return done;
        }
        let program = self.program_name(name, state)?;
        let deciding = |variable: &&String| {
            DECIDING.contains(&variable.as_str()) || variable.starts_with("GIT_") && program == "git"
        };
        if let Some(variable) = state.variables.keys().find(deciding) {
            self.unknown(format!("what `{program}` is and does, because the command itself sets {variable}"));
        }
        let outside_of_words = args.iter().find(|arg| arg.text().is_none());
        match program.as_str() {
            "rm" | "unlink" => self.rm(args, state),
            "rmdir" => self.rmdir(args, state),
            "mv" => self.mv(args, state),
            "cp" | "install" => self.cp(&program, args, state),
            "ln" => self.ln(args, state),
            "mkdir" | "touch" | "mkfifo" => self.makes(&program, args, state),
            "dd" => self.dd(args, state),
            "truncate" => {
                self.each(Verb::Overwrite, &Options::of(args, "s r size reference").operands, state);
            }
            "shred" => self.shred(args, state),
            "tee" => {
                let options = Options::of(args, "");
                let verb = if options.has("a", "append") { Verb::Change } else { Verb::Overwrite };
                options.operands.iter().for_each(|arg| self.write(verb, arg, state));
                return stdin;
            }
            "chmod" | "chown" | "chgrp" => self.permissions(args, state),
            "sed" => self.sed(args, state),
            "perl" | "ruby" => self.in_place(&program, args, state),
            "sort" => {
                if let Some(to) =
                    Options::of(args, "o output k key t field-separator S T").value("o", "output").cloned()
                {
                    self.write(Verb::Overwrite, &to, state);
                }
                if Options::of(args, "").has("compress-program", "compress-program") {
                    self.unknown("what `sort --compress-program` runs");
                }
            }
            "uniq" => {
                if let Some(to) = Options::of(args, "f s w").operands.get(1) {
                    self.write(Verb::Overwrite, to, state);
                }
            }
            "find" => return self.find(args, state),
            "git" => return self.git(args, state),
            "rsync" => self.rsync(args, state),
            "tar" => self.tar(args, state),
            "kill" | "pkill" | "killall" | "skill" => self.kills(&program, args),
            "rg" => {
                if args.iter().any(|arg| {
                    arg.text().is_none_or(|text| {
                        text.starts_with("--pre")
                            || text.starts_with("--hostname-bin")
                            || text.starts_with("--search-z")
                            || text.starts_with('-') && !text.starts_with("--") && text.contains('z')
                    })
                }) {
                    self.unknown("what `rg` runs for each file");
                }
            }
            "printenv" => {}
            _ if LOOKS.contains(&program.as_str()) => {
                if program == "date" && Options::of(args, "d date r f").has("s", "set") {
                    self.besides("Would set the clock".to_owned());
                }
                if outside_of_words.is_some_and(|_| matches!(program.as_str(), "tree" | "xxd"))
                    || program == "tree" && Options::of(args, "L P I o").has("o", "")
                {
                    self.unknown(format!("what `{program}` writes"));
                }
                return self.looked(&program, args, state, stdin);
            }
            _ => {
                if let Some(done) = self.wrapped(&program, args, state, stdin) {
                    return done;
                }
                let words: Vec<&str> = args.iter().map(Arg::shown).collect();
                self.unknown(format!("what `{}` does", format!("{name} {}", words.join(" ")).trim_end()));
                return None;
            }
        }
        silent()
    }

    /// The program that a name stands for, when it is one of the system.
    fn program_name(&mut self, name: &str, state: &State) -> Option<String> {
        let (_, base) = name.rsplit_once('/').unwrap_or(("", name));
        if !name.contains('/') {
            return Some(base.to_owned());
        }
        let here = self.place(name, state).and_then(|place| super::measure::real(self.world, &place, false));
        let system = here.as_ref().is_ok_and(|path| {
            let folder = path.parent().unwrap_or(Path::new("/"));
            SYSTEM.iter().any(|known| {
                folder == Path::new(known)
                    || super::measure::real(self.world, Path::new(known), true).as_deref() == Ok(folder)
            })
        });
        if !system {
            self.unknown(format!("what `{name}` does, a program of its own"));
            return None;
        }
        Some(base.to_owned())
    }

    /// What some programs print.
    fn looked(&mut self, program: &str, args: &[Arg], state: &mut State, stdin: Output) -> Output {
        let texts: Option<Vec<&str>> = args.iter().map(Arg::text).collect();
        match program {
            "cat" if args.is_empty() => stdin,
            "ls" => {
                let [] = args else { return None };
                let folder = self.real(state.cwd.as_ref().ok()?).ok()?;
                let names = self.world.list(&folder).ok()?;
                let mut names: Vec<String> =
                    names.into_iter().map(|name| name.into_string().ok()).collect::<Option<_>>()?;
                names.retain(|name| !name.starts_with('.'));
                names.sort();
                Some(names.iter().map(|name| format!("{name}\n")).collect())
            }
            "dirname" | "basename" => {
                let [path] = texts?[..] else { return None };
                let path = Path::new(path);
                let part = if program == "dirname" {
                    path.parent()?.to_str()?
                } else {
                    path.file_name()?.to_str()?
                };
                Some(format!("{}\n", if part.is_empty() { "." } else { part }))
            }
            "realpath" | "readlink" => {
                let all = texts?;
                let path = match all[..] {
                    [path] if program == "realpath" => path,
                    ["-f", path] => path,
                    _ => return None,
                };
                let place = self.place(path, state).ok()?;
                Some(format!("{}\n", self.real(&place).ok()?.to_str()?))
            }
            "true" | "false" | "[" | "test" | "sleep" | "wait" | "umask" | "hash" => silent(),
            _ => None,
        }
    }

    /// What the shell does itself.
    fn builtin(&mut self, name: &str, args: &[Arg], state: &mut State, stdin: &Output) -> Option<Output> {
        match name {
            "cd" | "chdir" | "pushd" => self.cd(args, state),
            "popd" => state.cwd = Err("`popd` goes somewhere else".to_owned()),
            "pwd" => {
                return Some(state.cwd.as_ref().ok().and_then(|cwd| Some(format!("{}\n", cwd.to_str()?))));
            }
            "echo" => {
                let texts: Option<Vec<&str>> = args.iter().map(Arg::text).collect();
                let Some(texts) = texts else { return Some(None) };
                // Options, and what some shells read as escapes.
                if texts.iter().any(|text| text.contains('\\'))
                    || texts.first().is_some_and(|text| text.starts_with("-e"))
                {
                    return Some(None);
                }
                let (end, texts) = match texts.split_first() {
                    Some((&"-n", rest)) => ("", rest),
                    _ => ("\n", &texts[..]),
                };
                return Some(Some(texts.join(" ") + end));
            }
            "printf" => {
                if args.first().is_some_and(|arg| arg.text().is_none_or(|text| text.starts_with("-v"))) {
                    match args.get(1).and_then(Arg::text).filter(|name| !name.contains('[')) {
                        Some(name) => state.set(name, Value::Unknown),
                        None => self.unknown("which variable `printf` sets"),
                    }
                    return Some(silent());
                }
                let texts: Option<Vec<&str>> = args.iter().map(Arg::text).collect();
                let output = texts.and_then(|texts| match texts.split_first() {
                    Some((format, [])) if !format.contains(['%', '\\']) => Some((*format).to_owned()),
                    Some((&"%s\\n", rest)) => Some(rest.iter().map(|text| format!("{text}\n")).collect()),
                    Some((&"%s\\0", rest)) => Some(rest.iter().map(|text| format!("{text}\0")).collect()),
                    Some((&"%s", rest)) => Some(rest.concat()),
                    _ => None,
                });
                return Some(output);
            }
            ":" | "exit" | "return" | "break" | "continue" => {}
            "set" => self.set_options(args, state),
            "shopt" | "setopt" | "unsetopt" | "emulate" => state.patterns = false,
            "export" | "declare" | "typeset" | "local" | "readonly" => {
                for arg in args {
                    match arg.text().map(|text| text.split_once('=').ok_or(text)) {
                        Some(Ok((name, value))) if !name.ends_with('+') && !name.contains('[') => {
                            state.export(name, Value::Set(value.to_owned()));
                        }
                        Some(Err(option)) if option.starts_with(['-', '+']) => {
                            // Numbers, references and upper case change what is assigned later.
                            if option.contains(['i', 'n', 'u', 'l', 'a', 'A']) {
                                state.environment = false;
                                state.variables.clear();
                            }
                        }
                        Some(Err(name)) => {
                            let known = self.value(name, state);
                            let value =
                                known.map_or(Value::Unknown, |text| text.map_or(Value::Unset, Value::Set));
                            state.export(name, value);
                        }
                        _ => {
                            self.unknown(format!("which variable {} sets", arg.shown()));
                            state.environment = false;
                            state.variables.clear();
                        }
                    }
                }
            }
            "unset" => {
                for arg in args {
                    match arg.text() {
                        Some(name) if !name.contains('[') => state.set(name, Value::Unset),
                        _ => self.unknown(format!("which variable `unset {}` removes", arg.shown())),
                    }
                }
            }
            "read" | "mapfile" | "readarray" | "getopts" | "let" => {
                for arg in args {
                    match arg.text() {
                        Some(text) if text.contains(['[', '`', '$']) => {
                            self.unknown(format!("what `{name} {text}` runs"));
                        }
                        Some(text) => {
                            let name = text.split('=').next().unwrap_or(text);
                            state.set(name, Value::Unknown);
                        }
                        None => state.environment = false,
                    }
                }
                state.set("REPLY", Value::Unknown);
                state.set("MAPFILE", Value::Unknown);
            }
            "shift" => state.parameters = None,
            "alias" => {
                for arg in args {
                    match arg.text().and_then(|text| text.split_once('=')) {
                        Some((name, _)) => drop(state.functions.insert(name.to_owned(), None)),
                        None => self.unknown(format!("what `alias {}` changes", arg.shown())),
                    }
                }
            }
            "unalias" | "bind" | "complete" | "compgen" | "enable" | "zmodload" | "autoload" | "hash"
                if !args.is_empty() =>
            {
                self.unknown(format!("what `{name}` changes"));
                state.lose("what ran before is not known");
            }
            "eval" => {
                let texts: Option<Vec<&str>> = args.iter().map(Arg::text).collect();
                return Some(match texts {
                    Some(texts) => self.script(&texts.join(" "), state, stdin),
                    None => {
                        let why = args.iter().find(|arg| arg.text().is_none()).map_or("", Arg::shown);
                        self.unknown(format!("what `eval` runs: {why}"));
                        state.lose("what `eval` ran is not known");
                        None
                    }
                });
            }
            "." | "source" => {
                self.unknown(format!(
                    "what `{}` runs in this shell",
                    args.first().map_or("source", Arg::shown)
                ));
                state.lose("what `source` ran is not known");
                return Some(None);
            }
            "trap" => {
                let text = args.first().filter(|arg| arg.text() != Some("-"));
                match text.map(Arg::text) {
                    Some(Some(text)) if !text.is_empty() => {
                        let mut inner = state.clone();
                        self.script(text, &mut inner, &None);
                    }
                    Some(None) => self.unknown("what `trap` runs"),
                    _ => {}
                }
            }
            _ => return None,
        }
        Some(silent())
    }

    fn cd(&mut self, args: &[Arg], state: &mut State) {
        let args: Vec<&Arg> = args
            .iter()
            .filter(|arg| {
                !arg.text().is_some_and(|text| matches!(text, "-P" | "-L" | "-e" | "-@" | "--" | "-q"))
            })
            .collect();
        let home = match args[..] {
            [] => self.value("HOME", state).and_then(|home| home.ok_or("HOME is not set".to_owned())),
            [to] => match to {
                // A search in other directories first.
                Arg::Text(text)
                    if self.value("CDPATH", state) != Ok(None) && !text.starts_with(['/', '.']) =>
                {
                    Err("`cd` searches CDPATH".to_owned())
                }
                Arg::Text(text) if text.starts_with(['-', '+']) => {
                    Err(format!("`cd {text}` goes somewhere else"))
                }
                // Some shells stay then, others go home.
                Arg::Text(text) if text.is_empty() => Err("`cd` is told to go to nowhere".to_owned()),
                Arg::Text(text) => Ok(text.clone()),
                Arg::Unknown(why) => Err(format!("`cd` goes to {why}")),
            },
            _ => Err("`cd` goes somewhere else".to_owned()),
        };
        let gone = home.and_then(|to| {
            // By its name, as a shell does it: `..` of a link is where the link lies.
            let place = lexical(&self.place(&to, state)?);
            if let Some(made) = state.made_at(&place) {
                return Err(format!("`{}` is made by the command itself", made.display()));
            }
            let real = self.real(&place)?;
            match self.world.entry(&real) {
                Entry::Directory => Ok(place),
                _ => Err(format!("`cd {to}` leads to no directory that is there now")),
            }
        });
        state.cwd = gone;
    }

    fn set_options(&mut self, args: &[Arg], state: &mut State) {
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            match arg.text() {
                Some("--") => {
                    state.parameters = Some(rest.cloned().collect());
                    return;
                }
                Some("-o" | "+o") => {
                    let name = rest.next().and_then(Arg::text).unwrap_or_default();
                    if !matches!(name, "errexit" | "nounset" | "pipefail" | "xtrace" | "verbose") {
                        state.patterns = false;
                    }
                }
                Some(text) if text.starts_with(['-', '+']) => {
                    if text.get(1..).is_none_or(|letters| letters.contains(|c| !"eux".contains(c))) {
                        // `-euo pipefail`
                        match text.ends_with('o')
                            && text.trim_start_matches(['-', '+']).chars().all(|c| "euxo".contains(c))
                        {
                            true => drop(rest.next()),
                            false => state.patterns = false,
                        }
                    }
                }
                Some(_) => {
                    state.parameters = None;
                    return;
                }
                None => {
                    state.patterns = false;
                    state.parameters = None;
                }
            }
        }
    }

    fn kills(&mut self, program: &str, args: &[Arg]) {
        let words: Vec<&str> = args.iter().map(Arg::shown).collect();
        let text = words.join(" ");
        if words.iter().any(|word| matches!(*word, "-0" | "-l" | "-L" | "--list")) {
            return;
        }
        match program {
            "kill" if words.last() == Some(&"-1") && words.len() > 1 => {
                self.besides("Would end every process".to_owned());
            }
            "kill" => self.besides(format!("Would end or signal processes: {text}")),
            _ => self.besides(format!("Would end or signal all processes that match: {program} {text}")),
        }
    }

    /// Does the same to each operand.
    pub(super) fn each(&mut self, verb: Verb, operands: &[Arg], state: &State) {
        for arg in operands {
            self.write(verb, arg, state);
        }
    }

    /// A shell that reads a script: from its arguments, or from what it is fed.
    pub(super) fn shell(&mut self, name: &str, args: &[Arg], state: &State, stdin: &Output) -> Output {
        let dialect = match name {
            "bash" => Dialect::Bash,
            "zsh" => Dialect::Zsh,
            _ => Dialect::Posix,
        };
        let mut rest = args.iter();
        let mut command = false;
        let mut words = Vec::new();
        for arg in rest.by_ref() {
            let Some(text) = arg.text() else {
                self.unknown(format!("what `{name}` runs: {}", arg.shown()));
                return None;
            };
            let letters = text.strip_prefix(['-', '+']).filter(|letters| !letters.is_empty());
            match letters {
                Some(_) if matches!(text, "--norc" | "--noprofile" | "--posix" | "--login") => {}
                Some(letters) if letters.chars().all(|c| "ceuxlis".contains(c)) => {
                    command |= letters.contains('c');
                }
                Some(_) => {
                    self.unknown(format!("what `{name} {text}` changes"));
                    return None;
                }
                None => {
                    words.push(arg.clone());
                    break;
                }
            }
        }
        let script = match (command, words.first().and_then(Arg::text)) {
            (true, Some(text)) => Some(text.to_owned()),
            (false, None) => stdin.clone(),
            _ => None,
        };
        let Some(script) = script else {
            let what = words.first().map_or("what it is fed", Arg::shown);
            self.unknown(format!("what `{name}` runs: {what}"));
            return None;
        };
        let given: Vec<Arg> = rest.cloned().collect();
        // The first is the name of the shell.
        let parameters = given.get(1..).unwrap_or_default().to_vec();
        let mut child = state.child(dialect, parameters);
        self.script(&script, &mut child, stdin)
    }
}

/// Without `.` and `..`, by the names alone.
pub(super) fn lexical(path: &Path) -> std::path::PathBuf {
    super::super::plain_path(path)
}
