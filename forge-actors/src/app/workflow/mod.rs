//! What the author of a workflow sees: steps, waits, groups, children, compensation.
//!
//! A workflow is an ordinary async function that is executed from its beginning each time its run is
//! activated. `step`, `wait`, `group`, `child` and `context` are what the function calls; what they know of
//! the run is in `app::workflow_run`. What is written goes through `workflow_run::store::RunStore`, which the
//! workflow subsystem implements; its module head says how runs are owned and what the rules of determinism
//! are.

mod attempt;
mod child;
mod context;
pub mod emit;
pub mod event;
mod execution;
pub mod group;
pub mod handle;
pub mod migration;
pub mod saga;
pub mod start;
pub mod step;
pub mod wait;

pub use crate::app::workflow_run::journal::{JournalEntry, StepKind, StepStatus};
pub use crate::app::workflow_run::new_run::{IdConflict, ParentPolicy, StartOutcome};
pub use crate::app::workflow_run::{ActiveRun, WorkflowMeta};
pub use emit::{Emit, Emits};
pub use event::{Event, EventRegistration};
pub use group::{Winner2, Winner3};
pub use handle::WorkflowHandle;
pub use migration::{Journal, JournalContents, MigrationRegistration};
pub use start::Start;
pub use step::{OptionalStep, StepBuilder};

/// Hints with this topic wake the nodes that run workflows: a run is ready.
pub(crate) const WORKFLOWS_TOPIC: &str = "forge.workflows";
/// Hints with this topic wake the router of events.
pub(crate) const EVENTS_TOPIC: &str = "forge.workflow_events";
