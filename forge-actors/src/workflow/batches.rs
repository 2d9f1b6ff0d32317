//! Group commit: rows of different runs that come at the same time are written by one statement.
//!
//! ```text
//!   submit ──nothing gathers, a write may begin──▶ written alone
//!      └─────────────────────────────otherwise──▶ gathered ──▶ the next write takes them all
//! ```
//!
//! A row that comes alone is written at once. At most two writes are under way, each on one connection, so a
//! busier node writes larger batches. The second write begins only when the first one has at most eight rows
//! or takes longer than 0.5 ms, and when it has at least as many rows as are being written: a statement with
//! its commit costs as much as ten rows, and a second write without these conditions had batches of 12 rows
//! with 50 runs. Rows wait at most 10 ms for a write that is stuck.
//!
//! Invariants
//! - A row is answered after the commit that wrote it, with what the database said about that row.
//! - A row that the database refuses is found by halving its batch, and fails alone.
//! - What gathers is bounded by the runs that are active: each waits for its row.
//! - What gathers is written at the latest when the writes that are under way have ended: each of them wakes
//!   the writer.
//! - An outage is a pause: the batch is written again until [`WriteRows::gives_up`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::kernel::backoff::Backoff;
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::halving::Halving;
use crate::kernel::merge_slot::MergeSlot;
use crate::kernel::time::{millis, secs};
use crate::subsystem::ActorPath;
use crate::supervise::{Actor, ActorError, Address, ChildSpec, Context, Mailbox, Timer};

/// Writes that are under way at the same time.
const WRITES_MAX: usize = 2;
/// Rows of a write beside which another one begins at once.
const SMALL: usize = 8;
/// A write that is under way for so long waits for the disk rather than for a core.
const SLOW: Duration = Duration::from_micros(500);
/// A write that is under way for so long may wait for a lock: others do not wait for it.
const STUCK: Duration = millis(10);
/// Rows of one batch.
const BATCH_MAX: usize = 500;
/// Bytes of one batch; a larger row is a batch of its own.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
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

/// The rows that wait, and the writes that are under way.
struct Gathering<W: WriteRows> {
    rows: VecDeque<GatheredRow<W>>,
    /// Writes under way.
    writes: usize,
    /// Their rows.
    writing: usize,
    /// When the last of them began.
    began: Option<Instant>,
    /// The writer has a message that it has not handled yet.
    is_woken: bool,
}

/// What becomes of a row that is submitted.
enum RowTurn<W: WriteRows> {
    /// It is written at once.
    Alone(W::Row),
    /// It is written with others.
    Gathered(oneshot::Receiver<Answer<W>>),
}

impl<W: WriteRows> Gathering<W> {
    /// Whether a write of so many rows may begin: see the module.
    fn may_write(&self, rows: usize) -> bool {
        let is_second_worth = || {
            let age = self.began.map_or(Duration::ZERO, |began| began.elapsed());
            age > STUCK || rows >= self.writing && (self.writing <= SMALL || age > SLOW)
        };
        self.writes == 0 || self.writes < WRITES_MAX && is_second_worth()
    }

    fn begin(&mut self, rows: usize) {
        self.writes += 1;
        self.writing += rows;
        self.began = Some(Instant::now());
    }
}

/// Where rows are submitted. The fields without a comment are set once and only read.
pub(super) struct Batches<W: WriteRows> {
    writer: W,
    /// Filled at its making. Written by those who submit and by the writes; the writer, which takes what has
    /// gathered, is woken with a message.
    gathering: MergeSlot<Gathering<W>>,
    address: Address<BatchMessage>,
}

/// Writes that are under way until this is dropped.
struct Writing<W: WriteRows> {
    batches: Arc<Batches<W>>,
    rows: usize,
}

impl<W: WriteRows> Drop for Writing<W> {
    fn drop(&mut self) {
        let has_next = self.batches.with(|gathering| {
            gathering.writes -= 1;
            gathering.writing -= self.rows;
            !gathering.rows.is_empty() && !std::mem::replace(&mut gathering.is_woken, true)
        });
        if has_next {
            self.batches.address.notify(BatchMessage::Proceed);
        }
    }
}

impl<W: WriteRows> Batches<W> {
    /// The child that writes what gathers at `path`, and where rows are submitted.
    pub(super) fn spec(path: &'static ActorPath, writer: W) -> (Arc<Self>, ChildSpec) {
        let (mailbox, address) = Mailbox::of::<BatchWriter<W>>();
        let gathering = MergeSlot::new();
        gathering.put(|slot| {
            *slot = Some(Gathering {
                rows: VecDeque::new(),
                writes: 0,
                writing: 0,
                began: None,
                is_woken: false,
            });
        });
        let shared = Arc::new(Self { writer, gathering, address });
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
            if gathering.rows.is_empty() && gathering.may_write(1) {
                gathering.begin(1);
                return (RowTurn::<W>::Alone(row), false);
            }
            let (reply, answer) = oneshot::channel();
            gathering.rows.push_back(GatheredRow { row, reply });
            // The first one that may not be written has the writer look again after a while.
            let count = gathering.rows.len();
            let wakes = !gathering.is_woken && (count == 1 || gathering.may_write(count));
            gathering.is_woken |= wakes;
            (RowTurn::Gathered(answer), wakes)
        });
        if wakes {
            self.address.notify(BatchMessage::Proceed);
        }
        match turn {
            RowTurn::Alone(row) => {
                let _writing = Writing { batches: Arc::clone(self), rows: 1 };
                self.write_all(&[&row]).await.pop().unwrap_or(Ok(None))
            }
            RowTurn::Gathered(answer) => answer.await.unwrap_or_else(|_| {
                Err(Fault::new(Code::OutcomeUnknown, "the writer crashed before it answered"))
            }),
        }
    }

    /// Takes the rows of the next write, which begins with this.
    fn take_batch(&self) -> Vec<GatheredRow<W>> {
        self.with(|gathering| {
            gathering.is_woken = false;
            let (mut batch, mut bytes): (Vec<GatheredRow<W>>, _) = (Vec::new(), 0);
            if !gathering.may_write(gathering.rows.len()) {
                return batch;
            }
            while batch.len() < BATCH_MAX
                && let Some(next) = gathering.rows.front()
                && (batch.is_empty() || bytes + W::bytes(&next.row) <= BATCH_BYTES_MAX)
                && let Some(next) = gathering.rows.pop_front()
            {
                // A run that was stopped does not wait for its row any more.
                if !next.reply.is_closed() {
                    bytes += W::bytes(&next.row);
                    batch.push(next);
                }
            }
            if !batch.is_empty() {
                gathering.begin(batch.len());
            }
            batch
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
        loop {
            let batch = self.shared.take_batch();
            if batch.is_empty() {
                let waits = self.shared.with(|gathering| !gathering.rows.is_empty());
                *again = waits.then(|| cx.send_after(STUCK + millis(1), BatchMessage::Proceed));
                return;
            }
            // Ended also when the actor ends during the write.
            let writing = Writing { batches: Arc::clone(&self.shared), rows: batch.len() };
            cx.spawn("write", async move {
                let (rows, replies): (Vec<_>, Vec<_>) =
                    batch.into_iter().map(|gathered| (gathered.row, gathered.reply)).unzip();
                let answers = writing.batches.write_all(&rows.iter().collect::<Vec<_>>()).await;
                drop(writing);
                for (reply, answer) in replies.into_iter().zip(answers) {
                    // The run may have been stopped meanwhile.
                    let _gone = reply.send(answer);
                }
            });
        }
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
