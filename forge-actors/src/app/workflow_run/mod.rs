//! A run of a workflow, below what its author sees: its journal, its branches, one activation of it, and what
//! that asks of the workflow subsystem.
//!
//! `app::workflow` builds steps and waits on it; `app::kind` gives it to the context of a workflow.

pub(crate) mod attempts;
#[doc(hidden)]
pub mod branch;
pub mod compensation;
pub mod journal;
pub mod limits;
pub mod meta;
pub mod new_run;
pub mod run;
pub mod store;

pub use meta::WorkflowMeta;
pub use run::ActiveRun;
