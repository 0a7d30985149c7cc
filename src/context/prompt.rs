//! The system prompt, in the words of the tools that a model is offered.

use std::borrow::Cow;

use crate::protocol::{Settings, ToolStyle};

/// The most that the system prompt may cost, in tokens.
pub const BUDGET: u64 = 1_500;
/// The same of the lean one.
pub const LEAN_BUDGET: u64 = 800;
/// A window that is smaller than this gets the lean one, in tokens.
const SMALL_WINDOW: u64 = 24_000;

/// Who the model is and how it works.
pub const SYSTEM: &str = include_str!("../../assets/prompts/system.md");
/// The same for a model with a small window.
const LEAN: &str = include_str!("../../assets/prompts/lean.md");

/// Where the part about tools begins, and where the next one does.
const TOOLS: &str = "# Tools";
const AFTER_TOOLS: &str = "# Care";

/// The system prompt for a model: what its tools are called, and as much as its window has room for.
#[must_use]
pub fn system(settings: &Settings) -> Cow<'static, str> {
    let tools = match settings.tools {
        ToolStyle::Codex => None,
        ToolStyle::Claude => Some(include_str!("../../assets/prompts/tools_claude.md")),
        ToolStyle::Plain => Some(include_str!("../../assets/prompts/tools_plain.md")),
    };
    let (before, rest) = SYSTEM.split_once(TOOLS).unwrap_or((SYSTEM, ""));
    let (own, after) = rest.split_once(AFTER_TOOLS).unwrap_or((rest, ""));
    match tools {
        tools if settings.limits.window < SMALL_WINDOW => match tools {
            Some(tools) => format!("{LEAN}{}\n", tools.trim_end()).into(),
            None => format!("{LEAN}{TOOLS}{}\n", own.trim_end()).into(),
        },
        None => SYSTEM.into(),
        Some(tools) => format!("{before}{tools}{AFTER_TOOLS}{after}").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::room::tokens;

    const STYLES: [ToolStyle; 3] = [ToolStyle::Codex, ToolStyle::Claude, ToolStyle::Plain];

    fn settings(tools: ToolStyle, window: u64) -> Settings {
        let text = serde_json::json!({
            "model": "a/b", "approval": "never", "sandbox": "read-only", "backend": "local", "tools": tools,
            "limits": {"window": window, "tool_output": 1},
        });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn the_system_prompt_keeps_its_budget_in_every_style() {
        for style in STYLES {
            for (window, budget) in [(200_000, BUDGET), (16_000, LEAN_BUDGET)] {
                let length = tokens(system(&settings(style, window)).len(), 250);
                assert!(length < budget, "{style:?} {window}: {length} tokens");
            }
        }
        assert_eq!(system(&settings(ToolStyle::Codex, 200_000)), SYSTEM);
    }

    #[test]
    fn the_system_prompt_names_the_tools_of_its_style_and_no_others() {
        let own = [
            &["exec_command", "apply_patch"][..],
            &["bash", "str_replace_based_edit_tool"],
            &["run_command", "read_file", "list_files", "search", "edit_file", "write_file"],
        ];
        for (style, named) in STYLES.iter().zip(own) {
            for window in [200_000, 16_000] {
                let text = system(&settings(*style, window));
                for tool in named.iter().chain(&["write_stdin", "update_plan", "view_image"]) {
                    assert!(text.contains(&format!("`{tool}`")), "{style:?} {window}: {tool}");
                }
                for other in own.iter().filter(|other| *other != &named).copied().flatten() {
                    assert!(!text.contains(&format!("`{other}`")), "{style:?} {window}: {other}");
                }
            }
        }
    }
}
