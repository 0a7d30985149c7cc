//! Programs that run another command: what that would touch.

use super::{
    expand::Arg,
    options::{Options, behind},
    run::{Output, Run},
    state::{State, Value},
};

/// Arguments that `xargs` is followed with.
const MOST_FED: usize = 10_000;

impl Run<'_> {
    /// What a wrapper runs; nothing when the program is none.
    pub(super) fn wrapped(
        &mut self,
        name: &str,
        args: &[Arg],
        state: &mut State,
        stdin: Output,
    ) -> Option<Output> {
        Some(match name {
            "env" => self.env(args, state, stdin),
            "sudo" | "doas" | "pkexec" => {
                let valued = "-u -g -h -p -C -D -r -t -U -T -R --user --group --host --prompt --close-from --chdir --role \
                              --type --other-user --command-timeout --chroot";
                let own = args.get(..args.len() - behind(args, valued).len()).unwrap_or_default();
                let mut inner = state.clone();
                // Somebody else's environment.
                inner.environment = false;
                inner.variables.clear();
                let options = Options::of(own, "u g h p C D r t U T R chdir chroot");
                if options.has("R", "chroot")
                    || options.has("i", "login")
                    || options.has("s", "shell")
                    || options.has("e", "edit")
                {
                    self.unknown(format!("what `{name}` with these options runs"));
                    return Some(None);
                }
                if let Some(folder) = options.value("D", "chdir") {
                    inner.cwd = folder
                        .text()
                        .map_or_else(|| Err(folder.shown().to_owned()), |text| self.place(text, state));
                }
                let mut command = behind(args, valued);
                while let Some(Arg::Text(text)) = command.first()
                    && text.split_once('=').is_some_and(|(name, _)| !name.contains('/'))
                {
                    command = &command[1..];
                }
                self.besides(format!("Would run with other rights: {name}"));
                self.run_words(command, &mut inner, stdin)
            }
            "command" | "builtin" => {
                if args.first().and_then(Arg::text).is_some_and(|text| matches!(text, "-v" | "-V")) {
                    return Some(None);
                }
                self.plain(behind(args, ""), state, stdin)
            }
            "exec" => self.plain(behind(args, "-a"), state, stdin),
            "noglob" | "nocorrect" => self.plain(args, state, stdin),
            "nohup" | "setsid" | "busybox" | "toybox" | "catchsegv" | "chronic" | "ts" => {
                self.apart(behind(args, ""), state, stdin)
            }
            "time" => self.apart(behind(args, "-o -f --output --format"), state, stdin),
            "nice" => self.apart(behind(args, "-n --adjustment"), state, stdin),
            "ionice" => self.apart(behind(args, "-c -n -p --class --classdata"), state, stdin),
            "chrt" | "taskset" => self.apart(behind(args, "").get(1..)?, state, stdin),
            "stdbuf" => self.apart(behind(args, "-i -o -e --input --output --error"), state, stdin),
            "timeout" => self.apart(behind(args, "-s -k --signal --kill-after").get(1..)?, state, stdin),
            "strace" | "ltrace" => {
                let valued = "-e -o -s -u -E -a -b -I -O -S -P -X --trace --output";
                let own = args.get(..args.len() - behind(args, valued).len()).unwrap_or_default();
                if let Some(to) =
                    Options::of(own, "e o s u E a b I O S P X trace output").value("o", "output")
                {
                    self.write(crate::protocol::Verb::Overwrite, to, state);
                }
                self.apart(behind(args, valued), state, stdin)
            }
            "flock" => {
                let command = behind(args, "-w -E --timeout --wait --conflict-exit-code").get(1..)?;
                match command {
                    [Arg::Text(c), text, ..] if c == "-c" || c == "--command" => {
                        self.shell("sh", &[Arg::Text("-c".to_owned()), text.clone()], state, &stdin)
                    }
                    command => self.apart(command, state, stdin),
                }
            }
            "watch" => {
                let command = behind(args, "-n --interval");
                let texts: Option<Vec<&str>> = command.iter().map(Arg::text).collect();
                match texts {
                    Some(texts) => {
                        let script = Arg::Text(texts.join(" "));
                        self.shell("sh", &[Arg::Text("-c".to_owned()), script], state, &stdin)
                    }
                    None => return None,
                }
            }
            "script" => {
                let options = Options::of(args, "c command");
                let command = options.value("c", "command").cloned()?;
                self.each(crate::protocol::Verb::Overwrite, &options.operands, state);
                self.shell("sh", &[Arg::Text("-c".to_owned()), command], state, &stdin)
            }
            "sh" | "bash" | "zsh" | "dash" | "ksh" | "ash" | "mksh" | "rbash" => {
                self.shell(name, args, state, &stdin)
            }
            "xargs" => self.xargs(args, state, &stdin),
            _ => return None,
        })
    }

    /// In the same shell, without its functions.
    fn plain(&mut self, words: &[Arg], state: &mut State, stdin: Output) -> Output {
        let functions = std::mem::take(&mut state.functions);
        let output = self.run_words(words, state, stdin);
        if state.functions.is_empty() {
            state.functions = functions;
        }
        output
    }

    /// As a program of its own: builtins are none there, and what it changes of the shell is lost.
    pub(super) fn apart(&mut self, words: &[Arg], state: &State, stdin: Output) -> Output {
        let mut inner = state.clone();
        self.run_words(words, &mut inner, stdin)
    }

    fn run_words(&mut self, words: &[Arg], state: &mut State, stdin: Output) -> Output {
        let Some((first, rest)) = words.split_first() else { return super::run::silent() };
        state.functions.clear();
        match first.text() {
            Some(name) => self.named(name, rest, state, stdin),
            None => {
                self.unknown(format!("{}, which names what is run", first.shown()));
                self.calls.push(vec![None]);
                None
            }
        }
    }

    fn env(&mut self, args: &[Arg], state: &State, stdin: Output) -> Output {
        let mut inner = state.clone();
        let mut args = args.to_vec();
        let mut at = 0;
        loop {
            let Some(arg) = args.get(at) else {
                // It prints the environment.
                return None;
            };
            let Some(text) = arg.text() else {
                self.unknown(format!("what `env` runs: {}", arg.shown()));
                return None;
            };
            let text = text.to_owned();
            at += 1;
            match text.as_str() {
                "-i" | "-" | "--ignore-environment" => {
                    inner.environment = false;
                    inner.variables.clear();
                }
                "-0" | "--null" | "-v" | "--debug" => {}
                "-u" | "--unset" => {
                    if let Some(name) = args.get(at).and_then(Arg::text) {
                        inner.export(name, Value::Unset);
                    }
                    at += 1;
                }
                "-C" | "--chdir" => {
                    let folder = args.get(at).cloned();
                    inner.cwd = folder
                        .as_ref()
                        .and_then(Arg::text)
                        .ok_or("`env -C` goes somewhere else".to_owned())
                        .and_then(|text| self.place(text, state));
                    at += 1;
                }
                _ if text.starts_with("-S") || text.starts_with("--split-string") => {
                    // It has a grammar of its own: only plain words are read.
                    let glued = text.strip_prefix("-S").or_else(|| text.strip_prefix("--split-string="));
                    let line = match glued.filter(|text| !text.is_empty() && !text.starts_with("--split")) {
                        Some(line) => Some(line.to_owned()),
                        None => {
                            at += 1;
                            args.get(at - 1).and_then(Arg::text).map(str::to_owned)
                        }
                    };
                    match line {
                        Some(line) if !line.contains(['\\', '$', '\'', '"', '#']) => {
                            let words = line.split_whitespace().map(|word| Arg::Text(word.to_owned()));
                            args.splice(at..at, words);
                        }
                        _ => {
                            self.unknown("what `env -S` runs");
                            return None;
                        }
                    }
                }
                "--" => {}
                _ if text.starts_with('-') => {
                    self.unknown(format!("what `env {text}` changes"));
                    return None;
                }
                _ => match text.split_once('=') {
                    Some((name, value)) => inner.export(name, Value::Set(value.to_owned())),
                    None => return self.run_words(args.get(at - 1..).unwrap_or_default(), &mut inner, stdin),
                },
            }
        }
    }

    fn xargs(&mut self, args: &[Arg], state: &State, stdin: &Output) -> Output {
        const VALUED: &str = "-I -n -P -L -d -a -E -s -J -R --max-args --max-procs --arg-file --delimiter --max-chars \
                              --max-lines --process-slot-var";
        let command = behind(args, VALUED);
        let own = args.get(..args.len() - command.len()).unwrap_or_default();
        let options =
            Options::of(own, "I n P L d a E s J R max-args max-procs arg-file delimiter max-chars max-lines");
        let words = match command {
            [] => return None,
            words => words.to_vec(),
        };
        let fed = match stdin {
            Some(text) if !options.has("a", "arg-file") => {
                fed(text, &options).filter(|fed| fed.len() <= MOST_FED)
            }
            _ => None,
        };
        let shown: Vec<&str> = words.iter().map(Arg::shown).collect();
        let all: Vec<Arg> = match fed {
            Some(fed) => fed.into_iter().map(Arg::Text).collect(),
            None => vec![Arg::Unknown(format!("what `xargs {}` is fed", shown.join(" ")))],
        };
        let replaced = options.value("I", "replace").or_else(|| options.value("J", "J")).cloned();
        let replaced = match replaced {
            Some(Arg::Text(mark)) => Some(mark),
            Some(Arg::Unknown(_)) => return None,
            None if options.has("i", "replace") => Some("{}".to_owned()),
            None => None,
        };
        match replaced {
            None => {
                if all.is_empty() && options.has("r", "no-run-if-empty") {
                    return super::run::silent();
                }
                self.apart(&[words, all].concat(), state, None)
            }
            Some(mark) => {
                let mut output = None;
                for arg in &all {
                    let line: Vec<Arg> = words.iter().map(|word| put(word, &mark, arg)).collect();
                    output = self.apart(&line, state, None);
                }
                output
            }
        }
    }
}

/// A word with what stands for an argument replaced by it.
pub(super) fn put(word: &Arg, mark: &str, arg: &Arg) -> Arg {
    match (word, arg) {
        (Arg::Text(word), Arg::Text(arg)) => Arg::Text(word.replace(mark, arg)),
        (Arg::Text(text), Arg::Unknown(_)) if text.contains(mark) => arg.clone(),
        (word, _) => word.clone(),
    }
}

/// The arguments in what `xargs` is fed; nothing when its quotes make that unsure.
fn fed(text: &str, options: &Options) -> Option<Vec<String>> {
    let all: Vec<String> = if options.has("0", "null") {
        text.split('\0').map(str::to_owned).collect()
    } else if let Some(delimiter) = options.value("d", "delimiter") {
        match delimiter.text()? {
            "\\n" | "\n" => text.split('\n').map(str::to_owned).collect(),
            "\\0" => text.split('\0').map(str::to_owned).collect(),
            one if one.chars().count() == 1 => text.split(one).map(str::to_owned).collect(),
            _ => return None,
        }
    } else if text.contains(['\'', '"', '\\', '\0']) {
        return None;
    } else if options.has("I", "replace") || options.has("i", "") || options.has("L", "max-lines") {
        text.lines().map(|line| line.trim_start().to_owned()).collect()
    } else {
        text.split_whitespace().map(str::to_owned).collect()
    };
    Some(all.into_iter().filter(|arg| !arg.is_empty()).collect())
}
