//! Forge's runtime: supervision, handlers, the database, functions and the gateway.
//!
//! Applications depend on the façade crate `forge` (package `forge-node`), which re-exports what they need;
//! the subsystems are public here for the façade, the command line and the tests. Data walks one way:
//! gateway → function → app → db.

// The attributes expand to `::forge::…`; inside this crate that name is the crate itself.
extern crate self as forge;

pub mod app;
pub mod change;
pub mod cluster;
pub mod cron;
pub mod dashboard;
pub mod db;
pub mod function;
pub mod gateway;
pub mod job;
pub mod kernel;
pub mod leader;
pub mod prelude;
pub mod reactor;
pub mod session;
pub mod subsystem;
pub mod supervise;
pub mod telemetry;
#[doc(hidden)]
pub mod test_signals;
pub mod tree;
pub mod workflow;

pub use app::Result;
pub use forge_app_macros::{
    Message, action, app, cron, data, enum_type, error, event, forge_enum, job, model, mutation, query,
    require_auth, require_role, test, validated_type, workflow, workflow_migration,
};

/// What expanded macros name; not part of the public API.
#[doc(hidden)]
pub mod __private {
    pub use {bytes, chrono, inventory, serde, serde_json, specta, sqlx, uuid};
}
