//! The tools of a session, by name.

use std::{collections::HashMap, sync::Arc};

use crate::protocol::{ToolSpec, ToolStyle};

use super::{
    Tool, apply_patch::ApplyPatch, exec_command::ExecCommand, recall::Recall, style, update_plan::UpdatePlan,
    view_image::ViewImage, wait::WaitForSessions, write_stdin::WriteStdin,
};

/// What other styles than `codex` have something else for.
const REPLACED: [&str; 2] = ["exec_command", "apply_patch"];

/// The tools that a model is offered, in a stable order: the order is part of the prefix that providers cache.
#[derive(Clone)]
pub struct Toolbox {
    tools: HashMap<String, Arc<dyn Tool>>,
    specs: Arc<[ToolSpec]>,
    /// Those that are offered from the beginning.
    first: Arc<[ToolSpec]>,
    /// What other styles are offered: from the beginning, and later.
    styles: HashMap<ToolStyle, [Arc<[ToolSpec]>; 2]>,
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
        Self { tools: by_name, specs: specs.into(), first: first.into(), styles: HashMap::new() }
    }

    /// The same with the tools of another style. A call by any name is understood, whichever style is offered: it may
    /// be of an earlier model.
    fn with_style(mut self, style: ToolStyle) -> Self {
        let tools = style::tools(style);
        let own: Vec<ToolSpec> = tools.iter().map(Tool::spec).collect();
        let offered = |specs: &[ToolSpec]| {
            let others = specs.iter().filter(|spec| !REPLACED.contains(&spec.name.as_str())).cloned();
            own.iter().cloned().chain(others).collect::<Arc<[ToolSpec]>>()
        };
        self.styles.insert(style, [offered(&self.first), offered(&self.specs)]);
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
        ])
        .with_style(ToolStyle::Claude)
        .with_style(ToolStyle::Plain)
    }

    /// The tool of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        self.tools.get(name)
    }

    /// What a model that knows a style is told of them: in the beginning, or after the conversation was `compacted`.
    #[must_use]
    pub fn specs_in(&self, style: ToolStyle, compacted: bool) -> Arc<[ToolSpec]> {
        match self.styles.get(&style) {
            Some([first, all]) => Arc::clone(if compacted { all } else { first }),
            None => self.specs(compacted),
        }
    }

    /// What the model is told of them: in the beginning, or after the conversation was `compacted`.
    #[must_use]
    pub fn specs(&self, compacted: bool) -> Arc<[ToolSpec]> {
        Arc::clone(if compacted { &self.specs } else { &self.first })
    }
}
