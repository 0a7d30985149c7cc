//! What commands may do in this sandbox, in words, from the plan that is carried out.

use std::path::Path;

use super::{
    alone, limits, mounts,
    ways::{self, Way},
};
use crate::{
    protocol::obeyed_names,
    sandbox::{Article, SandboxError, Settings},
};

/// Tools that are named; of others it is said how many there are.
const NAMED: usize = 6;

/// The policy for these settings.
pub(in crate::sandbox) fn policy(settings: &Settings) -> Result<Vec<Article>, SandboxError> {
    // Found out by trying: whoever asks for the policy is about to try it all.
    let (way, plan, _) = ways::holder(settings, None).map_err(|missing| missing.error)?;
    if way == Way::Alone {
        return Ok(alone::articles(settings, &plan));
    }
    let article = |about: &'static str, text: String| Article { about, text };
    let private = "/tmp, /var/tmp and HOME, which are the session's own and not yours";
    let roots: Vec<&Path> = plan.shared().collect();
    let (read, write) = if plan.write {
        (String::new(), format!("{}, {private}", list(&roots, usize::MAX)))
    } else {
        (format!(", {}", list(&roots, usize::MAX)), format!("nothing but {private}"))
    };
    let tools: Vec<&Path> = plan.tools.iter().map(|path| path.as_path()).collect();
    let tools =
        if tools.is_empty() { String::new() } else { format!(", your tools ({})", list(&tools, NAMED)) };
    let mut articles = vec![
        article("read", format!("the system ({}){tools}{read}", list(&mounts::shown(), usize::MAX))),
        article("write", write),
    ];
    if plan.write {
        let names: Vec<&str> = obeyed_names().filter(|name| *name != ".git").collect();
        let text = format!(
            "only read, however deep: {}, and what the configuration of git names; other programs obey what they say",
            names.join(", ")
        );
        articles.push(article("in there", text));
        let text = match way {
            Way::Bubblewrap => "only read, in each repository: bubblewrap can't put a layer over it",
            Way::Own | Way::Alone => {
                "history at most goes out of it: commits, branches, the stash; settings and hooks never do"
            }
        };
        articles.push(article(".git", text.to_owned()));
    }
    articles.extend([
        article(
            "hidden",
            format!(
                "your home directory, other processes, this program's settings, keys and sessions, what the system \
                 keeps secret, and {} with credentials of your tools",
                count(plan.secrets.len(), "file")
            ),
        ),
        article("network", "none but a loopback of its own".to_owned()),
        article("kernel", "no mounts, namespaces, keyrings, tracing of others, or set-id programs".to_owned()),
        article(
            "limits",
            format!(
                "at most {} processes, {} MB of memory, {} open files each and {} MB in the private directories; no core \
                 dumps",
                limits::PROCESSES,
                limits::memory() >> 20,
                limits::FILES,
                settings.disk >> 20
            ),
        ),
        article("end", "all that a command has started ends with it".to_owned()),
    ]);
    Ok(articles)
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// The first paths of a list, and how many more there are.
fn list(paths: &[&Path], most: usize) -> String {
    let mut names: Vec<String> = paths.iter().take(most).map(|path| path.display().to_string()).collect();
    if paths.len() > most {
        names.push(format!("{} more", paths.len() - most));
    }
    names.join(", ")
}
