//! What may be done, in words: sandbox, network, approvals, and how to ask.

use std::sync::Arc;

use crate::protocol::{Approval, Context, Item, SandboxMode};

use super::{Network, Person};

/// What may be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permissions {
    pub sandbox: SandboxMode,
    pub approval: Approval,
    pub network: Network,
    /// What the sandbox itself says in one line. Empty to say nothing.
    pub backend: String,
    /// Why every command is asked for that may change the workspace; nothing where the sandbox holds it.
    pub weak: Option<String>,
    pub person: Person,
}

/// Before permissions that are told anew.
const CHANGED: &str = "The permissions have changed. From now on these hold, in the place of all that was said before \
                       about sandbox, network and approvals:";

impl Permissions {
    /// What the model is told at the beginning.
    #[must_use]
    pub fn item(&self) -> Item {
        item(&self.lines())
    }

    /// What the model is told when something else holds than what it was told last; nothing when it knows, or was
    /// never told anything.
    #[must_use]
    pub fn renewed(&self, items: &[Arc<Item>]) -> Option<Item> {
        let told = items.iter().rev().find(|item| is_told(item))?;
        let renewed = item(&format!("{CHANGED}\n{}", self.lines()));
        (**told != self.item() && **told != renewed).then_some(renewed)
    }

    fn lines(&self) -> String {
        let mut parts = vec![
            sandbox(self.sandbox).to_owned(),
            network(self.sandbox, &self.network),
            match &self.weak {
                Some(why) if self.sandbox == SandboxMode::WorkspaceWrite => unheld(why, self.approval),
                _ => approval(self.sandbox, self.approval).to_owned(),
            },
        ];
        if !self.backend.is_empty() {
            parts.insert(1, format!("Where commands run: {}.", self.backend.trim_end_matches('.')));
        }
        if self.person == Person::Absent {
            parts.push(
                "Nobody is there to answer while you work: this is one task, from beginning to end. Don't ask \
                 questions and don't stop half-way; your last message is the result."
                    .to_owned(),
            );
        }
        parts.join("\n")
    }
}

fn is_told(item: &Item) -> bool {
    matches!(item, Item::Context { context: Context::Permissions, .. })
}

fn item(lines: &str) -> Item {
    let text = format!("<permissions instructions>\n{lines}\n</permissions instructions>");
    Item::Context { context: Context::Permissions, text }
}

fn sandbox(mode: SandboxMode) -> &'static str {
    match mode {
        SandboxMode::ReadOnly => {
            "Sandbox mode is `read-only`: commands can read the workspace and the system's programs, and can \
             write only to a private temporary directory. Files can't be changed."
        }
        SandboxMode::WorkspaceWrite => {
            "Sandbox mode is `workspace-write`: commands can change files in the workspace, in the listed \
             writable roots and in a private temporary directory. The rest of the system is read-only, and the \
             user's home is hidden."
        }
        SandboxMode::DangerFullAccess => {
            "Sandbox mode is `danger-full-access`: there is no sandbox. Commands can do all that the user can; \
             be careful accordingly."
        }
    }
}

fn network(mode: SandboxMode, network: &Network) -> String {
    match (mode, network) {
        (SandboxMode::DangerFullAccess, _) | (_, Network::On) => "Network access is enabled.".to_owned(),
        (_, Network::Off) => {
            "Network access is restricted: commands reach no other machine. Downloads and remote \
                              services fail; don't retry them."
                .to_owned()
        }
        (_, Network::Listed { hosts, asks }) => {
            let which = match &hosts[..] {
                [] => "commands reach no host that the user has not allowed".to_owned(),
                hosts => format!("commands reach these hosts and no others: {}", hosts.join(", ")),
            };
            let others = if *asks {
                "When a command connects to another host, the user is asked by itself while the command waits: just \
                 run it, with a long `yield_time_ms`."
            } else {
                "Other hosts are refused; don't retry them."
            };
            format!(
                "Network access is restricted: {which}, through the proxy that `HTTP_PROXY` and `HTTPS_PROXY` name \
                 (HTTP and TLS; names are resolved there, and nothing but the proxy is reachable). {others} The \
                 result of a command names the hosts that it was refused."
            )
        }
    }
}

/// Where commands in the sandbox are asked for like those outside.
fn unheld(why: &str, approval: Approval) -> String {
    match approval {
        Approval::Never => format!(
            "Approval policy is `never`: nobody will approve anything. Every command is rejected, because {why}. Work with \
             the other tools, and say at the end that `--sandbox read-only` would let commands look unasked."
        ),
        Approval::OnRequest | Approval::Untrusted => format!(
            "Approval policy is `{approval}`, and the user is asked before every command, because {why}. So use few commands, \
             each of which says a lot. A command that must run outside the sandbox needs `sandbox_permissions` set to \
             `require_escalated` and a `justification`: a short question to the user that says why. The user may say no: then \
             go on without it, and don't seek a way around."
        ),
    }
}

fn approval(mode: SandboxMode, approval: Approval) -> &'static str {
    match (approval, mode) {
        (Approval::Never, _) => {
            "Approval policy is `never`: nobody will approve anything. Never set `sandbox_permissions`; such a \
             command is rejected. Work within these limits, and say at the end what they kept you from."
        }
        (Approval::OnRequest, SandboxMode::DangerFullAccess) => {
            "Approval policy is `on-request`: commands run at once, but the user is asked before one that destroys \
             data. `sandbox_permissions` has no meaning here; leave it out."
        }
        (Approval::OnRequest, _) => {
            "Approval policy is `on-request`: commands run in the sandbox without asking. If one that matters fails \
             because of the sandbox or the network, or clearly can't work inside, run it again with \
             `sandbox_permissions` set to `require_escalated` and `justification` set to a short question to the \
             user that says what is needed and why; `prefix_rule` may propose the leading words of a command that \
             will be needed again. The user may say no: then go on without it, and don't seek a way around. Patches \
             outside the writable places ask by themselves."
        }
        (Approval::Untrusted, SandboxMode::DangerFullAccess) => {
            "Approval policy is `untrusted`: the user is asked before every command and patch, save commands that \
             are known only to look. `sandbox_permissions` has no meaning here; leave it out."
        }
        (Approval::Untrusted, _) => {
            "Approval policy is `untrusted`: the user is asked before every command and patch, save commands that \
             are known only to look. A command that must run outside the sandbox needs `sandbox_permissions` set to \
             `require_escalated` and a `justification`: a short question to the user that says why."
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::context) fn permissions() -> Permissions {
        Permissions {
            sandbox: SandboxMode::WorkspaceWrite,
            approval: Approval::OnRequest,
            network: Network::Off,
            backend: String::new(),
            weak: None,
            person: Person::Present,
        }
    }

    #[test]
    fn who_is_asked_before_every_command_is_said_where_the_workspace_is_not_held() {
        let weak = |sandbox, approval| {
            let why = Some("its .git is open".into());
            text(&Permissions { weak: why, sandbox, approval, ..permissions() })
        };
        let asked = weak(SandboxMode::WorkspaceWrite, Approval::OnRequest);
        assert!(asked.contains("before every command, because its .git is open"), "{asked}");
        assert!(!asked.contains("without asking"), "{asked}");
        let refused = weak(SandboxMode::WorkspaceWrite, Approval::Never);
        assert!(refused.contains("Every command is rejected, because its .git is open"), "{refused}");
        let looks = weak(SandboxMode::ReadOnly, Approval::OnRequest);
        assert!(!looks.contains("its .git is open"), "{looks}");
    }

    fn text(permissions: &Permissions) -> String {
        match permissions.item() {
            Item::Context { text, .. } => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_model_is_told_again_only_what_has_changed_since_it_was_told() {
        let before = permissions();
        let after = Permissions { sandbox: SandboxMode::ReadOnly, ..permissions() };
        let mut items = vec![Arc::new(before.item())];
        assert_eq!(before.renewed(&items), None);
        let told = after.renewed(&items).unwrap();
        let Item::Context { text, .. } = &told else { panic!("{told:?}") };
        assert!(text.contains("have changed") && text.contains("`read-only`"), "{text}");
        items.push(Arc::new(told));
        assert_eq!(after.renewed(&items), None);
        // Back again is a change as well.
        assert!(before.renewed(&items).is_some());
        assert_eq!(after.renewed(&[]), None);
    }

    #[test]
    fn under_never_the_model_is_told_not_to_ask_and_not_how() {
        for sandbox in [SandboxMode::ReadOnly, SandboxMode::WorkspaceWrite, SandboxMode::DangerFullAccess] {
            let text = text(&Permissions { approval: Approval::Never, sandbox, ..permissions() });
            assert!(text.contains("`never`") && !text.contains("require_escalated"), "{text}");
        }
    }

    #[test]
    fn where_a_person_can_widen_the_sandbox_the_model_is_told_how_to_ask() {
        for approval in [Approval::OnRequest, Approval::Untrusted] {
            for sandbox in [SandboxMode::ReadOnly, SandboxMode::WorkspaceWrite] {
                let text = text(&Permissions { approval, sandbox, ..permissions() });
                assert!(text.contains("`require_escalated`") && text.contains("`justification`"), "{text}");
            }
            let open =
                text(&Permissions { approval, sandbox: SandboxMode::DangerFullAccess, ..permissions() });
            assert!(!open.contains("require_escalated"), "{open}");
        }
    }

    #[test]
    fn every_setting_is_named_in_words_and_stays_short() {
        for sandbox in [SandboxMode::ReadOnly, SandboxMode::WorkspaceWrite, SandboxMode::DangerFullAccess] {
            for approval in [Approval::Untrusted, Approval::OnRequest, Approval::Never] {
                for person in [Person::Present, Person::Absent] {
                    let text = text(&Permissions { approval, sandbox, person, ..permissions() });
                    assert!(
                        text.contains(&format!("`{sandbox}`")) && text.contains(&format!("`{approval}`"))
                    );
                    assert_eq!(text.contains("Don't ask questions"), person == Person::Absent);
                    assert!(text.len() < 2_000, "{} bytes", text.len());
                }
            }
        }
    }

    #[test]
    fn listed_hosts_are_named_and_how_others_are_had() {
        let listed = |hosts: &[&str], asks| {
            let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
            text(&Permissions { network: Network::Listed { hosts, asks }, ..permissions() })
        };
        let some = listed(&["crates.io", "*.pypi.org"], false);
        assert!(some.contains("crates.io, *.pypi.org") && some.contains("Other hosts are refused"), "{some}");
        let asked = listed(&[], true);
        assert!(
            asked.contains("no host that the user has not allowed") && asked.contains("is asked"),
            "{asked}"
        );
    }

    #[test]
    fn without_a_sandbox_the_network_is_there() {
        let text = text(&Permissions { sandbox: SandboxMode::DangerFullAccess, ..permissions() });
        assert!(text.contains("Network access is enabled"), "{text}");
    }
}
