//! What tests of tools run with.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use tokio_util::sync::CancellationToken;

use crate::{
    protocol::{BlobId, CallId, Item},
    sandbox::{CommandLine, Sandbox, SandboxError},
    shell::{Settings, Shell},
};

use super::{Past, ToolCx, Workspace};

/// Tools that are tested with this start no commands.
pub(super) struct Nowhere;

#[async_trait::async_trait]
impl Sandbox for Nowhere {
    fn wrap(&self, _command: CommandLine) -> Result<CommandLine, SandboxError> {
        Err(SandboxError { message: "no commands here".to_owned() })
    }

    fn describe(&self) -> String {
        "nowhere".to_owned()
    }

    async fn stop(&self) {}
}

impl Past for Nowhere {
    fn items(&self, _: &mut dyn FnMut(&Item)) -> std::io::Result<()> {
        Ok(())
    }

    fn blob(&self, _: &BlobId) -> std::io::Result<Vec<u8>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

pub(super) fn workspace(root: &Path) -> Workspace {
    Workspace {
        root: root.canonicalize().unwrap_or_else(|_| root.to_owned()),
        writable: Vec::new(),
        own: Vec::new(),
    }
}

pub(super) fn context(root: &Path) -> ToolCx {
    let (exits, _) = tokio::sync::mpsc::unbounded_channel();
    let settings = Settings {
        blobs: root.to_owned(),
        workspace: root.to_owned(),
        env: Vec::new(),
        shell: "/bin/sh".into(),
        sandbox: Arc::new(Nowhere),
        outside: Arc::new(Nowhere),
        forbidden: Vec::new(),
        secrets: Default::default(),
        person: None,
        max_processes: 1,
        seed: 1,
    };
    ToolCx {
        call: CallId::from("call_1"),
        workspace: workspace(root),
        shell: Shell::new(settings, exits),
        output: Arc::new(|_| {}),
        cancel: CancellationToken::new(),
        output_limit: 10_000,
        past: Arc::new(Nowhere),
    }
}

/// Somebody who exchanges two names all the time, until this is dropped.
pub(super) struct Swaps {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Swaps {
    pub(super) fn between(one: &Path, other: &Path) -> Self {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, one, other): (_, PathBuf, PathBuf) = (Arc::clone(&stop), one.into(), other.into());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Swaps {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
