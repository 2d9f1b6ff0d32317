//! Section `[sessions]` of the configuration.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kernel::time::{format_duration, millis, secs, serde_duration};
use crate::subsystem::ConfigSection;

/// The smallest `frame_bytes_max` that is accepted: a `hello` with a token must fit.
const FRAME_BYTES_LEAST: usize = 4 * 1024;

/// Limits of the WebSocket sessions of a node. Each limit says what happens when it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionsConfig {
    /// Open WebSockets; one more upgrade is answered 503 with `Retry-After`.
    pub connections_max: usize,
    /// Open WebSockets from one address (of IPv6, from one /64); one more upgrade is answered 503 with
    /// `Retry-After`.
    pub address_connections_max: usize,
    /// Bytes of a frame from the client; a larger one closes the connection with 1009.
    pub frame_bytes_max: usize,
    /// Frames per second from one client, on average; a client that sends more is closed with 1008.
    pub frames_per_second_max: u32,
    /// Frames that a client may send at once, before `frames_per_second_max` counts. At least
    /// `subscriptions_max`, since a client that reconnects subscribes to everything again.
    pub frames_burst_max: u32,
    /// Subscriptions of one connection; one more closes it with 1008.
    pub subscriptions_max: usize,
    /// Mutations of one connection that wait for their turn, or whose effects the reactor has not delivered
    /// yet; one more is answered OVERLOADED.
    pub mutations_waiting_max: usize,
    /// Bytes of one result that is sent to the client; a larger one becomes the error PAYLOAD_TOO_LARGE of
    /// its subscription or mutation. Results of several subscriptions travel together, whatever they add up
    /// to.
    pub result_bytes_max: usize,
    /// Time for a client to send `hello` after the upgrade; then the connection is closed with 1008.
    #[serde(with = "serde_duration")]
    pub hello_timeout: Duration,
    /// Time for a frame of the client to arrive whole, from its first byte; then the connection is closed
    /// with 1008.
    #[serde(with = "serde_duration")]
    pub frame_timeout: Duration,
    /// Time between two WebSocket pings of the server; a client from which nothing arrives for twice as long
    /// is disconnected.
    #[serde(with = "serde_duration")]
    pub ping_interval: Duration,
    /// Time for which a client may take nothing of what is written to it; then the connection is closed with
    /// 1013, and so it is when the client takes less than 4 KiB a second for longer than this. While less
    /// than a quarter of `gateway.responses_bytes_max` or `reactivity.results_bytes_max` is free, a large or
    /// outdated frame must be taken as a whole within this time.
    #[serde(with = "serde_duration")]
    pub write_timeout: Duration,
    /// On shutdown: time for clients to connect to another node; then their connections are closed with 1001.
    #[serde(with = "serde_duration")]
    pub go_away_after: Duration,
}

impl Default for SessionsConfig {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            address_connections_max: 1_000,
            frame_bytes_max: 256 * 1024,
            frames_per_second_max: 100,
            frames_burst_max: 1_000,
            subscriptions_max: 256,
            mutations_waiting_max: 64,
            result_bytes_max: 8 * 1024 * 1024,
            hello_timeout: secs(5),
            frame_timeout: secs(30),
            ping_interval: secs(25),
            write_timeout: secs(10),
            go_away_after: millis(1_500),
        }
    }
}

impl ConfigSection for SessionsConfig {
    const NAME: &'static str = "sessions";
    const REFERENCE: &'static str = include_str!("reference.toml");

    fn validate(&self) -> Vec<String> {
        let sizes = [
            ("connections_max", self.connections_max, 1),
            ("address_connections_max", self.address_connections_max, 1),
            ("frame_bytes_max", self.frame_bytes_max, FRAME_BYTES_LEAST),
            ("frames_per_second_max", self.frames_per_second_max as usize, 1),
            ("subscriptions_max", self.subscriptions_max, 1),
            ("mutations_waiting_max", self.mutations_waiting_max, 1),
            ("result_bytes_max", self.result_bytes_max, FRAME_BYTES_LEAST),
        ];
        let small = sizes.iter().filter(|(_, value, least)| value < least);
        let mut mistakes: Vec<_> = small
            .map(|(key, value, least)| format!("sessions.{key} is {value}; it must be at least {least}"))
            .collect();
        if (self.frames_burst_max as usize) < self.subscriptions_max {
            let (burst, subscriptions) = (self.frames_burst_max, self.subscriptions_max);
            mistakes.push(format!(
                "sessions.frames_burst_max ({burst}) is less than sessions.subscriptions_max \
                 ({subscriptions}): a client that reconnects could not subscribe to everything again"
            ));
        }
        let times = [
            ("hello_timeout", self.hello_timeout),
            ("frame_timeout", self.frame_timeout),
            ("ping_interval", self.ping_interval),
            ("write_timeout", self.write_timeout),
        ];
        let short = times.iter().filter(|(_, time)| *time < millis(100));
        mistakes.extend(short.map(|(key, time)| {
            format!("sessions.{key} is {}; it must be at least 100ms", format_duration(*time))
        }));
        mistakes
    }
}
