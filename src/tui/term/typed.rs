//! What was typed before the event stream began, as events.
//!
//! It gives text, the keys of the control characters, and arrows; other sequences are left out.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};

/// The keys that gave these bytes.
#[must_use]
pub fn typed(bytes: &[u8]) -> Vec<Event> {
    let text = String::from_utf8_lossy(bytes);
    let mut chars = text.chars().peekable();
    let mut events = Vec::new();
    while let Some(char) = chars.next() {
        let (code, modifiers) = match char {
            '\u{1b}' if matches!(chars.peek(), Some('[' | 'O')) => {
                chars.next();
                match chars.by_ref().find(|char| ('@'..='~').contains(char)) {
                    Some('A') => (KeyCode::Up, KeyModifiers::NONE),
                    Some('B') => (KeyCode::Down, KeyModifiers::NONE),
                    Some('C') => (KeyCode::Right, KeyModifiers::NONE),
                    Some('D') => (KeyCode::Left, KeyModifiers::NONE),
                    _ => continue,
                }
            }
            '\u{1b}' => (KeyCode::Esc, KeyModifiers::NONE),
            '\r' => (KeyCode::Enter, KeyModifiers::NONE),
            '\t' => (KeyCode::Tab, KeyModifiers::NONE),
            '\u{7f}' => (KeyCode::Backspace, KeyModifiers::NONE),
            '\0' => (KeyCode::Char(' '), KeyModifiers::CONTROL),
            '\u{1}'..='\u{1a}' => {
                (KeyCode::Char(char::from_u32(u32::from(char) + 0x60).unwrap_or('?')), KeyModifiers::CONTROL)
            }
            '\u{1c}'..='\u{1f}' | '\u{fffd}' | '\u{80}'..='\u{9f}' => continue,
            char if char.is_uppercase() => (KeyCode::Char(char), KeyModifiers::SHIFT),
            char => (KeyCode::Char(char), KeyModifiers::NONE),
        };
        events.push(Event::Key(KeyEvent::new(code, modifiers)));
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_early_comes_as_keys() {
        let codes: Vec<KeyCode> = typed("aÖ\r\n\x1b[A\x1b[1;5X\x1b\x7f\u{3}".as_bytes())
            .into_iter()
            .filter_map(|event| Some(event.as_key_event()?.code))
            .collect();
        let char = KeyCode::Char;
        assert_eq!(
            codes,
            [
                char('a'),
                char('Ö'),
                KeyCode::Enter,
                char('j'),
                KeyCode::Up,
                KeyCode::Esc,
                KeyCode::Backspace,
                char('c')
            ]
        );
    }
}
