//! Fixtures of Forge's integration tests and benchmarks: databases, Postgres clusters, nodes as processes, a
//! network that breaks.
//!
//! Everything here owns what it starts: a value that is dropped has stopped its process and removed its
//! files, also when the test panics. Nothing waits by sleeping for a fixed time; [`until`] polls a condition
//! up to a deadline and says what never came.

mod harness;
pub mod probe;

pub use harness::client::{Client, Reply};
pub use harness::cpu::{cpu_time_of, cpu_time_of_family};
pub use harness::database::Database;
pub use harness::http2::{Http2, Http2Frame};
pub use harness::load::{HttpConnection, Load, Measured};
pub use harness::node::{Binary, Node, NodeBuilder, workspace};
pub use harness::postgres::{PostgresProcess, free_port, postgres_binaries};
pub use harness::process::{Ended, Output, Process, Signal};
pub use harness::proxy::{Disturbance, FaultProxy};
pub use harness::signals::{Hold, Signals};
pub use harness::socket::{Received, Socket};
pub use harness::until::until;
