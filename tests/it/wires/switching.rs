//! A conversation in which any models take turns, on any wires, is one that each of them takes.

use agent::model::{anthropic, chat, ollama, responses};

use super::{rules, *};
use crate::support::{
    mock::{custom_call, reasoning as thought, text},
    wires,
};

/// The wires, in the order of [`wires::ALL`], each with its address.
const WIRES: [(Wire, &str); 4] = [
    (Wire::Responses, "/responses"),
    (Wire::Chat, "/chat/completions"),
    (Wire::Anthropic, "/messages"),
    (Wire::Ollama, "/api/chat"),
];

/// What a model answers.
#[derive(Debug, Clone, Copy)]
enum Said {
    Thought,
    Text,
    Call,
    BadCall,
    Patch,
    /// What only its own wire knows.
    Odd,
    /// The provider searches the web,
    Search,
    /// and what it found.
    Found,
}

/// One request and its answer.
#[derive(Debug, Clone)]
struct Round {
    wire: usize,
    answer: Vec<Said>,
    /// The connection is lost after so many events.
    cut: Option<usize>,
    /// Calls of it that never get a result: the program was killed.
    lost: bool,
    /// The program says something behind it.
    notice: bool,
}

fn rounds() -> impl Strategy<Value = Vec<Round>> {
    let said = prop::sample::select(vec![
        Said::Thought,
        Said::Text,
        Said::Call,
        Said::BadCall,
        Said::Patch,
        Said::Odd,
        Said::Search,
        Said::Found,
    ]);
    let cut = prop_oneof![3 => Just(None), 1 => (0usize..16).prop_map(Some)];
    let seldom = || prop_oneof![9 => Just(false), 1 => Just(true)];
    let round = (0..WIRES.len(), prop::collection::vec(said, 1..6), cut, seldom(), seldom())
        .prop_map(|(wire, answer, cut, lost, notice)| Round { wire, answer, cut, lost, notice });
    prop::collection::vec(round, 1..9)
}

/// The encoders of a session: each is kept, however many others were asked in between.
struct Encoders {
    responses: responses::encode::Encoder,
    chat: chat::encode::Encoder,
    anthropic: anthropic::encode::Encoder,
    ollama: ollama::encode::Encoder,
}

impl Encoders {
    fn new() -> Self {
        let voice = ollama::Voice { window: 8_000, output: None, images: true };
        let dialect =
            chat::Dialect { reasoning_field: Some("reasoning_content".into()), ..Default::default() };
        Self {
            responses: responses::encode::Encoder::new(true),
            chat: chat::encode::Encoder::new(dialect),
            anthropic: anthropic::encode::Encoder::new(32_000),
            ollama: ollama::encode::Encoder::new(voice),
        }
    }

    fn request(&mut self, wire: Wire, prompt: &Prompt) -> Bytes {
        match wire {
            Wire::Responses => self.responses.request(prompt),
            Wire::Chat => self.chat.request(prompt),
            Wire::Anthropic => self.anthropic.request(prompt),
            Wire::Ollama | Wire::Replay => self.ollama.request(prompt),
        }
    }
}

/// What is sealed in thought `number` on a wire.
fn seal(wire: usize, number: usize) -> String {
    format!("SEAL-{}-{number}-", wires::ALL[wire].name)
}

/// The answer of a round as its server sends it, read by its wire: the items that came whole.
fn answered(round: &Round, number: usize) -> Vec<Item> {
    let sent = round.answer.iter().map(|said| match said {
        Said::Thought => thought(&["I think."], &seal(round.wire, number)),
        Said::Text => text("said"),
        Said::Call => mock::call("exec_command", json!({"cmd": "ls"})),
        Said::BadCall => mock::call("exec_command", "{\"cmd\": bad"),
        Said::Patch => custom_call("apply_patch", "*** Begin Patch"),
        // A server of another wire says nothing of it.
        Said::Odd => json!({"type": "odd_call", "id": seal(round.wire, number)}),
        Said::Search => json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}}),
        Said::Found => json!({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [
            {"type": "web_search_result", "url": "https://a.b", "title": "A", "encrypted_content": seal(round.wire, number)}]}),
    });
    // What another wire would call so is no item of this one.
    let of_anthropic = |item: &Value| {
        ["server_tool_use", "web_search_tool_result"].contains(&item["type"].as_str().unwrap())
    };
    let sent = sent.filter(|item| round.wire == 2 || !of_anthropic(item));
    let (_, path) = WIRES[round.wire];
    let mut events = Step::items(sent).events_at(path, number);
    events.truncate(round.cut.unwrap_or(usize::MAX));
    items(&wires::ALL[round.wire].whole(events.concat().as_bytes()).0)
}

/// Asks a model on a wire with a conversation, and looks at what it is sent.
fn check(encoders: &mut Encoders, wire: usize, conversation: &[Item]) -> Result<String, TestCaseError> {
    let (kind, _) = WIRES[wire];
    let prompt = prompt(conversation.to_vec());
    let bytes = encoders.request(kind, &prompt);
    prop_assert_eq!(&bytes, &Encoders::new().request(kind, &prompt), "it is the same as the first request");
    let body: Value = serde_json::from_slice(&bytes).unwrap();
    prop_assert_eq!(rules::broken(kind, &body), Vec::<String>::new(), "{:?}: {:#}", kind, body);
    let sent = body.to_string();
    for (other, wired) in wires::ALL.iter().enumerate().filter(|(other, _)| *other != wire) {
        prop_assert!(
            !sent.contains(&format!("SEAL-{}", wired.name)),
            "{:?} has what {} sealed: {}",
            kind,
            other,
            sent
        );
    }
    Ok(sent)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn whoever_answers_next_gets_calls_with_their_results_and_nothing_that_another_wire_sealed(rounds in rounds()) {
        let mut encoders = Encoders::new();
        let mut said = vec![context(Context::System, "You are an agent."), Item::user("the task")];
        for (number, round) in (1..).zip(&rounds) {
            check(&mut encoders, round.wire, &said)?;
            let made = answered(round, number);
            let calls: Vec<CallId> = made.iter().filter_map(|item| item.call().cloned()).collect();
            let led_somewhere = matches!(
                &made[..],
                [Item::Reasoning { encrypted: Some(_), .. }, Item::Assistant { .. } | Item::ToolCall { .. }, ..]
            );
            said.extend(made);
            for call in calls.iter().filter(|_| !round.lost) {
                said.push(result(call.as_str(), vec![Content::text("out"), picture("p")]));
            }
            if round.notice {
                said.push(context(Context::Notice, "a notice"));
            }
            if calls.is_empty() || round.lost {
                said.push(Item::user("go on"));
            }
            // And the one who thought it gets it back.
            let sent = check(&mut encoders, round.wire, &said)?;
            prop_assert!(!led_somewhere || sent.contains(&seal(round.wire, number)), "{:?} misses its thought: {}", round, sent);
        }
        for wire in 0..WIRES.len() {
            check(&mut encoders, wire, &said)?;
        }
    }
}
