//! The tools of a session, by name.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use crate::protocol::{ToolSpec, ToolStyle};

use super::{
    Offered, Tool, apply_patch::ApplyPatch, exec_command::ExecCommand, hosted::HostedMcp, recall::Recall,
    style, update_goal::UpdateGoal, update_plan::UpdatePlan, view_image::ViewImage, wait::WaitForSessions,
    write_stdin::WriteStdin,
};

/// What other styles than `codex` have something else for.
const REPLACED: [&str; 2] = ["exec_command", "apply_patch"];

/// What a model of one style is told: from the beginning, when there was a compaction, when there was a goal, and after
/// both.
type Specs = [Arc<[ToolSpec]>; 4];

/// The tools that a model is offered, in a stable order: the order is part of the prefix that providers cache.
#[derive(Clone)]
pub struct Toolbox {
    tools: HashMap<String, Arc<dyn Tool>>,
    /// Those of the usual style, in their order.
    order: Vec<(Offered, ToolSpec)>,
    usual: Specs,
    styles: HashMap<ToolStyle, Specs>,
}

impl Toolbox {
    /// A toolbox of these tools. Of two with one name, the first stays.
    #[must_use]
    pub fn new(tools: Vec<Arc<dyn Tool>>) -> Self {
        let mut by_name: HashMap<String, Arc<dyn Tool>> = HashMap::new();
        let mut order = Vec::with_capacity(tools.len());
        for tool in tools {
            let spec = tool.spec();
            if let Entry::Vacant(free) = by_name.entry(spec.name.clone()) {
                order.push((tool.offered(), spec));
                free.insert(tool);
            }
        }
        Self { tools: by_name, usual: specs(&order), order, styles: HashMap::new() }
    }

    /// The same with the tools of another style. A call by any name is understood, whichever style is offered: it may
    /// be of an earlier model.
    fn with_style(mut self, style: ToolStyle) -> Self {
        let tools = style::tools(style);
        let own = tools.iter().map(|tool| (Offered::AtOnce, tool.spec()));
        let others = self.order.iter().filter(|(_, spec)| !REPLACED.contains(&spec.name.as_str())).cloned();
        self.styles.insert(style, specs(&own.chain(others).collect::<Vec<_>>()));
        for tool in tools {
            self.tools.entry(tool.spec().name).or_insert_with(|| Arc::new(tool));
        }
        self
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
            Arc::new(HostedMcp),
        ])
        .with_style(ToolStyle::Claude)
        .with_style(ToolStyle::Plain)
    }

    /// The same with one more, in every style.
    #[must_use]
    pub fn with(self, tool: Arc<dyn Tool>) -> Self {
        let own = self.order.iter().filter_map(|(_, spec)| self.tools.get(&spec.name)).cloned();
        let all = Self::new(own.chain([tool]).collect());
        self.styles.into_keys().fold(all, Self::with_style)
    }

    /// The tool of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        self.tools.get(name)
    }

    /// What a model that knows a style is told of them: in the beginning, or after the conversation was `compacted` or
    /// had a `goal`.
    #[must_use]
    pub fn specs(&self, style: ToolStyle, compacted: bool, goal: bool) -> Arc<[ToolSpec]> {
        let [first, after, goals, all] = self.styles.get(&style).unwrap_or(&self.usual);
        Arc::clone(match (compacted, goal) {
            (false, false) => first,
            (true, false) => after,
            (false, true) => goals,
            (true, true) => all,
        })
    }
}

fn specs(tools: &[(Offered, ToolSpec)]) -> Specs {
    use Offered::{AtOnce, Compacted, Goal};
    let with = |some: &[Offered]| {
        tools.iter().filter(|(offered, _)| some.contains(offered)).map(|(_, spec)| spec.clone()).collect()
    };
    [&[AtOnce][..], &[AtOnce, Compacted], &[AtOnce, Goal], &[AtOnce, Compacted, Goal]].map(with)
}
