//! What almost every file of an application names: `use forge::prelude::*;`.

pub use std::time::Duration;

pub use serde_json::json;
pub use tokio::time::sleep;
pub use uuid::Uuid;

pub use crate::app::workflow::{IdConflict, Journal, ParentPolicy, Winner2, Winner3};
pub use crate::app::{
    ActionContext, App, AppError, CallError, CronContext, CronOverlap, DispatchOutcome, Event, Handler,
    JobContext, JobHandle, Model, MutationContext, Priority, QueryContext, Result, Secret, WorkflowContext,
    WorkflowHandle,
};
pub use crate::kernel::fault::{Code, Fault, FieldError};
pub use crate::kernel::ids::{CronId, JobId, RunId};
pub use crate::kernel::integer::{Int53, Int64};
pub use crate::kernel::time::{Timestamp, days, hours, millis, minutes, secs};
