//! The languages as a table. A new one is a row.

/// What a language's tokens look like.
#[derive(Debug)]
pub struct Language {
    pub names: &'static [&'static str],
    /// Sorted.
    pub keywords: &'static [&'static str],
    pub line_comments: &'static [&'static str],
    pub block_comments: &'static [(&'static str, &'static str)],
    /// Longer ones first.
    pub quotes: &'static [Quote],
    /// Characters that belong to words besides letters, digits and `_`.
    pub in_words: &'static str,
    /// Characters that may begin a word.
    pub before_words: &'static str,
    pub comment_after_space: bool,
    pub any_case: bool,
    pub keys: Keys,
    pub by_line: bool,
}

/// Words that are keywords by where they stand.
#[derive(Debug, PartialEq, Eq)]
pub enum Keys {
    None,
    /// Before a colon.
    Colon,
    /// Before an equals sign.
    Equals,
    /// Behind `<` or `</`.
    Tags,
}

/// A kind of string.
#[derive(Debug)]
pub struct Quote {
    pub start: &'static str,
    pub end: &'static str,
    pub escapes: bool,
    /// May go over several lines.
    pub lines: bool,
    /// Holds one character; otherwise the quote is something else.
    pub character: bool,
}

impl Language {
    /// Whether a word is a keyword between what stands before and after it.
    pub fn is_keyword(&self, word: &str, after: &str, before: char) -> bool {
        let next = || after.trim_start().chars().next();
        let by_place = match self.keys {
            Keys::None => false,
            Keys::Colon => after.starts_with(": ") || after == ":",
            Keys::Equals => next() == Some('='),
            Keys::Tags => matches!(before, '<' | '/'),
        };
        by_place
            || if self.any_case {
                let word = word.to_ascii_lowercase();
                self.keywords.binary_search(&word.as_str()).is_ok()
            } else {
                self.keywords.binary_search(&word).is_ok()
            }
    }
}

const fn quote(mark: &'static str) -> Quote {
    Quote { start: mark, end: mark, escapes: true, lines: false, character: false }
}

const fn lines(mark: &'static str) -> Quote {
    Quote { lines: true, ..quote(mark) }
}

const fn raw(mark: &'static str) -> Quote {
    Quote { escapes: false, ..lines(mark) }
}

const CHARACTER: Quote = Quote { character: true, ..quote("'") };

const BASE: Language = Language {
    names: &[],
    keywords: &[],
    line_comments: &[],
    block_comments: &[],
    quotes: &[quote("\""), quote("'")],
    in_words: "",
    before_words: "",
    comment_after_space: false,
    any_case: false,
    keys: Keys::None,
    by_line: false,
};

const C_LIKE: Language = Language { line_comments: &["//"], block_comments: &[("/*", "*/")], ..BASE };

/// All languages.
pub static LANGUAGES: &[Language] = &[
    Language {
        names: &["rust", "rs"],
        keywords: &[
            "Self", "as", "async", "await", "break", "const", "continue", "crate", "dyn", "else", "enum",
            "extern", "false", "fn", "for", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut",
            "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true", "type", "union",
            "unsafe", "use", "where", "while", "yield",
        ],
        quotes: &[
            Quote { start: "r#\"", end: "\"#", ..raw("") },
            Quote { start: "r\"", end: "\"", ..raw("") },
            lines("\""),
            CHARACTER,
        ],
        ..C_LIKE
    },
    Language {
        names: &["python", "py", "python3", "starlark", "bzl"],
        keywords: &[
            "False", "None", "True", "and", "as", "assert", "async", "await", "break", "case", "class",
            "continue", "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if",
            "import", "in", "is", "lambda", "match", "nonlocal", "not", "or", "pass", "raise", "return", "self",
            "try", "while", "with", "yield",
        ],
        line_comments: &["#"],
        quotes: &[lines("\"\"\""), lines("'''"), quote("\""), quote("'")],
        ..BASE
    },
    Language {
        names: &["javascript", "js", "jsx", "typescript", "ts", "tsx", "mjs", "cjs", "mts"],
        keywords: &[
            "abstract", "any", "as", "async", "await", "boolean", "break", "case", "catch", "class", "const",
            "continue", "debugger", "declare", "default", "delete", "do", "else", "enum", "export", "extends",
            "false", "finally", "for", "from", "function", "get", "if", "implements", "import", "in",
            "instanceof", "interface", "keyof", "let", "namespace", "never", "new", "null", "number", "of",
            "private", "protected", "public", "readonly", "return", "satisfies", "set", "static", "string",
            "super", "switch", "this", "throw", "true", "try", "type", "typeof", "undefined", "unknown", "var",
            "void", "while", "with", "yield",
        ],
        quotes: &[lines("`"), quote("\""), quote("'")],
        ..C_LIKE
    },
    Language {
        names: &["go", "golang"],
        keywords: &[
            "any", "bool", "break", "byte", "case", "chan", "const", "continue", "default", "defer", "else",
            "error", "fallthrough", "false", "float64", "for", "func", "go", "goto", "if", "import", "int",
            "int64", "interface", "iota", "map", "nil", "package", "range", "return", "rune", "select",
            "string", "struct", "switch", "true", "type", "uint", "var",
        ],
        quotes: &[raw("`"), quote("\""), quote("'")],
        ..C_LIKE
    },
    Language {
        names: &["c", "h", "cpp", "c++", "cc", "cxx", "hpp", "hh", "objc", "cuda", "glsl", "proto", "protobuf"],
        keywords: &[
            "auto", "bool", "break", "case", "catch", "char", "class", "const", "constexpr", "continue",
            "default", "delete", "do", "double", "else", "enum", "explicit", "extern", "false", "final",
            "float", "for", "friend", "goto", "if", "inline", "int", "long", "message", "mutable", "namespace",
            "new", "noexcept", "nullptr", "operator", "override", "private", "protected", "public", "register",
            "repeated", "return", "short", "signed", "sizeof", "static", "struct", "switch", "template", "this",
            "throw", "true", "try", "typedef", "typename", "union", "unsigned", "using", "virtual", "void",
            "volatile", "while",
        ],
        in_words: "#",
        before_words: "#",
        ..C_LIKE
    },
    Language {
        names: &["java", "kotlin", "kt", "kts", "scala", "groovy", "gradle", "csharp", "cs", "c#", "swift", "dart"],
        keywords: &[
            "abstract", "as", "async", "await", "base", "boolean", "break", "byte", "case", "catch", "char",
            "class", "companion", "const", "continue", "data", "def", "default", "do", "double", "else", "enum",
            "extends", "extension", "false", "final", "finally", "float", "for", "foreach", "fun", "func",
            "guard", "if", "implements", "import", "in", "init", "int", "interface", "internal", "is", "let",
            "long", "namespace", "native", "new", "nil", "null", "object", "out", "override", "package",
            "private", "protected", "protocol", "public", "readonly", "record", "return", "sealed", "self",
            "short", "static", "string", "struct", "super", "switch", "synchronized", "this", "throw", "throws",
            "trait", "true", "try", "type", "using", "val", "var", "virtual", "void", "when", "where", "while",
            "yield",
        ],
        quotes: &[raw("\"\"\""), quote("\""), quote("'")],
        ..C_LIKE
    },
    Language {
        names: &["bash", "sh", "shell", "zsh", "console", "shellscript", "fish"],
        keywords: &[
            "break", "case", "cd", "continue", "do", "done", "echo", "elif", "else", "esac", "eval", "exec",
            "exit", "export", "fi", "for", "function", "if", "in", "local", "return", "set", "shift", "source",
            "then", "trap", "unset", "until", "while",
        ],
        line_comments: &["#"],
        comment_after_space: true,
        quotes: &[lines("\""), raw("'")],
        in_words: "-./",
        ..BASE
    },
    Language {
        names: &["sql", "postgresql", "mysql", "sqlite"],
        keywords: &[
            "add", "all", "alter", "and", "as", "asc", "begin", "between", "by", "case", "column", "commit",
            "constraint", "create", "cross", "default", "delete", "desc", "distinct", "drop", "else", "end",
            "exists", "explain", "foreign", "from", "full", "group", "having", "if", "in", "index", "inner",
            "insert", "into", "is", "join", "key", "left", "like", "limit", "not", "null", "offset", "on", "or",
            "order", "outer", "primary", "references", "returning", "right", "rollback", "select", "set",
            "table", "then", "transaction", "union", "unique", "update", "using", "values", "view", "when",
            "where", "with",
        ],
        line_comments: &["--"],
        block_comments: &[("/*", "*/")],
        any_case: true,
        ..BASE
    },
    Language {
        names: &["json", "jsonc", "json5", "jsonl"],
        keywords: &["false", "null", "true"],
        line_comments: &["//"],
        block_comments: &[("/*", "*/")],
        quotes: &[quote("\"")],
        ..BASE
    },
    Language {
        names: &["yaml", "yml"],
        keywords: &["false", "null", "true"],
        line_comments: &["#"],
        comment_after_space: true,
        in_words: "-.",
        keys: Keys::Colon,
        ..BASE
    },
    Language {
        names: &["toml", "ini", "cfg", "conf", "properties", "dotenv", "env"],
        keywords: &["false", "true"],
        line_comments: &["#", ";"],
        quotes: &[raw("\"\"\""), raw("'''"), quote("\""), quote("'")],
        in_words: "-.",
        keys: Keys::Equals,
        ..BASE
    },
    Language {
        names: &["html", "xml", "svg", "vue", "svelte", "xhtml"],
        block_comments: &[("<!--", "-->")],
        quotes: &[lines("\"")],
        in_words: "-:",
        keys: Keys::Tags,
        ..BASE
    },
    Language {
        names: &["css", "scss", "less", "sass"],
        keywords: &["@font-face", "@import", "@include", "@keyframes", "@media", "@mixin", "@use"],
        block_comments: &[("/*", "*/")],
        in_words: "-",
        before_words: "@",
        keys: Keys::Colon,
        ..BASE
    },
    Language {
        names: &["ruby", "rb", "elixir", "ex", "exs", "crystal"],
        keywords: &[
            "alias", "and", "begin", "break", "case", "class", "def", "defmodule", "defp", "do", "else",
            "elsif", "end", "ensure", "false", "fn", "for", "if", "in", "module", "next", "nil", "not", "or",
            "raise", "require", "rescue", "return", "self", "super", "then", "true", "unless", "until", "use",
            "when", "while", "yield",
        ],
        line_comments: &["#"],
        in_words: "?!",
        ..BASE
    },
    Language {
        names: &["php"],
        keywords: &[
            "abstract", "and", "array", "as", "break", "case", "catch", "class", "const", "continue", "declare",
            "default", "do", "echo", "else", "elseif", "extends", "false", "final", "finally", "fn", "for",
            "foreach", "function", "global", "if", "implements", "instanceof", "interface", "match",
            "namespace", "new", "null", "or", "private", "protected", "public", "readonly", "return", "static",
            "switch", "throw", "trait", "true", "try", "use", "var", "while", "yield",
        ],
        line_comments: &["//", "#"],
        block_comments: &[("/*", "*/")],
        ..BASE
    },
    Language {
        names: &["lua"],
        keywords: &[
            "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in",
            "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
        ],
        line_comments: &["--"],
        block_comments: &[("--[[", "]]")],
        ..BASE
    },
    Language {
        names: &["dockerfile", "docker", "containerfile", "makefile", "make", "cmake", "nix", "hcl", "terraform", "tf"],
        keywords: &[
            "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "ONBUILD",
            "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR", "data", "define", "else", "endef",
            "endif", "ifdef", "ifeq", "ifndef", "ifneq", "in", "include", "inherit", "let", "module", "output",
            "provider", "resource", "variable", "with",
        ],
        line_comments: &["#"],
        comment_after_space: true,
        ..BASE
    },
    Language {
        names: &["haskell", "hs", "ocaml", "ml", "elm", "zig", "nim", "julia", "jl", "r", "perl", "pl", "clojure", "lisp"],
        keywords: &[
            "begin", "case", "class", "const", "data", "def", "defn", "deriving", "do", "else", "elsif", "end",
            "export", "false", "fn", "for", "fun", "function", "if", "import", "in", "instance", "let", "match",
            "module", "mutable", "my", "newtype", "of", "open", "proc", "pub", "rec", "return", "struct", "sub",
            "then", "true", "try", "type", "use", "using", "val", "var", "where", "while", "with",
        ],
        quotes: &[quote("\""), CHARACTER],
        ..BASE
    },
    Language { names: &["diff", "patch", "udiff"], by_line: true, ..BASE },
];
