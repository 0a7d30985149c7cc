//! No sandbox: for `danger-full-access`, and for commands that a person let out.
//!
//! It confines nothing. It only sees to it that no process of a command outlives the command, or the agent.

use std::path::PathBuf;

use super::{CommandLine, Sandbox, SandboxError};

/// Runs commands as they are, under a guard.
pub(super) struct Unconfined {
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "there is no guard yet"))]
    pub(super) helper: PathBuf,
}

#[async_trait::async_trait]
impl Sandbox for Unconfined {
    fn wrap(&self, command: CommandLine) -> Result<CommandLine, SandboxError> {
        #[cfg(target_os = "linux")]
        let command = super::linux::guard::wrap(&self.helper, std::process::id(), command);
        Ok(command)
    }

    fn describe(&self) -> String {
        "no sandbox: commands may do everything that you may".into()
    }

    async fn stop(&self) {
        // Each guard ends its own command, with the shell or with this process.
    }
}
