//! What lies around a session and is not its own: where commands run, and where rules are kept.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::context::Permissions;
use crate::protocol::{By, Cost, Fact, HostedTool, Item, Level, Rule, Settings};
use crate::sandbox::{SharedSandbox, env::Vars};
use crate::session::Session;

use super::Harness;

/// What lies around a session.
pub trait Surroundings: Send + Sync {
    /// Where commands run under these settings. The sandboxes that it gave before live on as long as it does.
    ///
    /// # Errors
    /// When there is no such place; with a sentence for the person.
    fn place(&self, settings: &Settings) -> Result<Place, String>;

    /// What the model is told at the beginning of a session under these settings, as it stands now. Empty: what it
    /// was told goes on to hold.
    fn opening(&self, _settings: &Settings) -> Vec<Item> {
        Vec::new()
    }

    /// What the model is to be told before it is asked the next time, beside what it knows. Called before each request:
    /// it has to cost little while there is nothing. What it gives is recorded, and is not given again.
    fn news(&self, _session: &Session) -> Vec<Fact> {
        Vec::new()
    }

    /// The calls that a skill says it needs, where the person's own word stands behind it.
    fn allowed_by_skill(&self, _name: &str) -> Vec<String> {
        Vec::new()
    }

    /// What the session goes on with when the model of these settings can't be had: another one. None: it ends.
    fn instead(&self, _settings: &Settings) -> Option<Settings> {
        None
    }

    /// From which price on a request is foretold.
    fn dear(&self) -> Cost {
        Cost::default()
    }

    /// The tools that the provider of these settings' model runs and the person has turned on.
    fn hosted(&self, _settings: &Settings) -> Vec<HostedTool> {
        Vec::new()
    }

    /// Keeps a rule beyond the session.
    ///
    /// # Errors
    /// With a sentence for the person.
    fn keep(&self, rule: &Rule) -> Result<(), String>;

    /// Keeps a rule no longer.
    ///
    /// # Errors
    /// With a sentence for the person.
    fn forget(&self, rule: &Rule) -> Result<(), String>;

    /// The rules that are kept now, if they may have been changed since this was last asked. Asked often: it has to
    /// cost nothing while nothing changes.
    ///
    /// # Errors
    /// When they can't be read any more; with a sentence for the person. Those from before go on.
    fn rules(&self) -> Option<Result<Vec<Rule>, String>>;
}

/// Where commands run.
pub struct Place {
    pub sandbox: SharedSandbox,
    /// The environment of commands there.
    pub env: Vars,
    /// What the model is told of it.
    pub permissions: Permissions,
}

impl Harness {
    /// Has commands run where other settings say, if that is elsewhere. Before they are recorded: what can't be had
    /// was never true.
    pub(super) fn settle(&mut self, settings: &Settings) -> Result<(), String> {
        let said = |settings: &Settings| (settings.sandbox, settings.approval, settings.backend.clone());
        if self.session.settings.as_ref().map(said) == Some(said(settings)) {
            return Ok(());
        }
        let Place { sandbox, env, permissions } = self.surroundings.place(settings)?;
        self.shell.move_to(sandbox, env);
        self.permissions = permissions;
        Ok(())
    }

    /// Tells the model what may be done, if it was told something else.
    pub(super) fn tell_permissions(&mut self) {
        let renewed = self.permissions.renewed(&self.session.items);
        self.record(renewed.into_iter().map(Fact::item).collect());
    }

    /// Tells the model what is new around the session: skills that the person called for, instruction files.
    pub(super) fn tell_news(&mut self) {
        // A bug there costs the news, and not the session.
        let news = catch_unwind(AssertUnwindSafe(|| self.surroundings.news(&self.session)));
        let facts = news.unwrap_or_else(|_| {
            let text = "looking for what is new crashed; this is a bug of the agent".to_owned();
            vec![Fact::Noted { level: Level::Warning, text }]
        });
        if let Err(why) = self.try_record(facts) {
            let text = format!("what is new can't be recorded, and the model is not told of it: {why}");
            self.record(vec![Fact::Noted { level: Level::Warning, text }]);
        }
    }

    /// Takes over the rules as they are kept now: who takes one back elsewhere means this session as well.
    pub(super) fn read_rules(&mut self) {
        let facts = match self.surroundings.rules() {
            None => Vec::new(),
            Some(Ok(mut rules)) => {
                // What could not be written there counts here all the same.
                for change in &self.unkept {
                    match change {
                        Lasting::Kept(rule) if !rules.contains(rule) => rules.push(rule.clone()),
                        Lasting::Forgotten(rule) => rules.retain(|kept| kept != rule),
                        Lasting::Kept(_) => {}
                    }
                }
                let known: Vec<&Rule> =
                    self.session.rules.iter().filter(|rule| rule.scope.is_kept()).collect();
                let same = known.len() == rules.len() && rules.iter().all(|rule| known.contains(&rule));
                if same { Vec::new() } else { vec![Fact::RulesRead { rules }] }
            }
            Some(Err(problem)) => vec![Fact::Noted {
                level: Level::Warning,
                text: format!("the rules are those from before the settings were changed: {problem}"),
            }],
        };
        self.record(facts);
    }

    /// Keeps what is to be kept, and no longer what is not. In this session it counts in any case.
    pub(super) fn keep_rules(&mut self, changes: Vec<Lasting>) {
        if self.unwritable.is_some() {
            return; // It never became true.
        }
        for change in changes {
            let failed = match &change {
                Lasting::Kept(rule) => self.surroundings.keep(rule).map_err(|problem| {
                    format!("the rule is not kept and ends with this session ({}): {problem}", rule.grant)
                }),
                Lasting::Forgotten(rule) => self.surroundings.forget(rule).map_err(|problem| {
                    format!("the rule still holds in other sessions ({}): {problem}", rule.grant)
                }),
            };
            if let Err(text) = failed {
                self.unkept.push(change);
                self.record(vec![Fact::Noted { level: Level::Warning, text }]);
            }
        }
    }
}

/// A change of what is kept beyond the session.
pub(super) enum Lasting {
    Kept(Rule),
    Forgotten(Rule),
}

impl Lasting {
    /// What facts are to change.
    pub(super) fn of(facts: &[Fact]) -> Vec<Self> {
        let change = |fact: &Fact| match fact {
            Fact::CallAllowed { by: By::Person { grant: Some(grant), scope }, .. }
            | Fact::HostAllowed { by: By::Person { grant: Some(grant), scope }, .. }
                if scope.is_kept() =>
            {
                Some(Self::Kept(Rule { grant: grant.clone(), scope: *scope }))
            }
            Fact::Revoked { rule } if rule.scope.is_kept() => Some(Self::Forgotten(rule.clone())),
            _ => None,
        };
        facts.iter().filter_map(change).collect()
    }
}
