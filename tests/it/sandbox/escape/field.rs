//! Where attacks take place: a workspace, what lies beside it, a home, and what the host knows of each attack.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use super::{
    bare::Bare,
    table::{Attack, Class, Sign},
    victims::{Listeners, Victim, lan, secret_word},
};
use crate::support::skip;

/// One attack, ready to be run.
pub struct Ready {
    pub attack: Attack,
    pub sign: Sign,
    pub id: String,
    pub canary: String,
    pub victim: Option<Victim>,
    /// What it and its host's part find in their environment.
    pub vars: Vec<(String, String)>,
    /// What lay in the watched places.
    pub before: Vec<BTreeMap<PathBuf, String>>,
}

pub struct Field {
    pub bare: Bare,
    pub attacks: Vec<Ready>,
    pub listeners: Option<Listeners>,
}

/// The program of the attacks that need one. Nothing where there is no compiler; that is said.
pub fn helper() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<(tempfile::TempDir, PathBuf)>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let (source, program) = (directory.path().join("attack.c"), directory.path().join("attack"));
        fs::write(&source, include_str!("../../../data/escape/attack.c")).unwrap();
        let built = Command::new("cc")
            .args(["-std=gnu11", "-O1", "-static", "-o"])
            .args([&program, &source])
            .output();
        match built {
            Ok(output) if output.status.success() => Some((directory, program)),
            Ok(output) => {
                skip(&format!("the escape suite: {}", String::from_utf8_lossy(&output.stderr)));
                None
            }
            Err(error) => {
                skip(&format!("the escape suite: no C compiler: {error}"));
                None
            }
        }
    });
    built.as_ref().map(|(_, program)| program.as_path())
}

impl Field {
    /// For attacks that share a sandbox. They have been set up.
    pub fn new(class: &Class, attacks: &[Attack], helper: &Path) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let bare = Bare::new();
        let venv = bare.root.join("venv");
        for path in [&bare.workspace.join("in"), &bare.workspace.join(".attacks"), &venv] {
            fs::create_dir(path).unwrap();
        }
        fs::copy(helper, bare.workspace.join("attack")).unwrap();
        if class.repository {
            bare.make_repository();
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let abstract_name = format!("escape-{}-{number}", std::process::id());
        let listeners = (class.name == "network").then(|| Listeners::start(&abstract_name));
        let mut field = Self { bare, attacks: Vec::new(), listeners };
        for (at, attack) in attacks.iter().enumerate() {
            let id = format!("esc{}x{number}x{at}z", std::process::id());
            // Seven hexadecimal digits, for numbers that name things.
            let number = (std::process::id() << 14 ^ number << 7 ^ u32::try_from(at).unwrap()) & 0x0fff_ffff;
            let ready = field.prepare(class, attack.clone(), id, number, &abstract_name, &venv, helper);
            field.attacks.push(ready);
        }
        field
    }

    #[expect(clippy::too_many_arguments, reason = "called once")]
    fn prepare(
        &mut self,
        class: &Class,
        attack: Attack,
        id: String,
        number: u32,
        abstract_name: &str,
        venv: &Path,
        helper: &Path,
    ) -> Ready {
        let canary = format!("canary-{}", secret_word());
        let out = self.bare.root.join("outside").join(&id);
        let place = self.bare.workspace.join("in").join(&id);
        for path in [&out.join("empty"), &place] {
            fs::create_dir_all(path).unwrap();
        }
        fs::write(out.join("secret"), &canary).unwrap();
        fs::write(out.join("victim"), "whole").unwrap();
        if let Some(listeners) = &mut self.listeners {
            listeners.sockets(&out);
            listeners.sockets(&place);
            if attack.run.contains("named-in-passing") {
                let name = PathBuf::from("in").join(&id).join("named-in-passing");
                listeners.service(helper, &self.bare.workspace, &name);
            }
        }
        let wants_victim = attack.argument || attack.run.contains("$VICTIM") || class.name == "processes";
        let victim =
            wants_victim.then(|| Victim::start(helper, &id, &canary, &out.join("secret"), attack.argument));
        let (tcp, udp) = self.listeners.as_ref().map_or((0, 0), Listeners::ports);
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let vars = [
            ("ID", id.clone()),
            ("NUMBER", format!("{number:07x}")),
            ("OUT", text(&out)),
            ("W", text(&self.bare.workspace)),
            ("A", text(&self.bare.workspace.join("attack"))),
            ("HOSTHOME", text(&self.bare.home)),
            ("OWN", text(&self.bare.own)),
            ("VENV", text(venv)),
            ("MARK", format!("mark-{id}")),
            ("TCP", tcp.to_string()),
            ("UDP", udp.to_string()),
            ("LAN", lan().unwrap_or_else(|| "192.0.2.1".into())),
            ("ABSTRACT", abstract_name.into()),
            ("VICTIM", victim.as_ref().map_or(0, Victim::pid).to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
        let sign = class.sign_of(&attack);
        let mut ready = Ready { attack, sign, id, canary, victim, vars, before: Vec::new() };
        if let Some(setup) = ready.attack.setup.clone() {
            let (done, said) = self.host_for(&ready, &place_of(class, self, &ready), &setup);
            // What only root can set up proves nothing as somebody else, and is attacked all the same.
            let excused = ready.attack.as_root && !rustix::process::geteuid().is_root();
            assert!(
                done || excused || ready.attack.unproven.is_some(),
                "{}: its setup failed: {said}",
                ready.attack.name
            );
        }
        ready.before = ready.watched().iter().map(|path| listing(path)).collect();
        ready
    }

    /// A script on the host, with what an attack finds in its environment, and its marker.
    pub fn host_for(&self, ready: &Ready, directory: &Path, script: &str) -> (bool, String) {
        let mut vars = ready.vars.clone();
        vars.push(("CANARY".into(), ready.canary.clone()));
        self.bare.host(directory, script, &vars)
    }
}

/// Where an attack runs.
pub fn place_of(class: &Class, field: &Field, ready: &Ready) -> PathBuf {
    if class.repository {
        field.bare.workspace.clone()
    } else {
        field.bare.workspace.join("in").join(&ready.id)
    }
}

impl Ready {
    pub fn var(&self, name: &str) -> &str {
        self.vars.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// A text of the table with the variables in it.
    pub fn filled(&self, text: &str) -> String {
        let mut names: Vec<&(String, String)> = self.vars.iter().collect();
        // The longest first, for some begin like others.
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${name}"), value))
    }

    /// What must stay as it is.
    pub fn watched(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = self.attack.watch.iter().map(|path| self.filled(path).into()).collect();
        let workspace = PathBuf::from(self.var("W"));
        paths.extend(self.attack.planted.iter().map(|name| workspace.join(name)));
        if paths.is_empty() && self.sign == Sign::Changed {
            paths.push(self.var("OUT").into());
        }
        paths
    }
}

/// Everything at a path and below it: kind, mode, owner, time and content.
pub fn listing(path: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let Ok(meta) = fs::symlink_metadata(path) else { return found };
    let content = if meta.is_file() {
        fs::read(path)
            .map_or_else(|error| error.to_string(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    } else if meta.is_symlink() {
        fs::read_link(path).unwrap_or_default().display().to_string()
    } else {
        String::new()
    };
    let attributes = rustix::fs::llistxattr(path, &mut [0_u8; 4096][..]).unwrap_or(0);
    // Of a directory only who may do what: what is in it is listed itself.
    let changed = if meta.is_dir() { 0 } else { meta.mtime() };
    let is = format!(
        "{:o} {}:{} {changed} {} links, {attributes} {content}",
        meta.permissions().mode(),
        meta.uid(),
        meta.gid(),
        if meta.is_dir() { 0 } else { meta.nlink() }
    );
    found.insert(path.to_owned(), is);
    if meta.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            found.extend(listing(&entry.path()));
        }
    }
    found
}
