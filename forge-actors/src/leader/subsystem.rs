//! Leader election as a subsystem. Provides the [`Leader`].

use super::config::LeaderConfig;
use super::paths::{ELECTOR, LEADER, TERM_EXPIRY};
use super::{Leader, LeaderDeps};
use crate::db::database::Database;
use crate::kernel::integer::Int53;
use crate::subsystem::{ActorNote, ElectionStats, NodeBuilder, Part, SectionEntry, Subsystem};
use crate::supervise::StartError;

/// See the module.
pub struct LeaderSubsystem;

impl Subsystem for LeaderSubsystem {
    const ROOT: ActorNote = ActorNote::new(&LEADER, "elects one node for each duty of the whole cluster");
    const ACTORS: &'static [ActorNote] = &[
        ActorNote::new(&ELECTOR, "holds the locks on one session, and renews the terms"),
        ActorNote::new(&TERM_EXPIRY, "deletes old terms, while this node leads `maintenance`"),
    ];
    const SECTIONS: &'static [SectionEntry] = &[SectionEntry::of::<LeaderConfig>()];

    fn build(node: &mut NodeBuilder) -> Result<Option<Part>, StartError> {
        let config = node.config::<LeaderConfig>();
        let lease_ms = Int53::millis(config.lease);
        let (leader, child) = Leader::new(LeaderDeps {
            node: node.profile.id,
            node_name: node.profile.name.clone(),
            database: node.get::<Database>(),
            config,
        });
        node.provide(leader.clone());
        let part = Part::new(child).stats({
            let leader = leader.clone();
            move |stats| stats.election = Some(ElectionStats { lease_ms, obstacle: leader.obstacle() })
        });
        Ok(Some(part.drain(move || leader.withdraw())))
    }
}
