//! The attacks, as they stand in `tests/data/escape/*.toml`.

use serde::Deserialize;

/// How the host sees that an attack succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sign {
    /// What lies in the watched places is not what lay there before.
    Changed,
    /// The marker, which only the host knows, is in what was printed.
    Loot,
    /// A listener of the host heard the attack's name.
    Heard,
    /// The victim on the host is gone, stopped, changed, or has other rights.
    Victim,
    /// A process of the attack lives 3 seconds after its end.
    Alive,
    /// What a person did afterwards ran what the attack had planted.
    Ran,
    /// A file that other programs obey is new, or another one.
    Planted,
    /// A file in the workspace makes its user somebody else, or is a device.
    SetId,
    /// The attack itself says `PWNED`: only the caller can see whether the kernel did what it was asked.
    Said,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attack {
    pub name: String,
    /// For `sh`, in a directory of the attack's own in the workspace (or, in `later`, in the workspace).
    pub run: String,
    /// What the host does first, and last; it knows the marker as CANARY.
    pub setup: Option<String>,
    pub cleanup: Option<String>,
    pub sign: Option<Sign>,
    /// Places on the host that must stay as they are.
    #[serde(default)]
    pub watch: Vec<String>,
    /// Files below the workspace that must stay as they are.
    #[serde(default)]
    pub planted: Vec<String>,
    /// What a person does afterwards, and another form of it for the proof.
    pub trigger: Option<String>,
    pub trigger_proof: Option<String>,
    /// The agent has the marker in its environment, in an open file, in a directory that is open, or it stands in the
    /// arguments of another process.
    pub variable: Option<String>,
    pub descriptor: Option<i32>,
    pub directory: Option<i32>,
    #[serde(default)]
    pub argument: bool,
    /// The signal that ends the agent, once the attack has made a file `up`.
    pub end: Option<String>,
    /// In a sandbox of its own.
    #[serde(default)]
    pub alone: bool,
    #[serde(default = "patience")]
    pub seconds: u32,
    /// Takes so long that it is a part of the long form of the tests, in a sandbox of its own.
    #[serde(default)]
    pub long: bool,
    /// What the machine must have free for the proof.
    pub free_memory_mib: Option<u64>,
    /// Without a sandbox only root succeeds.
    #[serde(default)]
    pub as_root: bool,
    /// Without a sandbox it is tried in namespaces that are thrown away, for it would do harm.
    #[serde(default)]
    pub in_namespaces: bool,
    /// Where it can't be shown to succeed without a sandbox, and that is no fault.
    pub unproven: Option<String>,
    /// Why it means nothing in a container.
    pub not_in_containers: Option<String>,
    /// Why it is not held where there are no namespaces; the same is said by `describe` and the README.
    pub not_alone: Option<String>,
    /// It succeeds: what is to be done about it. Loud, and not a failure.
    pub awaits: Option<String>,
}

fn patience() -> u32 {
    10
}

/// Attacks of one kind.
pub struct Class {
    pub name: &'static str,
    pub attacks: Vec<Attack>,
    /// The sign of those that name none.
    pub sign: Sign,
    /// All of them in sandboxes of their own.
    pub alone: bool,
    /// The workspace is a repository of git.
    pub repository: bool,
}

/// Name, text, sign, alone, in a repository.
const CLASSES: &[(&str, &str, Sign, bool, bool)] = &[
    ("write", include_str!("../../../data/escape/write.toml"), Sign::Changed, false, false),
    ("read", include_str!("../../../data/escape/read.toml"), Sign::Loot, false, false),
    ("environment", include_str!("../../../data/escape/environment.toml"), Sign::Loot, false, false),
    ("network", include_str!("../../../data/escape/network.toml"), Sign::Heard, false, false),
    ("processes", include_str!("../../../data/escape/processes.toml"), Sign::Victim, false, false),
    ("kernel", include_str!("../../../data/escape/kernel.toml"), Sign::Changed, false, false),
    ("limits", include_str!("../../../data/escape/limits.toml"), Sign::Said, false, false),
    ("survival", include_str!("../../../data/escape/survival.toml"), Sign::Alive, true, false),
    ("later", include_str!("../../../data/escape/later.toml"), Sign::Ran, true, true),
];

impl Class {
    pub fn named(name: &str) -> Self {
        #[derive(Deserialize)]
        struct Table {
            attack: Vec<Attack>,
        }
        let (name, text, sign, alone, repository) =
            *CLASSES.iter().find(|class| class.0 == name).expect("a class of this name");
        let table: Table = toml::from_str(text).unwrap_or_else(|error| panic!("{name}.toml: {error}"));
        let mut names: Vec<&str> = table.attack.iter().map(|attack| attack.name.as_str()).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{name}.toml: a name stands twice");
        Self { name, attacks: table.attack, sign, alone, repository }
    }

    pub fn all() -> impl Iterator<Item = Self> {
        CLASSES.iter().map(|class| Self::named(class.0))
    }

    /// The attacks, by the sandbox that they share.
    pub fn batches(&self) -> Vec<Vec<Attack>> {
        let (alone, together): (Vec<Attack>, Vec<Attack>) = self
            .attacks
            .iter()
            .cloned()
            .partition(|attack| self.alone || attack.alone || attack.long || attack.end.is_some());
        let mut batches: Vec<Vec<Attack>> = alone.into_iter().map(|attack| vec![attack]).collect();
        if !together.is_empty() {
            batches.push(together);
        }
        batches
    }

    pub fn sign_of(&self, attack: &Attack) -> Sign {
        attack.sign.unwrap_or(if attack.planted.is_empty() { self.sign } else { Sign::Planted })
    }
}
