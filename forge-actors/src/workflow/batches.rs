//! Group commit: rows of different runs that come at the same time are written by one statement.
//!
//! ```text
//!   submit ──fewer than two writes, nothing waits──▶ written alone
//!      └─────────────────────────────otherwise─────▶ gathered ──▶ the next write takes them all
//! ```
//!
//! A lone row waits for nobody. Two writes are under way at most, each by one connection: the busier the
//! node, the larger the batches.
//!
//! Invariants
//! - A row is answered after the commit that wrote it, with what the database said about that row.
//! - A row that the database refuses is found by halving its batch, and fails alone.
//! - What gathers is bounded by the runs that are active: each waits for its row.
//! - An outage is a pause: the batch is written again until [`WriteRows::gives_up`].

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{Semaphore, oneshot};

use crate::kernel::backoff::Backoff;
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::halving::Halving;
use crate::kernel::merge_slot::MergeSlot;
use crate::kernel::time::{millis, secs};
use crate::subsystem::ActorPath;
use crate::supervise::{Actor, ActorError, Address, ChildSpec, Context, Mailbox};

/// Writes at a time.
const LANES: usize = 2;
/// Rows of one batch.
const BATCH_MAX: usize = 500;
/// Bytes of one batch; a larger row is a batch of its own.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Between two attempts to write while the database does not answer.
const AWAY_BACKOFF: Backoff = Backoff::exponential(millis(50), secs(2));

/// Writes rows of one kind.
pub(super) trait WriteRows: Send + Sync + 'static {
    /// What the writer is, for people.
    const KIND: &'static str;
    /// A row that is to be written.
    type Row: Send + Sync + 'static;
    /// What the database says about a row that was written.
    type Written: Send + 'static;

    /// Writes all of these rows or none. `None` stands for a row whose run is not held any more.
    fn write(
        &self,
        rows: &[&Self::Row],
    ) -> impl Future<Output = Result<Vec<Option<Self::Written>>, Fault>> + Send;

    /// Bytes of a row.
    fn bytes(row: &Self::Row) -> usize;

    /// Whether a failure that no row has caused is the answer, rather than another attempt.
    fn gives_up(&self) -> bool;
}

/// Messages of a writer.
#[derive(forge_app_macros::Message)]
pub(super) enum BatchMessage {
    /// A row has gathered, or a write has ended.
    Proceed,
}

type Answer<W> = Result<Option<<W as WriteRows>::Written>, Fault>;

struct GatheredRow<W: WriteRows> {
    row: W::Row,
    reply: oneshot::Sender<Answer<W>>,
}

/// Where rows are submitted. The fields without a comment are set once and only read.
pub(super) struct Batches<W: WriteRows> {
    writer: W,
    /// Has a permit for each write that may begin.
    lanes: Semaphore,
    /// Put by those who submit; taken by the writer, which is woken with a message.
    gathered: MergeSlot<VecDeque<GatheredRow<W>>>,
    address: Address<BatchMessage>,
}

impl<W: WriteRows> Batches<W> {
    /// The child that writes what gathers at `path`, and where rows are submitted.
    pub(super) fn spec(path: &'static ActorPath, writer: W) -> (Arc<Self>, ChildSpec) {
        let (mailbox, address) = Mailbox::of::<BatchWriter<W>>();
        let (lanes, gathered) = (Semaphore::new(LANES), MergeSlot::new());
        let shared = Arc::new(Self { writer, lanes, gathered, address });
        let of_writer = Arc::clone(&shared);
        let make = move || BatchWriter { shared: Arc::clone(&of_writer) };
        (shared, ChildSpec::with_mailbox(path.id(), mailbox, make))
    }

    /// Writes a row. `None` when its run is not held any more.
    ///
    /// # Errors
    /// When the database refuses the row, or does not answer and the writer gives up.
    pub(super) async fn submit(&self, row: W::Row) -> Answer<W> {
        let is_alone = self.gathered.take_part(|gathered| gathered.front().map(|_| ())).is_none();
        if is_alone && let Ok(lane) = self.lanes.try_acquire() {
            let mut written = self.write_all(&[&row]).await;
            drop(lane);
            if self.gathered.take_part(|gathered| gathered.front().map(|_| ())).is_some() {
                self.address.notify(BatchMessage::Proceed);
            }
            return written.pop().unwrap_or(Ok(None));
        }
        let (reply, answer) = oneshot::channel();
        self.gathered.put(|gathered| {
            gathered.get_or_insert_default().push_back(GatheredRow { row, reply });
        });
        self.address.notify(BatchMessage::Proceed);
        answer.await.unwrap_or_else(|_| {
            Err(Fault::new(Code::OutcomeUnknown, "the writer crashed before it answered"))
        })
    }

    fn take_batch(&self) -> Vec<GatheredRow<W>> {
        let batch = self.gathered.take_part(|gathered| {
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while batch.len() < BATCH_MAX
                && let Some(next) = gathered.front()
                && (batch.is_empty() || bytes + W::bytes(&next.row) <= BATCH_BYTES_MAX)
                && let Some(next) = gathered.pop_front()
            {
                // A run that was stopped does not wait for its row any more.
                if !next.reply.is_closed() {
                    bytes += W::bytes(&next.row);
                    batch.push(next);
                }
            }
            Some(batch)
        });
        batch.unwrap_or_default()
    }

    /// Writes rows, those that are refused apart.
    async fn write_all(&self, rows: &[&W::Row]) -> Vec<Answer<W>> {
        let mut answers: Vec<Answer<W>> = Vec::with_capacity(rows.len());
        let mut halving = Halving::of(rows.len());
        let mut failures = 0;
        while let Some(part) = halving.part() {
            match self.writer.write(&rows[part.clone()]).await {
                Ok(written) => {
                    answers.extend(written.into_iter().map(Ok));
                    halving.written();
                }
                Err(fault) if fault.blames_row() || fault.code() == Code::Internal => {
                    if halving.refused().is_some() {
                        answers.push(Err(fault));
                    }
                }
                Err(fault) if self.writer.gives_up() => {
                    answers.extend(part.map(|_| Err(fault.clone())));
                    halving.written();
                }
                Err(fault) => {
                    if failures == 0 {
                        let error = error_chain(&fault);
                        tracing::warn!(writer = W::KIND, error, "write failed; retrying");
                    }
                    tokio::time::sleep(AWAY_BACKOFF.jittered(failures)).await;
                    failures = failures.saturating_add(1);
                }
            }
        }
        answers
    }
}

pub(super) struct BatchWriter<W: WriteRows> {
    shared: Arc<Batches<W>>,
}

impl<W: WriteRows> BatchWriter<W> {
    fn proceed(&self, cx: &Context<BatchMessage>) {
        loop {
            let Ok(lane) = self.shared.lanes.try_acquire() else { return };
            let batch = self.shared.take_batch();
            if batch.is_empty() {
                return;
            }
            lane.forget();
            let shared = Arc::clone(&self.shared);
            cx.spawn_message("write", async move {
                // Given back also when the actor ends during the write.
                let _lane = Lane(&shared.lanes);
                let (rows, replies): (Vec<_>, Vec<_>) =
                    batch.into_iter().map(|gathered| (gathered.row, gathered.reply)).unzip();
                let answers = shared.write_all(&rows.iter().collect::<Vec<_>>()).await;
                for (reply, answer) in replies.into_iter().zip(answers) {
                    // The run may have been stopped meanwhile.
                    let _gone = reply.send(answer);
                }
                BatchMessage::Proceed
            });
        }
    }
}

struct Lane<'a>(&'a Semaphore);

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

impl<W: WriteRows> Actor for BatchWriter<W> {
    type Message = BatchMessage;
    type State = ();
    const KIND: &'static str = W::KIND;

    async fn start(&self, cx: &Context<BatchMessage>) -> Result<(), ActorError> {
        // Rows may have gathered before a restart.
        cx.address().cast(BatchMessage::Proceed)?;
        Ok(())
    }

    async fn handle(
        &self,
        cx: &Context<BatchMessage>,
        message: BatchMessage,
        (): &mut (),
    ) -> Result<(), ActorError> {
        match message {
            BatchMessage::Proceed => self.proceed(cx),
        }
        Ok(())
    }
}
