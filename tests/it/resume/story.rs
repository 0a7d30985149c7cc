//! Random stories of an agent and a person who work on the same files: turns, pauses, undos, redos, going back with the
//! files, forks into directories of their own. What the person did stays where that was wanted, and each state comes
//! back to the letter.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use agent::{
    harness::restored,
    protocol::{
        Command, Content, Delivery, Event, Fact, Moment, Outcome, Restore, Seq, SessionId, Time, TurnId,
    },
    session::{Session, Undoable, fork},
    snapshot::{Limits, Settings, Snapshots, Taken, Which},
};
use proptest::prelude::*;

/// What happens. What makes no sense at that moment is passed over.
#[derive(Debug, Clone)]
enum Happens {
    /// A turn of the agent; with a pause, in which a person works, there is a second part.
    Turn(Vec<Work>, Option<(Vec<Work>, Vec<Work>)>),
    Person(Vec<Work>),
    Undo(Which),
    Redo,
    /// Back to before one of the messages, with the files.
    Back(usize, Which),
    Fork,
}

/// A file that is written, or removed.
type Work = (usize, Option<u8>);
type Tree = BTreeMap<String, Vec<u8>>;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

fn work() -> impl Strategy<Value = Vec<Work>> {
    proptest::collection::vec((0..NAMES.len(), proptest::option::weighted(0.7, 0..4_u8)), 0..4)
}

fn happens() -> impl Strategy<Value = Happens> {
    let which = || prop_oneof![Just(Which::Ours), Just(Which::All)];
    prop_oneof![
        4 => (work(), proptest::option::weighted(0.3, (work(), work())))
            .prop_map(|(first, pause)| Happens::Turn(first, pause)),
        3 => work().prop_map(Happens::Person),
        3 => which().prop_map(Happens::Undo),
        2 => Just(Happens::Redo),
        2 => (0..4_usize, which()).prop_map(|(message, which)| Happens::Back(message, which)),
        1 => Just(Happens::Fork),
    ]
}

struct Story {
    _folder: tempfile::TempDir,
    forks: u32,
    settings: Settings,
    snapshots: Snapshots,
    log: Vec<Event>,
    session: Session,
    /// The files before each turn, and how much of `others` was known then.
    before: BTreeMap<u32, (Tree, usize)>,
    /// What others changed, gap by gap.
    others: Vec<BTreeSet<String>>,
    /// The files where the agent last left them.
    left: Tree,
    /// What each undo took away.
    undone: Vec<Tree>,
}

impl Story {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let settings = Settings {
            folder: root.join("snapshots"),
            workspace: root.join("work"),
            own: Vec::new(),
            limits: Limits::default(),
            remote: None,
        };
        fs::create_dir(&settings.workspace).unwrap();
        let snapshots = Snapshots::open(settings.clone()).unwrap();
        let mut story = Self {
            _folder: folder,
            forks: 0,
            snapshots,
            log: Vec::new(),
            session: Session::default(),
            before: BTreeMap::new(),
            others: Vec::new(),
            left: Tree::new(),
            undone: Vec::new(),
            settings,
        };
        story.record(vec![Fact::SessionStarted {
            session: SessionId(uuid::Uuid::from_u128(1)),
            version: 1,
            agent: "test".into(),
            workspace: story.settings.workspace.clone(),
            parent: None,
        }]);
        story
    }

    fn record(&mut self, facts: Vec<Fact>) {
        for fact in facts {
            let event = Event { seq: Seq(self.session.seq.0 + 1), at: Time::UNIX_EPOCH, fact };
            self.session.apply(&event);
            self.log.push(event);
        }
        assert_eq!(Session::replay(&self.log), self.session);
    }

    fn command(&mut self, command: Command) {
        let facts = self.session.decide(command, Time::UNIX_EPOCH).unwrap();
        self.record(facts);
    }

    fn work(&self, work: &[Work]) {
        for (name, content) in work {
            let path = self.settings.workspace.join(NAMES[*name]);
            match content {
                Some(byte) => fs::write(path, vec![*byte; 10 + usize::from(*byte)]).unwrap(),
                // It may not be there.
                None => drop(fs::remove_file(path)),
            }
        }
    }

    fn tree(&self) -> Tree {
        let entries = fs::read_dir(&self.settings.workspace).unwrap().map(Result::unwrap);
        entries
            .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
            .collect()
    }

    fn taken(&mut self, turn: TurnId, moment: Moment) {
        let Taken { id: snapshot, files, bytes, stored, .. } = self.snapshots.take().unwrap();
        self.record(vec![Fact::SnapshotTaken { turn, moment, snapshot, files, bytes, stored }]);
    }

    /// What others have done since the agent last worked.
    fn gap(&mut self) {
        let now = self.tree();
        self.others.push(differing(&self.left, &now));
        self.left = now;
    }

    fn turn(&mut self, first: &[Work], pause: Option<&(Vec<Work>, Vec<Work>)>) {
        self.command(Command::Submit { content: vec![Content::text("go")], delivery: Delivery::Steer });
        let turn = self.session.turns;
        self.gap();
        self.before.insert(turn.0, (self.tree(), self.others.len()));
        self.undone.clear();
        self.taken(turn, Moment::Before);
        self.work(first);
        if let Some((person, rest)) = pause {
            self.taken(turn, Moment::Paused);
            self.left = self.tree();
            self.work(person);
            let resumed = Session::replay(&self.log);
            assert_eq!(resumed.reconcile(), [], "the turn goes on");
            self.gap();
            self.taken(turn, Moment::Resumed);
            self.work(rest);
        }
        self.taken(turn, Moment::After);
        self.record(vec![Fact::TurnFinished { turn, outcome: Outcome::Done, duration_ms: 1 }]);
        self.left = self.tree();
    }

    /// Puts something back as the program does.
    fn put_back(&mut self, known: &Undoable, which: Which, rewind: Option<Seq>) {
        let now = self.snapshots.take().unwrap();
        let plan = self.snapshots.plan(&now.id, &known.to, &known.between(&now.id)).unwrap();
        let restore = Restore { rewind, ..known.restore(now.id, which == Which::All) };
        self.command(Command::Restore { restore: restore.clone() });
        let (done, taken) = self.snapshots.restore(&plan, which).unwrap();
        assert!(which == Which::Ours || done.left.is_empty(), "{done:?}");
        let none = Path::new("nothing was compacted");
        let facts = restored(&self.session, none, &restore, &done, &taken);
        self.record(facts);
    }

    fn undo(&mut self, known: &Undoable, which: Which, rewind: Option<Seq>) {
        let now = self.tree();
        let turn = known.turn.unwrap().0;
        let (before, gaps) = self.before[&turn].clone();
        self.gap();
        let theirs: BTreeSet<String> = self.others[gaps..].iter().flatten().cloned().collect();
        self.put_back(known, which, rewind);
        let after = self.tree();
        for name in NAMES {
            let kept = which == Which::Ours && theirs.contains(name);
            let expected = if kept { &now } else { &before };
            assert_eq!(
                after.get(name),
                expected.get(name),
                "{name} after an undo of turn {turn} ({which:?})"
            );
        }
        self.undone.push(now);
        self.left = after;
    }

    fn happen(&mut self, what: &Happens) {
        match what {
            Happens::Turn(first, pause) => self.turn(first, pause.as_ref()),
            Happens::Person(work) => self.work(work),
            Happens::Undo(which) => {
                if let Ok(known) = self.session.undo.undo(None) {
                    self.undo(&known, *which, None);
                }
            }
            Happens::Redo => match self.session.undo.redo() {
                Ok(known) => {
                    let expected = self.undone.pop().unwrap();
                    self.gap();
                    self.put_back(&known, Which::All, None);
                    assert_eq!(self.tree(), expected, "after a redo");
                    self.left = expected;
                }
                Err(_) => assert!(self.undone.is_empty()),
            },
            Happens::Back(message, which) => {
                let said: Vec<Seq> = self.session.said().map(|(seq, _)| seq).collect();
                let Some(to) = said.get(message % said.len().max(1)).copied() else { return };
                let Ok(known) = self.session.files_before(to) else { return };
                let then = Session::replay(&self.log[..usize::try_from(to.0).unwrap() - 1]);
                self.undo(&known, *which, Some(to));
                let (kept, told) = self.session.items.split_at(then.items.len());
                assert_eq!(kept, &then.items[..]);
                let stayed = self.left != self.before[&known.turn.unwrap().0].0;
                assert_eq!(
                    told.len(),
                    usize::from(stayed),
                    "the model is told of what it does not find as it was"
                );
                assert!(self.session.said_at(to).is_none());
            }
            Happens::Fork => self.fork(),
        }
    }

    /// Goes on in a directory of its own, as the session last kept the files.
    fn fork(&mut self) {
        let Some(last) = self.session.undo.last().cloned() else { return };
        self.forks += 1;
        let place: PathBuf = self.settings.workspace.with_file_name(format!("fork{}", self.forks));
        Snapshots::hydrate(&self.settings, &last, &place).unwrap();
        self.log = fork::moved(&self.log, &place, Time::UNIX_EPOCH);
        self.session = Session::replay(&self.log);
        fs::remove_dir_all(&self.settings.workspace).unwrap();
        self.settings.workspace = place;
        self.snapshots = Snapshots::open(self.settings.clone()).unwrap();
        assert_eq!(self.snapshots.take().unwrap().id, last);
        // What a person did that nobody kept stayed behind.
        self.left = self.tree();
    }
}

fn differing(one: &Tree, other: &Tree) -> BTreeSet<String> {
    NAMES.iter().filter(|name| one.get(**name) != other.get(**name)).map(|name| (*name).to_owned()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if crate::support::chance::long() { 2000 } else { 40 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whoever_works_and_goes_back_finds_what_they_left(story in proptest::collection::vec(happens(), 1..14)) {
        let mut world = Story::new();
        for what in &story {
            world.happen(what);
        }
    }
}
