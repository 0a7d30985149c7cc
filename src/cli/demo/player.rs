//! The scripted model of the demo on a screen: it answers at the speed of a reader, and as the person decided.

use std::{collections::VecDeque, time::Duration};

use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use tokio::{sync::watch, time};

use crate::model::{Chunk, Model, ModelError, Prompt, replay::Replay};
use crate::protocol::{Item, Shown};

const BEGIN: &str = concat!(
    include_str!("../../../assets/demo/script.jsonl"),
    include_str!("../../../assets/demo/ask.jsonl")
);
const ALLOWED: &str = include_str!("../../../assets/demo/allowed.jsonl");
const REFUSED: &str = include_str!("../../../assets/demo/refused.jsonl");
/// The call that the person is asked about.
const ASKED: &str = "demo_5";
/// What is said to everything that the script does not foresee.
const OVER: &str = "The script of this demo has no answer to that. `Ctrl-D` leaves, and says how to begin with a \
                    model that has.";

/// Before an answer begins.
const THOUGHT: Duration = Duration::from_millis(400);
/// Between two words.
const WORD: Duration = Duration::from_millis(25);

/// Lets the answer that is being given come at once.
#[derive(Clone, Default)]
pub(super) struct Pulse(watch::Sender<()>);

impl Pulse {
    pub(super) fn hurry(&self) {
        self.0.send_replace(());
    }
}

pub(super) struct Player {
    allowed: Replay,
    refused: Replay,
    pulse: Pulse,
}

impl Player {
    pub(super) fn new(pulse: Pulse) -> Result<Self, ModelError> {
        let script = |end: &str| Replay::parse("of the demo", &[BEGIN, end].concat());
        Ok(Self { allowed: script(ALLOWED)?, refused: script(REFUSED)?, pulse })
    }
}

#[async_trait::async_trait]
impl Model for Player {
    async fn respond(
        &self,
        prompt: &Prompt,
    ) -> Result<BoxStream<'static, Result<Chunk, ModelError>>, ModelError> {
        let script = if refused(prompt) { &self.refused } else { &self.allowed };
        let chunks: Vec<_> = match script.respond(prompt).await {
            Ok(answer) => answer.collect().await,
            Err(_) => {
                let words = OVER.split_inclusive(' ').map(|word| Ok(Chunk::Text(word.to_owned())));
                let whole = Item::Assistant { id: None, text: OVER.to_owned(), partial: false };
                words.chain([Ok(Chunk::Item(whole)), Ok(Chunk::Finished { usage: None })]).collect()
            }
        };
        Ok(paced(chunks.into(), self.pulse.0.subscribe()))
    }
}

/// Whether the call that was asked about did not run.
fn refused(prompt: &Prompt) -> bool {
    prompt.items.iter().any(|item| {
        matches!(&**item, Item::ToolResult { call, shown: Shown::Failure { .. }, .. } if call.as_str() == ASKED)
    })
}

/// The same chunks, each after the pause that a reader needs, until somebody is in a hurry.
fn paced<T: Send + 'static>(
    chunks: VecDeque<Result<Chunk, T>>,
    hurry: watch::Receiver<()>,
) -> BoxStream<'static, Result<Chunk, T>> {
    let next = |(mut left, mut hurry, mut pause): (VecDeque<_>, watch::Receiver<()>, Option<Duration>)| async move {
        let chunk = left.pop_front()?;
        if let Some(time) = pause {
            // A pulse that was not looked at yet counts as well, and one is enough for all that is left.
            let hurried = time::timeout(time, hurry.changed()).await.is_ok();
            pause =
                (!hurried).then_some(if matches!(chunk, Ok(Chunk::Text(_))) { WORD } else { Duration::ZERO });
        }
        Some((chunk, (left, hurry, pause)))
    };
    stream::unfold((chunks, hurry, Some(THOUGHT)), next).boxed()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt as _;

    use super::*;
    use crate::protocol::{BlobId, Content};

    struct NoBlobs;

    impl crate::model::ReadBlob for NoBlobs {
        fn read(&self, _: &BlobId) -> std::io::Result<Vec<u8>> {
            Err(std::io::ErrorKind::NotFound.into())
        }
    }

    fn prompt(items: Vec<Item>) -> Prompt {
        Prompt {
            model: "scripted".into(),
            cache_key: String::new(),
            effort: None,
            verbosity: None,
            output_schema: None,
            tools: Arc::new([]),
            epoch: 0,
            items: Arc::new(items.into_iter().map(Arc::new).collect()),
            left_out: 0,
            kept: Vec::new(),
            blobs: Arc::new(NoBlobs),
        }
    }

    /// All that an answer is made of, without its pauses.
    async fn answer(items: &[Item]) -> Vec<Item> {
        let pulse = Pulse::default();
        let player = Player::new(pulse.clone()).unwrap();
        let stream = player.respond(&prompt(items.to_vec())).await.unwrap();
        pulse.hurry();
        let chunks = stream.collect::<Vec<_>>().now_or_never().expect("who is in a hurry does not wait");
        let item = |chunk| if let Ok(Chunk::Item(item)) = chunk { Some(item) } else { None };
        chunks.into_iter().filter_map(item).collect()
    }

    fn said(items: &[Item]) -> String {
        let text =
            |item: &Item| if let Item::Assistant { text, .. } = item { text.clone() } else { String::new() };
        items.iter().map(text).collect()
    }

    #[tokio::test]
    async fn the_script_goes_on_whatever_the_person_decides() {
        for (shown, word) in [
            (Shown::Text { text: String::new() }, "is released: you said yes"),
            (Shown::failure("no"), "It is not released"),
        ] {
            let mut items = vec![Item::user("the task")];
            loop {
                let made = answer(&items).await;
                let calls: Vec<_> = made.iter().filter_map(Item::call).cloned().collect();
                items.extend(made);
                if calls.is_empty() {
                    break;
                }
                let content = vec![Content::text("")];
                items.extend(calls.into_iter().map(|call| {
                    let shown = if call.as_str() == ASKED {
                        shown.clone()
                    } else {
                        Shown::Text { text: String::new() }
                    };
                    Item::ToolResult { call, content: content.clone(), shown }
                }));
            }
            assert!(said(&items).contains(word), "{}", said(&items));
            items.push(Item::user("and now?"));
            assert_eq!(said(&answer(&items).await), OVER);
        }
    }

    #[tokio::test]
    async fn words_come_one_by_one_and_in_a_few_seconds_all() {
        let player = Player::new(Pulse::default()).unwrap();
        let mut stream = player.respond(&prompt(vec![])).await.unwrap();
        assert!(stream.next().now_or_never().is_none(), "it takes a thought");
        let words = [BEGIN, ALLOWED].concat().split_whitespace().count();
        let all = WORD * u32::try_from(words).unwrap() + THOUGHT * 5;
        assert!(all > Duration::from_secs(3) && all < Duration::from_secs(12), "{all:?}");
    }
}
