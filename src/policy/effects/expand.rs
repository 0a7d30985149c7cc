//! From words to arguments: braces, tilde, variables, outputs, splitting and patterns, in the order of a shell.

use std::path::{Path, PathBuf};

use super::{
    Dialect, Entry, Variable,
    glob::{self, Marked},
    parse::{Piece, Word},
    run::Run,
    state::{State, Value},
};

/// Arguments that one word may become.
const MOST_FIELDS: usize = 10_000;

/// An argument of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Arg {
    Text(String),
    /// What it is can't be told, and why.
    Unknown(String),
}

impl Arg {
    /// The text, where it is known.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Unknown(_) => None,
        }
    }

    /// For a person to read.
    pub(super) fn shown(&self) -> &str {
        match self {
            Self::Text(text) | Self::Unknown(text) => text,
        }
    }
}

/// Fields that are being filled.
#[derive(Default)]
struct Fields {
    done: Vec<Vec<Marked>>,
    open: Option<Vec<Marked>>,
}

impl Fields {
    fn push(&mut self, c: char, quoted: bool) {
        self.open.get_or_insert_default().push((c, quoted));
    }

    fn text(&mut self, text: &str, quoted: bool) {
        if quoted {
            self.open.get_or_insert_default();
        }
        for c in text.chars() {
            match c {
                ' ' | '\t' | '\n' if !quoted => self.done.extend(self.open.take()),
                c => self.push(c, quoted),
            }
        }
    }
}

impl Run<'_> {
    /// All arguments that words become.
    pub(super) fn args(&mut self, words: &[Word], state: &mut State) -> Vec<Arg> {
        words.iter().flat_map(|word| self.fields(word, state)).collect()
    }

    /// The arguments that one word becomes.
    fn fields(&mut self, word: &Word, state: &mut State) -> Vec<Arg> {
        let Some(all) = braces(&word.pieces, state.dialect) else {
            return vec![Arg::Unknown(format!("`{}`", word.source))];
        };
        let mut out = Vec::new();
        for pieces in all {
            match self.split(&pieces, &word.source, state) {
                Err(why) => out.push(Arg::Unknown(why)),
                Ok(fields) => {
                    for field in fields {
                        if glob::is_pattern(&field) {
                            out.extend(self.names(&field, &word.source, state));
                        } else {
                            out.push(Arg::Text(field.iter().map(|(c, _)| c).collect()));
                        }
                    }
                }
            }
            if out.len() > MOST_FIELDS {
                return vec![Arg::Unknown(format!("`{}`, which is too many", word.source))];
            }
        }
        out
    }

    /// The one text that a word becomes where nothing is split: in assignments and redirections.
    pub(super) fn single(&mut self, word: &Word, state: &mut State) -> Arg {
        let quoted: Vec<Piece> = word
            .pieces
            .iter()
            .map(|piece| match piece.clone() {
                Piece::Parameter { name, change, source, .. } => {
                    Piece::Parameter { name, change, source, quoted: true }
                }
                Piece::Output { script, source, .. } => Piece::Output { script, source, quoted: true },
                piece => piece,
            })
            .collect();
        match self.split(&quoted, &word.source, state) {
            Err(why) => Arg::Unknown(why),
            Ok(fields) => Arg::Text(fields.concat().iter().map(|(c, _)| c).collect()),
        }
    }

    /// The same of something that a redirection opens: a pattern there may be one file, or an error.
    pub(super) fn opened(&mut self, word: &Word, state: &mut State) -> Arg {
        let pattern = word.pieces.iter().any(|piece| matches!(piece, Piece::Char('*' | '?' | '[', false)));
        if pattern {
            return Arg::Unknown(format!("`{}`", word.source));
        }
        self.single(word, state)
    }

    fn split(
        &mut self,
        pieces: &[Piece],
        source: &str,
        state: &mut State,
    ) -> Result<Vec<Vec<Marked>>, String> {
        let mut fields = Fields::default();
        let mut pieces = pieces;
        if let [Piece::Char('~', false), rest @ ..] = pieces {
            match rest.first() {
                None | Some(Piece::Char('/', _)) => {
                    let home =
                        self.value("HOME", state)?.ok_or(format!("`{source}`, because HOME is not set"))?;
                    fields.text(&home, true);
                    pieces = rest;
                }
                Some(_) => return Err(format!("`{source}`, somebody else's home")),
            }
        }
        for piece in pieces {
            match piece {
                Piece::Char(c, quoted) => fields.push(*c, *quoted),
                Piece::Empty => {
                    fields.open.get_or_insert_default();
                }
                Piece::Parameter { name, change, quoted, source } => {
                    if matches!(name.as_str(), "@" | "*") && change.is_none() {
                        self.all_parameters(name, *quoted, source, state, &mut fields)?;
                        continue;
                    }
                    let value = self.parameter(name, change.as_ref(), source, state)?;
                    self.splits(&value, *quoted, source, state)?;
                    fields.text(&value, *quoted);
                }
                Piece::Output { script, quoted, source } => {
                    let mut inner = state.clone();
                    let output = self.nodes(script, &mut inner, &None);
                    let output = output.ok_or_else(|| format!("`{source}`, the output of a command"))?;
                    let value = output.trim_end_matches('\n');
                    self.splits(value, *quoted, source, state)?;
                    fields.text(value, *quoted);
                }
                Piece::Process { script } => {
                    let mut inner = state.clone();
                    self.nodes(script, &mut inner, &None);
                    // A pipe of this command alone: there is nothing at that name.
                    fields.text("/dev/fd/pipe", true);
                }
                Piece::Number { source } => {
                    self.arithmetic(source, state);
                    return Err(format!("`{source}`, a number that was not computed"));
                }
            }
        }
        fields.done.extend(fields.open);
        Ok(fields.done)
    }

    fn all_parameters(
        &self,
        name: &str,
        quoted: bool,
        source: &str,
        state: &State,
        fields: &mut Fields,
    ) -> Result<(), String> {
        let unknown = || format!("`{source}`, arguments that are not known");
        let all = state.parameters.as_ref().ok_or_else(unknown)?;
        for (at, parameter) in all.iter().enumerate() {
            let text = parameter.text().ok_or_else(|| parameter.shown().to_owned())?;
            if at > 0 {
                match quoted && name == "*" {
                    true => fields.push(' ', true),
                    false => fields.done.extend(fields.open.take()),
                }
            }
            self.splits(text, quoted, source, state)?;
            fields.text(text, quoted);
        }
        Ok(())
    }

    /// Whether a value without quotes means the same to every shell.
    fn splits(&self, value: &str, quoted: bool, source: &str, state: &State) -> Result<(), String> {
        let plain = !value.contains([' ', '\t', '\n', '*', '?', '[', '\\']);
        let sure = if state.separators { plain || state.dialect != Dialect::Zsh } else { value.is_empty() };
        if quoted || sure {
            return Ok(());
        }
        Err(format!("`{source}`, which shells split in different ways"))
    }

    /// What a variable is: `Ok(None)` when it is not set.
    pub(super) fn value(&self, name: &str, state: &State) -> Result<Option<String>, String> {
        if let Some(variable) = state.variables.get(name) {
            return match &variable.value {
                Value::Set(text) => Ok(Some(text.clone())),
                Value::Unset => Ok(None),
                Value::Unknown => Err(format!("`${name}`, which is not known")),
            };
        }
        match name {
            "PWD" => return state.cwd.clone().map(|cwd| Some(cwd.to_string_lossy().into_owned())),
            "OLDPWD" | "RANDOM" | "SECONDS" | "LINENO" | "EPOCHSECONDS" | "SRANDOM" | "BASHPID" | "PPID"
            | "UID" | "EUID" | "_" | "IFS" | "REPLY" | "PIPESTATUS" | "FUNCNAME" | "BASH_SOURCE"
            | "HOSTNAME" | "USERNAME" | "SHLVL" | "OPTARG" | "OPTIND" | "COLUMNS" | "LINES" | "TERM" => {
                return Err(format!("`${name}`, which is not known"));
            }
            _ => {}
        }
        if !state.environment || name.starts_with("BASH") || name.starts_with("ZSH") {
            return Err(format!("`${name}`, which is not known"));
        }
        match self.world.variable(name) {
            Variable::Set(text) => Ok(Some(text)),
            Variable::Unset => Ok(None),
            Variable::Unknown => Err(format!("`${name}`, which is not known")),
        }
    }

    fn parameter(
        &mut self,
        name: &str,
        change: Option<&(String, Word)>,
        source: &str,
        state: &mut State,
    ) -> Result<String, String> {
        let number = name.parse::<usize>().ok();
        let value = match (number, &state.parameters) {
            (Some(0), _) => Err(format!("`{source}`, the name of the shell")),
            (Some(at), Some(all)) => match all.get(at - 1) {
                Some(Arg::Text(text)) => Ok(Some(text.clone())),
                Some(Arg::Unknown(why)) => Err(why.clone()),
                None => Ok(None),
            },
            (Some(_), None) => Err(format!("`{source}`, an argument that is not known")),
            (None, Some(all)) if name == "#" => Ok(Some(all.len().to_string())),
            (None, _) if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') => {
                self.value(name, state)
            }
            (None, _) => Err(format!("`{source}`, which is not known")),
        };
        let Some((operator, word)) = change else { return value.map(Option::unwrap_or_default) };
        let set = match (operator.as_str(), &value) {
            (":-" | ":=" | ":?" | ":+", Ok(value)) => value.as_ref().is_some_and(|text| !text.is_empty()),
            ("-" | "=" | "?" | "+", Ok(value)) => value.is_some(),
            _ => return Err(format!("`{source}`")),
        };
        match operator.trim_start_matches(':') {
            "+" if set => self.single(word, state),
            "+" => Arg::Text(String::new()),
            _ if set => return value.map(Option::unwrap_or_default),
            "=" => {
                let given = self.single(word, state);
                state.set(name, Value::of(&given));
                given
            }
            // The shell ends there.
            "?" => return Err(format!("`{source}`")),
            _ => self.single(word, state),
        }
        .text()
        .map(str::to_owned)
        .ok_or_else(|| format!("`{source}`"))
    }

    /// Arithmetic may set variables, and reads those that it names as arithmetic again.
    pub(super) fn arithmetic(&mut self, text: &str, state: &mut State) {
        let inner = text.trim_start_matches("$((").trim_end_matches("))");
        let names: Vec<&str> = inner
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
            .collect();
        for name in &names {
            let number = match self.value(name, state) {
                Ok(None) => true,
                Ok(Some(value)) => value.chars().all(|c| c.is_ascii_digit() || c == '-'),
                Err(_) => false,
            };
            if !number {
                self.unknown(format!("`{text}`, arithmetic with `{name}`, which is no number that is known"));
            }
        }
        let assigns = inner.contains("++") || inner.contains("--") || inner.contains('=');
        for name in names {
            if assigns {
                state.set(name, Value::Unknown);
            }
        }
    }

    /// The names that a pattern means, or itself when there are none.
    fn names(&mut self, field: &[Marked], source: &str, state: &State) -> Vec<Arg> {
        let unknown = |why: &str| vec![Arg::Unknown(format!("`{source}`{why}"))];
        let deep = field.windows(2).any(|two| two == [('*', false), ('*', false)]);
        if !state.patterns || deep && state.dialect != Dialect::Posix {
            return unknown(", a pattern that shells read in different ways");
        }
        let mut found: Vec<String> = vec![String::new()];
        let parts: Vec<&[Marked]> = field.split(|(c, _)| *c == '/').collect();
        for (at, part) in parts.iter().enumerate() {
            let last = at + 1 == parts.len();
            let end = if last { "" } else { "/" };
            if !glob::is_pattern(part) {
                let text: String = part.iter().map(|(c, _)| c).collect();
                found.iter_mut().for_each(|name| name.push_str(&format!("{text}{end}")));
                continue;
            }
            let mut next = Vec::new();
            for before in &found {
                let folder = match (before.starts_with('/'), &state.cwd) {
                    (false, Err(why)) => return unknown(&format!(", because {why}")),
                    (false, Ok(cwd)) => cwd.join(before),
                    (true, _) => PathBuf::from(before),
                };
                if let Some(made) = state.made_near(&folder) {
                    return unknown(&format!(", because `{}` is made by the command itself", made.display()));
                }
                let Ok(folder) = self.real(&folder) else { continue };
                let names = match (self.world.entry(&folder), self.world.list(&folder)) {
                    (Entry::Missing | Entry::File(_), _) => continue,
                    (_, Ok(names)) => names,
                    (_, Err(why)) => return unknown(&format!(", because {why}")),
                };
                for name in names {
                    let Some(name) = name.to_str() else {
                        return unknown(", because some names there are no text");
                    };
                    if glob::names(part, name) {
                        next.push(format!("{before}{name}{end}"));
                    }
                }
                if next.len() > MOST_FIELDS || self.world.spent() {
                    return unknown(", which is too many to count");
                }
            }
            found = next;
        }
        found.retain(|name| {
            let place = self.place(name, state);
            place.is_ok_and(|place| !matches!(self.world.entry(&place), Entry::Missing))
        });
        if found.is_empty() {
            return vec![Arg::Text(field.iter().map(|(c, _)| c).collect())];
        }
        found.sort();
        found.into_iter().map(Arg::Text).collect()
    }

    /// Where a path of the command lies, links not looked at.
    pub(super) fn place(&self, path: &str, state: &State) -> Result<PathBuf, String> {
        if path.starts_with('/') {
            return Ok(PathBuf::from(path));
        }
        match &state.cwd {
            Ok(cwd) => Ok(cwd.join(path)),
            Err(why) => Err(format!("`{path}`, because {why}")),
        }
    }

    /// The same with all links followed.
    pub(super) fn real(&self, path: &Path) -> Result<PathBuf, String> {
        super::measure::real(self.world, path, true)
    }
}

/// A word with its braces written out; nothing when that is too much, or not the same in every shell.
fn braces(pieces: &[Piece], dialect: Dialect) -> Option<Vec<Vec<Piece>>> {
    let mut out = Vec::new();
    let mut work = vec![pieces.to_vec()];
    while let Some(pieces) = work.pop() {
        match first_brace(&pieces) {
            None => out.push(pieces),
            Some(_) if dialect == Dialect::Posix => return None,
            Some((from, to, alternatives)) => {
                for alternative in alternatives.into_iter().rev() {
                    let (before, after) = (pieces.get(..from)?, pieces.get(to + 1..)?);
                    work.push([before, &alternative, after].concat());
                }
            }
        }
        if out.len() + work.len() > MOST_FIELDS {
            return None;
        }
    }
    Some(out)
}

/// The first braces that are alternatives: where, and what they stand for.
fn first_brace(pieces: &[Piece]) -> Option<(usize, usize, Vec<Vec<Piece>>)> {
    let open = |c: char| move |piece: &Piece| *piece == Piece::Char(c, false);
    for from in (0..pieces.len()).filter(|at| open('{')(&pieces[*at])) {
        let mut depth = 0;
        let mut commas = Vec::new();
        let mut end = None;
        for (at, piece) in pieces.iter().enumerate().skip(from + 1) {
            match piece {
                Piece::Char('{', false) => depth += 1,
                Piece::Char('}', false) if depth == 0 => {
                    end = Some(at);
                    break;
                }
                Piece::Char('}', false) => depth -= 1,
                Piece::Char(',', false) if depth == 0 => commas.push(at),
                _ => {}
            }
        }
        let Some(end) = end else { continue };
        if !commas.is_empty() {
            let mut alternatives = Vec::new();
            let mut start = from + 1;
            for comma in commas.into_iter().chain([end]) {
                alternatives.push(pieces[start..comma].to_vec());
                start = comma + 1;
            }
            return Some((from, end, alternatives));
        }
        if let Some(range) = range(&pieces[from + 1..end]) {
            return Some((from, end, range));
        }
    }
    None
}

/// `1..9` and `a..e`.
fn range(pieces: &[Piece]) -> Option<Vec<Vec<Piece>>> {
    let text: Option<String> =
        pieces.iter().map(|piece| if let Piece::Char(c, false) = piece { Some(*c) } else { None }).collect();
    let text = text?;
    let (from, to) = text.split_once("..")?;
    let pieces = |text: String| text.chars().map(|c| Piece::Char(c, false)).collect::<Vec<_>>();
    if let (Ok(from), Ok(to)) = (from.parse::<i64>(), to.parse::<i64>()) {
        if from.abs_diff(to) > MOST_FIELDS as u64 || [from, to].iter().any(|n| n.abs() > 1_000_000_000) {
            // More than is counted: left as a word that no shell leaves so, and that names nothing.
            return None;
        }
        let padded = text
            .split("..")
            .any(|number| number.trim_start_matches('-').starts_with('0') && number.len() > 1);
        let width = if padded { text.split("..").map(str::len).max().unwrap_or(0) } else { 0 };
        let shown = |number: i64| pieces(format!("{number:0width$}"));
        return Some(if from <= to {
            (from..=to).map(shown).collect()
        } else {
            (to..=from).rev().map(shown).collect()
        });
    }
    let one = |text: &str| {
        let mut chars = text.chars();
        chars.next().filter(|c| c.is_ascii_alphabetic() && chars.next().is_none())
    };
    let (from, to) = (one(from)?, one(to)?);
    let all: Vec<char> = if from <= to { (from..=to).collect() } else { (to..=from).rev().collect() };
    Some(all.into_iter().map(|c| pieces(c.to_string())).collect())
}
