//! Making the conversation smaller: by cutting old results, by the provider itself, by a summary of the model, or
//! without it.
//!
//! Whatever the model does, the session goes on: a summary that can't be had or used is replaced by a list of what was
//! done.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::context::compact::{self, Checks, Pinned, State, Summary};
use crate::model::{Chunk, Model, ModelError, ModelErrorKind, Prompt, Sealed};
use crate::protocol::{CompactionReason as Reason, Fact, Item, Price, Seq, Usage};
use crate::session::{Session, Wanted};

use super::{Harness, OpenedModel, disk, retry, work::Work};

/// Tries for a summary.
const TRIES: u32 = 2;
/// A longer pause is not waited for: the work can go on without the summary.
const PAUSE: Duration = Duration::from_secs(20);
/// Changed files that are looked at.
const FILES: usize = 40;
/// Digits of a hash that tell one content from another.
const DIGITS: usize = 12;

impl Harness {
    /// Begins to make the conversation smaller, or does it at once where no model is needed.
    pub(super) fn compact(&mut self, wanted: Wanted) {
        // A bug here costs the smaller conversation, and not the session.
        let shrunk = match wanted.reason {
            Reason::Full => catch_unwind(AssertUnwindSafe(|| compact::shrink(&self.session, &wanted))),
            Reason::Overflow | Reason::Asked | Reason::Unknown => Ok(None),
        };
        if let Ok(Some(shrunk)) = shrunk {
            return self.record(vec![Fact::Compacted(Box::new(shrunk))]);
        }
        let Wanted { reason, note } = wanted.clone();
        self.record(vec![Fact::CompactionStarted { reason, note }]);
        if self.unwritable.is_some() {
            return;
        }
        if self.session.compaction_tries() > 0 {
            let problem = Some("the one before did not leave enough out".to_owned());
            return self.compacted(&wanted, &Summary { problem, ..Summary::default() });
        }
        if !compact::has_past(&self.session) {
            return self.compacted(&wanted, &Summary::default());
        }
        let opened = match self.session.settings.clone() {
            Some(settings) => self.opened(&settings).map(|opened| (opened, settings)),
            None => Err(ModelError::new(ModelErrorKind::Internal, "the session has no settings")),
        };
        let (OpenedModel { model, name }, settings) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                return self
                    .compacted(&wanted, &Summary { problem: Some(error.message), ..Summary::default() });
            }
        };
        if self.session.turn.is_none() {
            self.turn = CancellationToken::new();
        }
        self.asking = self.turn.child_token();
        let mut prompt = self.prompt(name, &settings);
        // It is for a summary, and not for the last answer.
        prompt.output_schema = None;
        let job = Summing {
            at: self.session.seq,
            session: self.session.clone(),
            wanted,
            model,
            prompt,
            work: self.work.clone(),
            usage: None,
            price: settings.price,
            patience: self.patience,
        };
        tokio::spawn(job.run(self.asking.clone()));
    }

    /// Takes a summary, if it is still waited for.
    pub(super) fn summed(&mut self, at: Seq, summary: &Summary) {
        match &self.session.compacting.running {
            Some((began, wanted)) if *began == at => {
                let wanted = wanted.clone();
                self.compacted(&wanted, summary);
            }
            _ => {}
        }
    }

    fn compacted(&mut self, wanted: &Wanted, summary: &Summary) {
        let built =
            catch_unwind(AssertUnwindSafe(|| compact::build(&self.session, wanted, &self.pinned(), summary)));
        let failed = |problem: &str| Fact::CompactionFailed {
            reason: wanted.reason,
            problem: problem.to_owned(),
            stopped: false,
        };
        let fact = match built {
            Ok(Some(compaction)) => Fact::Compacted(Box::new(compaction)),
            Ok(None) => failed("there is nothing more that could be left out"),
            Err(_) => failed("making it smaller crashed; this is a bug of the agent"),
        };
        if let Err(why) = self.try_record(vec![fact]) {
            self.record(vec![failed(&format!("it can't be recorded: {why}"))]);
        }
        self.window_told = false;
    }

    /// What holds beside the conversation, from where it comes from.
    fn pinned(&self) -> Pinned {
        let settings = self.session.settings.as_ref();
        let opening = settings.map(|settings| self.surroundings.opening(settings)).unwrap_or_default();
        let mut touched: Vec<(&PathBuf, Seq)> =
            self.session.touched.iter().map(|(path, at)| (path, *at)).collect();
        touched.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
        let all = touched.len();
        let known = touched.into_iter().take(FILES);
        let mut files: Vec<(String, String)> = known
            .map(|(path, _)| (path.display().to_string(), hash(&self.workspace.absolute(path))))
            .collect();
        if all > FILES {
            files.push((format!("{} more, longer ago", all - FILES), "not looked at".to_owned()));
        }
        Pinned { opening, state: State { files } }
    }
}

fn hash(path: &Path) -> String {
    match disk::hash(path) {
        Some(hash) => hash.chars().take(DIGITS).collect(),
        None if path.symlink_metadata().is_err() => "not there any more".to_owned(),
        None => "not a file that can be read".to_owned(),
    }
}

/// A summary being asked for.
struct Summing {
    /// The fact that it began.
    at: Seq,
    /// As it was then: nothing else is said until it is over.
    session: Session,
    wanted: Wanted,
    model: Arc<dyn Model>,
    prompt: Prompt,
    work: mpsc::UnboundedSender<Work>,
    usage: Option<Usage>,
    price: Option<Price>,
    /// How long all tries may take together.
    patience: Duration,
}

impl Summing {
    async fn run(mut self, cancel: CancellationToken) {
        let (at, work) = (self.at, self.work.clone());
        let summary = tokio::select! {
            () = cancel.cancelled() => return,
            summary = self.summary() => summary,
        };
        // The harness has ended: nobody is left to care.
        let _ = work.send(Work::Summed { at, summary });
    }

    /// What the provider makes of the conversation, if it does such a thing; or else what the model does.
    async fn summary(&mut self) -> Summary {
        let patience = self.patience;
        let late = || format!("in {} s", patience.as_secs_f64());
        let crashed = || "asking the model crashed; this is a bug of the agent".to_owned();
        let sealing = tokio::time::timeout(patience, AssertUnwindSafe(self.sealed()).catch_unwind()).await;
        let refused = match sealing {
            Ok(Ok(Ok(Some(sealed)))) => {
                self.count(sealed.usage);
                let sealed = Some((sealed.by, sealed.item));
                return Summary { sealed, usage: self.usage, ..Summary::default() };
            }
            Ok(Ok(Ok(None))) => None,
            Ok(Ok(Err(error))) => Some(error.message),
            Ok(Err(_)) => Some(crashed()),
            Err(_) => Some(format!("nothing came {}", late())),
        };
        let refused = refused.map(|why| format!("the provider did not do it: {why}"));
        let trying = tokio::time::timeout(patience, AssertUnwindSafe(self.tries()).catch_unwind()).await;
        let text = match trying {
            Ok(Ok(text)) => text,
            Ok(Err(_)) => Err(crashed()),
            Err(_) => Err(format!("the model gave none {}", late())),
        };
        let (text, problem) = match text {
            Ok(text) => (Some(text), None),
            Err(problem) => (None, Some(problem)),
        };
        let problems: Vec<String> = refused.into_iter().chain(problem).collect();
        let problem = (!problems.is_empty()).then(|| problems.join("; "));
        Summary { text, sealed: None, usage: self.usage, problem }
    }

    /// Has the provider make the conversation smaller. One that it finds too long already, it would refuse.
    async fn sealed(&mut self) -> Result<Option<Sealed>, ModelError> {
        if self.wanted.reason == Reason::Overflow {
            return Ok(None);
        }
        let prompt = Prompt { items: compact::past(&self.session), ..self.prompt.clone() };
        self.model.compact(&prompt, &self.wanted.note).await
    }

    /// Adds up what was used.
    fn count(&mut self, usage: Option<Usage>) {
        if let Some(mut usage) = usage {
            usage.cost = usage.cost.or(self.price.map(|price| price.of(&usage)));
            *self.usage.get_or_insert_default() += usage;
        }
    }

    async fn tries(&mut self) -> Result<String, String> {
        let most = compact::summary_budget(&self.session);
        let checks = Checks::of(&self.session, most);
        let mut problem: Option<String> = None;
        let mut tighter = u32::from(self.wanted.reason == Reason::Overflow);
        for tries in 1..=TRIES {
            let request = compact::request(&self.session, &self.wanted, most, problem.as_deref(), tighter);
            self.prompt.items = request.items;
            self.prompt.kept = vec![Arc::new(request.instruction)];
            if tries > 1 {
                // The cache has no use for a second try, and tools would only tempt.
                self.prompt.tools = Arc::new([]);
            }
            let refused = match self.one_try().await {
                Ok(text) => match compact::check(&text, &checks) {
                    Ok(summary) => return Ok(summary),
                    Err(refused) => refused,
                },
                // It went on until it was stopped.
                Err(error) if error.kind == ModelErrorKind::Incomplete => "it was too long".to_owned(),
                Err(error) if tries < TRIES => {
                    match error.kind {
                        ModelErrorKind::ContextWindow => tighter += 1,
                        _ => match retry::pause(&error, tries, 0.5, false).filter(|pause| *pause <= PAUSE) {
                            Some(pause) => tokio::time::sleep(pause).await,
                            None => return Err(error.message),
                        },
                    }
                    continue;
                }
                Err(error) => return Err(error.message),
            };
            problem = Some(refused);
        }
        Err(problem.map_or_else(
            || "the model gave none".to_owned(),
            |why| format!("the model's was refused: {why}"),
        ))
    }

    /// What the model answers.
    async fn one_try(&mut self) -> Result<String, ModelError> {
        let mut stream = self.model.respond(&self.prompt).await?;
        let mut said: Vec<String> = Vec::new();
        loop {
            match stream.next().await {
                Some(Ok(Chunk::Item(Item::Assistant { text, .. }))) => said.push(text),
                Some(Ok(Chunk::Finished { usage })) => {
                    self.count(usage);
                    return Ok(said.join("\n"));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Err(ModelError::new(ModelErrorKind::Network, "the answer just stopped")),
            }
        }
    }
}
