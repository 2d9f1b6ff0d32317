//! The capture of changes as a subsystem. Provides the node's [`HintHub`].

use super::HintHub;
use super::capture_check::CaptureCheck;
use super::captures::CaptureReconciler;
use super::compactor::{CHANGES, Compactor};
use super::config::CaptureConfig;
use super::paths::{CAPTURE_CHECK, CAPTURES, CHANGE, COMPACTOR};
use crate::db::database::Database;
use crate::leader::Leader;
use crate::subsystem::{ActorNote, NodeBuilder, Part, SectionEntry, Subsystem};
use crate::supervise::{ChildSpec, StartError, Strategy, SupervisorSpec};

/// What the models say of the capture of their tables: `reactive`, `reactive = false`, or nothing.
#[derive(Debug, Clone, Default)]
pub struct ReactiveModels(pub Vec<(&'static str, Option<bool>)>);

/// See the module. Takes the [`ReactiveModels`] of the application.
pub struct ChangeSubsystem;

impl Subsystem for ChangeSubsystem {
    const ROOT: ActorNote = ActorNote::new(&CHANGE, "records which tables each transaction wrote");
    const ACTORS: &'static [ActorNote] = &[
        ActorNote::new(&CAPTURES, "installs the triggers that the models ask for"),
        ActorNote::new(&CAPTURE_CHECK, "makes `captures` compare, at intervals"),
        ActorNote::new(&COMPACTOR, "deletes old changes, while this node leads `changes`").safe_to_stop(),
    ];
    const SECTIONS: &'static [SectionEntry] = &[SectionEntry::of::<CaptureConfig>()];

    fn build(node: &mut NodeBuilder) -> Result<Option<Part>, StartError> {
        let (config, database) = (node.config::<CaptureConfig>(), node.get::<Database>());
        let hints = HintHub::new();
        node.provide(hints.clone());
        let settings = config.settings(node.find::<ReactiveModels>().unwrap_or_default().0);
        let captures = CaptureReconciler::spec(database.clone(), settings.into(), hints.clone());
        let check = CaptureCheck::spec(database.clone(), &config, hints);
        let terms = node.get::<Leader>().stand_for(CHANGES);
        let children = vec![captures, check, Compactor::spec(database, &config, terms)];
        let spec = SupervisorSpec::new(Strategy::OneForOne, children);
        Ok(Some(Part::new(ChildSpec::supervisor(CHANGE.id(), spec))))
    }
}
