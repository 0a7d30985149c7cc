//! The tools of a session, by name.

use std::{collections::HashMap, sync::Arc};

use crate::protocol::ToolSpec;

use super::{
    Offered, Tool, apply_patch::ApplyPatch, exec_command::ExecCommand, recall::Recall,
    update_goal::UpdateGoal, update_plan::UpdatePlan, view_image::ViewImage, wait::WaitForSessions,
    write_stdin::WriteStdin,
};

/// The tools that a model is offered, in a stable order: the order is part of the prefix that providers cache.
#[derive(Clone)]
pub struct Toolbox {
    tools: HashMap<String, Arc<dyn Tool>>,
    /// What the model is told: from the beginning, when there was a compaction, when there was a goal, and after both.
    specs: [Arc<[ToolSpec]>; 4],
}

impl Toolbox {
    /// A toolbox of these tools. Of two with one name, the first stays.
    #[must_use]
    pub fn new(tools: Vec<Arc<dyn Tool>>) -> Self {
        use Offered::{AtOnce, Compacted, Goal};
        let mut by_name: HashMap<String, Arc<dyn Tool>> = HashMap::new();
        let mut specs = Vec::with_capacity(tools.len());
        for tool in tools {
            let spec = tool.spec();
            if !by_name.contains_key(&spec.name) {
                specs.push((tool.offered(), spec.clone()));
                by_name.insert(spec.name, tool);
            }
        }
        let with = |some: &[Offered]| {
            let offered = specs.iter().filter(|(offered, _)| some.contains(offered));
            offered.map(|(_, spec)| spec.clone()).collect()
        };
        let specs =
            [&[AtOnce][..], &[AtOnce, Compacted], &[AtOnce, Goal], &[AtOnce, Compacted, Goal]].map(with);
        Self { tools: by_name, specs }
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
            Arc::new(UpdateGoal),
        ])
    }

    /// The tool of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        self.tools.get(name)
    }

    /// What the model is told of them: in the beginning, or after the conversation was `compacted` or had a `goal`.
    #[must_use]
    pub fn specs(&self, compacted: bool, goal: bool) -> Arc<[ToolSpec]> {
        let [first, after, goals, all] = &self.specs;
        Arc::clone(match (compacted, goal) {
            (false, false) => first,
            (true, false) => after,
            (false, true) => goals,
            (true, true) => all,
        })
    }
}
