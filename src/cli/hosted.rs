//! Tools that the provider runs, as far as they are turned on and it has them.

use crate::protocol::{HostedTool, ModelRef};

use super::start::Start;

impl Start {
    /// The tools that the provider of a model runs, as far as they are turned on and the provider has them.
    pub(super) fn hosted(&self, model: &ModelRef) -> Vec<HostedTool> {
        let tools = self.config.hosted.tools();
        // Asked with each request: most turn none on.
        if tools.is_empty() {
            return tools;
        }
        let wire = self.catalog().provider(&model.provider).map(|provider| provider.wire);
        tools.into_iter().filter(|tool| wire.as_ref().is_ok_and(|wire| wire.hosts(tool))).collect()
    }

    /// What is turned on and this model's provider has not.
    pub(super) fn hosted_notes(&self, model: &ModelRef) -> Option<String> {
        let here = self.hosted(model);
        let on = self.config.hosted.tools();
        let missing: Vec<String> =
            on.iter().filter(|tool| !here.contains(tool)).map(ToString::to_string).collect();
        (!missing.is_empty()).then(|| {
            format!(
                "{} has no {} of its own: the model is not told of it",
                model.provider,
                missing.join(", ")
            )
        })
    }
}
