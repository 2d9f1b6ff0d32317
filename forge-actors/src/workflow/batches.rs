//! Group commit: rows of different runs that come at the same time are written by one statement.
//!
//! ```text
//!   submit ──nothing gathers, a write may begin──▶ written alone
//!      └─────────────────────────────otherwise──▶ gathered ──▶ the next write takes them all
//! ```
//!
//! A row that comes alone is written at once. A writer that has just written several rows gathers at least
//! half as many, for a millisecond at most: most runs whose rows were just committed submit their next row at
//! once. How many writes are under way at the same time, and when the next one begins, is decided by the
//! [`WriteLimiter`], which the writers of a node share.
//!
//! Invariants
//! - A row is answered after the commit that wrote it, with what the database said about that row.
//! - A row that the database refuses is found by halving its batch, and fails alone.
//! - What gathers is bounded by the runs that are active: each waits for its row.
//! - What gathers is written at the latest when the writes that are under way have ended: each of them wakes
//!   the writer whose turn is next.
//! - An outage is a pause: the batch is written again until [`WriteRows::gives_up`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::messages::BatchMessage;
use super::write_limiter::{WriteLimiter, WriterId, Writing};
use crate::kernel::backoff::Backoff;
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::halving::Halving;
use crate::kernel::merge_slot::MergeSlot;
use crate::kernel::time::{millis, secs};
use crate::subsystem::ActorPath;
use crate::supervise::{Actor, ActorError, Address, ChildSpec, Context, Mailbox, Timer};

/// Rows of one batch.
const BATCH_MAX: usize = 500;
/// Bytes of one batch; a larger row is a batch of its own.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long rows gather at most for a write that may begin.
const GATHER_MAX: Duration = millis(1);
/// Between two looks whether what gathers may be written, while no write ends.
const LOOK_AGAIN: Duration = millis(1);
/// Between two attempts to write while the database does not answer.
const OUTAGE_BACKOFF: Backoff = Backoff::exponential(millis(50), secs(2));

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

type Answer<W> = Result<Option<<W as WriteRows>::Written>, Fault>;

struct GatheredRow<W: WriteRows> {
    row: W::Row,
    reply: oneshot::Sender<Answer<W>>,
}

/// The rows that wait.
struct Gathering<W: WriteRows> {
    rows: VecDeque<GatheredRow<W>>,
    /// Rows of the last write.
    last: usize,
    /// When the first of the rows came that wait.
    since: Option<Instant>,
    /// The writer has a message that it has not handled yet.
    is_woken: bool,
}

impl<W: WriteRows> Gathering<W> {
    /// Whether a write of so many rows is worth its commit: see the module.
    fn is_worth(&self, rows: usize) -> bool {
        rows * 2 >= self.last || self.since.is_some_and(|since| since.elapsed() >= GATHER_MAX)
    }
}

/// What becomes of a row that is submitted.
enum RowTurn<W: WriteRows> {
    /// It is written at once.
    Alone(W::Row, Writing),
    /// It is written with others.
    Gathered(oneshot::Receiver<Answer<W>>),
}

/// Where rows are submitted. The fields without a comment are set once and only read.
pub(super) struct Batches<W: WriteRows> {
    writer: W,
    /// Filled at its making. Written by those who submit and by the writes; the writer, which takes what has
    /// gathered, is woken with a message.
    gathering: MergeSlot<Gathering<W>>,
    address: Address<BatchMessage>,
    limiter: Arc<WriteLimiter>,
    id: WriterId,
}

impl<W: WriteRows> Batches<W> {
    /// The child that writes what gathers at `path`, and where rows are submitted.
    pub(super) fn spec(
        path: &'static ActorPath,
        writer: W,
        limiter: &Arc<WriteLimiter>,
    ) -> (Arc<Self>, ChildSpec) {
        let (mailbox, address) = Mailbox::of::<BatchWriter<W>>();
        let gathering = MergeSlot::new();
        gathering.put(|slot| {
            *slot = Some(Gathering { rows: VecDeque::new(), last: 0, since: None, is_woken: false });
        });
        let (limiter, id) = (Arc::clone(limiter), limiter.add(address.clone()));
        let shared = Arc::new(Self { writer, gathering, address, limiter, id });
        let of_writer = Arc::clone(&shared);
        let make = move || BatchWriter { shared: Arc::clone(&of_writer) };
        (shared, ChildSpec::with_mailbox(path.id(), mailbox, make))
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut Gathering<W>) -> T) -> T {
        self.gathering
            .take_part(|gathering| Some(use_it(gathering)))
            .expect("the slot is filled at its making")
    }

    /// Writes a row. `None` when its run is not held any more.
    ///
    /// # Errors
    /// When the database refuses the row, or does not answer and the writer gives up.
    pub(super) async fn submit(self: &Arc<Self>, row: W::Row) -> Answer<W> {
        let (turn, wakes) = self.with(|gathering| {
            if gathering.rows.is_empty()
                && gathering.is_worth(1)
                && let Some(writing) = self.limiter.begin(self.id)
            {
                gathering.last = 1;
                return (RowTurn::<W>::Alone(row, writing), false);
            }
            gathering.since.get_or_insert_with(Instant::now);
            let (reply, answer) = oneshot::channel();
            gathering.rows.push_back(GatheredRow { row, reply });
            // The first row has the writer look again after a while, also when no write ends. The row that
            // makes the batch worth its commit has the writer begin it, or wait for its turn.
            let count = gathering.rows.len();
            let wakes = !gathering.is_woken
                && (count == 1 || gathering.is_worth(count) && self.limiter.may_begin(self.id));
            gathering.is_woken |= wakes;
            (RowTurn::Gathered(answer), wakes)
        });
        if wakes {
            self.address.notify(BatchMessage::Proceed);
        }
        match turn {
            RowTurn::Alone(row, _writing) => self.write_all(&[&row]).await.pop().unwrap_or(Ok(None)),
            RowTurn::Gathered(answer) => answer.await.unwrap_or_else(|_| {
                Err(Fault::new(Code::OutcomeUnknown, "the writer crashed before it answered"))
            }),
        }
    }

    /// Takes the rows of the next write, which begins with this.
    fn take_batch(&self) -> Option<(Vec<GatheredRow<W>>, Writing)> {
        self.with(|gathering| {
            gathering.is_woken = false;
            // A run that was stopped does not wait for its row any more.
            gathering.rows.retain(|gathered| !gathered.reply.is_closed());
            let mut bytes = 0;
            let fits = |gathered: &&GatheredRow<W>| {
                bytes += W::bytes(&gathered.row);
                bytes <= BATCH_BYTES_MAX
            };
            let rows = gathering.rows.iter().take(BATCH_MAX).take_while(fits).count();
            // A larger row is a batch of its own.
            let rows = rows.max(1).min(gathering.rows.len());
            if rows == 0 {
                gathering.since = None;
                self.limiter.withdraw(self.id);
                return None;
            }
            if !gathering.is_worth(rows) {
                return None;
            }
            let writing = self.limiter.begin(self.id)?;
            gathering.last = rows;
            gathering.since = (rows < gathering.rows.len()).then(Instant::now);
            Some((gathering.rows.drain(..rows).collect(), writing))
        })
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
                    tokio::time::sleep(OUTAGE_BACKOFF.jittered(failures)).await;
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
    fn proceed(&self, cx: &Context<BatchMessage>, again: &mut Option<Timer>) {
        while let Some((batch, writing)) = self.shared.take_batch() {
            // Ended also when the actor ends during the write.
            let shared = Arc::clone(&self.shared);
            cx.spawn("write", async move {
                let (rows, replies): (Vec<_>, Vec<_>) =
                    batch.into_iter().map(|gathered| (gathered.row, gathered.reply)).unzip();
                let answers = shared.write_all(&rows.iter().collect::<Vec<_>>()).await;
                drop(writing);
                for (reply, answer) in replies.into_iter().zip(answers) {
                    // The run may have been stopped meanwhile.
                    let _gone = reply.send(answer);
                }
            });
        }
        let waits = self.shared.with(|gathering| !gathering.rows.is_empty());
        *again = waits.then(|| cx.send_after(LOOK_AGAIN, BatchMessage::Proceed));
    }
}

impl<W: WriteRows> Actor for BatchWriter<W> {
    type Message = BatchMessage;
    /// Looks again whether what gathers may be written.
    type State = Option<Timer>;
    const KIND: &'static str = W::KIND;

    async fn start(&self, cx: &Context<BatchMessage>) -> Result<Option<Timer>, ActorError> {
        // Rows may have gathered before a restart.
        cx.address().cast(BatchMessage::Proceed)?;
        Ok(None)
    }

    async fn handle(
        &self,
        cx: &Context<BatchMessage>,
        message: BatchMessage,
        again: &mut Option<Timer>,
    ) -> Result<(), ActorError> {
        match message {
            BatchMessage::Proceed => self.proceed(cx, again),
        }
        Ok(())
    }
}
