//! This program, to be started again as a helper: the one that runs now, whatever becomes of its file.

use std::{
    io,
    path::{Path, PathBuf},
};

/// A path that starts the program that runs now, also when its file at `program` is replaced or gone: by an upgrade,
/// or by a command that may write where it lies. Only this process can use the path.
///
/// Commands that may write below `written` can change a file there in place, too, so that a program that lies there
/// is copied once to where nobody can write.
///
/// # Errors
/// When that copy can't be made.
pub fn itself(program: &Path, written: &[PathBuf]) -> io::Result<PathBuf> {
    #[cfg(target_os = "linux")]
    return if written.iter().any(|root| program.starts_with(root)) {
        linux::sealed_copy().map(Path::to_owned)
    } else {
        Ok(linux::RUNNING.into())
    };
    #[cfg(not(target_os = "linux"))]
    {
        let _ = written;
        Ok(program.to_owned())
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        fs::File,
        io,
        os::fd::{AsRawFd as _, OwnedFd},
        path::{Path, PathBuf},
        sync::OnceLock,
    };

    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

    /// What the kernel knows a process's own program by. Whoever starts it gets what it runs itself.
    pub(super) const RUNNING: &str = "/proc/self/exe";

    pub(super) fn sealed_copy() -> io::Result<&'static Path> {
        /// The path, and the descriptor that it lives by.
        static COPY: OnceLock<(PathBuf, OwnedFd)> = OnceLock::new();
        if COPY.get().is_none() {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            // Before Linux 6.3 such files could be run without a word.
            let copy =
                memfd_create("agent", flags | MemfdFlags::EXEC).or_else(|_| memfd_create("agent", flags))?;
            let mut copy = File::from(copy);
            io::copy(&mut File::open(RUNNING)?, &mut copy)?;
            fcntl_add_seals(&copy, SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
            // When two threads get here, both copies are good.
            let _ = COPY.set((format!("/proc/self/fd/{}", copy.as_raw_fd()).into(), copy.into()));
        }
        COPY.get().map(|(path, _)| path.as_path()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
