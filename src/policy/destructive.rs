//! Commands that throw work away, found in whatever a shell is given.
//!
//! Used where there is no sandbox, to ask before the loss. It reads generously (quotes, wrappers and nested shells are
//! looked through), and it is a first list: what it does not find may still destroy, and who wants a border
//! takes the sandbox.

/// Wrappers and nested shells are looked through this deep.
const MAX_DEPTH: u8 = 8;
/// Longer texts are not read.
const MAX_BYTES: usize = 256 * 1024;

/// What of this command destroys, in words that follow "it".
#[must_use]
pub fn find(text: &str) -> Option<String> {
    if text.len() > MAX_BYTES {
        return Some("is too long to be read".to_owned());
    }
    search(text, MAX_DEPTH).map(|(what, words)| {
        let shown: String = words.join(" ").chars().take(120).collect();
        format!("{what} (`{shown}`)")
    })
}

type Found = (&'static str, Vec<String>);

fn search(text: &str, depth: u8) -> Option<Found> {
    segments(text).into_iter().find_map(|words| judge(&words, depth))
}

/// Splits at everything that may begin a command, and takes quotes and backslashes off the words.
///
/// What stands in double quotes after `$(` or a backtick is a command too.
pub(super) fn segments(text: &str) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\'' | '"' if quote.is_none() => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            _ if quote == Some(c) => quote = None,
            // `$'…'`: a string with escapes. `$"…"` is one that is translated.
            '$' if quote.is_none() && rest.next_if_eq(&'\'').is_some() => {
                escaped(&mut rest, word.get_or_insert_default());
            }
            '$' if quote.is_none() && rest.peek() == Some(&'"') => {}
            '$' if quote != Some('\'') && rest.peek() == Some(&'(') => {
                rest.next();
                words.extend(word.take());
                all.push(std::mem::take(&mut words));
                quote = None;
            }
            '`' if quote != Some('\'') => {
                words.extend(word.take());
                all.push(std::mem::take(&mut words));
                quote = None;
            }
            '\\' if quote != Some('\'') => {
                // A line that goes on leaves nothing; any other character is itself.
                if let Some(next) = rest.next()
                    && next != '\n'
                {
                    word.get_or_insert_default().push(next);
                }
            }
            _ if quote.is_some() => word.get_or_insert_default().push(c),
            ' ' | '\t' => words.extend(word.take()),
            '\n' | '\r' | ';' | '|' | '&' | '(' | ')' => {
                words.extend(word.take());
                all.push(std::mem::take(&mut words));
            }
            '>' | '<' => {
                // A number right before it is a descriptor, and what may follow belongs to it.
                words.extend(word.take().filter(|word| !word.chars().all(|c| c.is_ascii_digit())));
                rest.next_if(|next| matches!(next, '&' | '|'));
                words.push(c.to_string());
            }
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    all.push(words);
    all.retain(|words| !words.is_empty());
    all
}

/// Reads a `$'…'` to its end, with the escapes that spell characters.
fn escaped(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, word: &mut String) {
    while let Some(c) = rest.next() {
        match c {
            '\'' => return,
            '\\' => {
                let (radix, most) = match rest.peek() {
                    Some('x') => (16, 2),
                    Some('u') => (16, 4),
                    Some('U') => (16, 8),
                    Some('0'..='7') => (8, 3),
                    _ => {
                        word.extend(rest.next());
                        continue;
                    }
                };
                if radix == 16 {
                    rest.next();
                }
                let mut number = 0;
                for _ in 0..most {
                    let Some(digit) = rest.peek().and_then(|c| c.to_digit(radix)) else { break };
                    number = number * radix + digit;
                    rest.next();
                }
                word.extend(char::from_u32(number));
            }
            c => word.push(c),
        }
    }
}

fn judge(words: &[String], depth: u8) -> Option<Found> {
    let found = |what| Some((what, words.to_vec()));
    let Some(depth) = depth.checked_sub(1) else { return found("is nested too deeply to be read") };
    // Into a device, past every file system.
    let into_device = words.windows(2).any(|pair| {
        pair[0] == ">"
            && pair[1].starts_with("/dev/")
            && !["/dev/null", "/dev/tty", "/dev/stdout", "/dev/stderr", "/dev/full"]
                .contains(&pair[1].as_str())
            && !pair[1].starts_with("/dev/fd/")
    });
    if into_device {
        return found("writes to a device");
    }
    let (program, args) = after_prelude(words).split_first()?;
    let name = program.rsplit('/').next().unwrap_or(program);
    let has = |wanted: &[&str]| args.iter().any(|arg| wanted.contains(&arg.as_str()));
    let sub = |at: usize| args.iter().filter(|arg| !arg.starts_with('-')).nth(at).map_or("", String::as_str);
    match name {
        "rm" if flag(args, 'r', "--recursive") || flag(args, 'R', "--recursive") => {
            found("deletes recursively")
        }
        "rm" if args.iter().any(|arg| arg.contains(['*', '?', '$', '[', '{'])) => {
            found("deletes what a pattern names")
        }
        "shred" | "wipefs" | "blkdiscard" | "fdisk" | "sfdisk" | "parted" | "mkswap" | "lvremove"
        | "vgremove" | "pvremove" => found("destroys data for good"),
        _ if name.starts_with("mkfs") => found("makes a new file system"),
        "dd" if args.iter().any(|arg| arg.starts_with("of=")) => found("writes over what is there"),
        "truncate" => found("cuts files"),
        "chmod" | "chown" | "chgrp" if flag(args, 'R', "--recursive") => {
            found("changes permissions recursively")
        }
        "rsync" if args.iter().any(|arg| arg.starts_with("--del") || arg == "--remove-source-files") => {
            found("deletes what the source does not have")
        }
        "crontab" if has(&["-r"]) => found("deletes the table of jobs"),
        "shutdown" | "reboot" | "halt" | "poweroff" => found("stops the machine"),
        "kill" if has(&["-1"]) && args.last().is_some_and(|arg| arg == "-1") => found("kills every process"),
        "terraform" | "tofu" if has(&["destroy"]) => found("destroys infrastructure"),
        "kubectl" if sub(0) == "delete" => found("deletes resources"),
        "docker" | "podman" if has(&["prune"]) || (sub(0) == "volume" && sub(1) == "rm") => {
            found("deletes data of containers")
        }
        "git" => git(args).map(|what| (what, words.to_vec())),
        "find" if has(&["-delete"]) => found("deletes what it finds"),
        "find" | "fd" => {
            let exec = args.iter().position(|arg| {
                matches!(
                    arg.as_str(),
                    "-exec" | "-execdir" | "-ok" | "-okdir" | "-x" | "-X" | "--exec" | "--exec-batch"
                )
            })?;
            fed(args.get(exec + 1..)?, depth).map(|what| (what, words.to_vec()))
        }
        "xargs" | "parallel" => {
            let command = after_options(
                args,
                "-I -n -P -L -d -a -E -s -j --max-args --max-procs --arg-file --delimiter --max-chars --replace \
                 --process-slot-var --jobs",
            );
            fed(command, depth).map(|what| (what, words.to_vec()))
        }
        "sudo" | "doas" | "pkexec" => {
            let valued = "-u -g -h -p -C -D -r -t -U -T -R --user --group --host --prompt --close-from --chdir --role \
                          --type --other-user --command-timeout --chroot";
            judge(after_options(args, valued), depth)
        }
        "env" => {
            // The rest of the line, as one word.
            let split = args.iter().enumerate().find_map(|(at, arg)| {
                let glued = arg.strip_prefix("--split-string=").or_else(|| arg.strip_prefix("-S"));
                match glued.filter(|text| !text.is_empty()) {
                    Some(text) => Some(text),
                    None if arg == "-S" || arg == "--split-string" => args.get(at + 1).map(String::as_str),
                    None => None,
                }
            });
            split
                .and_then(|text| search(text, depth))
                .or_else(|| judge(after_options(args, "-u -C -S --unset --chdir --split-string"), depth))
        }
        "time" => judge(after_options(args, "-o -f --output --format"), depth),
        "nice" => judge(after_options(args, "-n --adjustment"), depth),
        "ionice" => judge(after_options(args, "-c -n --class --classdata"), depth),
        "stdbuf" => judge(after_options(args, "-i -o -e --input --output --error"), depth),
        "exec" => judge(after_options(args, "-a"), depth),
        "strace" | "ltrace" => {
            judge(after_options(args, "-e -o -s -u -E -a -b -I -O -S -P -X --trace --output"), depth)
        }
        "systemd-run" => {
            judge(after_options(args, "-p -u -E -M -H --property --unit --setenv --uid --gid --slice"), depth)
        }
        "setpriv" | "setsid" | "nohup" | "command" | "builtin" | "unshare" | "busybox" | "toybox" => {
            judge(after_options(args, "--reuid --regid --groups"), depth)
        }
        "chroot" => judge(after_options(args, "--userspec --groups").get(1..)?, depth),
        "timeout" => judge(after_options(args, "-s -k --signal --kill-after").get(1..)?, depth),
        "flock" => {
            let command = after_options(args, "-w -E --timeout --wait --conflict-exit-code").get(1..)?;
            match command {
                [c, text, ..] if c == "-c" || c == "--command" => search(text, depth),
                _ => judge(command, depth),
            }
        }
        "sh" | "bash" | "zsh" | "dash" | "ksh" | "ash" | "fish" | "su" | "eval" | "watch" | "trap" => {
            args.iter().find_map(|arg| search(arg, depth)).or_else(|| search(&args.join(" "), depth))
        }
        "ssh" => {
            let command = after_options(args, "-p -i -l -o -J -F -L -R -D -b -c -E -m -S -W -w");
            search(&command.get(1..)?.join(" "), depth)
        }
        _ => None,
    }
}

/// A command that gets operands nobody has seen.
fn fed(words: &[String], depth: u8) -> Option<&'static str> {
    let name = words.first().map(|word| word.rsplit('/').next().unwrap_or(word))?;
    match name {
        "rm" | "unlink" | "rmdir" => Some("deletes what it finds"),
        _ => judge(words, depth).map(|(what, _)| what),
    }
}

fn git(args: &[String]) -> Option<&'static str> {
    let args = after_options(args, "-C -c --git-dir --work-tree --namespace --exec-path");
    let (command, args) = args.split_first()?;
    let has = |wanted: &[&str]| args.iter().any(|arg| wanted.contains(&arg.as_str()));
    let operands = || args.iter().map(String::as_str).filter(|arg| !arg.starts_with('-'));
    let first = operands().next().unwrap_or("");
    match command.as_str() {
        "reset" if has(&["--hard", "--merge", "--keep"]) => Some("throws away uncommitted changes"),
        "clean" if !flag(args, 'n', "--dry-run") => Some("deletes files that git does not know"),
        "restore" if !flag(args, 'S', "--staged") || flag(args, 'W', "--worktree") => {
            Some("throws away uncommitted changes")
        }
        "checkout" if checks_out_paths(args) => Some("throws away uncommitted changes"),
        "switch" if flag(args, 'f', "--force") || has(&["--discard-changes"]) => {
            Some("throws away uncommitted changes")
        }
        "checkout-index" | "read-tree" if flag(args, 'f', "--force") || has(&["--reset", "-u"]) => {
            Some("throws away uncommitted changes")
        }
        "rm" if flag(args, 'f', "--force") => Some("deletes files with changes"),
        "stash" if matches!(first, "drop" | "clear") => Some("throws away stashed changes"),
        "branch"
            if has(&["-D"])
                || (flag(args, 'd', "--delete") || flag(args, 'D', "--delete"))
                    && (flag(args, 'f', "--force") || flag(args, 'D', "--force")) =>
        {
            Some("deletes a branch with its commits")
        }
        "push"
            if flag(args, 'f', "--force")
                || flag(args, 'd', "--delete")
                || has(&["--mirror", "--prune"])
                || args.iter().any(|arg| {
                    arg.starts_with("--force-") || arg.starts_with('+') || arg.starts_with(':')
                }) =>
        {
            Some("overwrites or deletes what others may have")
        }
        "reflog" if matches!(first, "expire" | "delete") => Some("makes lost commits unrecoverable"),
        "gc" | "prune" if command == "prune" || args.iter().any(|arg| arg.starts_with("--prune")) => {
            Some("makes lost commits unrecoverable")
        }
        "filter-branch" | "filter-repo" => Some("rewrites history"),
        "update-ref" if has(&["-d"]) => Some("deletes a reference"),
        "worktree" if first == "remove" && flag(args, 'f', "--force") => {
            Some("deletes a working tree with changes")
        }
        "submodule" if first == "deinit" => Some("deletes the files of a submodule"),
        _ => None,
    }
}

/// Whether `git checkout` is about files. With one operand it may be a branch: then its form decides.
fn checks_out_paths(args: &[String]) -> bool {
    if flag(args, 'f', "--force") || args.iter().any(|arg| arg == "--" || arg.starts_with("--pathspec")) {
        return true;
    }
    let makes_branch = args
        .iter()
        .any(|arg| matches!(arg.as_str(), "-b" | "-B" | "--orphan" | "-t" | "--track" | "--detach"));
    let operands: Vec<&str> = args.iter().map(String::as_str).filter(|arg| !arg.starts_with('-')).collect();
    match operands.as_slice() {
        _ if makes_branch => false,
        [] => false,
        [one] => {
            let name = one.rsplit('/').next().unwrap_or(one);
            let extension = name.rsplit_once('.').is_some_and(|(_, end)| {
                (1..=5).contains(&end.len()) && end.chars().all(|c| c.is_ascii_lowercase())
            });
            one.starts_with(['.', ':', '*']) || one.ends_with('/') || one.contains('*') || extension
        }
        _ => true,
    }
}

/// Whether a flag is set, also in a cluster such as `-rf`.
fn flag(args: &[String], short: char, long: &str) -> bool {
    args.iter().take_while(|arg| *arg != "--").any(|arg| match arg.strip_prefix("--") {
        // GNU programs take every unambiguous beginning.
        Some(name) => {
            arg.as_str() == long
                || (name.len() >= 3 && long.get(2..).is_some_and(|long| long.starts_with(name)))
        }
        None => arg.strip_prefix('-').is_some_and(|cluster| cluster.contains(short)),
    })
}

/// What stands after the options, assignments and the values of options that take one.
fn after_options<'a>(args: &'a [String], valued: &str) -> &'a [String] {
    let mut at = 0;
    while let Some(arg) = args.get(at) {
        if valued.split(' ').any(|known| known == arg) {
            at += 2;
        } else if (arg.starts_with('-') && arg.len() > 1) || is_prelude(arg) {
            at += 1;
        } else {
            break;
        }
    }
    args.get(at..).unwrap_or_default()
}

/// The program and its words: without grammar, assignments and redirections before them.
pub(super) fn after_prelude(words: &[String]) -> &[String] {
    let mut at = 0;
    while let Some(word) = words.get(at) {
        match word.as_str() {
            // To or from the next word; `>>` and `<<` are two of them.
            ">" | "<" => {
                at += 1;
                if !words.get(at).is_some_and(|next| matches!(next.as_str(), ">" | "<")) {
                    at += 1;
                }
            }
            // With a name, or without one.
            "function" | "coproc" => {
                at += match words.get(at + 1..) {
                    Some([_, brace, ..]) if brace == "{" => 2,
                    _ => 1,
                };
            }
            word if is_prelude(word) => at += 1,
            _ => break,
        }
    }
    words.get(at..).unwrap_or_default()
}

/// Words that may stand before the program: grammar and assignments.
fn is_prelude(word: &str) -> bool {
    let assigns = || {
        word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '+')
        })
    };
    matches!(
        word,
        "if" | "then" | "else" | "elif" | "while" | "until" | "do" | "!" | "{" | "}" | "fi" | "done"
    ) || assigns()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::find;

    #[test]
    fn what_throws_work_away_is_found() {
        let all = [
            "rm -rf build",
            "rm -fr x",
            "rm -r x",
            "rm -R x",
            "rm --recursive x",
            "rm --recurs x",
            "rm -f -r x",
            "rm *",
            "rm -f $X",
            "rm {a,b}",
            "/bin/rm -rf x",
            "r\\m -rf x",
            "'rm' -rf x",
            "\"rm\" \"-rf\" x",
            "r''m -rf x",
            "sudo rm -rf /",
            "sudo -u me rm -rf x",
            "env A=1 rm -rf x",
            "A=1 rm -rf x",
            "nohup rm -rf x &",
            "timeout 5 rm -rf x",
            "nice -n 5 rm -rf x",
            "time rm -rf x",
            "time -p rm -rf x",
            "time -o f rm -rf x",
            "command -p rm -rf x",
            "2>/dev/null rm -rf x",
            "</dev/null rm -rf x",
            ">log 2>&1 rm -rf x",
            "2>&1 rm -rf x",
            "&>/dev/null rm -rf x",
            ">>log rm -rf x",
            ">|log rm -rf x",
            "env -S 'rm -rf x'",
            "env -S'rm -rf x'",
            "env --split-string='rm -rf x'",
            "env -i -u A rm -rf x",
            "sudo --user root rm -rf /",
            "sudo -u me -- rm -rf x",
            "timeout --signal KILL 5 rm -rf x",
            "timeout -k 1 5 rm -rf x",
            "nice --adjustment 5 rm -rf x",
            "ionice -c 3 rm -rf x",
            "stdbuf --output 0 rm -rf x",
            "chroot / rm -rf x",
            "systemd-run --user rm -rf x",
            "xargs --arg-file f rm",
            "$'rm' -rf x",
            "$'\\x72m' -rf x",
            "$'\\162m' -rf x",
            "$\"rm\" -rf x",
            "coproc rm -rf x",
            "coproc c { rm -rf x; }",
            "function f { rm -rf x; }; f",
            "function f() { rm -rf x; }; f",
            "f() { rm -rf x; }; f",
            "flock -n l -c 'rm -rf x'",
            "flock -n l rm -rf x",
            "flock --timeout 5 l rm -rf x",
            "git branch -df x",
            "git branch -d -f x",
            "git branch --delete --force x",
            "command rm -rf x",
            "exec rm -rf x",
            "busybox rm -rf x",
            "cd x && rm -rf y",
            "ls; rm -rf y",
            "ls | rm -rf y",
            "ls\nrm -rf y",
            "ls & rm -rf y",
            "(rm -rf y)",
            "{ rm -rf y; }",
            "if true; then rm -rf y; fi",
            "for x in a; do rm -rf $x; done",
            "! rm -rf x",
            "echo $(rm -rf y)",
            "echo \"$(rm -rf y)\"",
            "echo `rm -rf y`",
            "bash -c 'rm -rf x'",
            "sh -lc \"rm -rf x\"",
            "bash -c \"bash -c 'rm -rf x'\"",
            "eval 'rm -rf x'",
            "eval rm -rf x",
            "ssh host rm -rf x",
            "xargs rm",
            "ls | xargs -n 1 rm -f",
            "ls | xargs -I {} rm {}",
            "find . -delete",
            "find . -name x -exec rm {} +",
            "find . -execdir rm {} ';'",
            "find . -exec sh -c 'rm -r x' ';'",
            "fd x -X rm",
            "git reset --hard",
            "git reset --hard HEAD~3",
            "git -C x reset --hard",
            "git -c a=b reset --hard",
            "git clean -fd",
            "git clean -fdx",
            "git restore .",
            "git restore src/a.rs",
            "git restore --staged --worktree x",
            "git checkout -- x",
            "git checkout .",
            "git checkout -f",
            "git checkout HEAD src",
            "git checkout src/main.rs",
            "git checkout ./x",
            "git switch -f main",
            "git stash drop",
            "git stash clear",
            "git branch -D x",
            "git push --force",
            "git push -f origin x",
            "git push --force-with-lease",
            "git push origin +x",
            "git push origin :x",
            "git push --delete origin x",
            "git reflog expire --all",
            "git gc --prune=now",
            "git filter-branch x",
            "git rm -rf x",
            "git worktree remove --force x",
            "git update-ref -d x",
            "dd if=/dev/zero of=/dev/sda",
            "mkfs.ext4 /dev/sda1",
            "mkfs /dev/sda",
            "shred f",
            "truncate -s 0 f",
            "wipefs -a /dev/sda",
            "echo x > /dev/sda",
            "echo x >/dev/sda",
            "chmod -R 777 .",
            "chown -R me .",
            "rsync -a --delete a/ b/",
            "crontab -r",
            "shutdown now",
            "reboot",
            "kill -9 -1",
            "terraform destroy",
            "kubectl delete pod x",
            "docker system prune -f",
            "docker volume rm x",
            "rm \\\n -rf x",
        ];
        let missed: Vec<_> = all.into_iter().filter(|text| find(text).is_none()).collect();
        assert!(missed.is_empty(), "{missed:#?}");
    }

    #[test]
    fn ordinary_work_is_not_stopped() {
        for text in [
            "ls",
            "cargo test",
            "cargo build --release",
            "npm install",
            "rm f",
            "rm -f target/x.o",
            "rm -- -r",
            "rmdir x",
            "echo 'rm -rf /'",
            "grep -r 'rm -rf' .",
            "git status",
            "git diff",
            "git add -A",
            "git commit -m 'rm -rf x'",
            "git reset",
            "git reset --soft HEAD~1",
            "git restore --staged x",
            "git checkout main",
            "git checkout -b feature/x",
            "git checkout v1.2",
            "git checkout feature/y",
            "git switch main",
            "git clean -n",
            "git clean --dry-run",
            "git stash",
            "git stash pop",
            "git push",
            "git push origin main",
            "git branch -d x",
            "git branch -f x HEAD",
            "time -p ls",
            "2>/dev/null ls",
            "env -S 'ls -la'",
            "$'ls'",
            "command -v rm",
            "git rm x",
            "find . -name '*.rs'",
            "find . -exec grep x {} +",
            "xargs grep x",
            "dd if=f",
            "echo x > f",
            "echo x > /dev/null",
            "ls 2>/dev/null",
            "chmod +x f",
            "chown me f",
            "rsync -a a/ b/",
            "crontab -l",
            "kill 123",
            "kill -9 123",
            "docker run --rm x",
            "docker ps",
            "kubectl get pod",
            "terraform plan",
            "sudo ls",
            "bash -c 'ls -la'",
            "python3 rm.py -rf",
            "mkdir -p x && cd x",
            "true",
            "",
            "git log --oneline",
        ] {
            assert_eq!(find(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_reason_names_the_part_that_destroys() {
        assert_eq!(find("ls && rm -rf build").as_deref(), Some("deletes recursively (`rm -rf build`)"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

        #[test]
        fn no_text_makes_it_panic(text in "([a-z$`'\"\\\\(){};|&<>* -]|rm -rf|git |bash -c |é){0,30}") {
            let _ = find(&text);
        }

        #[test]
        fn a_recursive_delete_is_found_behind_any_plain_beginning(before in "[a-z ./-]{0,20}", sep in "&&|;|\\|\\||\\||\n|&") {
            let text = format!("{before} {sep} rm -rf x");
            prop_assert!(find(&text).is_some());
        }
    }

    #[test]
    fn a_huge_command_is_read_in_no_time() {
        let nested = "bash -c 'eval \"sh -c ".repeat(50_000);
        let _ = find(&nested);
        let _ = find(&"$(".repeat(200_000));
        let _ = find(&"xargs ".repeat(100_000));
    }
}
