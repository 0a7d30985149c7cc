//! The words of a command as options and operands.

use super::expand::Arg;

/// Options, and what is left.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Options {
    /// `r` of `-rf`, `recursive` of `--recursive`.
    names: Vec<String>,
    values: Vec<(String, Arg)>,
    pub operands: Vec<Arg>,
    /// Some words are not known, and may be options.
    pub unsure: bool,
}

impl Options {
    /// `valued`: options that take a value, short ones by their letter, divided by spaces.
    pub(super) fn of(args: &[Arg], valued: &str) -> Self {
        let takes = |name: &str| valued.split(' ').any(|valued| valued == name);
        let mut options = Self::default();
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            let Some(text) = arg.text() else {
                options.unsure = true;
                options.operands.push(arg.clone());
                continue;
            };
            if text == "--" {
                options.operands.extend(rest.cloned());
                break;
            }
            if let Some(long) = text.strip_prefix("--") {
                let (name, value) =
                    long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
                options.names.push(name.to_owned());
                match value {
                    Some(value) => options.values.push((name.to_owned(), Arg::Text(value.to_owned()))),
                    None if takes(name) => {
                        options.values.extend(rest.next().map(|value| (name.to_owned(), value.clone())));
                    }
                    None => {}
                }
                continue;
            }
            let Some(cluster) = text.strip_prefix('-').filter(|cluster| !cluster.is_empty()) else {
                options.operands.push(arg.clone());
                continue;
            };
            for (at, letter) in cluster.char_indices() {
                let name = letter.to_string();
                options.names.push(name.clone());
                if takes(&name) {
                    let glued = cluster.get(at + letter.len_utf8()..).filter(|rest| !rest.is_empty());
                    let value = glued.map(|text| Arg::Text(text.to_owned())).or_else(|| rest.next().cloned());
                    options.values.extend(value.map(|value| (name, value)));
                    break;
                }
            }
        }
        options
    }

    /// Whether an option is there, by its letter or the beginning of its long name.
    pub(super) fn has(&self, short: &str, long: &str) -> bool {
        self.names.iter().any(|name| {
            name == short
                || name == long
                || name.len() >= 3 && !long.is_empty() && long.starts_with(name.as_str())
        })
    }

    /// The value of an option.
    pub(super) fn value(&self, short: &str, long: &str) -> Option<&Arg> {
        let mut values = self.values.iter().rev();
        values.find(|(name, _)| name == short || name == long).map(|(_, value)| value)
    }
}

/// The words behind the options and assignments of a wrapper: the command that it runs.
pub(super) fn behind<'a>(args: &'a [Arg], valued: &str) -> &'a [Arg] {
    let mut at = 0;
    while let Some(text) = args.get(at).and_then(Arg::text) {
        if text == "--" {
            at += 1;
            break;
        }
        if !text.starts_with('-') || text == "-" {
            break;
        }
        at += if valued.split(' ').any(|known| known == text) { 2 } else { 1 };
    }
    args.get(at..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(text: &str) -> Vec<Arg> {
        text.split(' ').map(|word| Arg::Text(word.to_owned())).collect()
    }

    #[test]
    fn options_are_told_from_operands() {
        let options = Options::of(&args("-rf a --size=3 -o out -tdir --rec - -- -b"), "o t size");
        assert!(options.has("r", "recursive") && options.has("f", "force") && !options.has("x", "exclude"));
        assert_eq!(options.operands, args("a - -b"));
        assert_eq!(options.value("s", "size"), Some(&Arg::Text("3".into())));
        assert_eq!(options.value("o", "output"), Some(&Arg::Text("out".into())));
        assert_eq!(options.value("t", "target-directory"), Some(&Arg::Text("dir".into())));
        assert!(Options::of(&[Arg::Unknown("`$X`".into())], "").unsure);
    }

    #[test]
    fn what_a_wrapper_runs_stands_behind_its_own_words() {
        for (words, command) in [("-n 5 rm a", "rm a"), ("-x -- -rm a", "-rm a"), ("rm -r a", "rm -r a")] {
            assert_eq!(behind(&args(words), "-n"), args(command), "{words}");
        }
    }
}
