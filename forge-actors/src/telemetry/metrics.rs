//! Folds recorded durations into their buckets once a second: nobody may ever ask for `/metrics`, and they
//! must not pile up.
//!
//! It keeps nothing between two folds, so a restart loses nothing.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;

use crate::kernel::time::secs;
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Timer};

/// Between two folds.
const UPKEEP_EVERY: Duration = secs(1);

/// Messages of the upkeep.
#[derive(forge_app_macros::Message)]
pub enum MetricsMessage {
    /// Fold what was recorded.
    Upkeep,
}

/// The upkeep.
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// The child that keeps `handle` small.
    pub fn spec(handle: PrometheusHandle) -> ChildSpec {
        ChildSpec::actor("metrics", move || Self { handle: handle.clone() }).0
    }
}

impl Actor for Metrics {
    type Message = MetricsMessage;
    type State = Timer;
    const KIND: &'static str = "metrics upkeep";

    async fn start(&self, cx: &Context<MetricsMessage>) -> Result<Timer, ActorError> {
        Ok(cx.send_after(UPKEEP_EVERY, MetricsMessage::Upkeep))
    }

    async fn handle(
        &self,
        cx: &Context<MetricsMessage>,
        message: MetricsMessage,
        timer: &mut Timer,
    ) -> Result<(), ActorError> {
        match message {
            MetricsMessage::Upkeep => {
                self.handle.run_upkeep();
                *timer = cx.send_after(UPKEEP_EVERY, MetricsMessage::Upkeep);
            }
        }
        Ok(())
    }
}
