//! A periodic duty that makes each node compare the captures with its models.

use crate::db::database::Database;
use crate::kernel::fault::Fault;
use crate::supervise::{ChildSpec, Duty, RunReport, Schedule};

use super::compactor::interval;
use super::config::CaptureConfig;
use super::hints::{Hint, HintHub, Topic};
use super::paths::CAPTURE_CHECK;

/// Makes [`captures`](super::captures) compare, at intervals and on every node, since nodes may run different
/// models.
#[derive(Debug, Clone)]
pub struct CaptureCheck {
    database: Database,
    hints: HintHub,
}

impl CaptureCheck {
    /// The child, which runs as often as the compactor does.
    pub fn spec(database: Database, config: &CaptureConfig, hints: HintHub) -> ChildSpec {
        let check = Self { database, hints };
        ChildSpec::periodic(CAPTURE_CHECK.id(), Schedule::every(interval(config)), move || check.clone()).0
    }
}

impl Duty for CaptureCheck {
    type Term = ();
    const KIND: &'static str = "capture_check";

    async fn run(&mut self, (): ()) -> Result<RunReport, Fault> {
        if self.database.state().borrow().is_up() {
            self.hints.publish(Hint::of([Topic::Definitions]));
        }
        Ok(RunReport::NOTHING)
    }
}
