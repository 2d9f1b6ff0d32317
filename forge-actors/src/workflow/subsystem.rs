//! The subsystem `workflows`, on nodes with the role `worker`.

use std::sync::Arc;

use super::WorkflowDeps;
use super::Workflows;
use super::config::WorkflowConfig;
use super::expiry::WORKFLOW_MAINTENANCE;
use super::paths::{
    CLAIMER, COUNTER, ENDER, EXPIRY, INSTANCES, LEASE, LEAVER, RECORDER, RESCUER, ROUTER, WORKFLOWS,
};
use super::starter::WorkflowStarter;
use crate::app::new_job::InsertJob;
use crate::change::HintHub;
use crate::db::database::Database;
use crate::function::Functions;
use crate::job::WORKER_ROLE;
use crate::leader::Leader;
use crate::subsystem::{ActorNote, Figure, FigureUnit, NodeBuilder, Part, SectionEntry, Subsystem};
use crate::supervise::StartError;

/// See the module.
pub struct WorkflowSubsystem;

impl Subsystem for WorkflowSubsystem {
    const ROOT: ActorNote = ActorNote::new(&WORKFLOWS, "executes runs of workflows");
    const ACTORS: &'static [ActorNote] = &[
        ActorNote::new(&RECORDER, "writes steps of runs, those of different runs in one commit"),
        ActorNote::new(&LEAVER, "writes how runs leave this node"),
        ActorNote::new(&ENDER, "writes how runs end"),
        ActorNote::new(&INSTANCES, "one actor for each run that is active"),
        ActorNote::new(&LEASE, "holds the lease of this node, reads what wakes or stops its runs"),
        ActorNote::new(&CLAIMER, "claims runs that are due, starts their actors"),
        ActorNote::new(&ROUTER, "wakes runs for which events have come"),
        ActorNote::new(&RESCUER, "takes over the runs of lost nodes"),
        ActorNote::new(&COUNTER, "counts runs that have not ended, while this node leads `workflows`"),
        ActorNote::new(&EXPIRY, "deletes old runs, events and attempts, while this node leads `workflows`"),
    ];
    const SECTIONS: &'static [SectionEntry] = &[SectionEntry::of::<WorkflowConfig>()];

    fn build(node: &mut NodeBuilder) -> Result<Option<Part>, StartError> {
        if !node.profile.has_role(WORKER_ROLE) {
            return Ok(None);
        }
        let (workflows, child) = Workflows::new(WorkflowDeps {
            node: node.profile.id,
            node_name: node.profile.name.clone(),
            database: node.get::<Database>(),
            functions: node.get::<Functions>(),
            starter: node.get::<WorkflowStarter>(),
            jobs: node.get::<Arc<dyn InsertJob>>(),
            hints: node.get::<HintHub>(),
            terms: node.get::<Leader>().stand_for(WORKFLOW_MAINTENANCE),
            config: node.config::<WorkflowConfig>(),
        });
        node.provide(workflows.clone());
        Ok(Some(Part::new(child).stats(move |stats| {
            stats.figures.push(Figure {
                subsystem: WORKFLOWS.id().to_owned(),
                name: "active".to_owned(),
                value: workflows.active() as f64,
                unit: FigureUnit::Count,
            });
        })))
    }
}
