use super::*;

struct World {
    folder: tempfile::TempDir,
    projects: BTreeMap<PathBuf, Project>,
}

impl World {
    /// A repository `p` with a directory `p/sub` to work in.
    fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap(), projects: BTreeMap::new() };
        fs::create_dir_all(world.path("p/.git")).unwrap();
        fs::create_dir_all(world.path("p/sub")).unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    fn write(&self, name: &str, text: &str) -> &Self {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
        self
    }

    fn find(&self) -> Trust {
        Trust::find(&self.path("data/trust.json"), &self.path("p/sub"), &self.projects)
    }

    fn decide(&self, trusted: bool) {
        self.find().decide(&self.path("data/trust.json"), trusted).unwrap();
    }

    fn verdict(&self, name: &str) -> Verdict {
        self.find().verdict(&self.path(name), &fs::read(self.path(name)).unwrap())
    }
}

#[test]
fn all_that_a_session_would_read_is_found_and_nothing_else() {
    let world = World::new();
    assert_eq!(world.find().standing, Standing::Nothing);
    world
        .write("AGENTS.md", "above the repository")
        .write("p/other/AGENTS.md", "beside")
        .write("p/a.md", "x");
    world.write("p/CLAUDE.md", "hidden").write("p/sub/GEMINI.md", "");
    assert_eq!(world.find().files.len(), 1);
    for name in
        ["p/AGENTS.md", "p/.agent/config.toml", "p/sub/.agent/prompts/x.md", "p/.claude/skills/s/SKILL.md"]
    {
        world.write(name, "text\u{200b}");
    }
    world.write("p/.agent/hooks/a.sh", "#!/bin/sh\0");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        world.path("p/.agent/pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o666),
        0,
    )
    .unwrap();
    let trust = world.find();
    let found: Vec<(String, &str, usize)> = trust
        .files
        .iter()
        .map(|file| (trust.name(&file.path), file.kind.word(), file.hidden.len()))
        .collect();
    let found: Vec<(&str, &str, usize)> = found.iter().map(|(a, b, c)| (a.as_str(), *b, *c)).collect();
    assert_eq!(
        found,
        [
            ("AGENTS.md", "instructions", 1),
            (".agent/config.toml", "settings", 1),
            (".agent/hooks/a.sh", "hook", 0),
            (".claude/skills/s/SKILL.md", "skill", 1),
            ("sub/.agent/prompts/x.md", "command", 1),
        ]
    );
    assert_eq!(trust.standing, Standing::Open);
}

#[test]
fn what_leads_out_of_the_repository_is_named_and_not_read() {
    let world = World::new();
    world.write("secret", "mine").write("p/inside", "x");
    std::os::unix::fs::symlink("../secret", world.path("p/AGENTS.md")).unwrap();
    std::os::unix::fs::symlink("../inside", world.path("p/sub/CLAUDE.md")).unwrap();
    world.decide(true);
    let files = world.find().files;
    assert_eq!(files.iter().map(|file| file.text.as_str()).collect::<Vec<_>>(), ["", "x"]);
    assert_eq!(world.verdict("p/AGENTS.md"), Verdict::Unasked);
    assert_eq!(world.verdict("p/sub/CLAUDE.md"), Verdict::Read);
}

#[test]
fn a_decision_holds_for_what_was_seen() {
    let world = World::new();
    world.write("p/AGENTS.md", "one").write("p/sub/AGENTS.md", "two");
    assert_eq!(world.verdict("p/AGENTS.md"), Verdict::Unasked);
    let seen = world.find();
    // It changes while the page is read: what was seen counts.
    world.write("p/AGENTS.md", "one, changed");
    seen.decide(&world.path("data/trust.json"), true).unwrap();
    let trust = world.find();
    assert_eq!(trust.standing, Standing::Open);
    assert_eq!(
        trust.files.iter().map(|file| trust.change(file)).collect::<Vec<_>>(),
        [Some(Change::Changed), None]
    );

    for (trusted, verdict) in [(true, Verdict::Read), (false, Verdict::Leave)] {
        world.decide(trusted);
        assert_eq!(world.verdict("p/AGENTS.md"), verdict);
        // One fewer is no news, one more is.
        world.write("p/.agent/prompts/new.md", "x");
        let trust = world.find();
        assert_eq!((trust.standing, trust.change(&trust.files[2])), (Standing::Open, Some(Change::Added)));
        assert_eq!(world.verdict("p/AGENTS.md"), Verdict::Unasked);
        fs::remove_file(world.path("p/.agent/prompts/new.md")).unwrap();
        assert_eq!(world.verdict("p/AGENTS.md"), verdict);
    }
    // A file that changes between the look and the reading is not read.
    world.decide(true);
    let trust = world.find();
    assert_eq!(trust.verdict(&world.path("p/AGENTS.md"), b"other"), Verdict::Unasked);
}

#[test]
fn the_settings_of_the_person_go_before_it() {
    let mut world = World::new();
    world.write("p/AGENTS.md", "one").write("p/sub/AGENTS.md", "two");
    world.projects.insert(world.path("p"), Project { trusted: Some(true), ..Project::default() });
    assert_eq!((world.find().standing, world.verdict("p/AGENTS.md")), (Standing::Nothing, Verdict::Read));
    world.write("p/AGENTS.md", "whatever");
    assert_eq!(world.verdict("p/AGENTS.md"), Verdict::Read);
    world.projects.insert(world.path("p/sub"), Project { trusted: Some(false), ..Project::default() });
    assert_eq!(world.verdict("p/AGENTS.md"), Verdict::Read);
    assert_eq!(
        (world.find().standing, world.verdict("p/sub/AGENTS.md")),
        (Standing::Nothing, Verdict::Leave)
    );
}

#[test]
fn decisions_about_several_repositories_are_kept_beside_each_other_and_damage_asks_again() {
    let world = World::new();
    world.write("p/AGENTS.md", "one").write("q/AGENTS.md", "one");
    world.decide(true);
    let file = world.path("data/trust.json");
    let other = Trust::find(&file, &world.path("q"), &world.projects);
    other.decide(&file, false).unwrap();
    assert_eq!(world.find().standing, Standing::Accepted);
    assert_eq!(Trust::find(&file, &world.path("q"), &world.projects).standing, Standing::Refused);
    fs::write(&file, "{").unwrap();
    assert_eq!(world.find().standing, Standing::Open);
}
