//! Folds recorded durations into their histograms. Without it they would pile up in memory until the next
//! request of `/metrics`, which may never come.

use metrics_exporter_prometheus::PrometheusHandle;

use crate::kernel::fault::Fault;
use crate::kernel::time::secs;
use crate::supervise::{Duty, RunReport, Schedule};

pub(super) const SCHEDULE: Schedule = Schedule::every(secs(1));

pub(super) struct FoldMetrics {
    pub(super) handle: PrometheusHandle,
}

impl Duty for FoldMetrics {
    type Term = ();
    const KIND: &'static str = "metrics";

    async fn run(&mut self, (): ()) -> Result<RunReport, Fault> {
        self.handle.run_upkeep();
        Ok(RunReport::NOTHING)
    }
}
