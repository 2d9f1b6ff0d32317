//! Calls to other nodes that wait for their responses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use dashmap::DashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::outbox::Outbox;
use crate::kernel::envelope::{self, LinkKey, MeshMessage};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::time::secs;

/// Calls to other nodes that this node may have in flight; one more is refused with `OVERLOADED`.
pub(super) const CALLS_MAX: usize = 1_024;

type CallResult = Result<Bytes, Fault>;

/// The calls of this node to other nodes.
#[derive(Debug)]
pub(super) struct RemoteCalls {
    last: AtomicU64,
    waiting: DashMap<u64, WaitingCall>,
    permits: Arc<Semaphore>,
}

#[derive(Debug)]
struct WaitingCall {
    link: LinkKey,
    caller: oneshot::Sender<CallResult>,
}

/// One call. Dropping it before its response cancels the call on the other node.
pub(super) struct RemoteCall {
    pub(super) id: u64,
    calls: Arc<RemoteCalls>,
    outbox: Arc<Outbox>,
    response: oneshot::Receiver<CallResult>,
    _permit: OwnedSemaphorePermit,
}

impl RemoteCalls {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            last: AtomicU64::new(0),
            waiting: DashMap::new(),
            permits: Arc::new(Semaphore::new(CALLS_MAX)),
        })
    }

    /// Registers a call over `link`.
    pub(super) fn begin(self: &Arc<Self>, link: LinkKey, outbox: &Arc<Outbox>) -> Result<RemoteCall, Fault> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| {
            Fault::new(Code::Overloaded, "too many calls to other nodes are in flight").retry_after(secs(1))
        })?;
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (caller, response) = oneshot::channel();
        self.waiting.insert(id, WaitingCall { link, caller });
        Ok(RemoteCall { id, calls: Arc::clone(self), outbox: Arc::clone(outbox), response, _permit: permit })
    }

    /// Completes a call with the response that arrived over `link`. A response to an unknown call, or to a
    /// call over another link, is ignored.
    pub(super) fn complete(&self, link: LinkKey, id: u64, result: CallResult) {
        if let Some((_, waiting)) = self.waiting.remove_if(&id, |_, waiting| waiting.link == link) {
            // A caller that was dropped in this moment takes no result.
            let _dropped = waiting.caller.send(result);
        }
    }

    /// Ends the calls over a link that has ended; their callers get `OUTCOME_UNKNOWN`.
    pub(super) fn link_ended(&self, link: LinkKey) {
        self.waiting.retain(|_, waiting| waiting.link != link);
    }
}

impl RemoteCall {
    /// Waits for the response.
    pub(super) async fn response(mut self) -> CallResult {
        (&mut self.response).await.unwrap_or_else(|_| {
            Err(Fault::new(
                Code::OutcomeUnknown,
                "the connection to the other node ended before its response",
            )
            .retry_after(secs(1)))
        })
    }
}

impl Drop for RemoteCall {
    fn drop(&mut self) {
        if self.calls.waiting.remove(&self.id).is_some() {
            let part = envelope::encode_part(&MeshMessage::Cancel { id: self.id })
                .expect("a cancellation is smaller than a part may be");
            // When the outbox is full, the other node runs the call until its own time limit.
            let _full = self.outbox.queue(part);
        }
    }
}
