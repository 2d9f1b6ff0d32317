//! `[reactivity]` in forge.toml.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kernel::time::{millis, secs, serde_duration};
use crate::subsystem::ConfigSection;

/// How many of the largest results `results_bytes_max` must hold: a client has a quarter of it, less an
/// eighth.
const CLIENT_RESULTS_LEAST: usize = 5;

/// Pace and limits of live queries.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReactivityConfig {
    /// Least time between the starts of two ticks. Changes that are closer together are delivered together.
    #[serde(with = "serde_duration")]
    pub tick_min: Duration,
    /// Interval between polls for changes that no hint reported, while polls find some.
    #[serde(with = "serde_duration")]
    pub poll_min: Duration,
    /// Longest interval between polls, reached while they find none. Without subscriptions there are no
    /// polls.
    #[serde(with = "serde_duration")]
    pub poll_max: Duration,
    /// Interval at which queries run again that read relations without capture: system views, foreign
    /// tables, tables that are not reactive.
    #[serde(with = "serde_duration")]
    pub uncaptured_refresh: Duration,
    /// Time limit of one query; its handler's own limit may be shorter. A query that takes longer gets
    /// `TIMEOUT` as its result, and is suspended ten times as long.
    #[serde(with = "serde_duration")]
    pub query_timeout: Duration,
    /// A query that takes longer runs on a connection of its own until a run takes less than half of this, so
    /// that other queries do not wait for it. Its own subscribers advance at its pace. A query with a refresh
    /// interval runs there when it takes longer than a tenth of this.
    #[serde(with = "serde_duration")]
    pub slow_after: Duration,
    /// Connections for slow queries, first runs, and queries that wait for locks. One identity, or one
    /// address of anonymous clients, has at most half of them. With 0, everything runs in the ticks.
    pub lanes_max: usize,
    /// Longest time of one query in a tick: one that takes longer is cancelled, and moves to a lane. A tick
    /// that takes longer is logged, with the handler that took most of it.
    #[serde(with = "serde_duration")]
    pub tick_budget: Duration,
    /// Subscriptions of one client; one more is refused with `OVERLOADED`.
    pub client_subscriptions_max: usize,
    /// Subscriptions of this node; one more is refused with `OVERLOADED`.
    pub subscriptions_max: usize,
    /// Different queries of this node, by handler, arguments and, where a query reads it, identity. While
    /// there are so many, every further subscription is refused with `OVERLOADED`, also one to a query that
    /// runs already.
    pub groups_max: usize,
    /// Bytes of one result; a larger one becomes `PAYLOAD_TOO_LARGE`.
    pub result_bytes_max: usize,
    /// Bytes of all results in memory: those of the different queries, and older ones that clients have not
    /// taken yet. One identity, or one address of anonymous clients, has a quarter. A result for which there
    /// is no memory becomes `OVERLOADED`, and the query is tried again; results of up to 16 KiB may use the
    /// last eighth.
    pub results_bytes_max: usize,
}

impl Default for ReactivityConfig {
    fn default() -> Self {
        Self {
            tick_min: millis(5),
            poll_min: millis(5),
            poll_max: millis(50),
            uncaptured_refresh: secs(1),
            query_timeout: secs(5),
            slow_after: millis(50),
            lanes_max: 4,
            tick_budget: millis(250),
            client_subscriptions_max: 1_000,
            subscriptions_max: 100_000,
            groups_max: 50_000,
            result_bytes_max: 4 * 1024 * 1024,
            results_bytes_max: 256 * 1024 * 1024,
        }
    }
}

impl ConfigSection for ReactivityConfig {
    const NAME: &'static str = "reactivity";
    const REFERENCE: &'static str = include_str!("reference.toml");

    fn validate(&self) -> Vec<String> {
        let rules = [
            (
                self.poll_min.is_zero(),
                "reactivity.poll_min is 0: the database would be asked without a pause",
            ),
            (self.poll_min > self.poll_max, "reactivity.poll_min is above reactivity.poll_max"),
            (
                self.uncaptured_refresh.is_zero(),
                "reactivity.uncaptured_refresh is 0: such queries would run without a pause",
            ),
            (self.query_timeout.is_zero(), "reactivity.query_timeout is 0: no live query could run"),
            (
                self.slow_after > self.tick_budget,
                "reactivity.slow_after is above reactivity.tick_budget: queries would be cancelled before \
                 they are slow",
            ),
            (self.lanes_max > 100, "reactivity.lanes_max is above 100: each is a connection"),
            (
                self.client_subscriptions_max == 0,
                "reactivity.client_subscriptions_max is 0: every subscription would be refused",
            ),
            (
                self.client_subscriptions_max > self.subscriptions_max,
                "reactivity.client_subscriptions_max is above reactivity.subscriptions_max",
            ),
            (self.groups_max == 0, "reactivity.groups_max is 0: every subscription would be refused"),
            (self.result_bytes_max == 0, "reactivity.result_bytes_max is 0: every result would be too large"),
            (
                self.results_bytes_max / CLIENT_RESULTS_LEAST < self.result_bytes_max,
                "reactivity.results_bytes_max is below five times reactivity.result_bytes_max: one client's \
                 part of it would not hold the largest result",
            ),
        ];
        rules.into_iter().filter(|(broken, _)| *broken).map(|(_, rule)| rule.to_owned()).collect()
    }
}
