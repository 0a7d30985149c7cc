//! Rules that take away: commands that are refused, and commands before which a person is asked.
//!
//! They are held against everything that a command runs, as far as it can be followed: behind wrappers, in scripts
//! within scripts, with its variables. What runs inside of other programs they don't see; the border is the sandbox.

use crate::protocol::{Approval, Grant, Rule, Scope};

use super::{Judgement, Policy};

/// One command that is run: its words, where they are known.
pub type Call = Vec<Option<String>>;

/// What the rules that limit say of a call that runs these commands; nothing when they say nothing. Whoever denies is
/// stronger than whoever asks, and both are stronger than all that is allowed.
#[must_use]
pub fn limited(calls: &[Call], rules: &[Rule], policy: &Policy) -> Option<Judgement> {
    let met = |wanted: fn(&Grant) -> Option<&[String]>| {
        rules.iter().filter(|rule| rule.scope != Scope::Unknown).find_map(|rule| {
            let words = wanted(&rule.grant)?;
            let surest = calls.iter().filter_map(|call| begins(call, words)).max()?;
            Some((&rule.grant, surest))
        })
    };
    let denied = met(|grant| match grant {
        Grant::Deny { words } => Some(words),
        _ => None,
    });
    let asked = met(|grant| match grant {
        Grant::Ask { words } => Some(words),
        _ => None,
    });
    let (grant, reason) = match (denied, asked) {
        (Some((grant, Sure::Yes)), _) => {
            return Some(Judgement::Refuse {
                reason: format!("the user's rules refuse this, and nobody is asked: {grant}"),
            });
        }
        (_, Some((grant, _))) => (grant, format!("a rule of yours says so: {grant}")),
        (Some((grant, Sure::Perhaps)), None) => {
            (grant, format!("it may be what a rule of yours refuses, which can't be told: {grant}"))
        }
        (None, None) => return None,
    };
    Some(match policy.approval {
        Approval::Never => Judgement::Refuse {
            reason: format!("the user's rules want the user to be asked first, and nobody is there: {grant}"),
        },
        Approval::OnRequest | Approval::Untrusted => Judgement::Ask { reason },
    })
}

/// How sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sure {
    Perhaps,
    Yes,
}

/// Whether a command begins with words; a program is known by its name, wherever it lies.
fn begins(call: &Call, words: &[String]) -> Option<Sure> {
    let mut sure = Sure::Yes;
    for (at, word) in words.iter().enumerate() {
        match call.get(at)? {
            None => {
                // It may be several words, or none.
                return (at > 0).then_some(Sure::Perhaps);
            }
            Some(own) => {
                let same =
                    own == word || at == 0 && !word.contains('/') && own.rsplit('/').next() == Some(word);
                if !same {
                    // Options that stand between mean the same: `git -C x push`.
                    let later = at > 0
                        && own.starts_with('-')
                        && call.iter().skip(at).flatten().any(|own| own == word);
                    if !later {
                        return None;
                    }
                    sure = Sure::Perhaps;
                }
            }
        }
    }
    Some(sure)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::protocol::SandboxMode;

    fn call(text: &str) -> Call {
        text.split(' ').map(|word| (word != "?").then(|| word.to_owned())).collect()
    }

    fn verdict(calls: &[&str], approval: Approval) -> char {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect();
        let rules = [
            Grant::CommandPrefix { words: words("curl") },
            Grant::Ask { words: words("curl") },
            Grant::Ask { words: words("git push") },
            Grant::Deny { words: words("git push --force") },
            Grant::Deny { words: words("terraform") },
        ]
        .map(|grant| Rule { grant, scope: Scope::Everywhere });
        let policy = Policy {
            approval,
            sandbox: SandboxMode::WorkspaceWrite,
            weak: None,
            roots: vec![],
            scripts: BTreeMap::new(),
            configured: BTreeSet::new(),
        };
        let calls: Vec<Call> = calls.iter().map(|text| call(text)).collect();
        match limited(&calls, &rules, &policy) {
            None => '-',
            Some(Judgement::Ask { .. }) => '?',
            Some(Judgement::Refuse { .. }) => 'x',
            Some(Judgement::Allow(_)) => 'a',
        }
    }

    #[test]
    fn deny_wins_over_ask_and_ask_over_allow() {
        for (calls, there, away) in [
            (&["ls"][..], '-', '-'),
            (&["curl x"], '?', 'x'),
            (&["/usr/bin/curl x"], '?', 'x'),
            (&["curlx"], '-', '-'),
            (&["git push"], '?', 'x'),
            (&["git push --force"], 'x', 'x'),
            (&["git push origin --force"], '?', 'x'),
            (&["git -C x push"], '?', 'x'),
            (&["git ?"], '?', 'x'),
            (&["git pull"], '-', '-'),
            (&["ls", "terraform destroy"], 'x', 'x'),
            (&["curl x", "terraform plan"], 'x', 'x'),
            (&["/opt/terraform"], 'x', 'x'),
        ] {
            assert_eq!(verdict(calls, Approval::OnRequest), there, "{calls:?}");
            assert_eq!(verdict(calls, Approval::Never), away, "{calls:?}");
        }
    }
}
