//! Metrics and log lines of the gateway. Label values come from closed sets, so that no client can create a
//! time series.
//!
//! Metric handles are kept: building labels for each request would cost more than routing the request.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use hyper::StatusCode;
use metrics::{Counter, Gauge, Histogram};

use crate::app::Catalog;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::log_sampler::LogSampler;
use crate::kernel::time::fractional_millis;

/// Counter: answered requests, by `route` and `code` (the HTTP status; a rare one is counted as `4xx` or
/// `5xx`).
pub const HTTP_REQUESTS_TOTAL: &str = "forge_http_requests_total";
/// Counter: requests that were answered with an error, by `fault` (its code; `APP` for the codes of
/// applications).
pub const HTTP_FAULTS_TOTAL: &str = "forge_http_faults_total";
/// Histogram, seconds: calls over HTTP, by `handler` (`unknown` for names that no handler has) and `outcome`.
pub const RPC_DURATION_SECONDS: &str = "forge_rpc_duration_seconds";
/// Gauge: open connections.
pub const HTTP_CONNECTIONS: &str = "forge_http_connections";
/// Counter: connections that were refused because `connections_max` or `address_connections_max` was reached.
pub const HTTP_CONNECTIONS_REFUSED_TOTAL: &str = "forge_http_connections_refused_total";
/// Gauge: bytes of responses that wait for clients, as they were when the metrics were read.
pub const HTTP_RESPONSE_BYTES: &str = "forge_http_response_bytes";
/// Counter: requests that were answered 503 because `responses_bytes_max` was reached, or the client's part
/// of it.
pub const HTTP_RESPONSES_REFUSED_TOTAL: &str = "forge_http_responses_refused_total";
/// Counter: responses that were cut because their clients did not take them.
pub const HTTP_RESPONSES_STALLED_TOTAL: &str = "forge_http_responses_stalled_total";
/// Upper bounds of [`RPC_DURATION_SECONDS`], for the recorder.
pub const RPC_DURATION_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Label `route`: the kind of path that was requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RouteLabel {
    Rpc,
    Batch,
    Health,
    Ready,
    Metrics,
    Socket,
    File,
    Unknown,
}

impl RouteLabel {
    const COUNT: usize = Self::Unknown as usize + 1;

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Rpc => "rpc",
            Self::Batch => "batch",
            Self::Health => "health",
            Self::Ready => "ready",
            Self::Metrics => "metrics",
            Self::Socket => "ws",
            Self::File => "file",
            Self::Unknown => "unknown",
        }
    }
}

/// Statuses with a label of their own, the frequent ones first.
const STATUSES: [(u16, &str); 21] = [
    (200, "200"),
    (101, "101"),
    (304, "304"),
    (401, "401"),
    (422, "422"),
    (404, "404"),
    (409, "409"),
    (403, "403"),
    (400, "400"),
    (503, "503"),
    (500, "500"),
    (504, "504"),
    (413, "413"),
    (415, "415"),
    (405, "405"),
    (499, "499"),
    (429, "429"),
    (204, "204"),
    (206, "206"),
    (308, "308"),
    (416, "416"),
];
const OTHER_4XX: usize = STATUSES.len();
const OTHER_5XX: usize = STATUSES.len() + 1;

/// Label `fault` of the codes that applications define: their number is not Forge's to bound.
const APP_FAULT: &str = "APP";

/// Label `outcome`: how a call ended.
#[derive(Debug, Clone, Copy)]
enum RpcOutcome {
    Ok,
    Refused,
    Failed,
}

/// Metric handles of one function.
pub(super) struct FunctionSignals {
    name: String,
    outcomes: [OnceLock<Histogram>; 3],
}

impl FunctionSignals {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), outcomes: Default::default() }
    }

    /// Wire name of the function; `unknown` for every name that no function has.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Records a call: `ok`, `refused` (an error of the caller) or `failed` (an error of the node).
    pub(super) fn ended<T>(&self, result: &Result<T, Fault>, elapsed: Duration) {
        let (outcome, label) = match result {
            Ok(_) => (RpcOutcome::Ok, "ok"),
            Err(fault) if fault.code().status() < 500 => (RpcOutcome::Refused, "refused"),
            Err(_) => (RpcOutcome::Failed, "failed"),
        };
        let histogram = self.outcomes[outcome as usize].get_or_init(
            || metrics::histogram!(RPC_DURATION_SECONDS, "handler" => self.name.clone(), "outcome" => label),
        );
        histogram.record(elapsed);
    }
}

/// The metric handles of the gateway. A handle belongs to the recorder that is installed when the handle is
/// first used.
pub(super) struct GatewaySignals {
    requests: [[OnceLock<Counter>; STATUSES.len() + 2]; RouteLabel::COUNT],
    /// In the order of [`Code::ALL`]; the last one is that of all applications' codes.
    faults: [OnceLock<Counter>; Code::ALL.len() + 1],
    /// Of the log lines of errors.
    sampler: LogSampler,
    functions: HashMap<String, FunctionSignals>,
    unknown: FunctionSignals,
    connections: OnceLock<Gauge>,
    refused: OnceLock<Counter>,
    response_bytes: OnceLock<Gauge>,
    responses_refused: OnceLock<Counter>,
    responses_stalled: OnceLock<Counter>,
}

impl GatewaySignals {
    pub(super) fn new(catalog: &Catalog) -> Self {
        Self {
            requests: Default::default(),
            faults: [const { OnceLock::new() }; Code::ALL.len() + 1],
            sampler: LogSampler::new(),
            functions: catalog
                .iter()
                .map(|(name, _)| (name.to_owned(), FunctionSignals::new(name)))
                .collect(),
            unknown: FunctionSignals::new("unknown"),
            connections: OnceLock::new(),
            refused: OnceLock::new(),
            response_bytes: OnceLock::new(),
            responses_refused: OnceLock::new(),
            responses_stalled: OnceLock::new(),
        }
    }

    pub(super) fn function(&self, name: &str) -> &FunctionSignals {
        self.functions.get(name).unwrap_or(&self.unknown)
    }

    pub(super) fn connection_opened(&self) -> OpenConnection {
        let gauge = self.connections.get_or_init(|| metrics::gauge!(HTTP_CONNECTIONS)).clone();
        gauge.increment(1.0);
        OpenConnection { gauge }
    }

    pub(super) fn connection_refused(&self) {
        self.refused.get_or_init(|| metrics::counter!(HTTP_CONNECTIONS_REFUSED_TOTAL)).increment(1);
    }

    pub(super) fn set_response_bytes(&self, bytes: usize) {
        self.response_bytes.get_or_init(|| metrics::gauge!(HTTP_RESPONSE_BYTES)).set(bytes as f64);
    }

    pub(super) fn response_refused(&self) {
        self.responses_refused.get_or_init(|| metrics::counter!(HTTP_RESPONSES_REFUSED_TOTAL)).increment(1);
    }

    /// The counter of responses that are cut.
    pub(super) fn responses_stalled(&self) -> Counter {
        self.responses_stalled.get_or_init(|| metrics::counter!(HTTP_RESPONSES_STALLED_TOTAL)).clone()
    }

    /// Counts and logs an answered request: a success at debug, an error too, but the first error of each
    /// code in a second at info. A client can cause errors without end, and a line for each would fill a
    /// disk.
    pub(super) fn answered(
        &self,
        route: RouteLabel,
        status: StatusCode,
        fault: Option<&Fault>,
        elapsed: Duration,
    ) {
        let status = status.as_u16();
        let index = STATUSES.iter().position(|(known, _)| *known == status);
        let index = index.unwrap_or(if status < 500 { OTHER_4XX } else { OTHER_5XX });
        let label =
            STATUSES.get(index).map_or(if index == OTHER_4XX { "4xx" } else { "5xx" }, |(_, label)| label);
        self.requests[route as usize][index]
            .get_or_init(
                || metrics::counter!(HTTP_REQUESTS_TOTAL, "route" => route.as_str(), "code" => label),
            )
            .increment(1);
        let ms = fractional_millis(elapsed);
        let route = route.as_str();
        let Some(fault) = fault else {
            return tracing::debug!(route, status, ms, "request answered");
        };
        self.count_fault(fault.code());
        let code = fault.code().name();
        match self.sampler.sample(code, chrono::Utc::now().timestamp()) {
            Some(suppressed) => {
                tracing::info!(route, status, ms, code, suppressed, "request answered with an error");
            }
            None => tracing::debug!(route, status, ms, code, "request answered with an error"),
        }
    }

    fn count_fault(&self, code: Code) {
        let position = Code::ALL.iter().position(|known| *known == code);
        let (index, name) =
            position.map_or((Code::ALL.len(), APP_FAULT), |index| (index, Code::ALL[index].name()));
        self.faults[index].get_or_init(|| metrics::counter!(HTTP_FAULTS_TOTAL, "fault" => name)).increment(1);
    }
}

/// Counts a connection as open until this is dropped.
pub(super) struct OpenConnection {
    gauge: Gauge,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.gauge.decrement(1.0);
    }
}
