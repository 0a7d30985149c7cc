//! Cuts long text to a budget and says so: the beginning and the end stay, the middle goes.
//!
//! For everything but the output of commands, which the shell cuts while it still streams.

use std::borrow::Cow;

use super::budget::{BYTES_PER_TOKEN, tokens};

/// The text, or its head and tail around `…N tokens truncated…`, within about `budget` tokens.
#[must_use]
pub fn middle(text: &str, budget: u64) -> Cow<'_, str> {
    let room = usize::try_from(budget.saturating_mul(BYTES_PER_TOKEN)).unwrap_or(usize::MAX);
    if text.len() <= room {
        return Cow::Borrowed(text);
    }
    let border = |at: &usize| text.is_char_boundary(*at);
    let head = (0..=room / 2).rev().find(border).unwrap_or(0);
    let tail = (text.len() - (room - room / 2)..text.len()).find(border).unwrap_or(text.len());
    let (head, cut, tail) = (text.get(..head), text.get(head..tail), text.get(tail..));
    let cut = tokens(cut.map_or(0, str::len));
    Cow::Owned(format!("{}…{cut} tokens truncated…{}", head.unwrap_or(""), tail.unwrap_or("")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::middle;

    #[test]
    fn the_middle_goes_and_the_loss_is_named() {
        assert_eq!(middle("", 0), "");
        assert_eq!(middle("12345678", 2), "12345678");
        assert_eq!(middle("123456789", 2), "1234…1 tokens truncated…6789");
        assert_eq!(middle(&"x".repeat(400), 0), "…100 tokens truncated…");
        assert_eq!(middle("ääääääää", 2), "ää…2 tokens truncated…ää");
        assert_eq!(middle("aäääääääb", 2), "aä…3 tokens truncated…äb");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

        #[test]
        fn what_is_kept_is_the_head_and_the_tail_and_fits(text in "[a-zä€𝄞\n]{0,200}", budget in 0u64..60) {
            let cut = middle(&text, budget);
            if text.len() as u64 <= budget * 4 {
                prop_assert_eq!(&*cut, text.as_str());
            } else {
                let (head, rest) = cut.split_once('…').unwrap();
                let (_, tail) = rest.split_once(" tokens truncated…").unwrap();
                prop_assert!(text.starts_with(head) && text.ends_with(tail));
                prop_assert!((head.len() + tail.len()) as u64 <= budget * 4);
            }
        }
    }
}
