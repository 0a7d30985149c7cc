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
fn instructions_that_would_be_read_in_the_place_of_unreadable_ones_are_found() {
    let world = World::new();
    world.write("secret", "mine").write("p/CLAUDE.md", "one").write("p/sub/CLAUDE.md", "two");
    world.write("p/GEMINI.md", "hidden");
    fs::create_dir(world.path("p/AGENTS.md")).unwrap();
    std::os::unix::fs::symlink("../../secret", world.path("p/sub/AGENTS.md")).unwrap();
    world.decide(true);
    let trust = world.find();
    let found: Vec<String> = trust.files.iter().map(|file| trust.name(&file.path)).collect();
    assert_eq!(found, ["CLAUDE.md", "sub/AGENTS.md", "sub/CLAUDE.md"]);
    assert_eq!(world.verdict("p/CLAUDE.md"), Verdict::Read);
    assert_eq!(world.verdict("p/sub/CLAUDE.md"), Verdict::Read);
    // Not UTF-8, which no session reads, and the empty file, which is the first that can be read.
    fs::write(world.path("p/sub/CLAUDE.md"), b"\xff").unwrap();
    fs::remove_dir(world.path("p/AGENTS.md")).unwrap();
    world.write("p/AGENTS.md", "").write("p/sub/GEMINI.md", "three");
    let trust = world.find();
    let found: Vec<String> = trust.files.iter().map(|file| trust.name(&file.path)).collect();
    assert_eq!(found, ["sub/AGENTS.md", "sub/CLAUDE.md", "sub/GEMINI.md"]);
}

#[test]
fn what_a_repository_has_can_not_make_the_look_at_it_endless() {
    let world = World::new();
    world.write("p/.agent/config.toml", "x");
    for number in 0..12 {
        std::os::unix::fs::symlink(".", world.path(&format!("p/.agent/l{number}"))).unwrap();
    }
    let mut files = world.find().files;
    assert_eq!(files.len(), 13);
    assert!(files.split_off(1).iter().all(|link| link.hash.is_empty()), "links are named");
    // Folders in folders count, so that what stands behind many of them is not looked at.
    for (outer, inner) in (0..50).flat_map(|outer| (0..50).map(move |inner| (outer, inner))) {
        fs::create_dir_all(world.path(&format!("p/.agent/a/{outer}/{inner}"))).unwrap();
    }
    world.write("p/.agent/z", "x");
    let files = world.find().files;
    assert_eq!(files.len(), 1, "{files:?}");
}

#[test]
fn a_file_too_long_to_be_read_is_named_and_not_hashed() {
    let world = World::new();
    world.write("p/.agent/x", "").write("p/AGENTS.md", "").write("p/CLAUDE.md", "one");
    for name in ["p/.agent/x", "p/AGENTS.md"] {
        fs::File::options().write(true).open(world.path(name)).unwrap().set_len(300 << 30).unwrap();
    }
    world.decide(true);
    let files = world.find().files;
    let found: Vec<(u64, bool)> = files.iter().map(|file| (file.size, file.hash.is_empty())).collect();
    assert_eq!(found, [(300 << 30, true), (3, false), (300 << 30, true)]);
    assert_eq!(world.verdict("p/CLAUDE.md"), Verdict::Read);
    // One that is as long as it may be.
    world.write("p/AGENTS.md", &"x".repeat(1 << 20));
    assert!(!world.find().files[0].hash.is_empty());
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

#[test]
fn instructions_further_down_and_those_that_are_named_are_seen_as_well() {
    let world = World::new();
    world.write("p/AGENTS.md", "See @docs/style.md and @../secret.md.").write("p/docs/style.md", "x");
    world
        .write("secret.md", "mine")
        .write("p/sub/deep/er/CLAUDE.md", "@more.md")
        .write("p/sub/deep/er/more.md", "y");
    world.write("p/sub/node_modules/x/AGENTS.md", "nobody's").write("p/sub/.hidden/AGENTS.md", "nobody's");
    world.decide(true);
    let trust = world.find();
    let found: Vec<String> = trust.files.iter().map(|file| trust.name(&file.path)).collect();
    assert_eq!(found, ["AGENTS.md", "sub/deep/er/CLAUDE.md", "docs/style.md", "sub/deep/er/more.md"]);
    for name in found {
        assert_eq!(world.verdict(&format!("p/{name}")), Verdict::Read, "{name}");
    }
    world.write("p/docs/style.md", "changed");
    assert_eq!(world.find().standing, Standing::Open);
    // In a large tree not everything is looked at, and what was not is not believed.
    for number in 0..300 {
        fs::create_dir_all(world.path(&format!("p/sub/a{number:03}"))).unwrap();
    }
    world.write("p/sub/a299/AGENTS.md", "far").write("p/sub/a000/AGENTS.md", "near");
    world.decide(true);
    assert_eq!(world.verdict("p/sub/a000/AGENTS.md"), Verdict::Read);
    assert_eq!(world.verdict("p/sub/a299/AGENTS.md"), Verdict::Unasked);
}
