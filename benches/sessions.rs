//! A list of a thousand sessions of 1 MB, and of ten thousand that were listed before.

#![expect(clippy::unwrap_used, reason = "a benchmark that fails may say so by panicking")]

use std::fs;

use agent::{
    protocol::{Context, Fact, Item, Outcome, SessionId, Time, TurnId},
    store::{Log, Sessions},
};
use divan::Bencher;

fn main() {
    divan::main();
}

fn id(number: u128) -> SessionId {
    SessionId(uuid::Uuid::from_u128(number))
}

/// Sessions whose logs are one file under many names: they cost the disk 1 MB, and the list does not know.
fn many(count: u128) -> (tempfile::TempDir, Sessions) {
    let folder = tempfile::tempdir().unwrap();
    let sessions = Sessions::new(folder.path().join("sessions")).known_in(folder.path().join("index"));
    let mut log = Log::create(&sessions.log(id(0))).unwrap();
    let context = Item::Context { context: Context::Instructions, text: "Be brief.\n".repeat(2_000) };
    let begin = Fact::SessionStarted {
        session: id(0),
        version: 1,
        agent: "bench".into(),
        workspace: "/w".into(),
        parent: None,
    };
    log.append(vec![begin, Fact::item(context)], Time::UNIX_EPOCH).unwrap();
    for turn in (1..=100).map(TurnId) {
        let answer = Item::Assistant { id: None, text: "words ".repeat(1_600), partial: false };
        let facts = vec![
            Fact::TurnStarted { turn },
            Fact::item(Item::user("mend the login")),
            Fact::item(answer),
            Fact::TurnFinished { turn, outcome: Outcome::Done, duration_ms: 1 },
        ];
        log.append(facts, Time::UNIX_EPOCH).unwrap();
    }
    for number in 1..count {
        let blobs = sessions.folder(id(number)).join("blobs");
        fs::create_dir_all(&blobs).unwrap();
        fs::hard_link(sessions.log(id(0)), sessions.log(id(number))).unwrap();
        for blob in 0..5 {
            fs::write(blobs.join(format!("{blob:064x}")), "content").unwrap();
        }
    }
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    for number in 0..count {
        for path in
            [sessions.log(id(number)), sessions.folder(id(number)).join("blobs"), sessions.folder(id(number))]
        {
            if let Ok(file) = fs::File::open(path) {
                file.set_modified(old).unwrap();
            }
        }
    }
    (folder, sessions)
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn list(bencher: Bencher<'_, '_>) {
    let (folder, sessions) = many(1_000);
    bencher.bench(|| {
        // As after the index was lost.
        let _ = fs::remove_file(folder.path().join("index"));
        let listed = sessions.list().unwrap();
        assert!(listed.len() == 1_000 && listed.iter().all(|listed| listed.turns == Some(100)));
    });
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn list_of_ten_thousand_again(bencher: Bencher<'_, '_>) {
    let (_folder, sessions) = many(10_000);
    sessions.list().unwrap();
    bencher.bench(|| {
        let listed = sessions.list().unwrap();
        assert!(listed.len() == 10_000 && listed.iter().all(|listed| listed.turns == Some(100)));
    });
}
