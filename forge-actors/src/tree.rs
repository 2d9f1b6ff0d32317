//! The supervision tree of a node, as one table: which children, in which order, under which strategy.
//!
//! ```text
//! node (one_for_one)
//! ├ database (rest_for_one)   postgres (the private cluster, when one is used) · monitor · migrator
//! ├ telemetry (one_for_one)   crashes
//! ├ functions
//! └ gateway (one_for_one)     listener
//! ```
//!
//! Children start from top to bottom and stop from bottom to top, so what stops first is what lets work in. A child that fails to
//! start fails the boot with its own typed error. The root gives up when its budget is spent; the process then ends with an error.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;

use crate::app::Catalog;
use crate::app::context::{NodeView, Services};
use crate::app::token::Tokens;
use crate::db::database::Database;
use crate::db::migrate::set::MigrationSet;
use crate::function::config::FunctionConfig;
use crate::function::messages::{Functions, Needs};
use crate::gateway::actor::{LISTENER_CHECK, listener};
use crate::gateway::config::GatewayConfig;
use crate::gateway::readiness::Readiness;
use crate::gateway::routes::Gateway;
use crate::gateway::server::Port;
use crate::kernel::ids::NodeId;
use crate::supervise::{ChildSpec, Exit, Root, StartError, StopTimeout, Strategy, SupervisorSpec, Tree};
use crate::telemetry::crashes::CrashSink;

/// Name of the root.
pub const ROOT: &str = "node";
/// Name of the readiness check that holds while the database answers.
pub const DATABASE_CHECK: &str = "database";
