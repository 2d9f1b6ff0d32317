//! What nearly every file of an application needs: `use forge::prelude::*;`

pub use forge_actors::app::{
    ActionContext, Handler, MutationContext, NoError, QueryContext, Result, password,
};
pub use forge_actors::kernel::fault::{Code, Fault};
pub use forge_actors::kernel::time::{Timestamp, days, hours, millis, minutes, secs};
pub use sqlx;
