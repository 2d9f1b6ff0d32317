//! Telemetry as a subsystem: crashes go to their table, and recorded metrics are kept small.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;

use super::children;
use super::paths::{CRASH_EXPIRY, CRASHES, METRICS, TELEMETRY};
use crate::db::database::Database;
use crate::leader::{Leader, MAINTENANCE};
use crate::subsystem::{ActorNote, NodeBuilder, Part, Subsystem};
use crate::supervise::{ChildSpec, StartError, Strategy, SupervisorSpec, Tree};

/// See the module. Takes the [`PrometheusHandle`] where metrics are served.
pub struct TelemetrySubsystem;

impl Subsystem for TelemetrySubsystem {
    const ROOT: ActorNote = ActorNote::new(&TELEMETRY, "records what the node does");
    const ACTORS: &'static [ActorNote] = &[
        ActorNote::new(&CRASHES, "writes the crash journal to the database").safe_to_stop(),
        ActorNote::new(&CRASH_EXPIRY, "deletes crashes that are older than their retention"),
        ActorNote::new(&METRICS, "folds recorded durations into their buckets (with a gateway)"),
    ];

    fn build(node: &mut NodeBuilder) -> Result<Option<Part>, StartError> {
        let (database, tree) = (node.get::<Database>(), node.get::<Arc<Tree>>());
        let (metrics, terms) = (node.find::<PrometheusHandle>(), node.get::<Leader>().stand_for(MAINTENANCE));
        let children = children(node.profile.id, &database, &tree, metrics, terms);
        let spec = SupervisorSpec::new(Strategy::OneForOne, children);
        Ok(Some(Part::new(ChildSpec::supervisor(TELEMETRY.id(), spec))))
    }
}
