//! Jobs as a subsystem, on nodes with the role `worker`. Provides [`Jobs`].

use std::sync::Arc;

use super::WORKER_ROLE;
use super::config::JobConfig;
use super::paths::{
    ACKNOWLEDGER, AGEING, CLAIMER, COUNTER, HISTORY_EXPIRY, JOBS, REPORTER, RESCUER, SETTLER, UNBLOCKER,
    WORKERS,
};
use super::{JOB_MAINTENANCE, JOB_SETTLEMENT, JobDeps, Jobs};
use crate::app::node::{Build, Peers};
use crate::change::HintHub;
use crate::db::database::Database;
use crate::function::Functions;
use crate::leader::Leader;
use crate::subsystem::{ActorNote, Figure, FigureUnit, NodeBuilder, Part, SectionEntry, Subsystem};
use crate::supervise::StartError;

/// See the module.
pub struct JobSubsystem;

impl Subsystem for JobSubsystem {
    const ROOT: ActorNote = ActorNote::new(&JOBS, "runs jobs (with the role `worker`)").safe_to_stop();
    const ACTORS: &'static [ActorNote] = &[
        ActorNote::new(&REPORTER, "writes progress, log lines, and what followers of jobs read"),
        ActorNote::new(&ACKNOWLEDGER, "writes results and renews leases, both in batches"),
        ActorNote::new(&WORKERS, "worker-1 … worker-n: one job at a time each"),
        ActorNote::new(&CLAIMER, "claims jobs in batches and hands them to free workers"),
        ActorNote::new(&RESCUER, "ends leases that have run out: the job runs again, or is a dead letter"),
        ActorNote::new(&UNBLOCKER, "lets jobs that wait for a limit be claimed again"),
        ActorNote::new(
            &AGEING,
            "raises priorities of jobs that are due for long, while this node leads `jobs`",
        ),
        ActorNote::new(&COUNTER, "counts the jobs that are not finished, reports those without a handler"),
        ActorNote::new(
            &SETTLER,
            "passes on states and ends of jobs that were missed, while this node leads `job_ends`",
        ),
        ActorNote::new(&HISTORY_EXPIRY, "deletes old history, while this node leads `jobs`"),
    ];
    const SECTIONS: &'static [SectionEntry] = &[SectionEntry::of::<JobConfig>()];

    fn build(node: &mut NodeBuilder) -> Result<Option<Part>, StartError> {
        if !node.profile.has_role(WORKER_ROLE) {
            return Ok(None);
        }
        let (jobs, child) = Jobs::new(JobDeps {
            node: node.profile.id,
            capabilities: node.profile.capabilities.clone(),
            resources: node.profile.resources.clone(),
            database: node.get::<Database>(),
            functions: node.get::<Functions>(),
            peers: Some(node.get::<Arc<dyn Peers>>()),
            build: node.get::<Build>(),
            hints: node.get::<HintHub>(),
            terms: node.get::<Leader>().stand_for(JOB_MAINTENANCE),
            settlement_terms: node.get::<Leader>().stand_for(JOB_SETTLEMENT),
            config: node.config::<JobConfig>(),
        });
        node.provide(jobs.clone());
        Ok(Some(Part::new(child).stats(move |stats| {
            let counts = jobs.stats();
            stats.figures.extend([("held", counts.held), ("begun", counts.begun)].map(|(name, count)| {
                Figure {
                    subsystem: JOBS.id().to_owned(),
                    name: name.to_owned(),
                    value: count as f64,
                    unit: FigureUnit::Count,
                }
            }));
        })))
    }
}
