//! The system prompt.

/// The most that the system prompt may cost, in tokens.
pub const BUDGET: u64 = 1_500;

/// Who the model is and how it works.
pub const SYSTEM: &str = include_str!("../../assets/prompts/system.md");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::room::tokens;

    #[test]
    fn the_system_prompt_keeps_its_budget() {
        assert!(tokens(SYSTEM.len(), 250) < BUDGET, "{} tokens", tokens(SYSTEM.len(), 250));
    }

    #[test]
    fn the_system_prompt_names_every_tool_of_the_first_request() {
        for tool in ["exec_command", "write_stdin", "apply_patch", "update_plan", "view_image"] {
            assert!(SYSTEM.contains(&format!("`{tool}`")), "{tool}");
        }
    }
}
