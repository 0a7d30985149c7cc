//! Tools that the provider runs: whether the person wants them used, and then the model is told of them.

use std::sync::Arc;

use crate::context::Person;
use crate::policy::{self, Judgement};
use crate::protocol::{Fact, HostedTool, Intent, Settings, ToolForm, ToolSpec};

use super::Harness;

impl Harness {
    /// Asks the person whether the provider may use its tools, once in a session. Whether they are asked now: then
    /// nothing is sent before there is an answer. Where nobody is asked, the settings are their word.
    pub(super) fn asks_for_hosted(&mut self) -> bool {
        let Some(settings) = &self.session.settings else { return false };
        let tools = self.surroundings.hosted(settings);
        if tools.is_empty()
            || self.session.hosted_settled().is_some()
            || self.permissions.person != Person::Present
        {
            return false;
        }
        let intent = Intent::Hosted { tools: tools.iter().map(ToString::to_string).collect() };
        let Judgement::Ask { reason } = policy::judge(&intent, &self.policy(), &self.session.rules) else {
            return false;
        };
        let request = self.session.next_request();
        self.record(vec![Fact::HostRequested { request, call: None, intent, reason, grants: Vec::new() }]);
        true
    }

    /// The tools of the program, and those of the provider that may be used.
    pub(super) fn with_hosted(&self, specs: Arc<[ToolSpec]>, settings: &Settings) -> Arc<[ToolSpec]> {
        if self.session.hosted_settled() == Some(false) {
            return specs;
        }
        let hosted = self.surroundings.hosted(settings);
        if hosted.is_empty() {
            return specs;
        }
        specs.iter().cloned().chain(hosted.into_iter().map(spec)).collect()
    }
}

fn spec(hosted: HostedTool) -> ToolSpec {
    let name = match &hosted {
        HostedTool::WebSearch => "web_search",
        HostedTool::FileSearch { .. } => "file_search",
        HostedTool::CodeInterpreter => "code_interpreter",
        HostedTool::Shell => "shell",
        HostedTool::Mcp { label, .. } => label,
    };
    ToolSpec { name: name.to_owned(), description: hosted.to_string(), form: ToolForm::Hosted { hosted } }
}
