//! Starting commands: in the environment that login files make, read and waited for.

use std::{path::Path, sync::Arc, time::Duration};

use rustix::process::Pid;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Inner, Launch, Look, Place, Shell, ShellError, State, Until,
    asking::Asking,
    launch, lock, login, output,
    process::{About, Env, Glimpse, Kill, OnCancel, Process},
    reader::{Control, Reader},
    spawn::Born,
    spill::Spill,
};
use crate::{protocol::ProcessId, sandbox::CommandLine, secrets::Filter};

/// How long the login files of the user may take, once a session.
const LOGIN_LIMIT: Duration = Duration::from_secs(5);

impl Shell {
    pub(super) async fn start(&self, launch: &Launch) -> Result<(Arc<Process>, Vec<ProcessId>), ShellError> {
        let inner = &self.inner;
        let program = launch::program(&inner.settings, launch.shell.as_deref())?;
        let place = self.place();
        let env = match launch.login {
            true => self.login_env(&place, &program, launch.outside).await,
            false => Arc::clone(&place.env),
        };
        let line = launch::command_line(launch, program, &env);
        if !launch.outside {
            place.sandbox.refresh().await?;
        }
        let born = self.spawn(&place, line, launch.outside).await?;
        let (control, bell) = control(launch.tty)?;
        let sandbox = (!launch.outside).then(|| Arc::clone(&place.sandbox));
        let (process, pruned) = {
            let mut table = lock(&inner.table);
            if table.closed {
                return Err(ShellError::Stopped);
            }
            let about = About {
                id: table.next_id(),
                command: launch.command.clone(),
                workdir: launch.workdir.clone(),
                tty: launch.tty,
                call: self.call.clone(),
            };
            let asking = Asking::new(about.id, inner.settings.person.clone());
            let process = Arc::new(Process::new(about, control, asking, sandbox));
            let pruned = table.insert(Arc::clone(&process), inner.settings.max_processes);
            (process, pruned)
        };
        for victim in &pruned {
            victim.kill(Kill::Gently);
        }
        let spill = Spill::new(Some(inner.settings.blobs.clone()));
        self.attend(&process, born, bell, spill, Some(inner.settings.secrets.filter()))
            .inspect_err(|_| lock(&inner.table).remove(process.about.id))?;
        Ok((process, pruned.iter().map(|victim| victim.about.id).collect()))
    }

    async fn spawn(&self, place: &Place, line: CommandLine, outside: bool) -> Result<Born, ShellError> {
        let sandbox = if outside { &self.inner.settings.outside } else { &place.sandbox };
        self.inner
            .spawner
            .as_ref()
            .map_err(Clone::clone)?
            .spawn(line, self.call.clone(), Arc::clone(sandbox))
            .await
    }

    /// Has a process read and waited for.
    fn attend(
        &self,
        process: &Arc<Process>,
        born: Born,
        bell: std::io::PipeReader,
        spill: Spill,
        filter: Option<Filter>,
    ) -> Result<(), ShellError> {
        let inner = &self.inner;
        if process.about.tty
            && let Some(helper) = born.child.id().and_then(|id| Pid::from_raw(id.cast_signed()))
            && let Ok(ours) = born.output.try_clone()
        {
            process.watch(ours, helper, self.secrets().clone());
        }
        let reader = Reader::start(Arc::clone(process), born.output, bell, spill, filter)?;
        let task = Arc::clone(process).supervise(born.child, reader, inner.stop.clone(), inner.exits.clone());
        inner.tasks.spawn(task);
        Ok(())
    }

    /// The environment that login files make; without them when they fail or take too long.
    async fn login_env(&self, place: &Place, shell: &Path, outside: bool) -> Arc<Env> {
        let cell = place.logins.cell((shell.to_owned(), outside));
        let capture = || async {
            let login = self.capture(place, shell, outside).await;
            login.map_or_else(
                || Arc::clone(&place.env),
                |login| Arc::new(login::merge(&place.env, login, &self.inner.settings.forbidden)),
            )
        };
        Arc::clone(cell.get_or_init(capture).await)
    }

    async fn capture(&self, place: &Place, shell: &Path, outside: bool) -> Option<Env> {
        let inner = &self.inner;
        let workdir = inner.settings.workspace.clone();
        let line = login::command_line(shell.to_owned(), &place.env, workdir.clone());
        let born = self.spawn(place, line, outside).await.ok()?;
        let (control, bell) = control(false).ok()?;
        let about = About { id: ProcessId(0), command: "login".into(), workdir, tty: false, call: None };
        let asking = Asking::new(about.id, None);
        let process = Arc::new(Process::new(about, control, asking, None));
        // What it says is for commands, and goes into no transcript.
        self.attend(&process, born, bell, Spill::new(None), None).ok()?;
        let _unfinished = Unfinished { inner, process: &process, finished: false };
        let look = Look {
            wait: LOGIN_LIMIT,
            max_bytes: output::BUDGET,
            sink: Arc::new(|_| {}),
            cancel: CancellationToken::new(),
            until: Until::End,
        };
        let Glimpse { state, output, .. } = process.look(&look, Instant::now(), OnCancel::Kill).await;
        // What login files print besides may be so much that only its end is there.
        let said = if output.tail.is_empty() { &output.head } else { &output.tail };
        if matches!(state, State::Exited(_)) { login::parse(said) } else { None }
    }
}

/// A process whose call has not returned yet. It ends when the call is dropped.
pub(super) struct Unfinished<'a> {
    pub(super) inner: &'a Inner,
    pub(super) process: &'a Process,
    pub(super) finished: bool,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.process.kill(Kill::Gently);
            lock(&self.inner.table).remove(self.process.about.id);
        }
    }
}

fn control(tty: bool) -> Result<(Control, std::io::PipeReader), ShellError> {
    Control::new(tty).map_err(|error| ShellError::Spawn(format!("can't make a pipe: {error}")))
}
