//! One layer of settings: read, checked by itself, and able to say where each of its values stands.

use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Read as _},
    ops::Range,
    path::{Path, PathBuf},
};

use serde::Deserialize as _;
use toml::de::{DeTable, DeValue};

use super::{
    Config, ConfigError,
    error::{excerpt, may_be_secret, nearest, position},
    path::{clipped, dotted, joined, key_end},
    schema,
};

/// The place of what was typed.
pub(super) const ON_COMMAND_LINE: &str = "-c";
/// Nobody writes more settings than that.
const MAX_FILE: u64 = 1 << 20;

/// Settings from one place.
#[derive(Debug)]
pub(super) struct Layer {
    source: Source,
    pub(super) table: toml::Table,
    /// The place of every key: itself, and its value.
    spans: BTreeMap<Vec<String>, (Range<usize>, Range<usize>)>,
    text: String,
}

#[derive(Debug)]
enum Source {
    File(PathBuf),
    Variable(&'static str),
    /// With the reason why the value was taken as a plain string, if it was.
    Override {
        plain: Option<String>,
    },
}

/// Reads a file of settings; nothing when there is none.
pub(super) fn read(path: &Path) -> Result<Option<String>, ConfigError> {
    let unreadable = |why: String| {
        ConfigError::new(format!("{} can't be read: {why}", path.display()))
            .hint("repair the file, or move it away to go on without it")
    };
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(unreadable(error.to_string())),
    };
    if !meta.is_file() {
        return Err(unreadable("it is not a file".to_owned()));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(unreadable(format!("it is larger than {} KiB", MAX_FILE >> 10)));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        unreadable(format!("line {line} is not UTF-8 text"))
    })?;
    Ok(Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)))
}

impl Layer {
    pub(super) fn file(path: &Path, text: &str) -> Result<Self, ConfigError> {
        Self::unchecked(path, text)?.checked()
    }

    /// A file of which only is known that it is TOML.
    pub(super) fn unchecked(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let syntax = |error: &toml::de::Error| {
            let span = error.span().unwrap_or(0..0);
            let (line, column) = position(text, span.start);
            // The first line says it; what follows may repeat a secret.
            let what = clipped(error.message().lines().next().unwrap_or("it is not TOML"));
            ConfigError::new(format!("{}:{line}:{column}: {what}", path.display()))
                .excerpt(excerpt(text, &span, false))
                .hint("the file is TOML: `key = value`, and strings stand in quotes")
        };
        let parsed = DeTable::parse(text).map_err(|error| syntax(&error))?;
        let mut spans = BTreeMap::new();
        note_spans(parsed.get_ref(), &mut Vec::new(), &mut spans);
        let table =
            toml::Table::deserialize(toml::Deserializer::parse(text).map_err(|error| syntax(&error))?)
                .map_err(|error| syntax(&error))?;
        Ok(Self { source: Source::File(path.to_owned()), table, spans, text: text.to_owned() })
    }

    pub(super) fn of_variable(name: &'static str, key: &str, value: &str) -> Result<Self, ConfigError> {
        let table = toml::Table::from_iter([(key.to_owned(), toml::Value::String(value.to_owned()))]);
        let text = format!("{name}={value}");
        Self { source: Source::Variable(name), table, spans: BTreeMap::new(), text }.checked()
    }

    /// `KEY=VALUE`: the value is TOML, and where it is not, a plain string.
    pub(super) fn of_override(text: &str) -> Result<Self, ConfigError> {
        let malformed = |why: &str| {
            ConfigError::new(format!("-c {}: {why}", shown(text)))
                .hint("write KEY=VALUE, such as -c sandbox=read-only or -c shell.env_allow='[\"CI\"]'")
        };
        let at = key_end(text).ok_or_else(|| malformed("there is no `=`"))?;
        let (key, value) = (text.get(..at).unwrap_or(""), text.get(at + 1..).unwrap_or(""));
        let path = dotted(key).ok_or_else(|| malformed("the key is not a dotted path"))?;
        let (value, plain) = match value.trim().parse::<toml::Value>() {
            Ok(value) => (value, None),
            Err(error) => (
                toml::Value::String(value.to_owned()),
                Some(error.message().lines().next().unwrap_or("").to_owned()),
            ),
        };
        let value = path
            .iter()
            .rev()
            .fold(value, |value, key| toml::Value::Table(toml::Table::from_iter([(key.clone(), value)])));
        let toml::Value::Table(table) = value else { return Err(malformed("there is no key")) };
        Self { source: Source::Override { plain }, table, spans: BTreeMap::new(), text: text.to_owned() }
            .checked()
    }

    /// An error about the value at `path`, or about the key itself.
    pub(super) fn error(&self, path: &[String], part: Part, what: &str) -> ConfigError {
        let name = joined(path);
        match &self.source {
            Source::File(file) => {
                // Elements of arrays have no place of their own: the array has.
                let known = (0..=path.len()).rev().find_map(|depth| self.spans.get(path.get(..depth)?));
                let (key, value) = known.cloned().unwrap_or((0..0, 0..0));
                let span = if part == Part::Key { key } else { value };
                let (line, column) = position(&self.text, span.start);
                ConfigError::new(format!("{}:{line}:{column}: `{name}`: {what}", file.display()))
                    .excerpt(excerpt(&self.text, &span, path.first().is_some_and(|key| key == "providers")))
            }
            Source::Variable(variable) => ConfigError::new(format!("{variable} (`{name}`): {what}")),
            Source::Override { .. } => {
                ConfigError::new(format!("-c {}: `{name}`: {what}", shown(&self.text)))
            }
        }
    }

    /// Every value with its path and where it was set.
    pub(super) fn places(&self) -> Vec<(String, String)> {
        let breaks: Vec<usize> = self.text.match_indices('\n').map(|(at, _)| at).collect();
        let line = |at: usize| breaks.partition_point(|end| *end < at) + 1;
        let mut places = Vec::new();
        self.note_places(&self.table, &line, &mut Vec::new(), &mut places);
        places
    }

    fn note_places(
        &self,
        table: &toml::Table,
        line: &impl Fn(usize) -> usize,
        path: &mut Vec<String>,
        places: &mut Vec<(String, String)>,
    ) {
        for (key, value) in table {
            path.push(key.clone());
            if let toml::Value::Table(inner) = value {
                self.note_places(inner, line, path, places);
            } else {
                let place = match &self.source {
                    Source::File(file) => {
                        let at = self.spans.get(path).map_or(0, |(key, _)| key.start);
                        format!("{}:{}", file.display(), line(at))
                    }
                    Source::Variable(variable) => (*variable).to_owned(),
                    Source::Override { .. } => ON_COMMAND_LINE.to_owned(),
                };
                places.push((joined(path), place));
            }
            path.pop();
        }
    }

    /// Checks every key and every value as if there were no other layer.
    fn checked(self) -> Result<Self, ConfigError> {
        let mut unknown: Option<Vec<String>> = None;
        let mut note = |path: serde_ignored::Path<'_>| {
            unknown.get_or_insert_with(|| segments(&path));
        };
        if let Err(error) = parse(&self.table, &mut note) {
            let path = error.path().iter().filter_map(segment).collect::<Vec<_>>();
            return Err(self.ill_typed(&path, error.inner().message()));
        }
        match unknown {
            Some(path) => Err(self.unknown(&path)),
            None => Ok(self),
        }
    }

    fn ill_typed(&self, path: &[String], message: &str) -> ConfigError {
        let mut message = clipped(message.lines().next().unwrap_or(""));
        if let Some((before, _)) = message.split_once("expected struct ") {
            message = format!("{before}expected a table");
        }
        // The value of a provider's key may be a secret that stands in the wrong place.
        if path.first().is_some_and(|key| key == "providers")
            && let Some((_, expected)) = message.rsplit_once("expected ")
        {
            message = format!("wrong value, expected {expected}");
        }
        let error = self.error(path, Part::Value, &message);
        let typed = path.iter().try_fold(None, |at: Option<&toml::Value>, key| match at {
            None => self.table.get(key).map(Some),
            Some(table) => table.get(key).map(Some),
        });
        let words = schema::words(path);
        if let Some(Some(typed)) = typed.map(|value| value.and_then(toml::Value::as_str))
            && let Some(meant) = nearest(typed, &words)
        {
            return error.hint(format!("did you mean `{meant}`?"));
        }
        match &self.source {
            Source::Override { plain: Some(why) } if !why.is_empty() => {
                error.hint(format!("the value was read as a plain string, because as TOML: {}", clipped(why)))
            }
            _ => error,
        }
    }

    fn unknown(&self, path: &[String]) -> ConfigError {
        let (key, parent) = path.split_last().map_or(("", path), |(key, parent)| (key.as_str(), parent));
        let error = self.error(path, Part::Key, "there is no such key");
        let keys = schema::keys(parent);
        if parent.first().is_some_and(|table| table == "providers")
            && may_be_secret(key)
            && nearest(key, &["env_key"]).is_none()
        {
            return error.hint(
                "keys of providers are never kept here: put yours into an environment variable, and its name into \
                 `env_key`",
            );
        }
        if let Some(meant) = nearest(key, &keys) {
            return error
                .hint(format!("did you mean `{}`?", joined(&[parent, &[meant.to_owned()]].concat())));
        }
        if let Some(place) = schema::elsewhere(key) {
            return error.hint(format!("did you mean `{place}`?"));
        }
        error.hint(format!("known keys here: {}", keys.join(", ")))
    }
}

/// What an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Key,
    Value,
}

fn note_spans(
    table: &DeTable<'_>,
    path: &mut Vec<String>,
    spans: &mut BTreeMap<Vec<String>, (Range<usize>, Range<usize>)>,
) {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        spans.insert(path.clone(), (key.span(), value.span()));
        if let DeValue::Table(inner) = value.get_ref() {
            note_spans(inner, path, spans);
        }
        path.pop();
    }
}

/// Reads settings; `note` hears of keys that mean nothing. One function, because what is made of it for every kind of
/// setting is large.
pub(super) fn parse(
    table: &toml::Table,
    note: &mut dyn FnMut(serde_ignored::Path<'_>),
) -> Result<Config, serde_path_to_error::Error<toml::de::Error>> {
    let mut note = |path: serde_ignored::Path<'_>| note(path);
    serde_path_to_error::deserialize(serde_ignored::Deserializer::new(table.clone(), &mut note))
}

fn segments(path: &serde_ignored::Path<'_>) -> Vec<String> {
    use serde_ignored::Path;
    match path {
        Path::Root => Vec::new(),
        Path::Map { parent, key } => {
            let mut all = segments(parent);
            all.push(key.clone());
            all
        }
        Path::Seq { parent, .. }
        | Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => segments(parent),
    }
}

fn segment(segment: &serde_path_to_error::Segment) -> Option<String> {
    match segment {
        serde_path_to_error::Segment::Map { key } => Some(key.clone()),
        _ => None,
    }
}

/// What was typed, if it can't be a secret.
fn shown(text: &str) -> String {
    match text.split_once('=') {
        Some((key, _)) if may_be_secret(text) => clipped(&format!("{key}=…")),
        _ => clipped(text),
    }
}
