//! Calls to other nodes that wait for their answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use dashmap::DashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::outbox::Outbox;
use crate::kernel::envelope::{self, LinkKey, Message};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::time::secs;

/// Calls that this node may have at other nodes; one more is refused with `OVERLOADED`.
pub(super) const CALLS_MAX: usize = 1_024;

type Outcome = Result<Bytes, Fault>;

/// The calls of one node.
#[derive(Debug)]
pub(super) struct Calls {
    last: AtomicU64,
    waiting: DashMap<u64, Waiting>,
    places: Arc<Semaphore>,
}

#[derive(Debug)]
struct Waiting {
    link: LinkKey,
    answer: oneshot::Sender<Outcome>,
}

/// One call. Dropping it before its answer tells the other node that nobody waits any more.
pub(super) struct Call {
    pub(super) id: u64,
    calls: Arc<Calls>,
    outbox: Arc<Outbox>,
    answer: oneshot::Receiver<Outcome>,
    _place: OwnedSemaphorePermit,
}

impl Calls {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            last: AtomicU64::new(0),
            waiting: DashMap::new(),
            places: Arc::new(Semaphore::new(CALLS_MAX)),
        })
    }

    /// A new call over `link`.
    pub(super) fn enter(self: &Arc<Self>, link: LinkKey, outbox: &Arc<Outbox>) -> Result<Call, Fault> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| {
            Fault::new(Code::Overloaded, "too many calls to other nodes are under way").retry_after(secs(1))
        })?;
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, answer) = oneshot::channel();
        self.waiting.insert(id, Waiting { link, answer: sender });
        Ok(Call { id, calls: Arc::clone(self), outbox: Arc::clone(outbox), answer, _place: place })
    }

    /// An answer came over `link`; one that nobody waits for, or that another link owes, is nothing.
    pub(super) fn answered(&self, link: LinkKey, id: u64, outcome: Outcome) {
        if let Some((_, waiting)) = self.waiting.remove_if(&id, |_, waiting| waiting.link == link) {
            // The caller may have gone in this moment.
            let _gone = waiting.answer.send(outcome);
        }
    }

    /// The link ended: its calls get no answer.
    pub(super) fn cut(&self, link: LinkKey) {
        self.waiting.retain(|_, waiting| waiting.link != link);
    }
}

impl Call {
    /// Waits for the answer.
    pub(super) async fn answer(mut self) -> Outcome {
        (&mut self.answer).await.unwrap_or_else(|_| {
            Err(Fault::new(Code::OutcomeUnknown, "the connection to the other node ended before its answer")
                .retry_after(secs(1)))
        })
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.calls.waiting.remove(&self.id).is_some() {
            let part = envelope::encode(&Message::Cancel { id: self.id }).expect("a cancellation is small");
            // Without room for it the other node works for nothing, until its own time limit.
            let _full = self.outbox.queue(part);
        }
    }
}
