//! Answers of a slow terminal, taken out of the keys that they look like.
//!
//! crossterm gives a string that it doesn't know as keys: Alt-`]` or Alt-`P`, its characters, Alt-`\` or Ctrl-G. It
//! is recognized by its first characters, so that keys of a person go through, at most a few of them one key later.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::probe::color_of;

/// A filter for events. It needs nothing to be taken out when the terminal answered in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    state: State,
    held: Vec<Event>,
    text: String,
    background: Option<(u8, u8, u8)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is awaited.
    Off,
    Ground,
    /// In a string that begins as this says; so far it does.
    Begin(&'static str),
    /// In a string that is an answer.
    String,
    /// In the rest of a control sequence whose beginning was read before.
    Control,
}

/// A string that doesn't end is no answer.
const LONGEST: usize = 256;

impl Late {
    pub(super) fn nothing() -> Self {
        Self::new(State::Off)
    }

    /// What is awaited after these bytes, the beginning of an answer.
    pub(super) fn after(pending: &[u8]) -> Self {
        Self::new(match pending {
            [0x1b, b'[', ..] => State::Control,
            [0x1b, b']' | b'P', ..] => State::String,
            _ => State::Ground,
        })
    }

    fn new(state: State) -> Self {
        Self { state, held: Vec::new(), text: String::new(), background: None }
    }

    /// The background, if that answer came late. It is told once.
    pub fn take_background(&mut self) -> Option<(u8, u8, u8)> {
        self.background.take()
    }

    /// Gives the events that a person made: mostly the one that came in.
    pub fn pass(&mut self, event: Event) -> Vec<Event> {
        let Event::Key(key) = &event else {
            return match self.state {
                // A resize may come in the middle of an answer, and isn't part of it.
                State::String | State::Control | State::Off | State::Ground => vec![event],
                State::Begin(_) => self.release(event),
            };
        };
        if key.kind == KeyEventKind::Release {
            return vec![event];
        }
        match self.state {
            State::Off => vec![event],
            State::Ground => match begin(key) {
                Some(begin) => {
                    self.state = State::Begin(begin);
                    self.held = vec![event];
                    self.text.clear();
                    Vec::new()
                }
                None => vec![event],
            },
            State::Begin(wanted) => match character(key) {
                Some(char) if wanted.get(self.text.len()..).is_some_and(|rest| rest.starts_with(char)) => {
                    self.text.push(char);
                    self.held.push(event);
                    if self.text.len() == wanted.len() {
                        self.state = State::String;
                        self.held.clear();
                    }
                    Vec::new()
                }
                _ => self.release(event),
            },
            State::String => {
                if ends(key) || self.text.len() > LONGEST {
                    self.background = self.text.strip_prefix("11;").and_then(color_of).or(self.background);
                    self.state = State::Ground;
                } else if let Some(char) = character(key) {
                    self.text.push(char);
                } else {
                    self.state = State::Ground;
                    return vec![event];
                }
                Vec::new()
            }
            State::Control => match character(key) {
                Some(char) if char.is_ascii_digit() || ";$?".contains(char) => Vec::new(),
                Some(char) if "Rucy".contains(char) => {
                    self.state = State::Ground;
                    Vec::new()
                }
                _ => {
                    self.state = State::Ground;
                    self.pass(event)
                }
            },
        }
    }

    fn release(&mut self, event: Event) -> Vec<Event> {
        self.state = State::Ground;
        let mut events = std::mem::take(&mut self.held);
        events.extend(self.pass(event));
        events
    }
}

fn begin(key: &KeyEvent) -> Option<&'static str> {
    match (key.code, key.modifiers - KeyModifiers::SHIFT) {
        (KeyCode::Char(']'), KeyModifiers::ALT) => Some("11;"),
        (KeyCode::Char('P'), KeyModifiers::ALT) => Some(">|"),
        _ => None,
    }
}

fn ends(key: &KeyEvent) -> bool {
    matches!(
        (key.code, key.modifiers),
        (KeyCode::Char('\\'), KeyModifiers::ALT) | (KeyCode::Char('g'), KeyModifiers::CONTROL)
    )
}

fn character(key: &KeyEvent) -> Option<char> {
    match (key.code, key.modifiers - KeyModifiers::SHIFT) {
        (KeyCode::Char(char), KeyModifiers::NONE) => Some(char),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(char: char) -> Event {
        Event::Key(KeyEvent::new(KeyCode::Char(char), KeyModifiers::NONE))
    }

    fn alt(char: char) -> Event {
        Event::Key(KeyEvent::new(KeyCode::Char(char), KeyModifiers::ALT))
    }

    fn pass(late: &mut Late, events: impl IntoIterator<Item = Event>) -> Vec<Event> {
        events.into_iter().flat_map(|event| late.pass(event)).collect()
    }

    #[test]
    fn late_answers_are_taken_out_of_the_keys() {
        let mut late = Late::after(b"");
        let mut events = vec![key('a'), alt(']')];
        events.extend("11;rgb:ffff/ffff/ffff".chars().map(key));
        events.extend([alt('\\'), key('b'), alt('P')]);
        events.extend(">|tmux 3.3a".chars().map(key));
        events.extend([alt('\\'), key('c')]);
        assert_eq!(pass(&mut late, events), [key('a'), key('b'), key('c')]);
        assert_eq!(late.take_background(), Some((255, 255, 255)));
    }

    #[test]
    fn the_rest_of_an_answer_that_was_cut_is_taken_out_as_well() {
        let rest = |late: &mut Late, text: &str| pass(late, text.chars().map(key));
        let mut late = Late::after(b"\x1b]11;rgb:00");
        assert_eq!(rest(&mut late, "00/0000/0000"), []);
        assert_eq!(pass(&mut late, [alt('\\'), key('x')]), [key('x')]);
        assert_eq!(rest(&mut Late::after(b"\x1b[?62"), ";22cx"), [key('x')]);
    }

    #[test]
    fn keys_of_a_person_go_through_in_order() {
        let mut late = Late::after(b"");
        let keys =
            [alt(']'), key('1'), key('x'), alt(']'), alt(']'), Event::Resize(1, 1), alt('P'), key('q')];
        assert_eq!(pass(&mut late, keys.clone()), keys);
        assert_eq!(pass(&mut Late::nothing(), keys.clone()), keys);
    }
}
