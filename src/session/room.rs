//! How much of the model's window is taken, and by what.
//!
//! An estimate by what a text is made of, corrected by what the provider counts: it says with each answer what the request and the answer
//! came to, so that only what was added since is guessed. When the conversation is made smaller, what is left is
//! guessed by what the counts before have taught: what a request holds beside the conversation, and how many tokens
//! the estimate was off.

use std::io::{self, Write as _};

use crate::protocol::{Args, Content, Context, Item, Limits, Shown, TOKENS_PER_KB, Usage};

use super::Session;

/// What the wire adds around each item.
const ITEM: u64 = 4;
/// Providers scale a picture down before they count it.
const IMAGE_MAX: u64 = 1_600;
/// Pixels of a picture to a token.
const PIXELS_PER_TOKEN: u64 = 750;
/// What the descriptions of the tools come to, before anything was counted.
const TOOLS: u64 = 2_000;
/// In thousandths: how far the counts may correct the estimate.
const SCALES: (u64, u64) = (500, 4_000);

/// What the provider has taught of the size of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Learnt {
    /// Tokens that a request holds beside the conversation.
    beside: Option<u64>,
    /// Real tokens for a thousand estimated ones.
    scale: u64,
    /// A size that the provider found too long.
    too_long: Option<u64>,
}

/// What a part of the window is taken by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The system prompt, the permissions, the machine, and the descriptions of the tools.
    Program,
    /// Instruction files.
    Instructions,
    /// The list of skills, and those that were taken up.
    Skills,
    /// Notes of earlier sessions.
    Memory,
    /// Summaries of what was left out, and what holds beside them.
    Summary,
    /// What the person said.
    User,
    /// What the model said and thought.
    Model,
    /// Calls of tools.
    Calls,
    /// Results of calls.
    Results,
}

/// How full the window is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fill {
    /// What a request and its answer may hold.
    pub window: u64,
    /// Above this the conversation is made smaller.
    pub room: u64,
    /// What the next request holds.
    pub used: u64,
    /// By what, in the order of the request; with how many items each.
    pub kinds: Vec<(Kind, u64, u64)>,
    /// What results that the model has already answered to hold: the first to be cut.
    pub droppable: u64,
    /// Whether the provider has counted, so that `used` is more than a guess.
    pub counted: bool,
}

/// The tokens of so many bytes of plain words, rounded up.
#[must_use]
pub fn tokens(bytes: usize, per_kb: u64) -> u64 {
    (bytes as u64).saturating_mul(per_kb).div_ceil(1000)
}

/// What a text weighs: so many bytes of plain words come to as many tokens.
///
/// Capitals, digits and signs come to more tokens than letters do: a kilobyte of base64 or of numbers to three times as
/// many as one of prose, and cutting it by its bytes would let the window run over. Fitted to counts of the encoding
/// `o200k_base` (tests/data/tokens.json): within a third for each kind of text, where bytes alone are wrong by up to
/// three times.
#[must_use]
pub fn weight(text: &str) -> usize {
    Scales::of(text.as_bytes())
}

/// The tokens of a text where 1000 bytes of plain words come to `per_kb`.
#[must_use]
pub fn tokens_of(text: &str, per_kb: u64) -> u64 {
    tokens(weight(text), per_kb)
}

/// How many bytes of a text like this one come to so many tokens.
#[must_use]
pub fn bytes_of(text: &str, tokens: u64, per_kb: u64) -> usize {
    let plain = u128::from(tokens) * 1000 / u128::from(per_kb.max(1));
    let bytes = plain * text.len().max(1) as u128 / weight(text).max(1) as u128;
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// What an item will cost, roughly, where 1000 bytes of text come to `per_kb` tokens.
#[must_use]
pub fn estimate(item: &Item, per_kb: u64) -> u64 {
    let text = |text: &str| tokens_of(text, per_kb);
    ITEM + match item {
        Item::Context { text: words, .. } | Item::Assistant { text: words, .. } => text(words),
        Item::User { content, .. } | Item::ToolResult { content, .. } => {
            content.iter().map(|content| part(content, per_kb)).sum()
        }
        // The sealed original is base64: three bytes in four.
        Item::Reasoning { summary, encrypted, .. } => match encrypted {
            Some(sealed) => tokens(sealed.len() / 4 * 3, TOKENS_PER_KB),
            None => summary.iter().map(|words| text(words)).sum(),
        },
        Item::ToolCall { tool, args: Args::Json(args) | Args::Text(args), .. } => {
            tokens(weight(tool) + weight(args), per_kb)
        }
        // Sealed as well; or what others are told.
        Item::Sealed { item, instead, .. } => tokens(sealed(item) / 4 * 3, TOKENS_PER_KB).max(text(instead)),
        Item::Unknown(value) => tokens(written(value), per_kb),
        // It is not sent.
        Item::Sources { .. } => 0,
    }
}

fn part(content: &Content, per_kb: u64) -> u64 {
    match content {
        Content::Text { text } => tokens_of(text, per_kb),
        Content::Image { width, height, .. } => {
            (u64::from(*width) * u64::from(*height)).div_ceil(PIXELS_PER_TOKEN).min(IMAGE_MAX)
        }
        Content::Unknown(value) => tokens(written(value), per_kb),
    }
}

/// The bytes that a provider has sealed.
fn sealed(item: &serde_json::Value) -> usize {
    item.get("encrypted_content").and_then(serde_json::Value::as_str).map_or(0, str::len)
}

/// What a value weighs, as it is written.
fn written(value: &serde_json::Value) -> usize {
    let mut scales = Scales::default();
    // Weighing can't fail, and a value can always be written.
    let _ = serde_json::to_writer(&mut scales, value);
    scales.bytes()
}

impl Default for Learnt {
    fn default() -> Self {
        Self { beside: None, scale: 1000, too_long: None }
    }
}

impl Learnt {
    /// Takes in that what was estimated at `estimated` tokens came to `real` ones.
    pub(super) fn learn(&mut self, real: u64, estimated: u64) {
        // The least that was ever beside: in a short conversation little is guessed wrong.
        let beside = real.saturating_sub(estimated);
        let beside = self.beside.map_or(beside, |known| known.min(beside));
        self.beside = Some(beside);
        self.scale = (real - beside.min(real)).saturating_mul(1000) / estimated.max(1);
        self.scale = self.scale.clamp(SCALES.0, SCALES.1);
    }

    /// Takes in that so many tokens were too many.
    pub(super) fn was_too_long(&mut self, used: u64) {
        let most = used / 10 * 9;
        self.too_long = Some(self.too_long.map_or(most, |known| known.min(most)).max(1));
    }

    fn real(self, estimated: u64) -> u64 {
        estimated.saturating_mul(self.scale) / 1000
    }
}

impl Session {
    /// What the model takes: as the settings say, or less where its provider has said so.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let limits = self.settings.as_ref().map_or(Limits::new(128_000, 10_000), |settings| settings.limits);
        Limits {
            window: self.learnt.too_long.map_or(limits.window, |most| most.min(limits.window)),
            ..limits
        }
    }

    /// The tokens that the next request will hold.
    #[must_use]
    pub fn used(&self) -> u64 {
        match self.counted {
            Some(counted) => {
                let since = self.estimated.saturating_sub(counted.estimated);
                total(counted.usage).saturating_add(self.learnt.real(since))
            }
            None => self.used_by(self.estimated),
        }
    }

    /// The tokens of a request with a conversation that was estimated at so many.
    #[must_use]
    pub fn used_by(&self, estimated: u64) -> u64 {
        self.learnt.beside.unwrap_or(TOOLS).saturating_add(self.learnt.real(estimated))
    }

    /// What items of this conversation come to, as far as counts have taught.
    #[must_use]
    pub fn cost(&self, item: &Item) -> u64 {
        self.learnt.real(self.estimate(item))
    }

    /// What an item will cost by its size alone.
    #[must_use]
    pub fn estimate(&self, item: &Item) -> u64 {
        estimate(item, self.limits().tokens_per_kb)
    }

    /// What fills the window.
    #[must_use]
    pub fn fill(&self) -> Fill {
        let (limits, used) = (self.limits(), self.used());
        let mut kinds: Vec<(Kind, u64, u64)> = Kind::ALL.into_iter().map(|kind| (kind, 0, 0)).collect();
        let answered = self.items.iter().rposition(|item| {
            matches!(**item, Item::Assistant { .. } | Item::ToolCall { .. } | Item::Reasoning { .. })
        });
        let mut droppable = 0;
        for (at, item) in self.items.iter().enumerate() {
            let cost = self.cost(item);
            let kind = Kind::of(item);
            if kind == Kind::Results && answered.is_some_and(|last| at < last) {
                droppable += cost;
            }
            if let Some((_, tokens, items)) = kinds.iter_mut().find(|(known, ..)| *known == kind) {
                *tokens += cost;
                *items += 1;
            }
        }
        // What the counts say beyond the parts is the tools, and what the wire adds.
        let known: u64 = kinds.iter().map(|(_, tokens, _)| tokens).sum();
        if let Some((_, tokens, _)) = kinds.first_mut() {
            *tokens += used.saturating_sub(known);
        }
        kinds.retain(|(_, tokens, _)| *tokens > 0);
        Fill {
            window: limits.window,
            room: limits.room(),
            used,
            kinds,
            droppable,
            counted: self.counted.is_some(),
        }
    }

    /// Estimates the whole conversation anew: it changed otherwise than at its end, or the model did.
    pub(super) fn estimate_anew(&mut self) {
        self.estimated = self.items.iter().map(|item| self.estimate(item)).sum();
    }
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::Program,
        Self::Instructions,
        Self::Skills,
        Self::Memory,
        Self::Summary,
        Self::User,
        Self::Model,
        Self::Calls,
        Self::Results,
    ];

    fn of(item: &Item) -> Self {
        match item {
            Item::Context { context, .. } => match context {
                Context::Instructions => Self::Instructions,
                Context::Skills | Context::Skill => Self::Skills,
                Context::Memory => Self::Memory,
                Context::Summary | Context::State => Self::Summary,
                Context::System
                | Context::Permissions
                | Context::Environment
                | Context::Notice
                | Context::Unknown => Self::Program,
            },
            Item::Sealed { .. } => Self::Summary,
            Item::User { .. } => Self::User,
            Item::Assistant { .. } | Item::Reasoning { .. } | Item::Sources { .. } | Item::Unknown(_) => {
                Self::Model
            }
            Item::ToolCall { .. } => Self::Calls,
            Item::ToolResult { shown: Shown::Skill { .. }, .. } => Self::Skills,
            Item::ToolResult { .. } => Self::Results,
        }
    }

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Program => "program and tools",
            Self::Instructions => "instruction files",
            Self::Skills => "skills",
            Self::Memory => "memory",
            Self::Summary => "summaries",
            Self::User => "your messages",
            Self::Model => "answers and thoughts",
            Self::Calls => "calls of tools",
            Self::Results => "results of tools",
        }
    }

    /// The word for it in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Instructions => "instructions",
            Self::Skills => "skills",
            Self::Memory => "memory",
            Self::Summary => "summary",
            Self::User => "user",
            Self::Model => "model",
            Self::Calls => "calls",
            Self::Results => "results",
        }
    }
}

pub(super) fn total(usage: Usage) -> u64 {
    usage.input.saturating_add(usage.output)
}

/// What text weighs, in tenths of a byte of plain words.
#[derive(Default)]
struct Scales {
    tenths: u64,
    last: u8,
}

impl Scales {
    const WEIGHTS: [u8; 256] = {
        let mut weights = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            weights[byte] = match byte as u8 {
                // It belongs to the word behind it.
                b' ' => 0,
                b'a'..=b'z' => 10,
                b'A'..=b'Z' => 46,
                b'0'..=b'9' => 30,
                b'\n' | b'\r' => 70,
                0..=0x1f => 52,
                0x21..=0x7f => 19,
                // Letters of other scripts, and pictures.
                0x80..=0xef => 9,
                0xf0..=0xff => 70,
            };
            byte += 1;
        }
        weights
    };
    const FURTHER_SPACE: u64 = 6;

    fn of(bytes: &[u8]) -> usize {
        let mut scales = Self::default();
        // Weighing can't fail.
        let _ = scales.write_all(bytes);
        scales.bytes()
    }

    fn bytes(&self) -> usize {
        usize::try_from(self.tenths.div_ceil(10)).unwrap_or(usize::MAX)
    }
}

impl io::Write for Scales {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            self.tenths += match (self.last, byte) {
                (b' ', b' ') => Self::FURTHER_SPACE,
                _ => u64::from(Self::WEIGHTS[usize::from(*byte)]),
            };
            self.last = *byte;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{BlobId, Event, Fact, ResponseId, ResponseOutcome, Seq, Shown, Time};

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
            (Item::user("of words"), 6),
            (Item::user("12345678"), 10),
            (result(vec![Content::text("word"), image(750, 2)]), 7),
            (result(vec![image(30_000, 30_000)]), 1_604),
            (result(vec![image(u32::MAX, u32::MAX)]), 1_604),
            (reasoning("of words", None), 6),
            (reasoning("of words", Some(&"x".repeat(160))), 34),
            (
                Item::ToolCall {
                    call: "c".into(),
                    id: None,
                    tool: "exec".into(),
                    args: Args::Json("{}".into()),
                },
                6,
            ),
            (Item::Unknown(serde_json::json!({"type": "x"})), 9),
        ] {
            assert_eq!(estimate(&item, 250), cost, "{item:?}");
        }
        assert_eq!(estimate(&Item::user("x".repeat(1000)), 400), 404);
    }

    /// A text, and how many tokens the encoding `o200k_base` makes of it.
    #[derive(serde::Deserialize)]
    struct Counted {
        kind: String,
        tokens: u64,
        text: String,
    }

    fn counted() -> Vec<Counted> {
        serde_json::from_str(include_str!("../../tests/data/tokens.json")).unwrap()
    }

    #[test]
    fn each_kind_of_text_is_estimated_within_a_third_and_all_together_within_a_tenth() {
        // As the catalogue has it for models of this encoding.
        let per_kb = 230;
        let (mut all, mut real, mut by_bytes) = (0, 0, 0.0_f64);
        let off = |estimate: u64, tokens: u64| (estimate as f64 / tokens as f64 - 1.0) * 100.0;
        for Counted { kind, tokens: count, text } in counted() {
            let estimate = tokens_of(&text, per_kb);
            let wrong = off(estimate, count);
            assert!((-20.0..=34.0).contains(&wrong), "{kind}: {estimate} for {count}, {wrong:.0} %");
            by_bytes = by_bytes.min(off(tokens(text.len(), 250), count));
            (all, real) = (all + estimate, real + count);
        }
        assert!(off(all, real).abs() < 10.0, "{all} for {real}");
        assert!(by_bytes < -55.0, "what bytes alone would miss: {by_bytes:.0} %");
    }

    #[test]
    fn counts_correct_what_was_reckoned_too_low() {
        for Counted { kind, tokens: count, text } in counted() {
            let mut session = Session::default();
            // First a few words, by which what stands beside the conversation is known.
            told(&mut session, Fact::item(Item::user("go on")));
            let beside = 3_000;
            let mut real = beside + session.estimated;
            told(&mut session, counts(real));
            for _ in 0..3 {
                told(&mut session, Fact::item(Item::user(text.clone())));
                real += count + ITEM;
                told(&mut session, counts(real));
            }
            told(&mut session, Fact::item(Item::user(text.clone())));
            let wrong = (session.used() as f64 - real as f64) / (count + ITEM) as f64 - 1.0;
            // Too high a guess may stay: that is only careful.
            let before = tokens_of(&text, TOKENS_PER_KB) as f64 / count as f64 - 1.0;
            let high = before.max(0.0) + 0.03;
            assert!(
                (-0.03..=high).contains(&wrong),
                "{kind}: {:.0} %, {:.0} %",
                before * 100.0,
                wrong * 100.0
            );
        }
    }

    #[test]
    fn a_text_is_cut_by_what_it_weighs() {
        for Counted { kind, text, .. } in counted() {
            let whole = tokens_of(&text, 230);
            let half = bytes_of(&text, whole / 2, 230);
            assert!(half.abs_diff(text.len() / 2) <= text.len() / 50 + 4, "{kind}: {half} of {}", text.len());
        }
        assert_eq!(bytes_of("", 10, 250), 40);
        assert_eq!(bytes_of("plain", u64::MAX, 0), usize::MAX);
    }

    fn told(session: &mut Session, fact: Fact) {
        let seq = Seq(session.seq.0 + 1);
        session.apply(&Event { seq, at: Time::UNIX_EPOCH, fact });
    }

    fn says(bytes: usize) -> Fact {
        Fact::item(Item::user("x".repeat(bytes)))
    }

    fn counts(input: u64) -> Fact {
        let usage = Some(Usage { input, ..Usage::default() });
        Fact::ResponseFinished { response: ResponseId(1), outcome: ResponseOutcome::Completed, usage }
    }

    #[test]
    fn the_providers_count_replaces_the_guess_up_to_its_answer() {
        let mut session = Session::default();
        told(&mut session, says(4000));
        assert_eq!(session.used(), TOOLS + 1004);
        told(&mut session, counts(1504));
        assert_eq!(session.used(), 1504);
        told(&mut session, says(4000));
        assert_eq!(session.used(), 2508);
        told(&mut session, counts(u64::MAX));
        told(&mut session, says(8));
        assert_eq!(session.used(), u64::MAX);
    }

    #[test]
    fn what_counts_have_taught_holds_for_a_smaller_conversation() {
        let mut session = Session::default();
        told(&mut session, says(4000));
        told(&mut session, counts(1504));
        // 500 beside the conversation, which is dearer than it looks: twice the estimate.
        told(&mut session, says(396_000));
        told(&mut session, counts(200_500));
        assert_eq!(session.used(), 200_500);
        assert_eq!(session.used_by(10_000), 500 + 19_990);
        // A cheaper one: nothing is beside, since the estimate was too high.
        let mut session = Session::default();
        told(&mut session, says(400_000));
        told(&mut session, counts(80_000));
        assert_eq!(session.used_by(10_000), 7_990);
    }

    #[test]
    fn a_size_that_was_too_long_is_the_window_from_then_on() {
        let mut session = Session::default();
        session.learnt.was_too_long(50_000);
        session.learnt.was_too_long(60_000);
        assert_eq!(session.limits().window, 45_000);
    }
}
