//! Goes through a command as a shell would, and notes what it would touch.
//!
//! Nothing is run. Where a shell would decide by the success of a program, both ways are gone; what differs
//! afterwards is not known.

use std::{collections::HashMap, path::PathBuf, rc::Rc};

use crate::protocol::{Bound, Verb};

use super::{
    Call, World,
    expand::Arg,
    git::Tree,
    parse::{self, Node, Redirect, Simple, Stream, Unread},
    state::{State, Value},
};

/// Simple commands that are followed.
const MOST_STEPS: usize = 3_000;
/// Scripts within scripts.
const MOST_DEPTH: usize = 12;
/// Rounds of a loop.
const MOST_ROUNDS: usize = 200;

/// Something that would be touched.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hit {
    pub verb: Verb,
    /// Links followed as the command follows them.
    pub path: PathBuf,
    /// All below it as well.
    pub deep: bool,
    pub bound: Bound,
    /// These alone, below the path.
    pub files: Option<Vec<PathBuf>>,
}

/// A command that is being gone through.
pub(super) struct Run<'a> {
    pub world: &'a dyn World,
    pub hits: Vec<Hit>,
    pub besides: Vec<String>,
    pub unknown: Vec<String>,
    /// All that is run, with its words.
    pub calls: Vec<Call>,
    /// Working trees of git, or why they can't be had.
    pub trees: HashMap<PathBuf, Result<Rc<Tree>, String>>,
    steps: usize,
    depth: usize,
}

/// What a command prints, where that is known.
pub(super) type Output = Option<String>;

/// It prints nothing.
pub(super) fn silent() -> Output {
    Some(String::new())
}

impl<'a> Run<'a> {
    pub(super) fn new(world: &'a dyn World) -> Self {
        Self {
            world,
            hits: Vec::new(),
            besides: Vec::new(),
            unknown: Vec::new(),
            calls: Vec::new(),
            trees: HashMap::new(),
            steps: 0,
            depth: 0,
        }
    }

    /// Notes what can't be told.
    pub(super) fn unknown(&mut self, what: impl Into<String>) {
        let what = short(&what.into());
        if !self.unknown.contains(&what) {
            self.unknown.push(what);
        }
    }

    pub(super) fn besides(&mut self, what: String) {
        if !self.besides.contains(&what) {
            self.besides.push(what);
        }
    }

    pub(super) fn hit(&mut self, verb: Verb, path: PathBuf, deep: bool) {
        self.hit_bound(verb, path, deep, Bound::Exact);
    }

    pub(super) fn hit_bound(&mut self, verb: Verb, path: PathBuf, deep: bool, bound: Bound) {
        let hit = Hit { verb, path, deep, bound, files: None };
        if !self.hits.contains(&hit) {
            self.hits.push(hit);
        }
    }

    /// Goes through the text of a script.
    pub(super) fn script(&mut self, text: &str, state: &mut State, stdin: &Output) -> Output {
        self.depth += 1;
        let output = if self.depth > MOST_DEPTH {
            self.unknown(format!("`{text}`, which is nested too deeply"));
            None
        } else {
            match parse::parse(text, state.dialect) {
                Ok(nodes) => self.nodes(&nodes, state, stdin),
                Err(Unread(why)) => {
                    self.unknown(format!("`{text}` ({why})"));
                    state.lose("an earlier part could not be read");
                    None
                }
            }
        };
        self.depth -= 1;
        output
    }

    pub(super) fn nodes(&mut self, nodes: &[Node], state: &mut State, stdin: &Output) -> Output {
        let mut all = silent();
        for node in nodes {
            let output = self.node(node, state, stdin.clone());
            all = all.zip(output).map(|(all, output)| all + &output);
        }
        all
    }

    fn node(&mut self, node: &Node, state: &mut State, stdin: Output) -> Output {
        match node {
            Node::Simple(simple) => self.simple(simple, state, stdin),
            Node::Chain(all) => self.chain(all, state, &stdin),
            Node::Pipe(all) => {
                let mut passed = stdin;
                for (at, stage) in all.iter().enumerate() {
                    let mut inner = state.clone();
                    passed = self.node(stage, &mut inner, passed);
                    // Some shells run the last one themselves.
                    if at + 1 == all.len() {
                        state.perhaps(inner);
                    } else {
                        state.made = inner.made;
                    }
                }
                passed
            }
            Node::Apart(nodes, redirects) => {
                let stdin = self.redirects(redirects, state, stdin);
                let mut inner = state.clone();
                let output = self.nodes(nodes, &mut inner, &stdin);
                state.made = inner.made;
                output
            }
            Node::Group(nodes, redirects) => {
                let stdin = self.redirects(redirects, state, stdin);
                self.nodes(nodes, state, &stdin)
            }
            Node::Branches { first, branches, redirects } => {
                let stdin = self.redirects(redirects, state, stdin);
                self.nodes(first, state, &stdin);
                let before = state.clone();
                for branch in branches {
                    let mut inner = State { made: state.made.clone(), ..before.clone() };
                    self.nodes(branch, &mut inner, &stdin);
                    state.perhaps(inner);
                }
                None
            }
            Node::Loop(nodes, redirects) => {
                let stdin = self.redirects(redirects, state, stdin);
                self.repeated(nodes, state, &stdin);
                None
            }
            Node::For { name, words, body, redirects } => {
                let stdin = self.redirects(redirects, state, stdin);
                let args = match words {
                    Some(words) => self.args(words, state),
                    None => state.parameters.clone().unwrap_or_else(|| vec![Arg::Unknown("`$@`".to_owned())]),
                };
                let sure = args.len() <= MOST_ROUNDS && args.iter().all(|arg| arg.text().is_some());
                for arg in args.iter().filter(|_| sure) {
                    state.set(name, Value::of(arg));
                    self.nodes(body, state, &stdin);
                }
                if !sure {
                    if let Some(arg) = args.iter().find(|arg| arg.text().is_none()) {
                        self.unknown(arg.shown());
                    }
                    state.set(name, Value::Unknown);
                    self.repeated(body, state, &stdin);
                }
                None
            }
            Node::Function { name, body } => {
                state.functions.insert(name.clone(), Some(Rc::new((**body).clone())));
                silent()
            }
            Node::Test(words) => {
                for word in words {
                    let arg = self.single(word, state);
                    // In a comparison of numbers even this would be run.
                    if arg.text().is_none_or(|text| text.contains(['`', '[']) && text.contains('$'))
                        && arg.text().is_some()
                    {
                        self.unknown(format!("`{}`, which a test may read as arithmetic", arg.shown()));
                    }
                }
                silent()
            }
            Node::Arithmetic(text) => {
                self.arithmetic(text, state);
                silent()
            }
        }
    }

    /// Once, or more often, or never. What a round changes is not known in the next.
    fn repeated(&mut self, nodes: &[Node], state: &mut State, stdin: &Output) {
        for _ in 0..2 {
            let before = state.clone();
            let mut inner = state.clone();
            self.nodes(nodes, &mut inner, stdin);
            state.perhaps(inner);
            if (&state.cwd, &state.variables, &state.made) == (&before.cwd, &before.variables, &before.made) {
                return;
            }
        }
    }

    fn chain(&mut self, all: &[(bool, Node)], state: &mut State, stdin: &Output) -> Output {
        let mut before = state.clone();
        let mut output = silent();
        // All so far succeed whenever they run.
        let mut sure = true;
        for (at, (otherwise, node)) in all.iter().enumerate() {
            if *otherwise {
                // It runs where one before failed, and changed nothing or something.
                let mut inner = before.clone();
                inner.perhaps(state.clone());
                let printed = self.node(node, &mut inner, stdin.clone());
                output = output.zip(printed).map(|(all, printed)| all + &printed);
                state.made.clone_from(&inner.made);
                if leaves(node) {
                    // Whatever comes after this, all before it has succeeded.
                    sure = true;
                    before = state.clone();
                    continue;
                }
                state.perhaps(inner);
                sure = false;
                continue;
            }
            let printed = self.node(node, state, stdin.clone());
            output = output.zip(printed).map(|(all, printed)| all + &printed);
            sure &= at == 0 || succeeds(&all[at - 1].1);
        }
        let last = state.clone();
        if !sure {
            *state = before;
            state.perhaps(last);
        }
        output
    }

    fn simple(&mut self, simple: &Simple, state: &mut State, stdin: Output) -> Output {
        self.steps += 1;
        if self.steps > MOST_STEPS || self.world.spent() {
            self.unknown("all of it: it does too much to be followed in time");
            return None;
        }
        let args = self.args(&simple.words, state);
        let stdin = self.redirects(&simple.redirects, state, stdin);
        if args.is_empty() {
            for (name, added, word) in &simple.assigns {
                let given = Value::of(&self.single(word, state));
                let value = self.joined(name, *added, given, state);
                state.set(name, value);
            }
            return silent();
        }
        let mut inner = state.clone();
        for (name, added, word) in &simple.assigns {
            let given = Value::of(&self.single(word, &mut inner));
            let value = self.joined(name, *added, given, &inner);
            inner.export(name, value);
        }
        let output = self.program(&args, &mut inner, stdin);
        for (name, ..) in &simple.assigns {
            match state.variables.remove(name) {
                Some(own) => drop(inner.variables.insert(name.clone(), own)),
                None => drop(inner.variables.remove(name)),
            }
        }
        *state = inner;
        output
    }

    /// What is assigned, behind what is there when it is added.
    fn joined(&self, name: &str, added: bool, given: Value, state: &State) -> Value {
        match (added, given) {
            (true, Value::Set(text)) => match self.value(name, state) {
                Ok(before) => Value::Set(before.unwrap_or_default() + &text),
                Err(_) => Value::Unknown,
            },
            (_, given) => given,
        }
    }

    /// Runs what a name means: a function, or a program.
    fn program(&mut self, args: &[Arg], state: &mut State, stdin: Output) -> Output {
        let Some((first, rest)) = args.split_first() else { return silent() };
        let Some(name) = first.text() else {
            self.unknown(format!("{}, which names what is run", first.shown()));
            self.calls.push(vec![None]);
            state.lose("what ran before is not known");
            return None;
        };
        match state.functions.get(name).cloned() {
            Some(Some(body)) => {
                self.depth += 1;
                let output = if self.depth > MOST_DEPTH {
                    self.unknown(format!("`{name}`, a function that is nested too deeply"));
                    None
                } else {
                    let before = state.parameters.replace(rest.to_vec());
                    let output = self.node(&body, state, stdin);
                    state.parameters = before;
                    output
                };
                self.depth -= 1;
                output
            }
            Some(None) => {
                self.unknown(format!("`{name}`, which the command has given a meaning of its own"));
                state.lose("what ran before is not known");
                None
            }
            None => self.named(name, rest, state, stdin),
        }
    }

    fn redirects(&mut self, redirects: &[Redirect], state: &mut State, mut stdin: Output) -> Output {
        for redirect in redirects {
            match redirect.to {
                Stream::Duplicate => {}
                Stream::Text => stdin = self.single(&redirect.word, state).text().map(str::to_owned),
                Stream::Read => {
                    // Its name may be the output of a command.
                    self.opened(&redirect.word, state);
                    stdin = None;
                }
                Stream::Write | Stream::Append | Stream::ReadWrite => {
                    let arg = self.opened(&redirect.word, state);
                    if redirect.to == Stream::ReadWrite {
                        stdin = None;
                    }
                    let verb = if redirect.to == Stream::Write { Verb::Overwrite } else { Verb::Change };
                    self.write(verb, &arg, state);
                }
            }
        }
        stdin
    }

    /// Writes to a file, through a link if it is one; makes it when it is not there.
    pub(super) fn write(&mut self, verb: Verb, arg: &Arg, state: &State) {
        const NOWHERE: &[&str] =
            &["/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty", "/dev/fd/pipe", "/dev/full"];
        if let Some(text) = arg.text() {
            if NOWHERE.contains(&text) || text.starts_with("/dev/fd/") {
                return;
            }
            if text.starts_with("/dev/tcp/") || text.starts_with("/dev/udp/") {
                return self.besides(format!("Would send data over the network, to {text}"));
            }
        }
        // Nowhere: every shell and program refuses it.
        if arg.text() == Some("") {
            return;
        }
        let Some(path) = self.target(arg, state, true) else { return };
        let verb = match self.world.entry(&path) {
            super::Entry::Missing => Verb::Create,
            _ => verb,
        };
        self.hit(verb, path, false);
    }

    /// The place that an argument names; nothing, and said, when that can't be told.
    pub(super) fn target(&mut self, arg: &Arg, state: &State, follow: bool) -> Option<PathBuf> {
        let found = match arg {
            Arg::Unknown(why) => Err(why.clone()),
            Arg::Text(text) => self.place(text, state).and_then(|place| match state.made_at(&place) {
                Some(made) => {
                    Err(format!("`{text}`, because `{}` is made by the command itself", made.display()))
                }
                // A slash at the end is of the directory that a link leads to.
                None => super::measure::real(self.world, &place, follow || text.ends_with('/')),
            }),
        };
        found.map_err(|why| self.unknown(why)).ok()
    }
}

/// Whether a shell does not go on behind it.
fn leaves(node: &Node) -> bool {
    match node {
        Node::Simple(simple) => {
            let word = simple.words.first().map(|word| word.source.as_str());
            matches!(word, Some("exit" | "return" | "break" | "continue" | "die"))
        }
        Node::Group(nodes, _) => nodes.last().is_some_and(leaves),
        _ => false,
    }
}

/// Whether a command always succeeds, as far as a shell itself has it in its hands. `cd` does where it leads somewhere.
fn succeeds(node: &Node) -> bool {
    match node {
        Node::Simple(simple) => match simple.words.first() {
            None => true,
            Some(word) => {
                matches!(word.source.as_str(), "true" | ":" | "echo" | "cd" | "set" | "export" | "pwd")
            }
        },
        _ => false,
    }
}

/// One that a person can read at a glance.
pub(super) fn short(text: &str) -> String {
    const MOST: usize = 160;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    let from = text.chars().count() - MOST / 2;
    let (head, tail): (String, String) =
        (text.chars().take(MOST / 2).collect(), text.chars().skip(from).collect());
    format!("{head} … {tail}")
}
