//! The unblocker makes blocked jobs ready again, when a job of their key has ended or the window of a rate
//! limit has capacity.
//!
//! Actors of this node that end a job leave its key in `JobShared::freed_keys`, as does a claim that has
//! blocked a job: one of its key may have ended while the claim was not committed. A claim that reaches a
//! rate limit says when its window has capacity. While jobs are blocked, every node also sweeps the blocked
//! keys with each poll: that finds the keys of lost nodes, of failed statements, and those whose limit an
//! operator has changed. Unblocking decides nothing about a limit, which the claims keep.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::limits::{LimitKind, OpenKey};
use super::messages::UnblockerMessage;
use super::paths::UNBLOCKER;
use super::shared::JobShared;
use super::store::OpeningKey;
use crate::change::Hint;
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::Fault;
use crate::kernel::time::millis;
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Mailbox, Timer};

/// Keys of rate limits whose time is awaited; the sweep finds further ones.
const AWAITED_MAX: usize = 1_000;
/// How long after the end of a rate limit's time its jobs are unblocked, so that the time has surely passed
/// by the clock of the database.
const MARGIN: Duration = millis(2);

pub(super) struct Unblocker {
    shared: Arc<JobShared>,
}

#[derive(Default)]
pub(super) struct UnblockerState {
    /// Keys of rate limits, until their time has passed.
    awaited: BTreeMap<String, Timer>,
    /// Where the next sweep goes on.
    swept_to: String,
}

impl Unblocker {
    pub(super) fn spec(shared: Arc<JobShared>, mailbox: Mailbox<UnblockerMessage>) -> ChildSpec {
        ChildSpec::with_mailbox(UNBLOCKER.id(), mailbox, move || Self { shared: Arc::clone(&shared) })
    }

    async fn unblock(&self, keys: &BTreeMap<String, OpenKey>) {
        match self.shared.store.unblock(keys, &self.shared.limits, &self.shared.names).await {
            Ok(queues) if queues.is_empty() => {}
            Ok(queues) => self.shared.hints.publish(Hint::of(queues)),
            Err(fault) => report(&fault),
        }
    }

    fn await_opening(
        cx: &Context<UnblockerMessage>,
        state: &mut UnblockerState,
        OpeningKey { key, handler, wait }: OpeningKey,
    ) {
        if state.awaited.len() < AWAITED_MAX && !state.awaited.contains_key(&key) {
            let opened = UnblockerMessage::Opened { key: key.clone(), handler };
            state.awaited.insert(key, cx.send_after(wait + MARGIN, opened));
        }
    }

    async fn sweep(&self, state: &mut UnblockerState) {
        let JobShared { store, limits, names, .. } = &*self.shared;
        match store.list_open_keys(&state.swept_to, limits, names).await {
            Ok(swept) => {
                state.swept_to = swept.next;
                if !swept.open.is_empty() {
                    self.unblock(&swept.open).await;
                }
            }
            Err(fault) => report(&fault),
        }
    }
}

/// A failure costs time alone: the next sweep finds the keys.
fn report(fault: &Fault) {
    tracing::warn!(error = error_chain(fault), "unblock failed; the next sweep repeats it");
}

impl Actor for Unblocker {
    type Message = UnblockerMessage;
    type State = UnblockerState;
    const KIND: &'static str = "unblocker";

    async fn start(&self, cx: &Context<UnblockerMessage>) -> Result<UnblockerState, ActorError> {
        // Keys that were named while the unblocker was not running.
        cx.address().cast(UnblockerMessage::Freed)?;
        Ok(UnblockerState::default())
    }

    async fn handle(
        &self,
        cx: &Context<UnblockerMessage>,
        message: UnblockerMessage,
        state: &mut UnblockerState,
    ) -> Result<(), ActorError> {
        match message {
            UnblockerMessage::Freed => {}
            UnblockerMessage::Blocked(key) => Self::await_opening(cx, state, key),
            UnblockerMessage::Opened { key, handler } => {
                state.awaited.remove(&key);
                let open = OpenKey { kind: LimitKind::Rate, handler, tenant: None };
                self.unblock(&BTreeMap::from([(key, open)])).await;
            }
            UnblockerMessage::Sweep => self.sweep(state).await,
        }
        // At each message: a full mailbox may have dropped the one that named them.
        if let Some(keys) = self.shared.freed_keys.try_take() {
            self.unblock(&keys).await;
        }
        Ok(())
    }
}
