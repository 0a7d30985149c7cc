//! How much of the model's window is taken.
//!
//! An estimate by size, corrected by what the provider counted for the last answer. It decides nothing: what happens
//! when the window fills up is the session's affair.

use std::io;

use crate::protocol::{Args, Content, Item, Usage};

/// What a token is worth, as an estimate.
pub const BYTES_PER_TOKEN: u64 = 4;
/// What the wire adds around each item.
const ITEM: u64 = 4;
/// Providers scale a picture down before they count it.
const IMAGE_MAX: u64 = 1_600;
/// Pixels of a picture to a token.
const PIXELS_PER_TOKEN: u64 = 750;

/// The tokens of so many bytes of text, rounded up.
#[must_use]
pub fn tokens(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(BYTES_PER_TOKEN)
}

/// What an item will cost, roughly.
#[must_use]
pub fn estimate(item: &Item) -> u64 {
    ITEM + match item {
        Item::Context { text, .. } | Item::Assistant { text, .. } => tokens(text.len()),
        Item::User { content, .. } | Item::ToolResult { content, .. } => content.iter().map(part).sum(),
        // The sealed original is base64: three bytes in four.
        Item::Reasoning { summary, encrypted, .. } => match encrypted {
            Some(sealed) => tokens(sealed.len() / 4 * 3),
            None => summary.iter().map(|text| tokens(text.len())).sum(),
        },
        Item::ToolCall { tool, args: Args::Json(args) | Args::Text(args), .. } => {
            tokens(tool.len() + args.len())
        }
        Item::Unknown(value) => written(value),
    }
}

fn part(content: &Content) -> u64 {
    match content {
        Content::Text { text } => tokens(text.len()),
        Content::Image { width, height, .. } => {
            (u64::from(*width) * u64::from(*height)).div_ceil(PIXELS_PER_TOKEN).min(IMAGE_MAX)
        }
        Content::Unknown(value) => written(value),
    }
}

fn written(value: &serde_json::Value) -> u64 {
    let mut size = Size(0);
    // Counting bytes can't fail, and a value can always be written.
    let _ = serde_json::to_writer(&mut size, value);
    tokens(size.0)
}

/// What the next request will hold: what the provider counted last, and an estimate of what came since.
///
/// `since` are the items after that answer; those that belong to it are in its usage. Without a usage they are all
/// items there are.
#[must_use]
pub fn used<'a>(last: Option<Usage>, since: impl IntoIterator<Item = &'a Item>) -> u64 {
    let counted = last.map_or(0, |usage| usage.input.saturating_add(usage.output));
    since.into_iter().map(estimate).fold(counted, u64::saturating_add)
}

struct Size(usize);

impl io::Write for Size {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{BlobId, Shown};

    #[test]
    fn items_are_estimated_by_what_the_model_sees_of_them() {
        let image =
            |width, height| Content::Image { blob: BlobId::of(b""), mime: "image/png".into(), width, height };
        let reasoning = |summary: &str, encrypted: Option<&str>| Item::Reasoning {
            id: None,
            summary: vec![summary.into()],
            encrypted: encrypted.map(str::to_owned),
        };
        let result = |content| Item::ToolResult {
            call: "c".into(),
            content,
            shown: Shown::text("not for the model".repeat(1000)),
        };
        for (item, cost) in [
            (Item::user(""), 4),
            (Item::user("12345678"), 6),
            (Item::user("123456789"), 7),
            (result(vec![Content::text("1234"), image(750, 2)]), 7),
            (result(vec![image(30_000, 30_000)]), 1_604),
            (result(vec![image(u32::MAX, u32::MAX)]), 1_604),
            (reasoning("12345678", None), 6),
            (reasoning("12345678", Some(&"x".repeat(160))), 34),
            (
                Item::ToolCall {
                    call: "c".into(),
                    id: None,
                    tool: "exec".into(),
                    args: Args::Json("{}".into()),
                },
                6,
            ),
            (Item::Unknown(serde_json::json!({"type": "x"})), 7),
        ] {
            assert_eq!(estimate(&item), cost, "{item:?}");
        }
    }

    #[test]
    fn the_providers_count_replaces_the_estimate_up_to_its_answer() {
        let usage = Usage { input: 1_000, cached: 900, output: 50, reasoning: 20, cost: None };
        let since = [Item::user("12345678")];
        assert_eq!(used(None, &since), 6);
        assert_eq!(used(Some(usage), &since), 1_056);
        assert_eq!(used(Some(usage), []), 1_050);
        assert_eq!(used(Some(Usage { input: u64::MAX, ..usage }), &since), u64::MAX);
    }
}
