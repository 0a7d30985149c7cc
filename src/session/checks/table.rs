//! Which commands are checks, and which change files: a table of the first words of their arguments.

/// A kind of command.
pub(super) struct Known {
    pub program: &'static str,
    /// One of these has to follow, options left out of account; none: whatever follows.
    pub words: &'static [&'static str],
    /// One of these options has to be there; none: whatever options there are.
    pub options: &'static [&'static str],
    /// A word may stand anywhere behind the program, as targets do.
    pub anywhere: bool,
}

const fn any(program: &'static str) -> Known {
    Known { program, words: &[], options: &[], anywhere: false }
}

const fn with(program: &'static str, words: &'static [&'static str]) -> Known {
    Known { program, words, options: &[], anywhere: false }
}

const fn only(
    program: &'static str,
    words: &'static [&'static str],
    options: &'static [&'static str],
) -> Known {
    Known { program, words, options, anywhere: false }
}

const fn target(program: &'static str, words: &'static [&'static str]) -> Known {
    Known { program, words, options: &[], anywhere: true }
}

/// Names of tasks that check something, whoever runs them.
const TASKS: &[&str] = &["test", "tests", "check", "lint", "typecheck", "verify", "ci", "build", "all"];

/// Commands that change files of the workspace. They are looked for before checks: a formatter may be both.
pub(super) const EDITS: &[Known] = &[
    only("sed", &[], &["-i", "--in-place"]),
    only("perl", &[], &["-i", "-pi"]),
    only("prettier", &[], &["-w", "--write"]),
    only("eslint", &[], &["--fix"]),
    only("ruff", &["check"], &["--fix"]),
    only("gofmt", &[], &["-w"]),
    only("cargo", &["fix", "clippy"], &["--fix"]),
    with("cargo", &["fix", "add", "remove", "update", "init"]),
    with("git", &["apply", "am", "checkout", "switch", "restore", "stash", "reset", "merge", "rebase"]),
    with("git", &["pull", "cherry-pick", "revert", "clean", "mv", "rm"]),
    with("npm", &["install", "i", "uninstall", "update"]),
    any("patch"),
    any("tee"),
    any("mv"),
    any("cp"),
    any("rm"),
    any("truncate"),
];

/// Commands that look whether files are as they should be: tests, builds, linters.
pub(super) const CHECKS: &[Known] = &[
    with("cargo", &["test", "t", "nextest", "check", "c", "clippy", "build", "b", "bench", "doc", "deny"]),
    only("cargo", &["fmt"], &["--check"]),
    any("rustc"),
    with("go", &["test", "vet", "build"]),
    any("golangci-lint"),
    any("staticcheck"),
    only("gofmt", &[], &["-l", "-d"]),
    target("make", TASKS),
    target("gmake", TASKS),
    target("ninja", TASKS),
    target("just", TASKS),
    target("task", TASKS),
    target("rake", &["test", "spec", "lint", "rubocop"]),
    target("gradle", &["test", "check", "build", "lint"]),
    target("gradlew", &["test", "check", "build", "lint"]),
    target("mvn", &["test", "verify", "package", "compile"]),
    target("mvnw", &["test", "verify", "package", "compile"]),
    with("npm", TASKS),
    with("pnpm", TASKS),
    with("yarn", TASKS),
    with("bun", TASKS),
    with("deno", &["test", "check", "lint"]),
    with("turbo", TASKS),
    any("tsc"),
    any("vue-tsc"),
    any("svelte-check"),
    any("jest"),
    any("vitest"),
    any("mocha"),
    any("ava"),
    any("playwright"),
    any("cypress"),
    any("eslint"),
    any("biome"),
    any("oxlint"),
    any("stylelint"),
    only("prettier", &[], &["-c", "--check", "-l"]),
    any("pytest"),
    any("py.test"),
    any("tox"),
    any("nox"),
    any("unittest"),
    any("mypy"),
    any("pyright"),
    any("flake8"),
    any("pylint"),
    any("bandit"),
    with("ruff", &["check"]),
    only("ruff", &["format"], &["--check"]),
    only("black", &[], &["--check"]),
    only("isort", &[], &["--check", "--check-only", "-c"]),
    any("rspec"),
    any("rubocop"),
    any("phpunit"),
    any("phpstan"),
    any("pest"),
    with("dotnet", &["test", "build"]),
    with("swift", &["test", "build"]),
    with("mix", &["test", "credo", "dialyzer", "compile"]),
    with("zig", &["test", "build"]),
    with("bazel", &["test", "build"]),
    with("cabal", &["test", "build"]),
    with("stack", &["test", "build"]),
    with("sbt", &["test", "compile"]),
    with("dart", &["test", "analyze"]),
    with("flutter", &["test", "analyze"]),
    any("ctest"),
    any("shellcheck"),
    any("hadolint"),
    any("actionlint"),
    any("clang-tidy"),
    with("terraform", &["validate", "plan"]),
    only("terraform", &["fmt"], &["-check"]),
    any("tflint"),
    with("pre-commit", &["run"]),
];

/// Programs that run another one, which follows after their options.
pub(super) const WRAPPERS: &[&str] = &[
    "env", "time", "nice", "ionice", "nohup", "command", "exec", "stdbuf", "npx", "bunx", "pnpx", "timeout",
    "xvfb-run", "sudo",
];

/// The same, but that a word of their own stands before it.
pub(super) const RUNNERS: &[(&str, &[&str])] = &[
    ("poetry", &["run"]),
    ("uv", &["run"]),
    ("pipenv", &["run"]),
    ("hatch", &["run"]),
    ("rye", &["run"]),
    ("pdm", &["run"]),
    ("bundle", &["exec"]),
    ("pnpm", &["exec", "dlx"]),
    ("yarn", &["exec", "dlx"]),
    ("npm", &["exec", "x"]),
    ("bun", &["x"]),
    ("mise", &["exec"]),
];
