//! The subsystem `job_ends`, on every node: it answers calls of `ctx.run_job` whose job has ended.

use std::sync::Arc;

use super::JobEnds;
use crate::app::job_end::AwaitJobEnd;
use crate::change::HintHub;
use crate::db::database::Database;
use crate::job::paths::JOB_ENDS;
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
