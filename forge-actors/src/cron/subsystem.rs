//! Crons as a subsystem, on nodes with the role `worker`.

use std::sync::Arc;

use super::config::CronConfig;
use super::paths::{CRONS, RUN_EXPIRY, SCHEDULER};
use super::run_expiry::OldRuns;
use super::scheduler::{self, CRON_SCHEDULE, Scheduler};
use crate::app::Catalog;
use crate::change::HintHub;
use crate::db::database::Database;
use crate::job::WORKER_ROLE;
use crate::leader::{Leader, expiry};
use crate::subsystem::{ActorNote, NodeBuilder, Part, SectionEntry, Subsystem};
use crate::supervise::{ChildSpec, StartError, Strategy, SupervisorSpec};

/// See the module.
pub struct CronSubsystem;

impl Subsystem for CronSubsystem {
    const ROOT: ActorNote = ActorNote::new(&CRONS, "runs crons (with the role `worker`)").safe_to_stop();
    const ACTORS: &'static [ActorNote] = &[
        ActorNote::new(&SCHEDULER, "dispatches the runs whose time has come, while this node leads `crons`"),
        ActorNote::new(&RUN_EXPIRY, "deletes old runs, while this node leads `crons`"),
    ];
    const SECTIONS: &'static [SectionEntry] = &[SectionEntry::of::<CronConfig>()];

    fn build(node: &mut NodeBuilder) -> Result<Option<Part>, StartError> {
        if !node.profile.has_role(WORKER_ROLE) {
            return Ok(None);
        }
        let (database, config) = (node.get::<Database>(), node.config::<CronConfig>());
        let (catalog, hints) = (node.get::<Arc<Catalog>>(), node.get::<HintHub>());
        let terms = node.get::<Leader>().stand_for(CRON_SCHEDULE);
        let old_runs = OldRuns { retention: config.retention };
        let run_expiry = expiry(&RUN_EXPIRY, database.clone(), terms.clone(), old_runs);
        let schedule = scheduler::schedule(&config);
        let make =
            move || Scheduler::new(database.clone(), Arc::clone(&catalog), hints.clone(), config.to_owned());
        let (scheduler, _) = ChildSpec::elected(SCHEDULER.id(), schedule, terms, make);
        let spec = SupervisorSpec::new(Strategy::OneForOne, vec![scheduler, run_expiry]);
        Ok(Some(Part::new(ChildSpec::supervisor(CRONS.id(), spec))))
    }
}
