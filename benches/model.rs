//! The hot paths of talking to a model: building a request, and reading a long answer.

use std::{collections::VecDeque, io, sync::Arc};

use agent::{
    model::{
        Prompt, ReadBlob,
        responses::{decode::Decoder, encode::Encoder},
        sse,
        stream::{Decode as _, Flow},
    },
    protocol::{Args, BlobId, CallId, Content, Effort, Item, Shown},
};
use bytes::Bytes;
use divan::{Bencher, counter::BytesCount};
use futures::{FutureExt as _, StreamExt as _, stream};

fn main() {
    divan::main();
}

struct NoBlobs;

impl ReadBlob for NoBlobs {
    fn read(&self, _: &BlobId) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// A conversation of calls and results, one kilobyte each.
fn prompt(items: usize) -> Prompt {
    let item = |n: usize| {
        let call = CallId::from(format!("call_{}", n / 2).as_str());
        Arc::new(match n % 2 {
            0 => Item::ToolCall {
                call,
                id: None,
                tool: "exec_command".into(),
                args: Args::Json(format!("{{\"cmd\":\"echo {n}\"}}")),
            },
            _ => Item::ToolResult {
                call,
                content: vec![Content::text("line of \"output\"\n".repeat(60))],
                shown: Shown::text(""),
            },
        })
    };
    Prompt {
        model: "m".into(),
        cache_key: "k".into(),
        effort: Some(Effort::Medium),
        verbosity: None,
        output_schema: None,
        tools: Arc::new([]),
        epoch: 0,
        items: Arc::new((0..items).map(item).collect()),
        left_out: 0,
        kept: Vec::new(),
        blobs: Arc::new(NoBlobs),
    }
}

/// The request after the last of so many items came; the others are encoded already.
#[divan::bench(args = [10, 1000, 10_000])]
fn next_request(bencher: Bencher<'_, '_>, items: usize) {
    let whole = prompt(items);
    let shorter = Prompt { items: Arc::new(whole.items[..items - 1].to_vec()), ..whole.clone() };
    bencher
        .with_inputs(|| {
            let mut encoder = Encoder::default();
            encoder.request(&shorter);
            encoder
        })
        .bench_values(|mut encoder| (encoder.request(&whole), encoder));
}

/// The first request of a resumed session: everything is encoded.
#[divan::bench(args = [10, 1000])]
fn first_request(bencher: Bencher<'_, '_>, items: usize) {
    let prompt = prompt(items);
    bencher.bench(|| Encoder::default().request(&prompt));
}

fn event(name: &str, rest: &str) -> String {
    format!("event: {name}\ndata: {{\"type\":\"{name}\",\"sequence_number\":1,{rest}}}\n\n")
}

/// An answer in so many deltas of this text, as it comes from a socket.
fn answer(deltas: usize, text: &str) -> Vec<Bytes> {
    let at = "\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0";
    let mut all = String::new();
    for _ in 0..deltas {
        all += &event("response.output_text.delta", &format!("{at},\"delta\":\"{text}\""));
    }
    let message = format!(
        "{{\"type\":\"message\",\"id\":\"msg_1\",\"content\":[{{\"type\":\"output_text\",\"text\":\"{}\"}}]}}",
        text.repeat(deltas)
    );
    all += &event("response.output_item.done", &format!("\"item\":{message}"));
    all += &event("response.completed", &format!("\"response\":{{\"output\":[{message}]}}"));
    Bytes::from(all).chunks(8192).map(Bytes::copy_from_slice).collect()
}

fn decode(pieces: &[Bytes]) -> usize {
    let mut events = sse::events(stream::iter(pieces.iter().cloned().map(Ok)), sse::EVENT_LIMIT);
    let mut decoder = Decoder::new("host");
    let mut chunks = VecDeque::new();
    let mut count = 0;
    loop {
        let event = events.next().now_or_never().flatten().expect("the answer is whole").expect("and good");
        let flow = decoder.event(&event, &mut chunks).expect("every event is known");
        count += chunks.drain(..).count();
        if flow == Flow::Done {
            return count;
        }
    }
}

/// Bytes of a stream to chunks: short deltas, and long ones.
#[divan::bench(args = [(20_000, 4), (20_000, 64), (500, 8000)])]
fn stream_to_chunks(bencher: Bencher<'_, '_>, (deltas, length): (usize, usize)) {
    let pieces = answer(deltas, &"word".repeat(length / 4));
    let bytes: usize = pieces.iter().map(Bytes::len).sum();
    bencher.counter(BytesCount::new(bytes)).bench(|| decode(&pieces));
}
