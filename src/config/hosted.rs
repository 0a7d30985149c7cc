//! Tools that a provider runs itself, as a person turns them on.

use std::collections::BTreeMap;

use serde::{Deserialize, de};

use crate::protocol::HostedTool;

/// Tools that the provider of the model runs on its own machines, where it has them. All are off until they are named
/// here. What the model gives them leaves this machine: where somebody is there, you are asked once in each session; in
/// `agent exec` the setting is your word.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct HostedSettings {
    /// A search of the web (OpenAI's Responses, Anthropic).
    pub web_search: bool,
    /// A search in files that were given to the provider: the ids of its vector stores (Responses).
    pub file_search: Vec<String>,
    /// Python in a container of the provider (Responses).
    pub code_interpreter: bool,
    /// Commands in a container of the provider (Responses). They see nothing of this machine.
    pub shell: bool,
    /// MCP servers that the provider calls, by a name for each (Responses).
    pub mcp: BTreeMap<String, HostedMcp>,
}

/// An MCP server that the provider calls.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
pub struct HostedMcp {
    /// Where it is: an `https` address that the provider reaches.
    #[serde(deserialize_with = "address")]
    #[schemars(regex(pattern = "^https://.+$"))]
    pub url: String,
    /// Whether you are asked before each call; yes if not said. In `agent exec` such calls are refused.
    #[serde(default = "yes")]
    pub ask: bool,
    /// The only tools of it that may be called; all if not said.
    #[serde(default)]
    pub tools: Vec<String>,
}

impl HostedSettings {
    /// What is turned on.
    #[must_use]
    pub fn tools(&self) -> Vec<HostedTool> {
        let Self { web_search, file_search, code_interpreter, shell, mcp } = self;
        let stores =
            (!file_search.is_empty()).then(|| HostedTool::FileSearch { stores: file_search.clone() });
        let servers = mcp.iter().map(|(label, HostedMcp { url, ask, tools })| HostedTool::Mcp {
            label: label.clone(),
            url: url.clone(),
            ask: *ask,
            tools: tools.clone(),
        });
        let single = [
            web_search.then_some(HostedTool::WebSearch),
            stores,
            code_interpreter.then_some(HostedTool::CodeInterpreter),
            shell.then_some(HostedTool::Shell),
        ];
        single.into_iter().flatten().chain(servers).collect()
    }
}

fn yes() -> bool {
    true
}

fn address<'de, D: de::Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    let url = String::deserialize(source)?;
    match url.strip_prefix("https://") {
        Some(rest) if !rest.is_empty() => Ok(url),
        _ => Err(de::Error::custom(format!(
            "`{url}` is no address that the provider could call; expected https://…"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_on_until_it_is_named_and_one_line_names_it() {
        let of = |text: &str| toml::from_str::<HostedSettings>(text).map(|settings| settings.tools());
        assert_eq!(of("").unwrap(), []);
        assert_eq!(of("web_search = true").unwrap(), [HostedTool::WebSearch]);
        assert_eq!(
            of("file_search = ['vs_1']\ncode_interpreter = true\nshell = true\nmcp.docs = { url = 'https://a.b/mcp' }").unwrap(),
            [
                HostedTool::FileSearch { stores: vec!["vs_1".into()] },
                HostedTool::CodeInterpreter,
                HostedTool::Shell,
                HostedTool::Mcp { label: "docs".into(), url: "https://a.b/mcp".into(), ask: true, tools: vec![] },
            ]
        );
        let error = of("mcp.docs = { url = 'http://localhost' }").unwrap_err().to_string();
        assert!(error.contains("expected https://"), "{error}");
    }
}
