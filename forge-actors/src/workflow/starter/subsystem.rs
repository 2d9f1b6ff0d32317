//! The subsystem `workflow_starter`, on every node. Provides what contexts start runs with.

use std::sync::Arc;

use super::WorkflowStarter;
use crate::app::workflow_run::new_run::StartRun;
use crate::change::HintHub;
use crate::db::database::Database;
use crate::subsystem::{ActorNote, NodeBuilder, Part, Subsystem};
use crate::supervise::StartError;
use crate::workflow::config::WorkflowConfig;
use crate::workflow::paths::WORKFLOW_STARTER;

/// See the module.
pub struct WorkflowStarterSubsystem;

impl Subsystem for WorkflowStarterSubsystem {
    const ROOT: ActorNote =
        ActorNote::new(&WORKFLOW_STARTER, "writes runs of workflows that are started at the same time");

    fn build(node: &mut NodeBuilder) -> Result<Option<Part>, StartError> {
        // Every node starts runs, also one that executes none.
        let (starter, child) = WorkflowStarter::new(node.get::<Database>(), node.get::<HintHub>());
        let starter = starter.configured(&node.config::<WorkflowConfig>());
        node.provide::<Arc<dyn StartRun>>(Arc::new(starter.clone()));
        node.provide(starter);
        Ok(Some(Part::new(child)))
    }
}
