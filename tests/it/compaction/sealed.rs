//! Providers that make the conversation smaller themselves, over HTTP and in this process; and those that fail at it.

use std::{fs, sync::Arc};

use agent::{
    model::{ModelError, ModelErrorKind, Prompt, Sealed},
    protocol::{Compaction, CompactionMeans as Means, Fact, Item, Outcome},
};
use serde_json::{Value, json};

use super::bench::{Bench, GOOD, HOST, Seal, TASK, call, plan, says};
use crate::support::{
    mock::{Mock, Request, Step, text},
    world::{World, shell},
};

const SEALED: &str = "gAAAAB-sealed-by-the-provider";

fn sealed() -> Value {
    json!({"type": "compaction", "id": "cmp_1", "encrypted_content": SEALED, "newer": {"field": 1}})
}

/// What a provider answers that is to make a conversation smaller.
fn compacted() -> Step {
    Step::json(json!({
        "id": "resp_c", "object": "response.compaction", "created_at": 1,
        "output": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "all of yours"}]},
            sealed(),
        ],
        "usage": {"input_tokens": 900, "output_tokens": 70, "total_tokens": 970},
    }))
}

/// Two answers, of which the second fills the window of a small model; then what comes of it.
async fn full(then: impl IntoIterator<Item = Step>) -> World {
    let long = |what: &str, words: usize| text(format!("{what} {}", "and more words ".repeat(words)));
    let first = Step::items([long("The first part.", 2_700), shell("echo one")]).usage(3_000, 10_000);
    let second = Step::items([long("The second part.", 2_000), shell("echo two")]).usage(13_500, 7_500);
    let world = World::new([first, second].into_iter().chain(then).collect::<Vec<_>>()).await;
    let config = fs::read_to_string(world.config_file()).unwrap();
    let config = config
        .replace("window = 200000", "window = 20000")
        .replace("[providers.mock]", "[providers.mock]\nserver_compaction = true");
    fs::write(world.config_file(), config).unwrap();
    world
}

fn input(request: &Request) -> Vec<Value> {
    request.body["input"].as_array().unwrap().clone()
}

fn compactions(world: &World) -> Vec<Value> {
    world.log().into_iter().filter(|fact| fact["type"] == "compacted").collect()
}

#[tokio::test]
async fn the_provider_makes_it_smaller_and_gets_back_what_it_has_sealed_and_nobody_else_does() {
    let world = full([compacted(), Step::text("done"), Step::text("again"), Step::text("elsewhere")]).await;
    world.exec(&["port the driver"]).await.expect(0);
    let requests = world.mock.requests();
    let asked = &requests[2];
    assert!(asked.path.ends_with("/v1/responses/compact"), "{}", asked.path);
    let keys: Vec<&String> = asked.body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["model", "prompt_cache_key", "input"]);
    let all = asked.body["input"].to_string();
    assert!(
        all.contains("port the driver")
            && all.contains("The first part.")
            && all.contains("The second part.")
    );
    assert!(!all.contains("echo two"), "what the model has not answered to stays as it is: {all}");

    let next = input(&requests[3]);
    let at = next.iter().position(|item| item["type"] == "compaction").unwrap();
    assert_eq!(next[at], sealed(), "as it came");
    let all = requests[3].body["input"].to_string();
    assert!(!all.contains("The first part.") && !all.contains("The second part."), "{all}");
    assert_eq!(all.matches("port the driver").count(), 1, "the task is there, and once");
    assert!(!all.contains("all of yours"), "messages come from where they were said");
    let result = next.iter().position(|item| item["type"] == "function_call_output").unwrap();
    assert!(result > at && next[result]["output"].as_str().unwrap().contains("two"));

    let told = compactions(&world);
    assert_eq!((told.len(), &told[0]["how"]), (1, &json!("sealed")));
    assert_eq!(told[0]["usage"]["input"], 900, "what it cost is counted");
    let (from, to) = (told[0]["from"].as_u64().unwrap(), told[0]["to"].as_u64().unwrap());
    assert!(to * 10 <= from * 8, "{from} → {to}");

    // The same after a restart.
    world.agent(["exec", "resume", "--last", "go on"]).await.expect(0);
    let again = input(&world.mock.requests()[4]);
    assert_eq!(again[..=at], next[..=at]);

    // Another host can't read it, nor another wire: both are told in words what was done.
    let other = Mock::start([Step::text("there"), Step::text("so")]).await;
    let mut config = fs::read_to_string(world.config_file()).unwrap();
    for wire in ["responses", "chat"] {
        config += &format!("\n[providers.{wire}]\nbase_url = '{}'\nwire = '{wire}'\n", other.base_url());
    }
    fs::write(world.config_file(), config).unwrap();
    for wire in ["responses", "chat"] {
        world.agent(["exec", "resume", "--last", "-m", &format!("{wire}/m"), "go on"]).await.expect(0);
    }
    for request in other.requests() {
        let all = String::from_utf8_lossy(&request.raw).into_owned();
        assert!(!all.contains(SEALED) && !all.contains("\"compaction\""), "{}: {all}", request.path);
        assert!(all.contains("- ran `echo one`: exit 0") && all.contains("port the driver"), "{all}");
    }
    // And back.
    world.agent(["exec", "resume", "--last", "-m", "mock/m", "go on"]).await.expect(0);
    let back = input(world.mock.requests().last().unwrap());
    assert!(back.contains(&sealed()), "{back:?}");
}

#[tokio::test]
async fn what_a_provider_refuses_to_do_the_program_does() {
    for (refusal, why) in [
        (Step::status(404), "mock status 404"),
        (Step::json(json!({"object": "response.compaction", "output": []})), "without a `compaction` item"),
        (Step::raw("<html>"), "can't be understood"),
        (Step::hang_up(), "was lost before an answer came"),
    ] {
        let good = GOOD.replace("Port the fluxcapacitor driver", "Port the driver");
        let world = full([refusal, Step::text(&good), Step::text("done")]).await;
        let run = world.exec(&["--json", "port the driver"]).await.expect(0);
        let told = compactions(&world);
        assert_eq!((told.len(), &told[0]["how"]), (1, &json!("summary")), "{why}: {run:#?}");
        let problem = told[0]["problem"].as_str().unwrap();
        assert!(problem.starts_with("the provider did not do it: ") && problem.contains(why), "{problem}");
        assert!(
            world.mock.requests()[4].body["input"].to_string().contains("Half of the functions are ported")
        );
    }
}

#[tokio::test]
async fn what_a_provider_has_sealed_and_does_not_take_back_is_done_without() {
    let refuses =
        || Step::status(400).body(json!({"error": {"message": "compaction item could not be verified"}}));
    let hows =
        |world: &World| -> Vec<Value> { compactions(world).iter().map(|fact| fact["how"].clone()).collect() };
    let without = |world: &World| {
        let last = world.mock.requests().last().unwrap().body["input"].to_string();
        assert!(!last.contains(SEALED) && last.contains("- ran `echo one`: exit 0"), "{last}");
        assert!(last.contains("port the driver"), "{last}");
    };
    // At once; the list of what was done is there already.
    let world = full([compacted(), refuses(), Step::text("done")]).await;
    let run = world.exec(&["port the driver"]).await.expect(0);
    assert!(run.stdout.contains("done"), "{run:#?}");
    assert_eq!(hows(&world), ["sealed", "digest"]);
    without(&world);
    // Or later, such as with another key.
    let world = full([compacted(), Step::text("done"), refuses(), Step::text("again")]).await;
    world.exec(&["port the driver"]).await.expect(0);
    let run = world.agent(["exec", "resume", "--last", "go on"]).await.expect(0);
    assert!(run.stdout.contains("again"), "{run:#?}");
    assert_eq!(hows(&world), ["sealed", "digest"]);
    without(&world);
    // Where nothing is sealed, a refusal is none of the conversation's size.
    let world = World::new([refuses()]).await;
    world.exec(&["go"]).await.expect(1);
    assert_eq!(world.mock.requests().len(), 1);
}

/// A turn that is compacted more than once by a provider that does it like this.
async fn with(seal: Seal) -> (Bench, Vec<Compaction>) {
    let worker = Arc::new(move |number, _: &Prompt| {
        Ok(match number {
            1 => vec![plan()],
            2..=121 => {
                let name = format!("file-{number}.rs");
                vec![call("look", &format!("call-{number}"), &json!({ "name": name, "bytes": 1_500 }))]
            }
            _ => vec![says("Done.")],
        })
    });
    let mut bench = Bench::new(worker, Arc::new(|_, _| Ok(vec![says(GOOD)])));
    bench.model.seen().seal = Some(seal);
    let Fact::TurnFinished { outcome, .. } = bench.turn(TASK).await else { unreachable!() };
    assert_eq!(outcome, Outcome::Done);
    bench.stop().await;
    let of = |event: agent::protocol::Event| match event.fact {
        Fact::Compacted(compaction) => Some(*compaction),
        _ => None,
    };
    let all: Vec<Compaction> = bench.events().into_iter().filter_map(of).collect();
    // The task, the rule, the plan and each result are in every request, whoever makes it smaller.
    {
        let seen = bench.model.seen();
        assert_eq!((seen.wrong.as_slice(), seen.refused), (&[][..], 0));
    }
    assert!(all.len() > 1);
    (bench, all)
}

fn of(item: Value) -> Seal {
    Arc::new(move |_| Ok(Some(Sealed { by: HOST.into(), item: item.clone(), usage: None })))
}

#[tokio::test]
async fn what_holds_is_in_each_request_also_where_the_provider_makes_it_smaller() {
    let before: Seal = Arc::new(|prompt| {
        let known = prompt.items.iter().filter(|item| matches!(***item, Item::Sealed { .. })).count();
        assert!(known <= 1, "what was sealed before is in it once");
        let item = json!({"type": "compaction", "encrypted_content": "x".repeat(4_000), "known": known});
        Ok(Some(Sealed { by: HOST.into(), item, usage: None }))
    });
    let (bench, all) = with(before).await;
    assert!(all.iter().all(|compaction| compaction.how == Means::Sealed && compaction.problem.is_none()));
    {
        let seen = bench.model.seen();
        assert_eq!((seen.sealings, seen.summaries), (all.len(), 0));
    }
    let log = fs::read_to_string(bench.log()).unwrap();
    assert!(log.contains("\"known\":1"), "the second is made of the first");
}

#[tokio::test]
async fn what_is_too_large_fails_or_crashes_is_replaced_by_the_programs_own() {
    let huge = of(json!({"type": "compaction", "encrypted_content": "x".repeat(200_000)}));
    let (_, all) = with(huge).await;
    assert!(all.iter().all(|compaction| compaction.how == Means::Digest), "{all:?}");
    assert_eq!(all[0].problem.as_deref(), Some("what the provider gave is too large"));
    let crashes: Seal = Arc::new(|_| panic!("a bug of a wire"));
    let (_, all) = with(crashes).await;
    assert!(all.iter().all(|compaction| compaction.how == Means::Summary), "{all:?}");
    assert!(all[0].problem.as_deref().unwrap().contains("this is a bug of the agent"), "{all:?}");
    let fails: Seal = Arc::new(|_| Err(ModelError::new(ModelErrorKind::RateLimit, "too many")));
    let (_, all) = with(fails).await;
    assert_eq!(all[0].problem.as_deref(), Some("the provider did not do it: too many"));
}
