//! Tests of handlers: each has a database of its own, and calls handlers as clients do.
//!
//! ```toml
//! [dev-dependencies]
//! forge-node = { version = "0.1", features = ["testing"] }
//! ```
//!
//! ```no_run
//! # mod tasks {
//! #     use forge::prelude::*;
//! #     #[forge::job]
//! #     pub async fn announce(_ctx: &JobContext, title: String) -> Result<()> { Ok(()) }
//! #     #[forge::mutation]
//! #     pub async fn create(ctx: &MutationContext, title: String) -> Result<String> {
//! #         ctx.dispatch(Announce { title: title.clone() }).await?;
//! #         Ok(title)
//! #     }
//! # }
//! use forge::testing::{TestContext, TestResult};
//!
//! #[forge::test]
//! async fn a_new_task_is_announced(cx: TestContext) -> TestResult {
//!     let ana = cx.as_user("ana").roles(["editor"]);
//!     let title = ana.call(tasks::Create { title: "Plant the apple tree".into() }).await?;
//!     cx.assert_dispatched::<tasks::Announce>(|job| job.title == title).await;
//!     cx.run_jobs().await?;
//!     Ok(())
//! }
//! # fn main() {}
//! ```
//!
//! ```text
//!   test process                                           Postgres: DATABASE_URL, or a private one
//!   ├ a thread per test ── TestNode: functions, live      ├ forge_template_<hash>  per set of migrations
//!   │                      queries, jobs, HTTP answers ─▶ ├ forge_test_<run>_1     per test, a copy
//!   ├ TestServer ── keeps a session for the run ────────▶ └ forge_test_<run>_2
//!   └ a pipe ──▶ watchdog process: stops the embedded Postgres when the last test process has ended
//! ```
//!
//! Invariants
//! - A test sees no other test: its database, its tree of actors and its HTTP answers are its own.
//! - A template is found by the hash of everything that made it, and gets its name when it is complete.
//! - A database belongs to a run. When no session of that run is left, other runs drop the database.
//! - No request of a handler's HTTP client leaves the process.
//! - Nothing runs for longer than six seconds after the last test process has ended, however it ended.
//!
//! Failures: what keeps tests from running at all (no Postgres, a role that may not create databases, a
//! migration that fails) is reported by every test of the process, as a sentence that says what helps.

mod admin;
mod context;
mod error;
mod http;
mod http_exchange;
mod http_server;
mod job_ends;
mod jobs;
mod node;
mod run;
mod server;
mod settle;
mod template;
mod watch;
mod watchdog;
mod workflows;

pub use context::{CallableFromTest, Called, TestContext, TestUser};
pub use error::{TestError, TestResult};
pub use forge_actors::app::JobStatus;
pub use forge_actors::job::RanAttempt;
pub use forge_actors::workflow::history::{HistoryError, ReplayedHistory};
pub use http::HttpAnswers;
pub use http_exchange::{HttpReply, HttpRequest};
pub use jobs::{Dispatched, JobsFailed, RunJobs};
#[doc(hidden)]
pub use run::{TestOutcome, run};
pub use settle::Settle;
pub use watch::Watch;

#[cfg(test)]
mod tests;
