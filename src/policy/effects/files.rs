//! Programs that remove, move and overwrite files.

use std::path::{Path, PathBuf};

use crate::protocol::{Bound, Verb};

use super::{Entry, expand::Arg, options::Options, run::Run, state::State};

impl Run<'_> {
    pub(super) fn rm(&mut self, args: &[Arg], state: &State) {
        let options = Options::of(args, "");
        if options.has("-", "help") || options.has("-", "version") {
            return;
        }
        let deep = options.has("r", "recursive") || options.has("R", "recursive") || options.unsure;
        for arg in &options.operands {
            // It never removes these.
            if arg
                .text()
                .is_some_and(|text| matches!(text.trim_end_matches('/').rsplit('/').next(), Some("." | "..")))
            {
                continue;
            }
            let Some(path) = self.target(arg, state, false) else { continue };
            match self.world.entry(&path) {
                Entry::Directory if !deep => {}
                Entry::Unreadable(why) => self.unknown(format!("`{}`: {why}", path.display())),
                _ => self.hit(Verb::Remove, path, deep),
            }
        }
    }

    pub(super) fn rmdir(&mut self, args: &[Arg], state: &State) {
        for arg in &Options::of(args, "").operands {
            // Only empty ones go: no file is lost.
            self.target(arg, state, false);
        }
    }

    /// The sources and the place that they go to, as `mv`, `cp` and `ln` are told.
    fn sources(options: &Options) -> Option<(Vec<Arg>, Arg, bool)> {
        if let Some(folder) = options.value("t", "target-directory") {
            return Some((options.operands.clone(), folder.clone(), true));
        }
        let (to, from) = options.operands.split_last()?;
        Some((from.to_vec(), to.clone(), false))
    }

    /// Where a source comes to lie.
    fn lands(
        &mut self,
        from: &Arg,
        to: &Arg,
        single: bool,
        options: &Options,
        state: &State,
    ) -> Option<PathBuf> {
        let to = self.target(to, state, true)?;
        let into = !options.has("T", "no-target-directory")
            && (!single || matches!(self.world.entry(&to), Entry::Directory));
        if !into {
            return Some(to);
        }
        match from {
            // What is in it, and not itself.
            Arg::Text(text) if text == "." || text.ends_with("/.") => Some(to),
            Arg::Text(text) => {
                let place = self.place(text, state).ok()?;
                Some(to.join(super::programs::lexical(&place).file_name()?))
            }
            Arg::Unknown(why) => {
                self.unknown(format!("{why}, which goes into {}", to.display()));
                None
            }
        }
    }

    pub(super) fn mv(&mut self, args: &[Arg], state: &mut State) {
        let options = Options::of(args, "t S suffix target-directory");
        let Some((from, to, folder)) = Self::sources(&options) else { return };
        let single = from.len() == 1 && !folder;
        let keeps = options.has("n", "no-clobber") || options.has("b", "backup");
        for source in &from {
            let moved = self.target(source, state, false);
            let lands = self.lands(source, &to, single, &options, state);
            if let Some(path) = &moved {
                self.hit(Verb::Move, path.clone(), true);
            }
            if let Some(path) = lands {
                let here = super::measure::real(self.world, &path, false).unwrap_or(path);
                if !keeps
                    && Some(&here) != moved.as_ref()
                    && !matches!(self.world.entry(&here), Entry::Missing | Entry::Directory)
                {
                    self.hit(Verb::Overwrite, here.clone(), false);
                } else if matches!(self.world.entry(&here), Entry::Missing) {
                    self.hit(Verb::Create, here.clone(), false);
                }
                state.made.push(here);
            }
        }
    }

    pub(super) fn cp(&mut self, program: &str, args: &[Arg], state: &mut State) {
        let options = Options::of(args, "t S suffix target-directory m o g mode owner group");
        if program == "install" && options.has("d", "directory") {
            return self.makes("mkdir", args, state);
        }
        let Some((from, to, folder)) = Self::sources(&options) else { return };
        let single = from.len() == 1 && !folder;
        let keeps =
            options.has("n", "no-clobber") || options.has("b", "backup") || options.has("u", "update");
        let deep =
            options.has("r", "recursive") || options.has("R", "recursive") || options.has("a", "archive");
        for source in &from {
            let lands = self.lands(source, &to, single, &options, state);
            let read = self.target(source, state, !deep);
            let (Some(lands), Some(read)) = (lands, read) else { continue };
            self.copied(&read, &lands, keeps, deep, 0);
            if deep {
                // It may bring links.
                state.made.push(lands);
            }
        }
        if options.unsure {
            self.unknown(format!("what `{program}` does with options that are not known"));
        }
    }

    /// A file or a tree that comes to lie at a place.
    fn copied(&mut self, from: &Path, to: &Path, keeps: bool, deep: bool, depth: usize) {
        let there = super::measure::real(self.world, to, true).unwrap_or_else(|_| to.to_owned());
        match (self.world.entry(from), self.world.entry(&there)) {
            (Entry::Directory, Entry::Directory) if deep => {
                let names = if depth < 64 { self.world.list(from).ok() } else { None };
                match names {
                    Some(names) if !self.world.spent() => {
                        for name in names {
                            self.copied(&from.join(&name), &to.join(&name), keeps, deep, depth + 1);
                        }
                    }
                    _ => self.unknown(format!("what of {} is overwritten", to.display())),
                }
            }
            (Entry::Directory, _) if !deep => {}
            (_, Entry::Missing) => self.hit(Verb::Create, there, false),
            (Entry::Missing, _) => {}
            _ if keeps => {}
            _ => self.hit(Verb::Overwrite, there, false),
        }
    }

    pub(super) fn ln(&mut self, args: &[Arg], state: &mut State) {
        let options = Options::of(args, "t S suffix target-directory");
        let Some((from, to, folder)) = Self::sources(&options) else { return };
        let (from, to) = match from.is_empty() {
            true => (vec![to], Arg::Text(".".to_owned())),
            false => (from, to),
        };
        let single = from.len() == 1 && !folder;
        let replaces = options.has("f", "force");
        let keep_link = options.has("n", "no-dereference");
        for source in &from {
            let path = if keep_link && single {
                self.target(&to, state, false)
            } else {
                self.lands(source, &to, single, &options, state)
            };
            let Some(path) = path else { continue };
            match self.world.entry(&path) {
                Entry::Missing => self.hit(Verb::Create, path.clone(), false),
                Entry::Directory => {}
                _ if replaces => self.hit(Verb::Overwrite, path.clone(), false),
                _ => {}
            }
            state.made.push(path);
        }
    }

    pub(super) fn makes(&mut self, program: &str, args: &[Arg], state: &State) {
        let options = Options::of(args, "m mode t date r reference d");
        for arg in &options.operands {
            let Some(path) = self.target(arg, state, true) else { continue };
            match self.world.entry(&path) {
                Entry::Missing => self.hit(Verb::Create, path, false),
                // Only its time changes.
                _ if program == "touch" => {}
                _ => {}
            }
        }
    }

    pub(super) fn dd(&mut self, args: &[Arg], state: &State) {
        let kept = args
            .iter()
            .filter_map(Arg::text)
            .any(|text| text.starts_with("conv=") && text.contains("notrunc"));
        for arg in args {
            match arg.text() {
                Some(text) => {
                    if let Some(to) = text.strip_prefix("of=") {
                        let verb =
                            if kept && !to.starts_with("/dev/") { Verb::Change } else { Verb::Overwrite };
                        self.write(verb, &Arg::Text(to.to_owned()), state);
                    }
                }
                None => self.unknown(format!("what `dd` writes to: {}", arg.shown())),
            }
        }
    }

    pub(super) fn shred(&mut self, args: &[Arg], state: &State) {
        let options = Options::of(args, "n s iterations size random-source");
        let verb = if options.has("u", "remove") { Verb::Remove } else { Verb::Overwrite };
        for arg in &options.operands {
            if let Some(path) = self.target(arg, state, true) {
                self.hit(verb, path, false);
            }
        }
    }

    pub(super) fn permissions(&mut self, args: &[Arg], state: &State) {
        // `chmod -x f`: a mode that looks like an option.
        let mode = |text: &str| {
            text.starts_with('-')
                && text.len() > 1
                && text.chars().skip(1).all(|c| "rwxXstugoa,+=".contains(c))
        };
        let (modes, args): (Vec<Arg>, Vec<Arg>) =
            args.iter().cloned().partition(|arg| arg.text().is_some_and(|text| mode(text) && text != "-R"));
        let options = Options::of(&args, "reference from");
        let deep = options.has("R", "recursive") || options.unsure;
        let given = usize::from(modes.is_empty() && !options.has("-", "reference"));
        for arg in options.operands.iter().skip(given) {
            let Some(path) = self.target(arg, state, true) else { continue };
            match self.world.entry(&path) {
                Entry::Missing => {}
                _ => self.hit(Verb::Permissions, path, deep),
            }
        }
    }

    pub(super) fn sed(&mut self, args: &[Arg], state: &State) {
        // `-i` takes its suffix only when it is glued to it.
        let in_place = args.iter().filter_map(Arg::text).any(|text| {
            text.starts_with("--in-place")
                || text.starts_with('-') && !text.starts_with("--") && text.contains('i')
        });
        let args: Vec<Arg> = args
            .iter()
            .filter(|arg| !arg.text().is_some_and(|text| text.starts_with("-i")))
            .cloned()
            .collect();
        let options = Options::of(&args, "e f l expression file line-length");
        let own = options.value("e", "expression").is_some() || options.value("f", "file").is_some();
        let script = match own {
            true => args
                .iter()
                .skip_while(|arg| {
                    !arg.text().is_some_and(|text| {
                        text.starts_with("-e") || text.starts_with("--e") || text.starts_with("-ne")
                    })
                })
                .nth(1)
                .cloned(),
            false => options.operands.first().cloned(),
        };
        let several = args
            .iter()
            .filter(|arg| arg.text().is_some_and(|text| text.starts_with("-e") || text.starts_with("--e")))
            .count()
            > 1;
        if several || !script.as_ref().and_then(Arg::text).is_some_and(only_edits) {
            self.unknown(format!(
                "what this script of `sed` writes or runs: {}",
                script.as_ref().map_or("-f", Arg::shown)
            ));
        }
        if in_place {
            for arg in options.operands.iter().skip(usize::from(!own)) {
                self.write(Verb::Change, arg, state);
            }
        }
    }

    pub(super) fn in_place(&mut self, program: &str, args: &[Arg], state: &State) {
        let options = Options::of(args, "e E I M r");
        if options.has("i", "") && options.value("e", "E").is_some() {
            self.each(Verb::Change, &options.operands, state);
        }
        self.unknown(format!("what a script of `{program}` does"));
    }

    pub(super) fn rsync(&mut self, args: &[Arg], state: &State) {
        let options = Options::of(
            args,
            "e B T f exclude include filter exclude-from include-from files-from rsh rsync-path backup-dir suffix \
             link-dest compare-dest copy-dest temp-dir partial-dir log-file max-size min-size bwlimit port",
        );
        if options.has("n", "dry-run") {
            return;
        }
        if options.has("e", "rsh") || options.has("-", "rsync-path") || options.has("M", "remote-option") {
            self.unknown("what `rsync` is told to run");
        }
        let Some((to, from)) = options.operands.split_last().filter(|(_, from)| !from.is_empty()) else {
            return;
        };
        let remote = |arg: &Arg| {
            arg.text().is_some_and(|text| text.split('/').next().is_some_and(|head| head.contains(':')))
        };
        if options.operands.iter().any(remote) {
            return self.unknown("what `rsync` does on or brings from another machine");
        }
        let Some(to) = self.target(to, state, true) else { return };
        let deletes = args.iter().filter_map(Arg::text).any(|text| text.starts_with("--del"));
        let bound = match options.has("-", "exclude")
            || options.has("f", "filter")
            || options.has("-", "exclude-from")
        {
            true => Bound::AtMost,
            false => Bound::Exact,
        };
        for source in from {
            let Some(text) = source.text() else {
                self.unknown(source.shown());
                continue;
            };
            let Some(read) = self.target(source, state, true) else { continue };
            let onto = match text.ends_with('/') {
                true => to.clone(),
                false => read.file_name().map_or(to.clone(), |name| to.join(name)),
            };
            self.mirrored(&read, &onto, deletes && from.len() == 1, bound, 0);
            if options.has("-", "remove-source-files") {
                self.hit_bound(Verb::Remove, read, true, bound);
            }
        }
    }

    /// What is at a place goes where the source does not have it, and is overwritten where it has.
    fn mirrored(&mut self, from: &Path, to: &Path, deletes: bool, bound: Bound, depth: usize) {
        match (self.world.entry(from), self.world.entry(to)) {
            (Entry::Directory, Entry::Directory) if depth < 64 && !self.world.spent() => {
                let (Ok(source), Ok(there)) = (self.world.list(from), self.world.list(to)) else {
                    return self.unknown(format!("what `rsync` changes in {}", to.display()));
                };
                for name in &there {
                    if source.contains(name) {
                        self.mirrored(&from.join(name), &to.join(name), deletes, bound, depth + 1);
                    } else if deletes {
                        self.hit_bound(Verb::Remove, to.join(name), true, bound);
                    }
                }
            }
            (Entry::Directory, Entry::Directory) => {
                self.unknown(format!("what `rsync` changes in {}", to.display()));
            }
            (Entry::Missing, _) => {}
            (_, Entry::Missing) => self.hit(Verb::Create, to.to_owned(), false),
            // Equal ones stay as they are.
            _ => self.hit_bound(Verb::Overwrite, to.to_owned(), false, Bound::AtMost),
        }
    }

    pub(super) fn tar(&mut self, args: &[Arg], state: &State) {
        let texts: Vec<&str> = args.iter().map(Arg::shown).collect();
        let runs = texts.iter().any(|text| {
            [
                "--checkpoint-action",
                "--to-command",
                "--use-compress",
                "--info-script",
                "--new-volume",
                "--rsh",
                "--rmt",
                "-I",
                "-F",
            ]
            .iter()
            .any(|option| text.starts_with(option))
        });
        if runs {
            return self.unknown(format!("what `tar {}` runs", texts.join(" ")));
        }
        // The first word may be options without a dash.
        let letters = texts
            .iter()
            .take(1)
            .chain(texts.iter().skip(1).filter(|text| text.starts_with('-') && !text.starts_with("--")));
        let letters: String = letters.copied().collect();
        let has = |letter: char, long: &str| letters.contains(letter) || texts.contains(&long);
        if has('t', "--list") && !has('x', "--extract") {
            return;
        }
        if has('c', "--create") && !has('x', "--extract") {
            let file = texts.iter().position(|text| {
                !text.starts_with("--")
                    && text.ends_with('f')
                    && letters.contains(text.trim_start_matches('-'))
            });
            let file = file.and_then(|at| args.get(at + 1));
            return match file {
                Some(file) => self.write(Verb::Overwrite, file, state),
                None => self.unknown(format!("what `tar {}` writes", texts.join(" "))),
            };
        }
        self.unknown(format!("which files `tar {}` writes", texts.join(" ")));
    }
}

/// Whether a script of `sed` only edits lines: it writes no other file and runs nothing.
fn only_edits(script: &str) -> bool {
    script.split(['\n', ';']).all(|command| {
        let address = |c: char| c.is_ascii_digit() || matches!(c, ',' | '$' | '!' | ' ' | '~' | '+');
        let mut command = command.trim_start_matches(address);
        // `/pattern/command`.
        if let Some(rest) = command.strip_prefix('/') {
            let Some((_, rest)) = rest.split_once('/') else { return false };
            command = rest.trim_start_matches(address);
        }
        let mut chars = command.chars();
        match chars.next() {
            None | Some('#') => true,
            Some('p' | 'd' | 'q' | 'n' | 'N' | 'D' | 'P' | 'g' | 'G' | 'h' | 'H' | 'x' | '=') => {
                chars.as_str().trim().is_empty()
            }
            Some('s' | 'y') => {
                let Some(mark) = chars.next().filter(|c| c.is_ascii_punctuation() && *c != '\\') else {
                    return false;
                };
                let rest = chars.as_str();
                let parts: Vec<&str> = rest.split(mark).collect();
                // With its own mark in it, a script is not read here.
                let [_, _, flags] = parts[..] else { return false };
                !rest.contains(&format!("\\{mark}")) && flags.chars().all(|c| "gpIim0123456789 ".contains(c))
            }
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_of_sed_that_could_do_more_than_edit_is_found() {
        for (script, edits) in [
            ("s/a/b/", true),
            ("s|a|b|g", true),
            ("5d", true),
            ("1,3p", true),
            ("/x/d", true),
            ("/x/s/a/b/;2q", true),
            ("s/a/b/w out", false),
            ("s/a/b/e", false),
            ("s/a/b/ge", false),
            ("w out", false),
            ("1e rm x", false),
            ("e", false),
            ("r f", false),
            ("s/a\\/b/c/", false),
            ("/x/w out", false),
            ("1,3{p;w out\n}", false),
            ("s/a/b/;w out", false),
        ] {
            assert_eq!(only_edits(script), edits, "{script}");
        }
    }
}
