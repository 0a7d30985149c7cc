//! Every wire from the side that reads: its recorded streams, and what any bytes of it come to.

use std::{
    collections::{HashSet, VecDeque},
    fmt,
    path::{Path, PathBuf},
};

use agent::{
    model::{
        Chunk, ModelError, anthropic, chat, ollama, responses,
        stream::{self, Decode, Flow},
    },
    protocol::{CallId, Item},
};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};

/// What bytes come to.
pub type Read = (Vec<Chunk>, Option<ModelError>);

/// A wire as it is read.
#[derive(Clone, Copy)]
pub struct Wired {
    /// Its folder in the test data.
    pub name: &'static str,
    /// How the names of its recorded streams end.
    pub ending: &'static str,
    /// Words of its language, for those who damage it.
    pub words: &'static [&'static str],
    /// What has a good chance to get beyond the first brace, as a regular expression.
    pub pattern: &'static str,
    /// Reads a stream in these pieces, of which no event is larger than so many bytes.
    pub read: fn(Vec<Bytes>, usize) -> Read,
    /// Reads a document.
    pub document: fn(&[u8]) -> Read,
}

impl fmt::Debug for Wired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// All wires that go to a server.
pub const ALL: [Wired; 4] = [
    Wired {
        name: "responses",
        ending: ".sse",
        words: &[
            "\"type\":\"response.completed\"",
            "\"type\":\"response.output_item.done\"",
            "data: {\"type\":\"response.completed\",\"response\":{}}\n\n",
            "\"output_index\":9999999999",
            "data: {\"type\":\"error\"}\n\n",
            "data: {\"type\":\"response.output_text.delta\",\"delta\":\"x\"}\n\n",
        ],
        pattern: "\\{\"type\":\"response\\.[a-z_.]{0,30}\",\"(item|delta|response|error)\":\\PC{0,40}\\}",
        read: |pieces, limit| read(pieces, limit, responses_decoder()),
        document: |bytes| document(bytes, responses_decoder()),
    },
    Wired {
        name: "chat",
        ending: ".sse",
        words: &[
            "\"finish_reason\":\"stop\"",
            "\"index\":9999999999",
            "\"tool_calls\":[{\"index\":7,\"function\":{\"arguments\":\"x\"}}]",
            "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n",
            "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n",
            "data: {\"error\":{\"message\":\"no\",\"code\":429}}\n\n",
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":-1}}\n\n",
            "\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":null}]",
        ],
        pattern: "\\{\"choices\":\\[\\{\"delta\":\\{\"(content|tool_calls|reasoning|reasoning_details)\":\\PC{0,40}\\}\\}\\]\\}",
        read: |pieces, limit| read(pieces, limit, chat_decoder()),
        document: |bytes| document(bytes, chat_decoder()),
    },
    Wired {
        name: "anthropic",
        ending: ".sse",
        words: &[
            "\"index\":9999999999",
            "\"stop_reason\":\"max_tokens\"",
            "\"stop_reason\":\"pause_turn\"",
            "data: {\"type\":\"message_stop\"}\n\n",
            "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
            "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\"}}\n\n",
            "data: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n",
            "\"type\":\"server_tool_use\"",
        ],
        pattern: "\\{\"type\":\"(content_block_(start|delta|stop)|message_(start|delta|stop)|error)\",\"(index|delta|content_block|usage|error)\":\\PC{0,40}\\}",
        read: |pieces, limit| read(pieces, limit, anthropic_decoder()),
        document: |bytes| document(bytes, anthropic_decoder()),
    },
    Wired {
        name: "ollama",
        ending: ".ndjson",
        words: &[
            "\"done\":true",
            "\"done_reason\":\"length\"",
            "{\"error\":\"no\"}\n",
            "{\"message\":{\"content\":\"x\"},\"done\":false}\n",
            "{\"message\":{\"content\":\"\"},\"done\":true}\n",
            "\"tool_calls\":[{\"function\":{\"name\":\"\"}}]",
            "\"eval_count\":99999999999999999999",
        ],
        pattern: "\\{\"message\":\\{\"(content|tool_calls|thinking)\":\\PC{0,40}\\}\\}",
        read: |pieces, limit| read(pieces, limit, ollama_decoder()),
        document: |bytes| document(bytes, ollama_decoder()),
    },
];

impl Wired {
    /// Its recorded streams, each with its file.
    pub fn samples(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/wires").join(self.name);
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let recorded = files.filter(|path| path.to_str().unwrap().ends_with(self.ending));
        let mut all: Vec<_> = recorded.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
        all.sort();
        assert!(!all.is_empty(), "nothing is recorded of {}", self.name);
        all
    }

    /// An event with this data, as a stream has it.
    pub fn event(&self, data: &str) -> Vec<u8> {
        match self.ending {
            ".sse" => format!("data: {data}\n\n").into_bytes(),
            _ => format!("{data}\n").into_bytes(),
        }
    }

    /// Reads a stream that is there as a whole.
    pub fn whole(&self, bytes: &[u8]) -> Read {
        (self.read)(vec![Bytes::copy_from_slice(bytes)], 1 << 20)
    }
}

fn known() -> HashSet<CallId> {
    HashSet::from([CallId::from("call_0")])
}

fn freeform() -> Vec<String> {
    vec!["apply_patch".to_owned()]
}

fn responses_decoder() -> responses::decode::Decoder {
    responses::decode::Decoder::new("host")
}

fn chat_decoder() -> chat::decode::Decoder {
    chat::decode::Decoder::new("host", known(), freeform())
}

fn anthropic_decoder() -> anthropic::decode::Decoder {
    anthropic::decode::Decoder::new("host", freeform())
}

fn ollama_decoder() -> ollama::decode::Decoder {
    ollama::decode::Decoder::new("host", known(), freeform())
}

fn read<D: Decode>(pieces: Vec<Bytes>, limit: usize, mut decoder: D) -> Read {
    let bytes = futures::stream::iter(pieces.into_iter().map(Ok));
    let mut events = stream::events::<_, D>(bytes, limit);
    let mut chunks = VecDeque::new();
    let error = loop {
        let read = match events.next().now_or_never().expect("all bytes are there") {
            Some(Ok(event)) => decoder.event(&event, &mut chunks),
            Some(Err(error)) => Err(error),
            None => decoder.ended(&mut chunks).map(|()| Flow::Done),
        };
        match read {
            Ok(Flow::More) => {}
            Ok(Flow::Done) => break None,
            Err(error) => break Some(error),
        }
    };
    (named(chunks.into()), error)
}

fn document<D: Decode>(bytes: &[u8], decoder: D) -> Read {
    let (mut chunks, mut error) = (Vec::new(), None);
    for chunk in decoder.document(bytes) {
        assert_eq!(error, None, "nothing follows an error");
        match chunk {
            Ok(chunk) => chunks.push(chunk),
            Err(failed) => error = Some(failed),
        }
    }
    (named(chunks), error)
}

/// Ids that a wire makes up are others each time: they are named by their place.
fn named(mut chunks: Vec<Chunk>) -> Vec<Chunk> {
    for (at, chunk) in chunks.iter_mut().enumerate() {
        if let Chunk::Item(Item::ToolCall { call, .. }) = chunk
            && call.as_str().strip_prefix("call_").is_some_and(|rest| rest.len() == 32)
        {
            *call = CallId(format!("made_up_{at}"));
        }
    }
    chunks
}
