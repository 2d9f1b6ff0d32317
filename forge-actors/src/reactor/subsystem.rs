//! Live queries as a subsystem. Provides the [`Reactor`].

use super::config::ReactivityConfig;
use super::paths::{POLLER, REACTOR, TICKER};
use super::{Reactor, ReactorDeps};
use crate::change::HintHub;
use crate::db::database::Database;
use crate::function::Functions;
use crate::kernel::integer::Int53;
use crate::kernel::time::fractional_millis;
use crate::subsystem::{ActorNote, NodeBuilder, Part, ReadinessRule, SectionEntry, Subsystem};
use crate::supervise::StartError;

/// See the module.
pub struct ReactorSubsystem;

impl Subsystem for ReactorSubsystem {
    const ROOT: ActorNote = ActorNote::new(&REACTOR, "keeps live queries up to date");
    const ACTORS: &'static [ActorNote] = &[
        ActorNote::new(&TICKER, "runs the queries whose tables changed, in one snapshot"),
        ActorNote::new(&POLLER, "hands announced commits to the ticker, and makes it poll from time to time"),
    ];
    const SECTIONS: &'static [SectionEntry] = &[SectionEntry::of::<ReactivityConfig>()];
    const CHECK: Option<ReadinessRule> = Some(ReadinessRule { name: "reactor", actors: &[&TICKER, &POLLER] });

    fn build(node: &mut NodeBuilder) -> Result<Option<Part>, StartError> {
        let (reactor, child) = Reactor::new(ReactorDeps {
            functions: node.get::<Functions>(),
            database: node.get::<Database>(),
            hints: node.get::<HintHub>(),
            config: node.config::<ReactivityConfig>(),
        });
        node.provide(reactor.clone());
        Ok(Some(Part::new(child).stats(move |stats| {
            let live = reactor.stats();
            let of_application = |all: usize, system: usize| Int53::count(all.saturating_sub(system) as u64);
            stats.subscriptions = of_application(live.subscriptions, live.system.subscriptions);
            stats.query_groups = of_application(live.groups, live.system.groups);
            stats.ticks = Int53::count(live.application_ticks);
            stats.last_tick_ms = fractional_millis(live.last_tick);
            stats.change_lag_ms = fractional_millis(live.lag);
            stats.change_lag_age_ms = live.lag_age.map(fractional_millis);
        })))
    }
}
