//! Jobs as a subsystem, on nodes with the role `worker`. Provides [`Jobs`].

use super::config::JobConfig;
use super::{JOBS as LEADERSHIP, JobDeps, Jobs};
use crate::change::HintHub;
use crate::db::database::Database;
use crate::function::Functions;
use crate::leader::Leader;
use crate::subsystem::{
    ActorNote, ActorPath, Figure, FigureUnit, NODE, NodeBuilder, Part, SectionEntry, Subsystem,
};
use crate::supervise::StartError;

/// The role of nodes that run jobs.
const ROLE: &str = "worker";

/// The subsystem.
pub static JOBS: ActorPath = NODE.child("jobs");
/// Writes results and renews leases.
pub static ACKNOWLEDGER: ActorPath = JOBS.child("acknowledger");
/// One actor for each job that can run at the same time.
pub static WORKERS: ActorPath = JOBS.child("workers");
/// Claims jobs.
pub static CLAIMER: ActorPath = JOBS.child("claimer");
/// Returns jobs whose lease has run out.
pub static RESCUER: ActorPath = JOBS.child("rescuer");
/// Counts the jobs that wait.
pub static COUNTER: ActorPath = JOBS.child("counter");
/// Deletes old history.
pub static SWEEPER: ActorPath = JOBS.child("sweeper");

/// See the module.
pub struct JobSubsystem;

impl Subsystem for JobSubsystem {
    const ROOT: ActorNote = ActorNote::new(&JOBS, "runs jobs (with the role `worker`)").safe_to_stop();
    const ACTORS: &'static [ActorNote] = &[
        ActorNote::new(&ACKNOWLEDGER, "writes results and renews leases, both in batches"),
        ActorNote::new(&WORKERS, "worker-1 … worker-n: one job at a time each"),
        ActorNote::new(&CLAIMER, "claims jobs in batches and hands them to free workers"),
        ActorNote::new(&RESCUER, "returns jobs to the queue whose lease has run out"),
        ActorNote::new(&COUNTER, "counts the jobs that wait"),
        ActorNote::new(&SWEEPER, "deletes old history, while this node leads `jobs`"),
    ];
    const SECTIONS: &'static [SectionEntry] = &[SectionEntry::of::<JobConfig>()];

    fn build(node: &mut NodeBuilder) -> Result<Option<Part>, StartError> {
        if !node.profile.has_role(ROLE) {
            return Ok(None);
        }
        let (jobs, child) = Jobs::new(JobDeps {
            node: node.profile.id,
            database: node.get::<Database>(),
            functions: node.get::<Functions>(),
            hints: node.get::<HintHub>(),
            terms: node.get::<Leader>().stand_for(LEADERSHIP),
            config: node.config::<JobConfig>(),
        });
        node.provide(jobs.clone());
        Ok(Some(Part::new(child).stats(move |stats| {
            let counts = jobs.stats();
            stats.figures.extend([("jobs held", counts.held), ("jobs running", counts.begun)].map(
                |(name, count)| Figure {
                    subsystem: JOBS.id().to_owned(),
                    name: name.to_owned(),
                    value: count as f64,
                    unit: FigureUnit::Count,
                },
            ));
        })))
    }
}
