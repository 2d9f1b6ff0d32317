//! What the reactor delivers to its clients.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::share_key::ShareKey;
use crate::kernel::byte_budget::Charge;
use crate::kernel::commit::Xid;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::log_sampler::LogSampler;
use crate::kernel::trace::TraceContext;

/// Of the log lines of queries that fail: a client can subscribe to such a query as often as it likes.
static FAILURES: LazyLock<LogSampler> = LazyLock::new(LogSampler::new);

/// Names one subscription of a session. The session gives it, a new one whenever the subscription is opened
/// again; the browser's own number is `client_subscription`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub u32);

/// The number that the browser gives to one of its mutations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MutationId(pub u32);

/// A committed mutation that a client waits to see the effects of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AwaitedCommit {
    pub(super) mutation: MutationId,
    /// `None` when the mutation wrote nothing.
    pub(super) xid: Option<Xid>,
}

/// The number of a database snapshot that results were delivered from. Counted by each node; never
/// decreases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u64);

/// A hash of a result: equal results have equal versions, on every node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl fmt::Display for Version {
    /// 16 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The result of a run of a query.
#[derive(Debug)]
pub struct QueryResult {
    /// The hash of `outcome`.
    pub version: Version,
    /// The JSON output, or the error of the run. `NOT_FOUND`, `UNAUTHENTICATED`, `PERMISSION_DENIED` and
    /// `VALIDATION` end the subscription.
    pub outcome: Result<Bytes, Fault>,
    /// The trace of the run: sent to clients with an error, and written to the log with the run's lines.
    pub trace: TraceContext,
    /// Counts the bytes of the output as used for as long as anyone holds the result.
    charge: Option<Charge<Arc<ShareKey>>>,
    /// The group has another result, or is gone: only clients that have not taken this one hold it.
    superseded: AtomicBool,
}

impl QueryResult {
    /// A result that no run has made, and that is not counted.
    pub(crate) fn uncounted(version: Version, outcome: Result<Bytes, Fault>, trace: TraceContext) -> Self {
        Self { version, outcome, trace, charge: None, superseded: AtomicBool::new(false) }
    }

    /// The result with the charge for its output.
    pub(super) fn charged(mut self, charge: Charge<Arc<ShareKey>>) -> Self {
        self.charge = Some(charge);
        self
    }

    /// The charge for its output.
    pub(super) fn charge(&self) -> Option<&Charge<Arc<ShareKey>>> {
        self.charge.as_ref()
    }

    /// A result whose version is the same on every node and in every run, so that a client that reconnects
    /// to another node can name the result that it has.
    pub(super) fn new(outcome: Result<Bytes, Fault>, trace: TraceContext) -> Self {
        let mut hash = Sha256::new();
        match &outcome {
            Ok(body) => {
                hash.update(b"ok");
                hash.update(body);
            }
            Err(fault) => {
                hash.update(b"error");
                hash.update(fault.to_string());
                hash.update(fault.details().map(ToString::to_string).unwrap_or_default());
            }
        }
        let digest: [u8; 32] = hash.finalize().into();
        let (first, _) = digest.split_first_chunk().expect("a digest has 32 bytes");
        Self::uncounted(Version(u64::from_be_bytes(*first)), outcome, trace)
    }

    /// Notes whether the group has another result, or is gone.
    pub(super) fn set_superseded(&self, superseded: bool) {
        self.superseded.store(superseded, Relaxed);
    }

    /// True when the result is in memory only for clients that have not taken it, and others need the memory.
    pub fn holds_scarce_memory(&self) -> bool {
        self.superseded.load(Relaxed)
            && self.charge.as_ref().is_some_and(|charge| charge.client().is_scarce())
    }

    /// Writes the log lines of an error: the first of each code in a second at info, the others at debug.
    /// Called once when the result of a group becomes this error, and not again while further runs end with
    /// the same error.
    pub fn log_error(&self, handler: &str) {
        if let Err(fault) = &self.outcome {
            let trace_id = &*self.trace.trace_id_hex();
            fault.log_cause(handler, trace_id);
            let code = fault.code().name();
            match FAILURES.sample(code, chrono::Utc::now().timestamp()) {
                Some(suppressed) => tracing::info!(handler, trace_id, code, suppressed, "live query failed"),
                None => tracing::debug!(handler, trace_id, code, "live query failed"),
            }
        }
    }

    /// True for errors that every further run would repeat: the subscription ends with them.
    pub fn ends_subscription(&self) -> bool {
        let lasting = |code| {
            matches!(code, Code::NotFound | Code::Unauthenticated | Code::PermissionDenied | Code::Validation)
        };
        matches!(&self.outcome, Err(fault) if lasting(fault.code()))
    }
}

/// The new result of one subscription.
#[derive(Debug, Clone)]
pub struct Modification {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The result, shared with all subscriptions that get the same.
    pub result: Arc<QueryResult>,
}

/// A message of the reactor to a client.
#[derive(Debug)]
pub enum Delivery {
    /// All subscriptions of the client advance to a later snapshot together.
    Advanced {
        /// The snapshot.
        tick: Tick,
        /// The subscriptions whose results differ from those delivered before.
        mods: Vec<Modification>,
        /// The awaited mutations whose effects the snapshot contains.
        applied: Vec<MutationId>,
    },
    /// The reactor restarted and has no subscriptions any more: the client has to subscribe again. Awaited
    /// mutations are still awaited.
    Reset,
}

/// Receives the deliveries of one client. The reactor's actor calls it, so it must not block.
pub trait Sink: Send + Sync + 'static {
    /// Takes one delivery.
    fn deliver(&self, delivery: Delivery);
}
