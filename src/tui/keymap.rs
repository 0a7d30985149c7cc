//! Which key does what: one table for the defaults, the names in the configuration, and the hints on screen.
//!
//! It only names actions. What an action does is the business of whoever asks: the composer for its own layer,
//! the app for the rest. Keys inside lists (a popup, the history search) follow from the same actions.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    str::FromStr,
};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Who is asked for a key. The same key may mean something in both: the composer is asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layer {
    Composer,
    Screen,
}

macro_rules! actions {
    ($($layer:ident $action:ident $name:literal [$($key:literal)*] $what:literal;)*) => {
        /// What a key can do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action { $(#[doc = $what] $action,)* }

        impl Action {
            /// All of them, in the order in which help shows them.
            pub const ALL: &'static [Self] = &[$(Self::$action,)*];

            /// The name in the configuration.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$action => $name,)* }
            }

            /// What it does, in a few words.
            #[must_use]
            pub fn what(self) -> &'static str {
                match self { $(Self::$action => $what,)* }
            }

            /// Who answers to it.
            #[must_use]
            pub fn layer(self) -> Layer {
                match self { $(Self::$action => Layer::$layer,)* }
            }

            fn defaults(self) -> &'static [&'static str] {
                match self { $(Self::$action => &[$($key,)*],)* }
            }
        }
    };
}

actions! {
    Composer Submit "submit" ["enter"] "send";
    Composer Queue "queue" ["tab"] "say it after the turn";
    Composer Newline "newline" ["shift-enter" "alt-enter" "ctrl-j" "ctrl-enter"] "new line";
    Composer Left "left" ["left" "ctrl-b"] "back";
    Composer Right "right" ["right" "ctrl-f"] "forward";
    Composer WordLeft "word_left" ["alt-b" "alt-left" "ctrl-left"] "word back";
    Composer WordRight "word_right" ["alt-f" "alt-right" "ctrl-right"] "word forward";
    Composer Up "up" ["up" "ctrl-p"] "up, then earlier messages";
    Composer Down "down" ["down" "ctrl-n"] "down, then later messages";
    Composer LineStart "line_start" ["home" "ctrl-a"] "start of the line";
    Composer LineEnd "line_end" ["end" "ctrl-e"] "end of the line";
    Composer TextStart "text_start" ["ctrl-home" "alt-<"] "start of the text";
    Composer TextEnd "text_end" ["ctrl-end" "alt->"] "end of the text";
    Composer RubOut "rub_out" ["backspace" "shift-backspace" "ctrl-h"] "delete back";
    Composer Delete "delete" ["delete" "ctrl-d"] "delete forward";
    Composer KillWordLeft "kill_word_left" ["alt-backspace" "ctrl-backspace"] "cut the word before";
    Composer KillWordRight "kill_word_right" ["alt-d" "alt-delete" "ctrl-delete"] "cut the word behind";
    Composer KillBlankWord "kill_blank_word" ["ctrl-w"] "cut back to a blank";
    Composer KillToEnd "kill_to_end" ["ctrl-k"] "cut to the end of the line";
    Composer KillToStart "kill_to_start" ["ctrl-u"] "cut to the start of the line";
    Composer Yank "yank" ["ctrl-y"] "put back what was cut";
    Composer YankPop "yank_pop" ["alt-y"] "put back an earlier cut instead";
    Composer Transpose "transpose" ["alt-t"] "swap two characters";
    Composer Uppercase "uppercase" ["alt-u"] "word in capitals";
    Composer Lowercase "lowercase" ["alt-l"] "word in small letters";
    Composer Capitalize "capitalize" ["alt-c"] "word with a capital";
    Composer Undo "undo" ["ctrl-_" "ctrl-/"] "undo";
    Composer Redo "redo" ["alt-_" "alt-/" "ctrl-shift-z"] "redo";
    Composer Search "search" ["ctrl-r"] "search earlier messages";
    Composer Editor "editor" ["ctrl-g"] "external editor";
    Composer Clear "clear" ["ctrl-c"] "clear";
    Composer Close "close" ["esc"] "close";
    Screen Interrupt "interrupt" ["esc"] "interrupt";
    Screen Leave "leave" ["ctrl-c"] "interrupt, then quit";
    Screen Quit "quit" ["ctrl-d"] "quit";
    Screen Transcript "transcript" ["ctrl-t"] "transcript";
    Screen PasteImage "paste_image" ["ctrl-v"] "attach the image on the clipboard";
    Screen Retract "retract" ["alt-up"] "take back the last queued message";
    Screen Suspend "suspend" ["ctrl-z"] "suspend";
    Screen Redraw "redraw" ["ctrl-l"] "draw again";
    Screen Help "help" ["f1"] "help";
}

impl FromStr for Action {
    type Err = KeymapError;

    fn from_str(name: &str) -> Result<Self, KeymapError> {
        let found = Self::ALL.iter().find(|action| action.name() == name.replace('-', "_"));
        found.copied().ok_or_else(|| KeymapError::Action(name.to_owned()))
    }
}

/// A key with what is held down beside it, in the one spelling that terminals' several ways are folded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd)]
pub struct Key {
    pub code: KeyCode,
    pub modifiers: KeyModifiers,
}

const HELD: [(KeyModifiers, &str); 4] = [
    (KeyModifiers::CONTROL, "ctrl-"),
    (KeyModifiers::ALT, "alt-"),
    (KeyModifiers::SUPER, "super-"),
    (KeyModifiers::SHIFT, "shift-"),
];

const NAMED: [(KeyCode, &str); 17] = [
    (KeyCode::Enter, "enter"),
    (KeyCode::Tab, "tab"),
    (KeyCode::Esc, "esc"),
    (KeyCode::Backspace, "backspace"),
    (KeyCode::Delete, "delete"),
    (KeyCode::Insert, "insert"),
    (KeyCode::Left, "left"),
    (KeyCode::Right, "right"),
    (KeyCode::Up, "up"),
    (KeyCode::Down, "down"),
    (KeyCode::Home, "home"),
    (KeyCode::End, "end"),
    (KeyCode::PageUp, "pageup"),
    (KeyCode::PageDown, "pagedown"),
    (KeyCode::Char(' '), "space"),
    (KeyCode::Char('-'), "minus"),
    (KeyCode::Char('+'), "plus"),
];

impl Key {
    /// The key in its one spelling: terminals disagree about Shift, Ctrl-_ and back-tab.
    #[must_use]
    pub fn new(code: KeyCode, modifiers: KeyModifiers) -> Self {
        use KeyModifiers as M;
        let mut modifiers = modifiers & (M::CONTROL | M::ALT | M::SHIFT | M::SUPER);
        let mut code = code;
        match code {
            KeyCode::BackTab => {
                code = KeyCode::Tab;
                modifiers |= M::SHIFT;
            }
            KeyCode::Char(char) if modifiers.contains(M::CONTROL) => {
                // 0x1F is Ctrl-_, Ctrl-/ and Ctrl-7 at once in the old encoding; 0x1B is Ctrl-[ and Esc.
                let shifted_minus = char == '-' && modifiers.contains(M::SHIFT);
                code = match char {
                    '7' => KeyCode::Char('_'),
                    '-' if shifted_minus => KeyCode::Char('_'),
                    '[' => KeyCode::Esc,
                    char => KeyCode::Char(char.to_ascii_lowercase()),
                };
                if char == '[' {
                    modifiers -= M::CONTROL;
                }
                if char.is_ascii_uppercase() && modifiers.contains(M::SHIFT) || !char.is_ascii_alphabetic() {
                    modifiers.set(M::SHIFT, char.is_ascii_alphabetic());
                }
            }
            KeyCode::Char(char) if modifiers.contains(M::ALT) => {
                code = KeyCode::Char(char.to_ascii_lowercase());
                modifiers -= M::SHIFT;
            }
            KeyCode::Char(_) => modifiers -= M::SHIFT,
            _ => {}
        }
        Self { code, modifiers }
    }

    /// The character that the key types, if it types one.
    #[must_use]
    pub fn typed(self) -> Option<char> {
        match self.code {
            KeyCode::Char(char) if self.modifiers.is_empty() => Some(char),
            _ => None,
        }
    }
}

impl From<KeyEvent> for Key {
    fn from(event: KeyEvent) -> Self {
        Self::new(event.code, event.modifiers)
    }
}

impl FromStr for Key {
    type Err = KeymapError;

    fn from_str(text: &str) -> Result<Self, KeymapError> {
        let wrong = || KeymapError::Key(text.to_owned());
        let mut rest = text.trim();
        let mut modifiers = KeyModifiers::NONE;
        loop {
            let held = HELD.iter().find_map(|(held, prefix)| {
                let start = rest.get(..prefix.len())?;
                (start.eq_ignore_ascii_case(prefix) && rest.len() > prefix.len())
                    .then_some((*held, prefix.len()))
            });
            let Some((held, len)) = held else { break };
            modifiers |= held;
            rest = rest.get(len..).ok_or_else(wrong)?;
        }
        let lower = rest.to_ascii_lowercase();
        let mut chars = rest.chars();
        let code = match (chars.next(), chars.next()) {
            (Some(char), None) => KeyCode::Char(char),
            _ => match lower.strip_prefix('f').and_then(|number| number.parse().ok()) {
                Some(number @ 1..=24) => KeyCode::F(number),
                _ => named(&lower).ok_or_else(wrong)?,
            },
        };
        Ok(Self::new(code, modifiers))
    }
}

fn named(name: &str) -> Option<KeyCode> {
    let alias = match name {
        "return" => "enter",
        "escape" => "esc",
        "del" => "delete",
        "page_up" | "pgup" => "pageup",
        "page_down" | "pgdn" => "pagedown",
        name => name,
    };
    NAMED.iter().find(|(_, name)| *name == alias).map(|(code, _)| *code)
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (_, name) in HELD.iter().filter(|(held, _)| self.modifiers.contains(*held)) {
            f.write_str(name)?;
        }
        match (NAMED.iter().find(|(code, _)| *code == self.code), self.code) {
            (Some((_, name)), _) => f.write_str(name),
            (None, KeyCode::Char(char)) => write!(f, "{char}"),
            (None, KeyCode::F(number)) => write!(f, "f{number}"),
            (None, other) => write!(f, "{other}"),
        }
    }
}

/// Why a table of keys can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeymapError {
    #[error("no action is called `{0}`")]
    Action(String),
    #[error("`{0}` is not a key (examples: enter, ctrl-j, alt-enter, shift-tab, f5)")]
    Key(String),
    #[error("`{key}` can't be bound to `{action}`: it could no longer be typed")]
    Typed { key: String, action: &'static str },
    #[error("`{key}` is bound to both `{first}` and `{second}`")]
    Twice { key: String, first: &'static str, second: &'static str },
}

/// The keys in force.
#[derive(Debug, Clone)]
pub struct Keymap {
    actions: HashMap<(Layer, Key), Action>,
    keys: BTreeMap<Action, Vec<Key>>,
}

impl Default for Keymap {
    fn default() -> Self {
        let mut map = Self { actions: HashMap::new(), keys: BTreeMap::new() };
        for &action in Action::ALL {
            let keys = action.defaults().iter().filter_map(|key| key.parse().ok());
            map.bind(action, keys.collect());
        }
        map
    }
}

impl Keymap {
    /// The defaults, changed by a table of action names and keys. An action that is named has only the keys
    /// named with it; another action that had one of them by default loses it.
    ///
    /// # Errors
    /// Everything that is wrong with the table.
    pub fn rebound<'a>(
        table: impl IntoIterator<Item = (&'a str, &'a [String])>,
    ) -> Result<Self, Vec<KeymapError>> {
        let mut map = Self::default();
        let mut wrong = Vec::new();
        let mut named: HashMap<(Layer, Key), Action> = HashMap::new();
        let mut wanted = BTreeMap::new();
        for (name, keys) in table {
            let action = match name.parse::<Action>() {
                Ok(action) => action,
                Err(error) => {
                    wrong.push(error);
                    continue;
                }
            };
            let mut list = Vec::new();
            for text in keys {
                match text.parse::<Key>() {
                    Ok(key) if key.typed().is_some() => {
                        wrong.push(KeymapError::Typed { key: text.clone(), action: action.name() });
                    }
                    Ok(key) => match named.insert((action.layer(), key), action) {
                        Some(other) if other != action => wrong.push(KeymapError::Twice {
                            key: text.clone(),
                            first: other.name(),
                            second: action.name(),
                        }),
                        _ => list.push(key),
                    },
                    Err(error) => wrong.push(error),
                }
            }
            wanted.insert(action, list);
        }
        // All old keys go first, so that two actions can swap theirs.
        for action in wanted.keys() {
            for key in map.keys.remove(action).unwrap_or_default() {
                map.actions.remove(&(action.layer(), key));
            }
        }
        for (action, keys) in wanted {
            map.bind(action, keys);
        }
        if wrong.is_empty() { Ok(map) } else { Err(wrong) }
    }

    fn bind(&mut self, action: Action, keys: Vec<Key>) {
        for &key in &keys {
            if let Some(loser) = self.actions.insert((action.layer(), key), action)
                && loser != action
                && let Some(list) = self.keys.get_mut(&loser)
            {
                list.retain(|other| *other != key);
            }
        }
        self.keys.insert(action, keys);
    }

    /// What a key does in a layer.
    #[must_use]
    pub fn action(&self, layer: Layer, key: Key) -> Option<Action> {
        self.actions.get(&(layer, key)).copied()
    }

    /// All keys of an action, the one to show first.
    #[must_use]
    pub fn keys(&self, action: Action) -> &[Key] {
        self.keys.get(&action).map_or(&[], Vec::as_slice)
    }

    /// A hint: the key to show and what it does. Nothing when the action has no key.
    #[must_use]
    pub fn hint(&self, action: Action) -> Option<(String, &'static str)> {
        self.hint_as(action, action.what())
    }

    /// A hint in other words, where the place gives the action a narrower meaning.
    #[must_use]
    pub fn hint_as(&self, action: Action, what: &'static str) -> Option<(String, &'static str)> {
        self.keys(action).first().map(|key| (key.to_string(), what))
    }

    /// Every action with its keys, for the help page.
    pub fn all(&self) -> impl Iterator<Item = (Action, &[Key])> {
        Action::ALL.iter().map(|&action| (action, self.keys(action)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        text.parse().unwrap()
    }

    #[test]
    fn every_default_key_parses_prints_back_and_belongs_to_one_action_of_its_layer() {
        let mut seen = HashMap::new();
        for &action in Action::ALL {
            assert_eq!(action.name().parse::<Action>().unwrap(), action);
            for text in action.defaults() {
                assert_eq!(key(text).to_string(), *text);
                assert_eq!(seen.insert((action.layer(), key(text)), action), None, "{text}");
            }
        }
    }

    #[test]
    fn the_ways_in_which_terminals_report_a_key_are_one() {
        use KeyModifiers as M;
        let table = [
            (KeyCode::Char('7'), M::CONTROL, "ctrl-_"),
            (KeyCode::Char('-'), M::CONTROL | M::SHIFT, "ctrl-_"),
            (KeyCode::Char('_'), M::CONTROL | M::SHIFT, "ctrl-_"),
            (KeyCode::Char('A'), M::SHIFT, "A"),
            (KeyCode::Char('A'), M::CONTROL, "ctrl-a"),
            (KeyCode::Char('Z'), M::CONTROL | M::SHIFT, "ctrl-shift-z"),
            (KeyCode::Char('z'), M::CONTROL | M::SHIFT, "ctrl-shift-z"),
            (KeyCode::Char('<'), M::ALT | M::SHIFT, "alt-<"),
            (KeyCode::Char('['), M::CONTROL, "esc"),
            (KeyCode::BackTab, M::SHIFT, "shift-tab"),
            (KeyCode::BackTab, M::NONE, "shift-tab"),
            (KeyCode::Enter, M::SHIFT, "shift-enter"),
            (KeyCode::F(5), M::NONE, "f5"),
        ];
        for (code, modifiers, text) in table {
            assert_eq!(Key::new(code, modifiers), key(text), "{code:?} {modifiers:?}");
        }
        for text in ["", "ctrl-", "hyper-x", "enterr", "f99", "ctrl"] {
            assert!(text.parse::<Key>().is_err(), "{text}");
        }
        assert_eq!(key("Ctrl-Space").to_string(), "ctrl-space");
    }

    #[test]
    fn a_table_replaces_the_keys_of_an_action_and_takes_them_from_others() {
        let (submit, newline) = (["alt-enter".to_owned()], ["enter".to_owned(), "ctrl-k".to_owned()]);
        let map = Keymap::rebound([("submit", &submit[..]), ("newline", &newline[..])]).unwrap();
        assert_eq!(map.action(Layer::Composer, key("alt-enter")), Some(Action::Submit));
        assert_eq!(map.action(Layer::Composer, key("enter")), Some(Action::Newline));
        assert_eq!(map.action(Layer::Composer, key("ctrl-k")), Some(Action::Newline));
        assert_eq!(map.action(Layer::Composer, key("ctrl-j")), None);
        assert_eq!(map.hint(Action::Submit), Some(("alt-enter".to_owned(), "send")));
        assert_eq!(map.hint(Action::KillToEnd), None);
    }

    #[test]
    fn a_wrong_table_names_all_that_is_wrong() {
        let table = [("sing", vec!["a"]), ("undo", vec!["ctrl-x", "q", "hyper"]), ("redo", vec!["ctrl-x"])]
            .map(|(name, keys)| (name, keys.into_iter().map(str::to_owned).collect::<Vec<_>>()));
        let wrong = Keymap::rebound(table.iter().map(|(name, keys)| (*name, keys.as_slice()))).unwrap_err();
        assert_eq!(
            wrong,
            [
                KeymapError::Action("sing".into()),
                KeymapError::Typed { key: "q".into(), action: "undo" },
                KeymapError::Key("hyper".into()),
                KeymapError::Twice { key: "ctrl-x".into(), first: "undo", second: "redo" },
            ]
        );
    }
}
