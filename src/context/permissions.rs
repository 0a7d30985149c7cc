//! What may be done, in words: sandbox, network, approvals, and how to ask.

use crate::protocol::{Approval, SandboxMode};

use super::{Network, Opening, Person};

/// The text of the permissions item.
pub(super) fn text(facts: &Opening) -> String {
    let mut parts = vec![
        sandbox(facts.sandbox).to_owned(),
        network(facts.sandbox, facts.network).to_owned(),
        approval(facts.sandbox, facts.approval).to_owned(),
    ];
    if !facts.backend.is_empty() {
        parts.insert(1, format!("Where commands run: {}.", facts.backend.trim_end_matches('.')));
    }
    if facts.person == Person::Absent {
        parts.push(
            "Nobody is there to answer while you work: this is one task, from beginning to end. Don't ask \
             questions and don't stop half-way; your last message is the result."
                .to_owned(),
        );
    }
    format!("<permissions instructions>\n{}\n</permissions instructions>", parts.join("\n"))
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

fn network(mode: SandboxMode, network: Network) -> &'static str {
    match (mode, network) {
        (SandboxMode::DangerFullAccess, _) | (_, Network::On) => "Network access is enabled.",
        (_, Network::Off) => {
            "Network access is restricted: commands reach no other machine. Downloads and remote services fail; \
             don't retry them."
        }
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
mod tests {
    use super::*;
    use crate::context::tests::facts;

    #[test]
    fn under_never_the_model_is_told_not_to_ask_and_not_how() {
        for sandbox in [SandboxMode::ReadOnly, SandboxMode::WorkspaceWrite, SandboxMode::DangerFullAccess] {
            let text = text(&Opening { approval: Approval::Never, sandbox, ..facts() });
            assert!(text.contains("`never`") && !text.contains("require_escalated"), "{text}");
        }
    }

    #[test]
    fn where_a_person_can_widen_the_sandbox_the_model_is_told_how_to_ask() {
        for approval in [Approval::OnRequest, Approval::Untrusted] {
            for sandbox in [SandboxMode::ReadOnly, SandboxMode::WorkspaceWrite] {
                let text = text(&Opening { approval, sandbox, ..facts() });
                assert!(text.contains("`require_escalated`") && text.contains("`justification`"), "{text}");
            }
            let open = text(&Opening { approval, sandbox: SandboxMode::DangerFullAccess, ..facts() });
            assert!(!open.contains("require_escalated"), "{open}");
        }
    }

    #[test]
    fn every_setting_is_named_in_words_and_stays_short() {
        for sandbox in [SandboxMode::ReadOnly, SandboxMode::WorkspaceWrite, SandboxMode::DangerFullAccess] {
            for approval in [Approval::Untrusted, Approval::OnRequest, Approval::Never] {
                for person in [Person::Present, Person::Absent] {
                    let text = text(&Opening { approval, sandbox, person, ..facts() });
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
    fn without_a_sandbox_the_network_is_there() {
        let text = text(&Opening { sandbox: SandboxMode::DangerFullAccess, ..facts() });
        assert!(text.contains("Network access is enabled"), "{text}");
    }
}
