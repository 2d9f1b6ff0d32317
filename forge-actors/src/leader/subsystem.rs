//! Leader election as a subsystem. Provides the [`Leader`].

use super::config::LeaderConfig;
use super::paths::{ELECTOR, HISTORY, LEADER};
use super::{Leader, LeaderDeps};
use crate::db::database::Database;
use crate::subsystem::{ActorNote, NodeBuilder, Part, SectionEntry, Subsystem};
use crate::supervise::StartError;

/// See the module.
pub struct LeaderSubsystem;

impl Subsystem for LeaderSubsystem {
    const ROOT: ActorNote = ActorNote::new(&LEADER, "elects one node for each duty of the whole cluster");
    const ACTORS: &'static [ActorNote] = &[
        ActorNote::new(&ELECTOR, "holds the locks on one session, and renews the terms"),
        ActorNote::new(&HISTORY, "deletes old terms, while this node leads `maintenance`"),
    ];
    const SECTIONS: &'static [SectionEntry] = &[SectionEntry::of::<LeaderConfig>()];

    fn build(node: &mut NodeBuilder) -> Result<Option<Part>, StartError> {
        let (leader, child) = Leader::new(LeaderDeps {
            node: node.profile.id,
            node_name: node.profile.name.clone(),
            database: node.get::<Database>(),
            config: node.config::<LeaderConfig>(),
        });
        node.provide(leader.clone());
        Ok(Some(Part::new(child).drain(move || leader.withdraw())))
    }
}
