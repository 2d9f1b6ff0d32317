//! The dashboard as a subsystem: what its queries cannot do themselves, because a query must not wait for
//! another node and a command must not wait for itself.

use std::sync::Arc;

use super::collector;
use super::deferred;
use super::paths::{COLLECTOR, DASHBOARD, RESTARTER};
use crate::app::node::{NodeView, Peers};
use crate::subsystem::{ActorNote, NodeBuilder, Part, Subsystem};
use crate::supervise::{ChildSpec, StartError, Strategy, SupervisorSpec};

/// See the module.
pub struct DashboardSubsystem;

impl Subsystem for DashboardSubsystem {
    const ROOT: ActorNote = ActorNote::new(&DASHBOARD, "serves the dashboard's queries and commands");
    const ACTORS: &'static [ActorNote] = &[
        ActorNote::new(&COLLECTOR, "asks the other nodes for their reports while a dashboard is open"),
        ActorNote::new(&RESTARTER, "carries out commands that would cut off their own answer"),
    ];

    fn build(node: &mut NodeBuilder) -> Result<Option<Part>, StartError> {
        let view = node.get::<NodeView>();
        let children = vec![
            collector::child(COLLECTOR.id(), view.clone(), node.get::<Arc<dyn Peers>>()),
            deferred::child(RESTARTER.id(), view),
        ];
        let spec = SupervisorSpec::new(Strategy::OneForOne, children);
        Ok(Some(Part::new(ChildSpec::supervisor(DASHBOARD.id(), spec))))
    }
}
