//! The tools of a session, by name.

use std::{collections::HashMap, sync::Arc};

use crate::protocol::ToolSpec;

use super::{
    Tool, apply_patch::ApplyPatch, exec_command::ExecCommand, recall::Recall, update_plan::UpdatePlan,
    view_image::ViewImage, wait::WaitForSessions, write_stdin::WriteStdin,
};

/// The tools that a model is offered, in a stable order: the order is part of the prefix that providers cache.
#[derive(Clone)]
pub struct Toolbox {
    tools: HashMap<String, Arc<dyn Tool>>,
    specs: Arc<[ToolSpec]>,
    /// Those that are offered from the beginning.
    first: Arc<[ToolSpec]>,
}

impl Toolbox {
    /// A toolbox of these tools. Of two with one name, the first stays.
    #[must_use]
    pub fn new(tools: Vec<Arc<dyn Tool>>) -> Self {
        let mut by_name: HashMap<String, Arc<dyn Tool>> = HashMap::new();
        let (mut specs, mut first) = (Vec::with_capacity(tools.len()), Vec::new());
        for tool in tools {
            let spec = tool.spec();
            if !by_name.contains_key(&spec.name) {
                if tool.offered_at_once() {
                    first.push(spec.clone());
                }
                by_name.insert(spec.name.clone(), tool);
                specs.push(spec);
            }
        }
        Self { tools: by_name, specs: specs.into(), first: first.into() }
    }

    /// The tools that ship with the program.
    #[must_use]
    pub fn builtin() -> Self {
        Self::new(vec![
            Arc::new(ExecCommand),
            Arc::new(WriteStdin),
            Arc::new(WaitForSessions),
            Arc::new(ApplyPatch),
            Arc::new(ViewImage),
            Arc::new(UpdatePlan),
            Arc::new(Recall),
        ])
    }

    /// The same with one more.
    #[must_use]
    pub fn with(self, tool: Arc<dyn Tool>) -> Self {
        let all = self.specs.iter().filter_map(|spec| self.tools.get(&spec.name)).cloned();
        Self::new(all.chain([tool]).collect())
    }

    /// The tool of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        self.tools.get(name)
    }

    /// What the model is told of them: in the beginning, or after the conversation was `compacted`.
    #[must_use]
    pub fn specs(&self, compacted: bool) -> Arc<[ToolSpec]> {
        Arc::clone(if compacted { &self.specs } else { &self.first })
    }
}
