//! What a person may set about the screen: the table `[tui]` of the configuration.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::keymap::{Action, Keymap, KeymapError};

/// The screen.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// Colours: `ansi` (the terminal's own), `light`, `dark`, `contrast`, `auto` (light or dark, as the terminal's
    /// background is), or the name of a file in the folder `themes` beside this one, without `.toml`.
    #[serde(deserialize_with = "theme")]
    pub theme: String,
    /// Vim's keys where messages are written.
    pub vim: bool,
    /// What is shown at the bottom, in this order.
    pub status_line: Vec<StatusItem>,
    /// When the terminal tells that it is your turn.
    pub notifications: When,
    /// How it tells.
    pub notify_by: NotifyBy,
    /// Whether the title of the window tells what the session does.
    pub title: bool,
    /// Plain lines in the place of a screen that is repainted: for screen readers and simple terminals.
    pub plain: bool,
    /// Other keys than the usual ones, by what they do: `queue = "alt-enter"`, `redo = ["ctrl-x", "f5"]`.
    pub keys: Keys,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            theme: "ansi".to_owned(),
            vim: false,
            status_line: StatusItem::USUAL.to_vec(),
            notifications: When::default(),
            notify_by: NotifyBy::default(),
            title: true,
            plain: false,
            keys: Keys::default(),
        }
    }
}

impl Settings {
    /// The same where nothing is repainted and no key is read by itself.
    #[must_use]
    pub fn without_screen(self) -> Self {
        Self { theme: "ansi".to_owned(), vim: false, title: false, notifications: When::Off, ..self }
    }
}

/// A part of the line at the bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StatusItem {
    /// The mode of Vim's keys, when they are on.
    Vim,
    /// The model, and how hard it thinks.
    Model,
    /// What is left of the model's window.
    Context,
    /// Tokens of the session, those from the provider's cache apart.
    Tokens,
    /// What the session has cost, where the prices of its models are known.
    Cost,
    /// The goal that is worked on.
    Goal,
    /// What commands may touch.
    Sandbox,
    /// The directory, and the branch that it was on at the start.
    Directory,
    /// Commands that still run.
    Processes,
    /// The name of the session.
    Session,
}

impl StatusItem {
    /// What is shown when nothing is set.
    pub const USUAL: [Self; 10] = [
        Self::Vim,
        Self::Model,
        Self::Context,
        Self::Tokens,
        Self::Cost,
        Self::Goal,
        Self::Sandbox,
        Self::Directory,
        Self::Processes,
        Self::Session,
    ];
}

/// When a person is told that it is their turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    Off,
    /// While another window has the keyboard.
    #[default]
    Unfocused,
    Always,
}

/// How a person is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NotifyBy {
    /// As the terminal is known to understand.
    #[default]
    Auto,
    Bell,
    Osc9,
    Osc99,
    Osc777,
}

/// Keys that are bound otherwise than usual.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keys(BTreeMap<Action, Vec<String>>);

impl Keys {
    /// The keys in force with these.
    ///
    /// # Errors
    /// When two actions want the same key.
    pub fn keymap(&self) -> Result<Keymap, Vec<KeymapError>> {
        Keymap::rebound(self.0.iter().map(|(action, keys)| (action.name(), keys.as_slice())))
    }
}

/// One key, or several.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// The keys of one action, all of which are keys.
struct Bound(Vec<String>);

impl<'de> Deserialize<'de> for Bound {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let keys = match OneOrMore::deserialize(source) {
            Ok(OneOrMore::One(key)) => vec![key],
            Ok(OneOrMore::More(keys)) => keys,
            Err(_) => return Err(de::Error::custom("expected a key, such as \"ctrl-x\", or a list of keys")),
        };
        for key in &keys {
            let parsed = key.parse::<super::keymap::Key>().map_err(de::Error::custom)?;
            if parsed.typed().is_some() {
                return Err(de::Error::custom(format!(
                    "`{key}` can't be bound: it could no longer be typed"
                )));
            }
        }
        Ok(Self(keys))
    }
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Table;
        impl<'de> de::Visitor<'de> for Table {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Keys::default();
                while let Some(name) = map.next_key::<String>()? {
                    match Action::ALL.iter().find(|action| action.name() == name) {
                        Some(action) => drop(keys.0.insert(*action, map.next_value::<Bound>()?.0)),
                        // Whoever reads the layer tells of keys that are not known, and of the nearest one.
                        None => drop(map.next_value::<de::IgnoredAny>()?),
                    }
                }
                match keys.keymap() {
                    Ok(_) => Ok(keys),
                    Err(wrong) => Err(de::Error::custom(
                        wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
                    )),
                }
            }
        }
        source.deserialize_map(Table)
    }
}

impl JsonSchema for Keys {
    fn schema_name() -> Cow<'static, str> {
        "Keys".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let key = generator.subschema_for::<OneOrMore>();
        let properties: serde_json::Map<String, serde_json::Value> = Action::ALL
            .iter()
            .map(|action| {
                let mut one = key.clone().to_value();
                if let Some(object) = one.as_object_mut() {
                    object.insert("description".to_owned(), action.what().into());
                }
                (action.name().to_owned(), one)
            })
            .collect();
        json_schema!({ "type": "object", "properties": properties })
    }
}

/// The name of a theme is that of a file, and never a path.
fn theme<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    let name = String::deserialize(source)?;
    if super::theme::is_name(&name) {
        return Ok(name);
    }
    Err(de::Error::custom(format!("`{name}` is not the name of a theme: letters, digits, `-` and `_`")))
}
