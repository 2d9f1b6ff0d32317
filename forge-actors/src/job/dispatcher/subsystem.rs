//! The subsystem `job_dispatcher`, on every node. Provides what contexts dispatch jobs with.

use std::sync::Arc;

use super::JobInserter;
use crate::app::new_job::InsertJob;
use crate::change::HintHub;
use crate::db::database::Database;
use crate::job::paths::JOB_DISPATCHER;
use crate::subsystem::{ActorNote, NodeBuilder, Part, Subsystem};
use crate::supervise::StartError;

/// See the module.
pub struct JobDispatcherSubsystem;

impl Subsystem for JobDispatcherSubsystem {
    const ROOT: ActorNote =
        ActorNote::new(&JOB_DISPATCHER, "writes jobs that are dispatched at the same time");

    fn build(node: &mut NodeBuilder) -> Result<Option<Part>, StartError> {
        // Every node dispatches jobs, also one that runs none.
        let (inserter, child) = JobInserter::new(node.get::<Database>(), node.get::<HintHub>());
        node.provide::<Arc<dyn InsertJob>>(Arc::new(inserter));
        Ok(Some(Part::new(child)))
    }
}
