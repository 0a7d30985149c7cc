//! The program `apply_patch`, for scripts and for shells that the tool did not recognise.
//!
//! It has no workspace: it may write what the process that runs it may write, and inside a sandbox that is
//! what the sandbox allows.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Read, Write as _},
    path::Path,
    process::ExitCode,
};

use super::disk::{Disk, real_workdir};

const NAMES: [&str; 2] = ["apply_patch", "applypatch"];
const FLAG: &str = "--agent-run-as-apply-patch";
const USAGE: &str = "usage: apply_patch PATCH\n       apply_patch < FILE\n";

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Done(String),
    Failed(String),
    Misused,
}

/// Runs as the program `apply_patch`, if that is the name it was called by (or the first argument is
/// `--agent-run-as-apply-patch`): the patch from the argument or stdin; 0, 1 on failure, 2 on wrong usage.
#[must_use]
pub fn program(args: &[OsString]) -> Option<ExitCode> {
    let args = own_args(args)?;
    let (code, result) = match run(args, &mut io::stdin().lock(), Path::new(".")) {
        Ended::Done(text) => (0, io::stdout().write_all(text.as_bytes())),
        Ended::Failed(text) => (1, writeln!(io::stderr(), "{}", text.trim_end())),
        Ended::Misused => (2, io::stderr().write_all(USAGE.as_bytes())),
    };
    // When nobody listens the patch is applied all the same.
    let _ = result;
    Some(ExitCode::from(code))
}

/// The arguments after the name, if the program was called by it.
fn own_args(args: &[OsString]) -> Option<&[OsString]> {
    let (name, rest) = args.split_first()?;
    let called = |name: &OsStr| NAMES.iter().any(|own| name == *own);
    if Path::new(name).file_name().is_some_and(called) {
        return Some(rest);
    }
    let (flag, rest) = rest.split_first()?;
    (flag == FLAG).then_some(rest)
}

fn run(args: &[OsString], stdin: &mut dyn Read, workdir: &Path) -> Ended {
    let mut patch = String::new();
    let patch = match args {
        [] => match stdin.read_to_string(&mut patch) {
            Ok(0) => return Ended::Misused,
            Ok(_) => patch.as_str(),
            Err(error) => return Ended::Failed(format!("could not read the patch from stdin: {error}")),
        },
        [patch] => match patch.to_str() {
            Some(patch) => patch,
            None => return Ended::Failed("the patch is not UTF-8".to_owned()),
        },
        _ => return Ended::Misused,
    };
    // The working directory of the process, which only its absolute path can tell of in errors.
    let workdir = match workdir.canonicalize() {
        Ok(path) => real_workdir(&path),
        Err(error) => return Ended::Failed(format!("the working directory is gone: {error}")),
    };
    let tree = Disk { workdir: &workdir, inside: None };
    let applied = super::plan_of(patch, &tree).and_then(|plan| {
        super::write::write(&plan.steps).map_err(|problem| super::not_written(&problem))?;
        Ok(plan.summary())
    });
    match applied {
        Ok(summary) => Ended::Done(summary),
        Err(error) => Ended::Failed(error.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(texts: &[&str]) -> Vec<OsString> {
        texts.iter().map(OsString::from).collect()
    }

    #[test]
    fn it_is_known_by_its_name_or_by_a_flag() {
        for called in [&["apply_patch"][..], &["/x/applypatch"], &["agent", FLAG]] {
            assert_eq!(own_args(&args(called)), Some(&[][..]), "{called:?}");
        }
        for called in [&[][..], &["agent"], &["agent", "apply_patch"], &["/apply_patch/agent", "x"]] {
            assert_eq!(own_args(&args(called)), None, "{called:?}");
        }
    }

    #[test]
    fn the_patch_comes_from_the_argument_or_from_stdin() {
        let dir = tempfile::tempdir().unwrap();
        let run = |texts: &[&str], stdin: &str| super::run(&args(texts), &mut stdin.as_bytes(), dir.path());
        let patch = |name: &str| format!("*** Begin Patch\n*** Add File: {name}\n+x\n*** End Patch\n");
        let done = |name: &str| Ended::Done(format!("Success. Updated the following files:\nA {name}\n"));
        assert_eq!(run(&[&patch("a")], ""), done("a"));
        assert_eq!(run(&[], &patch("b/c")), done("b/c"));
        assert_eq!(std::fs::read_to_string(dir.path().join("b/c")).unwrap(), "x\n");
        assert_eq!(run(&[], ""), Ended::Misused);
        assert_eq!(run(&["a", "b"], ""), Ended::Misused);
        assert!(
            matches!(run(&["hello"], ""), Ended::Failed(text) if text.contains("first line of the patch"))
        );
    }
}
