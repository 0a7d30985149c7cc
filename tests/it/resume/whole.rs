//! Everything that a session has comes back with it.

use agent::{
    protocol::{Content, Delivery, Effort, Fact, InputId, StepStatus, Time},
    session::{ProcessState, Session},
};
use serde_json::json;

use crate::support::{
    has_sandbox,
    scripted::{Scripted, exec, open_log, says},
};

#[test]
fn everything_comes_back_with_a_session() {
    if !has_sandbox() {
        return;
    }
    let plan =
        json!({"plan": [{"step": "look", "status": "completed"}, {"step": "mend", "status": "in_progress"}]});
    let planned = json!({
        "type": "tool_call", "call": "c1", "tool": "update_plan", "args": {"json": plan.to_string()},
    });
    let asks = json!({
        "cmd": "true", "sandbox_permissions": "require_escalated", "justification": "May I?",
    });
    let first = json!([
        says("A plan first."),
        planned,
        exec("c2", &json!({"cmd": "sleep 600", "yield_time_ms": 250})),
        exec("c3", &asks),
    ]);
    let answers = [first, says("allowed"), says("and then this")];
    let world = Scripted::new(&answers, "workspace-write");
    let ran = world.run(&["exec", "-c", "effort=low", "-a", "on-request", "go"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let id = world.session().unwrap();
    // What a person had typed for afterwards.
    let (mut log, events) = open_log(&world.log().unwrap()).unwrap();
    let (content, delivery) = (vec![Content::text("later")], Delivery::AfterTurn);
    log.append(vec![Fact::InputQueued { input: InputId(1), content, delivery }], Time::UNIX_EPOCH).unwrap();
    drop(log);
    let before = Session::replay(&events);
    assert_eq!(before.asked().map(|call| call.id.as_str()).collect::<Vec<_>>(), ["c3"]);

    let ran = world.run(&["exec", "resume", &id]);
    assert_eq!(ran.code, Some(3), "it waits again: {ran:?}");
    let waits = Session::replay(&world.events());
    assert_eq!((&waits.items, &waits.plan, &waits.settings), (&before.items, &before.plan, &before.settings));
    assert_eq!((&waits.turn, &waits.rules, waits.usage), (&before.turn, &before.rules, before.usage));
    assert_eq!(
        waits.plan.iter().map(|step| step.status).collect::<Vec<_>>(),
        [StepStatus::Completed, StepStatus::InProgress]
    );
    assert_eq!(waits.settings.as_ref().and_then(|settings| settings.effort), Some(Effort::Low));
    assert_eq!(waits.queue.len(), 1);
    let ended = |session: &Session| {
        session.processes.values().all(|process| matches!(process.state, ProcessState::Ended { .. }))
    };
    assert!(waits.processes.len() == 1 && ended(&waits), "{:?}", waits.processes);

    let ran = world.run(&["exec", "resume", &id, "--approve", "c3"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let after = Session::replay(&world.events());
    assert_eq!((after.plan, after.settings), (before.plan, before.settings));
    let all = serde_json::to_string(&after.items).unwrap();
    assert!(all.contains("allowed"), "{all}");
    // What was to be said afterwards is said, in this run or the next.
    if !after.queue.is_empty() {
        assert_eq!(world.run(&["exec", "resume", &id]).code, Some(0));
    }
    let last = Session::replay(&world.events());
    assert!(last.queue.is_empty() && last.answer() == Some("and then this"), "{:?}", last.answer());
    world.assert_no_process("after all of it");
}
