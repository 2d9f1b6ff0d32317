//! What the author of a workflow sees: steps, waits, groups, children, compensation; and what the workflow
//! subsystem sees of a run that is active.
//!
//! A workflow is an ordinary async function that is executed from its beginning each time its run is
//! activated. `branch` gives each step its position, `journal` knows what was recorded there, `run` is one
//! activation, and `step`, `wait`, `group`, `child` and `context` are what the function calls. What is written
//! goes through [`store::RunStore`], which the workflow subsystem implements. Its module head says how runs
//! are owned and what the rules of determinism are.

mod attempt;
#[doc(hidden)]
pub mod branch;
mod child;
mod context;
pub mod emit;
pub mod event;
pub mod group;
pub mod handle;
pub mod journal;
pub mod limits;
pub mod meta;
pub mod migration;
pub mod new_run;
pub mod run;
pub mod saga;
pub mod start;
pub mod step;
pub mod store;
pub mod wait;

pub use emit::{Emit, Emits};
pub use event::Event;
pub use group::{Winner2, Winner3};
pub use handle::WorkflowHandle;
pub use journal::{JournalEntry, StepKind, StepStatus};
pub use meta::WorkflowMeta;
pub use migration::{Journal, JournalContents, MigrationRegistration};
pub use new_run::{IdConflict, ParentPolicy, StartOutcome};
pub use run::ActiveRun;
pub use start::Start;
pub use step::{OptionalStep, Step};

pub(super) use child::dispatch as dispatch_step;

/// Hints with this topic wake the nodes that run workflows: a run is ready.
pub(crate) const WORKFLOWS_TOPIC: &str = "forge.workflows";
/// Hints with this topic wake the router of events.
pub(crate) const EVENTS_TOPIC: &str = "forge.workflow_events";
