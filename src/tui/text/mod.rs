//! Text as it is drawn: Markdown, code, diffs, wrapping. Lines of styled spans; no terminal.
