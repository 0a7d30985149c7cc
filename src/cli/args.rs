//! The command line as it is typed.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::protocol::{Approval, SandboxMode};

use super::{budget::BudgetArgs, usage::UsageArgs};

/// A terminal coding agent that can always be stopped and resumed without losing anything.
#[derive(Debug, Parser)]
#[command(name = "agent", version, max_term_width = 100, disable_help_subcommand = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) common: Common,
    /// What to say first. Nothing: begin with an empty line.
    #[arg(value_name = "PROMPT")]
    pub(super) prompt: Option<String>,
    #[command(subcommand)]
    pub(super) command: Option<CommandArgs>,
}

/// Options that most commands take, before or after the command's name.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Common {
    /// Model to use, as PROVIDER/MODEL.
    #[arg(short, long, global = true, value_name = "PROVIDER/MODEL")]
    pub(super) model: Option<String>,
    /// Set a configuration key; the value is TOML, or a plain string. May be repeated.
    #[arg(short, long = "config", global = true, value_name = "KEY=VALUE")]
    pub(super) config: Vec<String>,
    /// Work in this directory.
    #[arg(short = 'C', long = "cd", global = true, value_name = "DIR")]
    pub(super) cd: Option<PathBuf>,
    /// What commands may touch.
    #[arg(short, long, global = true, value_name = "MODE")]
    pub(super) sandbox: Option<SandboxArg>,
    /// Where commands run.
    #[arg(long, global = true, value_name = "local|docker|docker:IMAGE")]
    pub(super) backend: Option<String>,
    /// Leave the container running when the session ends, for when it is resumed (with --backend docker).
    #[arg(long, global = true)]
    pub(super) keep_container: bool,
    /// Let commands reach this host, too: crates.io, *.pypi.org, 127.0.0.1:8080, @package-registries. May be repeated.
    #[arg(long, global = true, value_name = "HOST")]
    pub(super) allow_host: Vec<String>,
    /// Plain lines in the place of a screen that is repainted: for screen readers and simple terminals.
    #[arg(long, global = true)]
    pub(super) plain: bool,
    /// When you are asked. `agent exec` never asks unless this says otherwise.
    #[arg(short, long, global = true, value_name = "WHEN")]
    pub(super) ask_for_approval: Option<ApprovalArg>,
    #[command(flatten)]
    pub(super) budget: BudgetArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum CommandArgs {
    /// Do one task without a screen.
    Exec(Box<ExecArgs>),
    /// Go on with a session on the screen.
    Resume {
        /// The session's id, or its beginning. Nothing: choose one from a list.
        id: Option<String>,
        /// The last session of this directory. The first word is then what to say.
        #[arg(long)]
        last: bool,
        /// What to say.
        prompt: Option<String>,
        #[command(flatten)]
        back: BackArgs,
    },
    /// Begin a session with the conversation of another one. Without a terminal: print its id.
    Fork {
        /// The session's id, or its beginning.
        #[arg(required_unless_present = "last")]
        id: Option<String>,
        /// The last session of this directory. The first word is then what to say.
        #[arg(long)]
        last: bool,
        /// What to say.
        prompt: Option<String>,
        /// With the conversation up to the end of this turn, and not all of it.
        #[arg(long, value_name = "TURN")]
        at: Option<u32>,
        /// Work in a copy of the directory (with --at: as it was then). Nothing said: DIRECTORY-fork beside it.
        #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
        copy: Option<Option<PathBuf>>,
        /// Work in a further work tree of the git repository, which is made for it.
        #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true, conflicts_with = "copy")]
        worktree: Option<Option<PathBuf>>,
    },
    /// Show a session again as it went, without a model or a network: on a terminal a key for each step, elsewhere all of
    /// it as text.
    Replay(Box<ReplayArgs>),
    /// Put files back as they were before the last turn that changed any. Shows what would change, and asks.
    Undo {
        #[command(flatten)]
        which: WhichArgs,
        /// Back to before this turn, which was the first one if it is 1.
        #[arg(long, value_name = "TURN")]
        to: Option<u32>,
    },
    /// Take back the last undo.
    Redo {
        #[command(flatten)]
        which: WhichArgs,
    },
    /// Look at the sessions that are kept.
    Sessions {
        #[command(subcommand)]
        command: SessionsArgs,
    },
    /// Add up what the sessions that are kept have used and cost.
    Usage(UsageArgs),
    /// Write a session with all that belongs to it into one file, for another machine.
    Export(ExportArgs),
    /// Take over a session that `agent export` has written. All of it is checked before anything is kept.
    Import(ImportArgs),
    /// Look at what later sessions remember of earlier ones, and change it.
    Memory {
        #[command(subcommand)]
        command: MemoryArgs,
    },
    /// Look at the skills that there are, and take some from git repositories.
    Skills {
        #[command(subcommand)]
        command: SkillsArgs,
    },
    /// Look at what is allowed without asking, and take it back.
    Permissions {
        #[command(subcommand)]
        command: PermissionsArgs,
    },
    /// Run a command in the sandbox, under the same policy as the model's commands.
    #[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
    Sandbox {
        #[command(subcommand)]
        explain: Option<SandboxArgs>,
        #[arg(required = true, last = true, value_name = "CMD")]
        command: Vec<std::ffi::OsString>,
    },
    /// Play the whole loop on a small sample project, with a scripted model. Needs no key. On a terminal it plays in the
    /// screen, and asks you one thing; any key hurries it.
    Demo {
        /// Keep the sample project and the session here.
        #[arg(long, value_name = "DIR")]
        keep: Option<PathBuf>,
    },
    /// Keep the key of a provider: typed when asked, or from standard input.
    Login {
        /// The provider's name. Nothing: the one of the configured model.
        provider: Option<String>,
        /// Keep it in the keyring of the operating system, and not in a file.
        #[arg(long)]
        keyring: bool,
    },
    /// Forget the key of a provider.
    Logout {
        /// The provider's name. Nothing: the one of the configured model.
        provider: Option<String>,
    },
    /// Say which providers there is a key for, and where it comes from. No key is shown.
    Whoami {
        /// As JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// List the models that can be chosen, or find out about them.
    #[command(args_conflicts_with_subcommands = true)]
    Models {
        /// Ask the providers that there is a key for, and servers on this machine, which models they have. Each has 5
        /// seconds.
        #[arg(long)]
        refresh: bool,
        /// As JSON lines.
        #[arg(long)]
        json: bool,
        #[command(subcommand)]
        command: Option<ModelsArgs>,
    },
    /// Say what is installed, what is missing, and how to get it.
    Doctor {
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Look at the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigArgs,
    },
    /// Print completions for a shell.
    #[command(hide = true)]
    Completions { shell: clap_complete::Shell },
}

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// The session's id, or its beginning.
    #[arg(required_unless_present = "last")]
    pub(super) id: Option<String>,
    /// With --from: say this in the place of what was said.
    #[arg(value_name = "PROMPT", requires = "from")]
    pub(super) prompt: Option<String>,
    /// The last session of this directory. The first word is then what to say.
    #[arg(long)]
    pub(super) last: bool,
    /// Play it by itself, so many times as fast as it was. Of a pause 3 seconds are played at most.
    #[arg(long, value_name = "TIMES", value_parser = speed, conflicts_with_all = ["verify", "from"])]
    pub(super) speed: Option<f64>,
    /// The facts, as JSON lines; with --verify one JSON object.
    #[arg(long)]
    pub(super) json: bool,
    /// Show nothing, but say whether everything is as it was written: each record is chained by a hash to the one before
    /// it. Names the first record that is not, and ends with 1 then.
    #[arg(long, conflicts_with = "from")]
    pub(super) verify: bool,
    /// A sum that --verify gave before: the record that had it must still be there. Shows that nothing before it was
    /// written anew, and that it was not cut off.
    #[arg(long, value_name = "SUM", requires = "verify")]
    pub(super) sum: Option<String>,
    /// Go on live from this turn, in a fork: what was said is said again, to another model with --model. Files stay as
    /// they are now.
    #[arg(long, value_name = "TURN")]
    pub(super) from: Option<u32>,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "a number such as 1, 2 or 0.5 is wanted".to_owned())?;
    match speed.is_finite() && speed > 0.0 {
        true => Ok(speed),
        false => Err("it has to be more than 0".to_owned()),
    }
}

/// Whose changes are undone.
#[derive(Debug, Args)]
pub(super) struct WhichArgs {
    /// The session's id, or its beginning. Nothing: the last session of this directory.
    pub(super) id: Option<String>,
    /// Do not ask.
    #[arg(long, short)]
    pub(super) yes: bool,
    /// Also what you have changed since. Without it, --yes leaves that as it is.
    #[arg(long)]
    pub(super) all: bool,
}

/// What a session that is gone on with finds in its directory.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct BackArgs {
    /// Put the files back as the session left them, also where the directory is gone. Shows what would change, and asks.
    #[arg(long)]
    pub(super) restore: bool,
    /// Go on in this directory, as a new session: with what is there, or, if it is empty, with the files as they were.
    #[arg(long, value_name = "DIR")]
    pub(super) into: Option<PathBuf>,
    /// With --restore: do not ask.
    #[arg(long, requires = "restore")]
    pub(super) yes: bool,
}

impl BackArgs {
    pub(super) fn any(&self) -> bool {
        self.restore || self.into.is_some()
    }
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The session's id, or its beginning. Nothing: the last session of this directory.
    pub(super) id: Option<String>,
    /// Where to. Nothing: `agent-ID.tar` here. A file that is there is not overwritten.
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Only the conversation: no states of files, so nothing can be undone or brought back from it.
    #[arg(long)]
    pub(super) no_files: bool,
    /// Put in what secret files hold as well: `.env`, private keys, tokens of package managers. Whoever has the bundle
    /// has them then.
    #[arg(long, conflicts_with = "no_files")]
    pub(super) with_secrets: bool,
    /// Say what was written as one JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    pub(super) file: PathBuf,
    /// Bytes that it may come to at most.
    #[arg(long, value_name = "BYTES", default_value_t = 4 << 30)]
    pub(super) max_bytes: u64,
    /// Files that it may come to at most.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000)]
    pub(super) max_members: u64,
    /// How many times as large a part of it may become.
    #[arg(long, value_name = "TIMES", default_value_t = 1000)]
    pub(super) max_ratio: u64,
    /// Say what was taken over as one JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

/// What is done with the memory.
#[derive(Debug, Subcommand)]
pub(super) enum MemoryArgs {
    /// Show the notes about you and about this project, where they are, and what making them has cost.
    Show {
        /// Only notes that hold these words.
        query: Vec<String>,
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show what the last change did, as a diff.
    Diff {
        /// Of the notes about you, and not of this project's.
        #[arg(long)]
        user: bool,
    },
    /// Take the last change back; the second time, bring it again. Shows what would change, and asks.
    Undo {
        /// Of the notes about you, and not of this project's.
        #[arg(long)]
        user: bool,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
    /// Edit the notes in your editor.
    Edit {
        /// The notes about you, and not this project's.
        #[arg(long)]
        user: bool,
    },
    /// Forget notes, and don't make them again.
    Forget {
        /// The ids at the ends of the notes, such as 3f2a.
        #[arg(required_unless_present = "session", value_name = "NOTE")]
        notes: Vec<String>,
        /// All notes that come from this session, by its id or the beginning of it.
        #[arg(long, value_name = "ID")]
        session: Option<String>,
    },
    /// Make notes of the sessions that are due now, and put together what has gathered. Asks the model.
    Run {
        /// Say what was done as one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// How much is kept.
#[derive(Debug, Args)]
pub(super) struct PruneArgs {
    /// Days after its last change that a session stays. Nothing: as configured (`sessions.days`). 0: for ever.
    #[arg(long, value_name = "DAYS")]
    pub(super) older_than: Option<u64>,
    /// Bytes that all of it may take. Nothing: as configured (`sessions.bytes`). 0: as many as there are.
    #[arg(long, value_name = "BYTES")]
    pub(super) max_bytes: Option<u64>,
    /// Only say what would go.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// As one JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ExecArgs {
    #[command(subcommand)]
    pub(super) resume: Option<ExecCommandArgs>,
    /// The task. `-` or nothing: read it from standard input. With both, what comes on standard input is
    /// added to the task.
    #[arg(value_name = "PROMPT")]
    pub(super) prompt: Option<String>,
    #[command(flatten)]
    pub(super) run: RunArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum ExecCommandArgs {
    /// Go on with a session.
    Resume(ResumeArgs),
}

#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    /// The session's id, or its beginning.
    #[arg(value_name = "ID", required_unless_present = "last")]
    pub(super) id: Option<String>,
    /// The last session of this directory. The first word is then the task.
    #[arg(long)]
    pub(super) last: bool,
    /// What to say. Nothing: go on where it stopped.
    #[arg(value_name = "PROMPT")]
    pub(super) prompt: Option<String>,
    #[command(flatten)]
    pub(super) decisions: Decisions,
    #[command(flatten)]
    pub(super) back: BackArgs,
}

/// What a person decides about calls that wait. Each call is decided for itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Decisions {
    pub(super) approve: Vec<String>,
    /// The call, and a note for the model, which may be empty.
    pub(super) deny: Vec<(String, String)>,
}

impl Args for Decisions {
    fn augment_args(command: clap::Command) -> clap::Command {
        let decision = |name: &'static str| Arg::new(name).long(name).action(ArgAction::Append);
        command.arg(decision("approve").value_name("CALL").help("Allow a call that waits for approval")).arg(
            decision("deny")
                .value_names(["CALL", "NOTE"])
                .num_args(1..=2)
                .help("Refuse a call that waits for approval; a note for the model may follow"),
        )
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Decisions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut decisions = Self::default();
        decisions.update_from_arg_matches(matches)?;
        Ok(decisions)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let approved = matches.get_many::<String>("approve").into_iter().flatten();
        self.approve.extend(approved.cloned());
        // What belongs to one `--deny` is a call and its note, and not two calls.
        for mut words in matches.get_occurrences::<String>("deny").into_iter().flatten() {
            let call = words.next().cloned().unwrap_or_default();
            self.deny.push((call, words.next().cloned().unwrap_or_default()));
        }
        Ok(())
    }
}

/// Options of a run, before or after the word `resume`.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct RunArgs {
    /// Print each fact as a line of JSON on standard output, and nothing else there.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// With --json: live parts of answers and outputs as well.
    #[arg(long, global = true, requires = "json")]
    pub(super) deltas: bool,
    /// Write the last message to this file.
    #[arg(short = 'o', long, global = true, value_name = "FILE")]
    pub(super) output_last_message: Option<PathBuf>,
    /// JSON Schema that the last message must follow.
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) output_schema: Option<PathBuf>,
    /// Done means that this command passes: it is run in the sandbox when the model says that it is done, and what it says
    /// goes back to the model when it fails. Ends with exit code 7 when it does not pass.
    #[arg(long, global = true, value_name = "CMD")]
    pub(super) verify: Option<String>,
    /// With --verify: how often it may fail.
    #[arg(long, global = true, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) verify_tries: u32,
    /// Work on this turn after turn, until the model says that it is met (and --verify passes), or what may be spent is
    /// spent. In the place of the task.
    #[arg(long, global = true, value_name = "TEXT")]
    pub(super) goal: Option<String>,
    /// Attach a picture. May be repeated.
    #[arg(short, long, global = true, value_name = "FILE")]
    pub(super) image: Vec<PathBuf>,
    /// Keep nothing of this session.
    #[arg(long, global = true)]
    pub(super) ephemeral: bool,
    /// Keep what goes to the provider and what comes back, without keys, in this file: a provider with wire = "replay" and
    /// script = FILE repeats the run.
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) record: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum SessionsArgs {
    /// List sessions, the newest first.
    List {
        /// As JSON lines.
        #[arg(long)]
        json: bool,
        /// Archived ones as well.
        #[arg(long)]
        all: bool,
        /// Only archived ones.
        #[arg(long, conflicts_with = "all")]
        archived: bool,
    },
    /// Give a session a name. An empty one takes it away.
    Rename { id: String, title: String },
    /// Keep sessions out of lists. Going on with one brings it back.
    Archive {
        #[arg(required = true)]
        ids: Vec<String>,
        /// Bring them back.
        #[arg(long)]
        undo: bool,
    },
    /// Print what happened in a session.
    Show {
        id: String,
        /// The facts, as JSON lines.
        #[arg(long)]
        json: bool,
        /// What fills the model's window, instead of what happened.
        #[arg(long)]
        context: bool,
    },
    /// Find words in what was said.
    Search {
        text: String,
        /// As JSON lines.
        #[arg(long)]
        json: bool,
        /// Archived ones as well.
        #[arg(long)]
        all: bool,
    },
    /// Keep sessions however old they are.
    Pin {
        #[arg(required = true)]
        ids: Vec<String>,
        /// No longer.
        #[arg(long)]
        undo: bool,
    },
    /// Delete sessions with all that belongs to them.
    Rm {
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Delete what is old or takes too much room, and what no session needs any more. Pinned sessions stay.
    Prune(PruneArgs),
    /// Read everything that is kept, and say what is damaged.
    Check {
        /// Only these sessions. Nothing: all, and all states of workspaces.
        ids: Vec<String>,
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// The same as `agent export`.
    Export(ExportArgs),
}

#[derive(Debug, Subcommand)]
pub(super) enum SandboxArgs {
    /// Say what commands may touch, and try whether it holds; or what would become of one command of the model's.
    Explain {
        /// As one JSON object.
        #[arg(long)]
        json: bool,
        /// A command. One word is a whole command line.
        #[arg(value_name = "CMD", trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum SkillsArgs {
    /// List skills: what they are for, where they come from, and what is wrong with some.
    List {
        /// As one JSON object.
        #[arg(long)]
        json: bool,
        /// Those that are hidden by others of their name, and other versions, as well.
        #[arg(long)]
        all: bool,
    },
    /// Print what a skill says.
    Show {
        /// Its name; NAME@VERSION for another version than the default one.
        name: String,
    },
    /// Take all skills of a git repository, or of a folder in it, as they are now.
    Add {
        /// The repository, with a branch, tag or commit, and a folder in it, if you like.
        #[arg(value_name = "URL[@REF][#FOLDER]")]
        source: String,
        /// Say what was taken as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Fetch skills anew from where they came from. The version before stays.
    Update {
        /// Nothing: all of them.
        names: Vec<String>,
        /// Say what has changed as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Make a version the one that the bare name means.
    Use {
        #[arg(value_name = "NAME@VERSION")]
        name: String,
    },
    /// Remove skills that came from git repositories, or single versions of them.
    Rm {
        #[arg(required = true, value_name = "NAME[@VERSION]")]
        names: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum PermissionsArgs {
    /// List the rules that are kept, with numbers.
    List {
        /// As JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// Take a rule back.
    Revoke {
        /// Its number in the list.
        #[arg(value_name = "N")]
        number: usize,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ModelsArgs {
    /// Measure what a model can really do: its window by a word at each end, a tool call, JSON, a picture, its speed. That
    /// is kept, and used from then on.
    Doctor {
        /// Such as ollama/qwen3:8b.
        #[arg(value_name = "PROVIDER/MODEL")]
        model: String,
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigArgs {
    /// Print the JSON Schema of the configuration file.
    Schema,
    /// Print where the configuration comes from.
    Path,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum SandboxArg {
    ReadOnly,
    WorkspaceWrite,
    DangerFullAccess,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ApprovalArg {
    Untrusted,
    OnRequest,
    Never,
}

impl From<SandboxArg> for SandboxMode {
    fn from(arg: SandboxArg) -> Self {
        match arg {
            SandboxArg::ReadOnly => Self::ReadOnly,
            SandboxArg::WorkspaceWrite => Self::WorkspaceWrite,
            SandboxArg::DangerFullAccess => Self::DangerFullAccess,
        }
    }
}

impl From<ApprovalArg> for Approval {
    fn from(arg: ApprovalArg) -> Self {
        match arg {
            ApprovalArg::Untrusted => Self::Untrusted,
            ApprovalArg::OnRequest => Self::OnRequest,
            ApprovalArg::Never => Self::Never,
        }
    }
}
