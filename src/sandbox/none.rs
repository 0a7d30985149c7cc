//! No sandbox: for `danger-full-access`, and for commands that a person let out.
//!
//! It confines nothing. It only sees to it that no process of a command outlives the command, or the agent.

use std::path::{Path, PathBuf};

use super::{CommandLine, Sandbox, SandboxError};

/// Runs commands as they are, under a guard.
pub(super) struct Unconfined {
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "there is no guard yet"))]
    pub(super) helper: PathBuf,
    /// Where this program lies, and a directory that is made with links to it, under the other names that it answers to.
    pub(super) links: Option<(PathBuf, PathBuf)>,
}

#[async_trait::async_trait]
impl Sandbox for Unconfined {
    fn wrap(&self, mut command: CommandLine) -> Result<CommandLine, SandboxError> {
        if let Some((program, programs)) = &self.links
            && linked(program, programs)
        {
            command.env = super::env::with_programs(command.env, programs);
        }
        #[cfg(target_os = "linux")]
        let command = super::linux::guard::wrap(&self.helper, std::process::id(), command);
        Ok(command)
    }

    fn describe(&self) -> String {
        "no sandbox: commands may do everything that you may".into()
    }

    fn attacker(&self) -> Option<PathBuf> {
        self.links.as_ref().map(|(program, _)| program.clone())
    }

    async fn stop(&self) {
        // Each guard ends its own command, with the shell or with this process.
    }
}

/// Whether the directory is there, with what belongs into it. Without it, commands have fewer programs.
fn linked(program: &Path, programs: &Path) -> bool {
    let made = std::fs::create_dir_all(programs)
        .and_then(|()| std::os::unix::fs::symlink(program, programs.join("apply_patch")));
    made.is_ok() || programs.join("apply_patch").exists()
}
