//! The watcher of ends as a subsystem, on every node. Provides what contexts wait for jobs with.

use std::sync::Arc;

use super::ends::JobEnds;
use super::paths::JOB_ENDS;
use crate::app::job_end::AwaitJobEnd;
use crate::change::HintHub;
use crate::db::database::Database;
use crate::subsystem::{ActorNote, NodeBuilder, Part, Subsystem};
use crate::supervise::StartError;

/// See the module.
pub struct JobEndsSubsystem;

impl Subsystem for JobEndsSubsystem {
    const ROOT: ActorNote = ActorNote::new(&JOB_ENDS, "finds the ends of jobs that calls wait for");

    fn build(node: &mut NodeBuilder) -> Result<Option<Part>, StartError> {
        let (ends, child) = JobEnds::new(node.get::<Database>(), node.get::<HintHub>());
        node.provide::<Arc<dyn AwaitJobEnd>>(Arc::new(ends));
        Ok(Some(Part::new(child)))
    }
}
