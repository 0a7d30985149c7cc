//! What a model can really do, by trying it: a window by a word at each of its ends, a tool call, JSON, a picture, speed.
//!
//! Each try has a time in which it must end. What a model fails at is a result and no error; only a provider that can't be
//! asked at all is one.

use std::{io, sync::Arc, time::Duration};

use futures::StreamExt as _;
use image::{ImageFormat, Rgb, RgbImage};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::{Chunk, Model, ModelError, ModelErrorKind as Kind, Prompt, ReadBlob, found::Measured};
use crate::protocol::{Args, BlobId, Content, Item, ToolForm, ToolSpec, Usage};

/// How long one try may take: a slow machine reads a full window in minutes.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// A window that is smaller than this is of no use here.
const LEAST_WINDOW: u64 = 2_000;
/// What of a window is filled: counts of tokens are estimates, and the answer needs room.
const FILLED_PERCENT: u64 = 85;

/// What is tried.
pub struct Subject<'a> {
    pub model: &'a dyn Model,
    /// Its name at its provider.
    pub name: &'a str,
    /// Tokens that it is said to take.
    pub window: u64,
    pub tokens_per_kb: u64,
    /// How long one try may take.
    pub patience: Duration,
}

/// An answer, as far as it matters here.
#[derive(Default)]
struct Answer {
    text: String,
    calls: Vec<(String, String)>,
    usage: Option<Usage>,
    /// From its first word to its end.
    told_in: Duration,
}

struct Picture(Vec<u8>);

impl ReadBlob for Picture {
    fn read(&self, _: &BlobId) -> io::Result<Vec<u8>> {
        Ok(self.0.clone())
    }
}

impl Subject<'_> {
    /// Tries everything. `tell` hears in a line what came of each try.
    ///
    /// # Errors
    /// When the provider can't be asked at all.
    pub async fn measure(&self, mut tell: impl FnMut(&str, &str)) -> Result<Measured, ModelError> {
        let mut measured = Measured::default();
        // First of all, so that a model that is not there is told at once.
        let speed = self.speed().await?;
        tell(
            "speed",
            &speed.map_or("unknown: it counts no tokens".to_owned(), |speed| format!("{speed:.1} tokens/s")),
        );
        measured.tokens_per_second = speed;
        let yes = |found: bool| if found { "yes" } else { "no" };
        measured.tools = self.tools().await?;
        tell("tool calls", yes(measured.tools));
        measured.json = self.json().await?;
        tell("JSON", yes(measured.json));
        measured.images = self.images().await?;
        tell("pictures", yes(measured.images));
        measured.window = self.window(&mut tell).await?;
        Ok(measured)
    }

    async fn speed(&self) -> Result<Option<f64>, ModelError> {
        let answer =
            self.ask(self.prompt("Count from 1 to 60 in digits, separated by spaces. Nothing else.")).await?;
        let tokens = answer.usage.map(|usage| usage.output).filter(|tokens| *tokens > 0);
        let seconds = answer.told_in.as_secs_f64();
        Ok(tokens.filter(|_| seconds > 0.0).map(|tokens| tokens as f64 / seconds))
    }

    async fn tools(&self) -> Result<bool, ModelError> {
        let parameters = json!({
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        });
        let tool = ToolSpec {
            name: "get_forecast".into(),
            description: "The weather of the next days in a city.".into(),
            form: ToolForm::Function { parameters },
        };
        let prompt = Prompt {
            tools: Arc::new([tool]),
            ..self.prompt("What will the weather be in Lisbon in the next 3 days? Use the tool.")
        };
        let Some(answer) = passed(self.ask(prompt).await)? else { return Ok(false) };
        Ok(answer.calls.iter().any(|(tool, args)| {
            let args: Value = serde_json::from_str(args).unwrap_or_default();
            let city = args["city"].as_str().unwrap_or_default().to_lowercase();
            tool == "get_forecast" && city.contains("lisbon") && args["days"] == 3
        }))
    }

    async fn json(&self) -> Result<bool, ModelError> {
        let schema = json!({
            "type": "object",
            "properties": {"fruit": {"type": "string"}, "count": {"type": "integer"}},
            "required": ["fruit", "count"],
            "additionalProperties": false,
        });
        let prompt = Prompt {
            output_schema: Some(schema),
            ..self.prompt(
                "There are seven apples on the table. Answer with a JSON object that has \"fruit\" and \"count\" (a \
                 number), and nothing around it.",
            )
        };
        let Some(answer) = passed(self.ask(prompt).await)? else { return Ok(false) };
        let value: Value = serde_json::from_str(answer.text.trim()).unwrap_or_default();
        Ok(value["fruit"].is_string() && value["count"] == 7)
    }

    async fn images(&self) -> Result<bool, ModelError> {
        let mut png = io::Cursor::new(Vec::new());
        let red = RgbImage::from_pixel(64, 64, Rgb([220, 10, 10]));
        red.write_to(&mut png, ImageFormat::Png)
            .map_err(|error| ModelError::new(Kind::Internal, format!("no picture could be made: {error}")))?;
        let content = vec![
            Content::text(
                "Which colour has this picture? Answer with one word, or with `none` if you see no picture.",
            ),
            Content::Image { blob: BlobId::from("red"), mime: "image/png".into(), width: 64, height: 64 },
        ];
        let item = Item::User { content, input: None };
        let prompt = Prompt {
            items: Arc::new(vec![Arc::new(item)]),
            blobs: Arc::new(Picture(png.into_inner())),
            ..self.prompt("")
        };
        let Some(answer) = passed(self.ask(prompt).await)? else { return Ok(false) };
        Ok(answer.text.to_lowercase().contains("red"))
    }

    /// The largest window of which both ends are known, of the one that is said and halves of it.
    async fn window(&self, tell: &mut impl FnMut(&str, &str)) -> Result<Option<u64>, ModelError> {
        let mut window = self.window;
        while window >= LEAST_WINDOW {
            let (first, last) = words(window);
            let text = haystack(window * FILLED_PERCENT / 100, self.tokens_per_kb, &first, &last);
            let answer = passed(self.ask(self.prompt(&text)).await)?.unwrap_or_default();
            let told = answer.text.to_lowercase();
            match (told.contains(&first), told.contains(&last)) {
                (true, true) => {
                    let count = answer.usage.map_or(window * FILLED_PERCENT / 100, |usage| usage.input);
                    tell("context", &format!("{window} tokens: both ends of {count} were known"));
                    return Ok(Some(window));
                }
                (false, true) => tell("context", &format!("{window} tokens: the beginning was lost")),
                (true, false) => tell("context", &format!("{window} tokens: the end was lost")),
                (false, false) => tell("context", &format!("{window} tokens: nothing was known")),
            }
            window /= 2;
        }
        Ok(None)
    }

    fn prompt(&self, text: &str) -> Prompt {
        Prompt {
            model: self.name.to_owned(),
            cache_key: "measure".into(),
            effort: None,
            verbosity: None,
            output_schema: None,
            tools: Arc::new([]),
            epoch: 0,
            items: Arc::new(vec![Arc::new(Item::user(text))]),
            left_out: 0,
            kept: Vec::new(),
            blobs: Arc::new(Picture(Vec::new())),
        }
    }

    async fn ask(&self, prompt: Prompt) -> Result<Answer, ModelError> {
        let asking = async {
            let mut stream = self.model.respond(&prompt).await?;
            let (mut answer, mut begun) = (Answer::default(), None);
            while let Some(chunk) = stream.next().await {
                begun.get_or_insert_with(Instant::now);
                match chunk? {
                    Chunk::Item(Item::Assistant { text, .. }) => answer.text.push_str(&text),
                    Chunk::Item(Item::ToolCall { tool, args: Args::Json(args), .. }) => {
                        answer.calls.push((tool, args));
                    }
                    Chunk::Finished { usage } => answer.usage = usage,
                    _ => {}
                }
            }
            answer.told_in = begun.map_or(Duration::ZERO, |begun| begun.elapsed());
            Ok(answer)
        };
        timeout(self.patience, asking).await.unwrap_or_else(|_| {
            let what = format!("no answer within {} s", self.patience.as_secs());
            Err(ModelError::new(Kind::Incomplete, what))
        })
    }
}

/// An answer; none, where the model failed at it. Where nobody can be asked, that is an error.
fn passed(answer: Result<Answer, ModelError>) -> Result<Option<Answer>, ModelError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) => match error.kind {
            Kind::Auth | Kind::RateLimit | Kind::Network | Kind::Internal => Err(error),
            Kind::Request | Kind::Server | Kind::ContextWindow | Kind::Incomplete | Kind::Garbage => Ok(None),
        },
    }
}

/// The words at the ends. Others for each size, so that no answer is one of an earlier try.
fn words(window: u64) -> (String, String) {
    let hash = blake3::hash(&window.to_le_bytes());
    let [a, b, ..] = hash.as_bytes();
    (format!("kestrel{a}"), format!("marmot{b}"))
}

/// About so many tokens of text between two words, and the question for them.
fn haystack(tokens: u64, tokens_per_kb: u64, first: &str, last: &str) -> String {
    // Its names and numbers come to half as many again as plain words.
    let per_kb = (tokens_per_kb * 3 / 2).max(1);
    let bytes = usize::try_from(tokens.saturating_mul(1000) / per_kb).unwrap_or(usize::MAX);
    let mut text = format!("The first password is {first}.\n");
    let mut line = 0;
    while text.len() < bytes {
        line += 1;
        text.push_str(&format!(
            "Entry {line}: {} crates went from shed {} to shed {}.\n",
            line % 97,
            line % 7,
            line % 11
        ));
    }
    text.push_str(&format!(
        "The last password is {last}.\n\nWrite down both passwords of this text, the first and the last one, and nothing else."
    ));
    text
}
