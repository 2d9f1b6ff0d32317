//! One admitted call, from its arguments to its answer.

use std::error::Error;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::oneshot;
use tracing::{Instrument, Span};

use crate::app::catalog::Decoded;
use crate::app::context::{Effects, Scope};
use crate::app::{Access, KindName, Meta, Registration};
use crate::change::{Hint, TopicSet};
use crate::db::error::is_stale;
use crate::db::handle::Db;
use crate::db::transaction::{Transaction, TransactionOptions};
use crate::function::actor::{JOBS_PATH, PATH};
use crate::function::admission::Permit;
use crate::function::idempotency::{Key, Replay};
use crate::function::inflight::{InFlight, Row};
use crate::function::messages::Room;
use crate::function::signals::{HandlerMetrics, Outcome};
use crate::kernel::backoff::Backoff;
use crate::kernel::commit::Receipt;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::Invocation;
use crate::kernel::limits;
use crate::kernel::time::format_duration;
use crate::supervise::{Crash, Panic, catch_unwind};

/// Between two attempts of a mutation that lost a race: long enough for the winner to commit.
const RACE_BACKOFF: Backoff = Backoff::exponential(Duration::from_millis(4), Duration::from_millis(100));

/// Checks what is left to check, then runs the call: a query here, what writes as a task of the room whose
/// answer is awaited.
pub(super) async fn admitted(
    room: &Arc<Room>,
    registration: &'static Registration,
    invocation: Invocation,
    depth: u32,
) -> Settled {
    let permit = match admit(room, &registration.meta, &invocation, depth) {
        Ok(permit) => permit,
        Err(fault) => return (Err(fault), Receipt::default()),
    };
    let span = span_of(&invocation, depth);
    let call = Call::new(room, registration, invocation, depth, permit);
    if registration.meta.kind == KindName::Query {
        // A query leaves nothing behind when it is dropped half-way, so it runs in its caller's task and ends
        // with it.
        return room.tasks.track_future(call.run()).instrument(span).await;
    }
    let (answer, answered) = oneshot::channel();
    let task = async move {
        // The caller may be gone; what was committed stays committed.
        let _gone = answer.send(call.run().await);
    };
    room.tasks.spawn(task.instrument(span));
    answered.await.unwrap_or_else(|_| {
        (Err(Fault::new(Code::Unavailable, "the node stopped before the call ended")), Receipt::default())
    })
}

fn admit(room: &Room, meta: &Meta, invocation: &Invocation, depth: u32) -> Result<Permit, Fault> {
    if invocation.args.len() > meta.input_bytes_max {
        let message = format!("the arguments are larger than {} bytes", meta.input_bytes_max);
        return Err(Fault::new(Code::PayloadTooLarge, message));
    }
    if room.tasks.is_closed() && depth == 0 {
        return Err(Fault::new(Code::Unavailable, "the node is stopping").retry_after(Duration::from_secs(1)));
    }
    if meta.kind == KindName::Action && invocation.idempotency_key.is_some() {
        let message = "an action may do things that no transaction takes back, so it takes no idempotency key; mutations and queries do";
        return Err(Fault::new(Code::BadRequest, message));
    }
    room.admission.enter(&invocation.name, depth > 0)
}

/// The caller's span, which has the name and the trace already; a call inside another one gets its own.
fn span_of(invocation: &Invocation, depth: u32) -> Span {
    let current = Span::current();
    if depth == 0 && !current.is_none() {
        return current;
    }
    tracing::info_span!("call", handler = %invocation.name, trace_id = %invocation.trace.trace_id_hex())
}

/// Why a call did not answer.
pub(super) enum Failed {
    Fault(Fault),
    Panic(Panic),
    /// It took longer than it may.
    Deadline,
    /// The node stops, and has waited long enough.
    Drain,
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

type Answer = Result<Bytes, Fault>;
pub(super) type Ended = Result<Bytes, Failed>;

/// The answer, and what was committed for it.
pub(super) type Settled = (Answer, Receipt);

/// Counts a call when it ends, also when it is dropped before.
pub(super) struct Ending<'a> {
    call: &'a Call,
    pub(super) outcome: Outcome,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let room = &self.call.room;
        room.calls.fetch_add(1, Relaxed);
        if matches!(self.outcome, Outcome::Panic | Outcome::Timeout | Outcome::Internal) {
            room.errors.fetch_add(1, Relaxed);
        }
        if let Some(metrics) = self.call.metrics() {
            metrics.ended(self.outcome, self.call.began.elapsed());
        }
    }
}

pub(super) struct Call {
    pub(super) room: Arc<Room>,
    pub(super) registration: &'static Registration,
    pub(super) invocation: Arc<Invocation>,
    depth: u32,
    began: Instant,
    /// What the handler asked for that happens with its commit.
    effects: Effects,
    receipt: OnceLock<Receipt>,
    _permit: Permit,
}

impl Call {
    pub(super) fn new(
        room: &Arc<Room>,
        registration: &'static Registration,
        invocation: Invocation,
        depth: u32,
        permit: Permit,
    ) -> Self {
        Self {
            room: Arc::clone(room),
            registration,
            invocation: Arc::new(invocation),
            depth,
            began: Instant::now(),
            effects: Effects::default(),
            receipt: OnceLock::new(),
            _permit: permit,
        }
    }

    /// Stands in the table of running calls, and is counted, until both are dropped.
    pub(super) fn begin(&self) -> (Row, Ending<'_>) {
        let row = InFlight {
            request: self.invocation.id,
            name: Arc::clone(&self.invocation.name),
            since: self.began,
        };
        (self.room.table.enter(row), Ending { call: self, outcome: Outcome::Cancelled })
    }

    async fn run(mut self) -> Settled {
        let (_row, mut ending) = self.begin();
        // Reading the arguments and dropping a cut handler run application code too, so all of it is
        // contained.
        let ended = catch_unwind(self.by_kind()).await.unwrap_or_else(|panic| Err(Failed::Panic(panic)));
        let (outcome, answer) = self.conclude(ended);
        ending.outcome = outcome;
        drop(ending);
        (answer, self.receipt.take().unwrap_or_default())
    }

    fn metrics(&self) -> Option<&HandlerMetrics> {
        self.room.metrics.get(&*self.invocation.name)
    }

    async fn by_kind(&self) -> Ended {
        let mut attempt = 1;
        loop {
            let ended = match self.registration.meta.kind {
                KindName::Query => self.query().await,
                KindName::Mutation => self.mutation().await,
                // What an action did outside cannot be undone, so it is not run again.
                KindName::Action => return self.guarded(self.start(self.decode()?, None)).await,
                KindName::Job => return Err(Fault::internal("a job is dispatched, not called").into()),
            };
            let lost_race = matches!(&ended, Err(Failed::Fault(fault)) if lost_race(fault));
            let pause = RACE_BACKOFF.jittered(attempt);
            if !lost_race || attempt >= limits::ATTEMPTS_MAX || self.remaining() <= pause {
                return ended;
            }
            if let Some(metrics) = self.metrics() {
                metrics.retried();
            }
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    fn deadline(&self) -> Instant {
        let own = self.began + self.registration.meta.timeout;
        self.invocation.deadline.map_or(own, |caller| caller.min(own))
    }

    fn remaining(&self) -> Duration {
        self.deadline().saturating_duration_since(Instant::now())
    }

    /// Reads the arguments; done anew for each attempt, since running consumes the message.
    pub(super) fn decode(&self) -> Result<Box<dyn Decoded>, Fault> {
        self.registration.decode(&self.invocation.args)
    }

    fn start(&self, message: Box<dyn Decoded>, db: Option<Db>) -> BoxFuture<'static, Answer> {
        message.run(self.scope(), db)
    }

    pub(super) fn scope(&self) -> Scope {
        Scope::new(
            Arc::clone(&self.invocation),
            self.depth,
            self.deadline(),
            self.effects.clone(),
            self.room.services(),
        )
    }

    /// Waits for `future` unless the call is cut first.
    async fn unless_cut<T>(&self, future: impl Future<Output = T>) -> Result<T, Failed> {
        tokio::select! {
            biased;
            done = future => Ok(done),
            () = tokio::time::sleep_until(self.deadline().into()) => Err(Failed::Deadline),
            () = self.room.cancelled() => Err(Failed::Drain),
        }
    }

    /// Runs a handler's future until it ends, panics or is cut.
    pub(super) async fn guarded(&self, running: BoxFuture<'static, Answer>) -> Ended {
        let output = self.unless_cut(catch_unwind(running)).await?.map_err(Failed::Panic)??;
        // A handler that blocks its thread cannot be cut, but it is late all the same.
        if Instant::now() > self.deadline() { Err(Failed::Deadline) } else { Ok(output) }
    }

    async fn query(&self) -> Ended {
        let message = self.decode()?;
        let database = &self.room.database;
        if !self.registration.meta.snapshot {
            // Dropping the handler's future gives its session back as broken; the database room cancels the
            // statement.
            return self.guarded(self.start(message, Some(database.reader()))).await;
        }
        let beginning = database.snapshot(&self.invocation.name, self.remaining());
        let tx = self.unless_cut(beginning).await??;
        let ended = self.guarded(self.start(message, Some(tx.db()))).await;
        end(tx, ended).await.map(|(output, _)| output)
    }

    async fn mutation(&self) -> Ended {
        // Read first: arguments that are refused cost no transaction.
        let message = self.decode()?;
        let options = TransactionOptions {
            isolation: self.registration.meta.isolation,
            read_only: false,
            statement_timeout: self.remaining(),
            label: &self.invocation.name,
        };
        let beginning = Transaction::begin(&self.room.database, options);
        let tx = self.unless_cut(beginning).await??;
        let ended = match Key::of(&self.invocation) {
            None => self.guarded(self.start(message, Some(tx.db()))).await,
            Some(key) => match self.keyed(&key, message, &tx).await {
                Ok(Keyed::First(output)) => Ok(output),
                Ok(Keyed::Again(Replay { answer, receipt })) => {
                    tx.rollback().await;
                    self.receipt.set(receipt).unwrap_or_else(|_| unreachable!("a call is answered once"));
                    return Ok(answer);
                }
                Err(failed) => Err(failed),
            },
        };
        let (output, receipt) = end(tx, ended).await?;
        let mut topics: TopicSet = receipt.tables.iter().copied().collect();
        topics.extend(self.effects.take_queues());
        self.room.hints.publish(Hint { xid: receipt.xid, topics });
        self.receipt.set(receipt).unwrap_or_else(|_| unreachable!("a call commits once"));
        Ok(output)
    }

    /// Runs the handler between reserving its key and keeping its answer, unless the key was used before.
    async fn keyed(
        &self,
        key: &Key<'_>,
        message: Box<dyn Decoded>,
        tx: &Transaction,
    ) -> Result<Keyed, Failed> {
        let db = tx.db();
        if let Some(replay) = self.unless_cut(key.reserve(&db)).await?? {
            return Ok(Keyed::Again(replay));
        }
        let output = self.guarded(self.start(message, Some(tx.db()))).await?;
        // What anyone may call is how one signs in, and what it answers is nothing to keep in a table, or to
        // answer to whoever has the key.
        if self.registration.meta.access != Access::Public {
            self.unless_cut(key.store(&db, &output)).await??;
        }
        Ok(Keyed::First(output))
    }

    pub(super) fn conclude(&self, ended: Ended) -> (Outcome, Answer) {
        let failed = match ended {
            Ok(output) => return (Outcome::Ok, Ok(output)),
            Err(failed) => failed,
        };
        let (outcome, fault) = match failed {
            Failed::Fault(fault) if fault.code() == Code::Timeout => (Outcome::Timeout, fault),
            Failed::Fault(fault) if fault.code() == Code::Internal => (Outcome::Internal, fault),
            Failed::Fault(fault) => (Outcome::Fault, fault),
            Failed::Panic(panic) => {
                (Outcome::Panic, panicked(&self.room, &self.registration.meta, &self.invocation.name, panic))
            }
            Failed::Deadline => (Outcome::Timeout, too_late(&self.registration.meta, &self.invocation.name)),
            Failed::Drain => {
                let fault = Fault::new(Code::Unavailable, "the node stopped before the call ended");
                (Outcome::Cancelled, fault.retry_after(Duration::from_secs(1)))
            }
        };
        (outcome, Err(fault))
    }
}

/// A handler's panic goes to the journal; its caller learns only that the call failed.
pub(super) fn panicked(room: &Room, meta: &Meta, name: &str, panic: Panic) -> Fault {
    let place = if meta.kind == KindName::Job { JOBS_PATH } else { PATH };
    let crash = Crash::new(&format!("{place}/{name}"), meta.kind.as_str(), &panic.message);
    let fault = Fault::internal(panic.to_string());
    room.tree.journal().record_crash(Crash {
        location: Some(panic.location),
        backtrace: Some(panic.backtrace),
        ..crash
    });
    fault
}

pub(super) fn too_late(meta: &Meta, name: &str) -> Fault {
    let limit = format_duration(meta.timeout);
    Fault::new(Code::Timeout, format!("`{name}` took longer than its time limit of {limit} or its caller's"))
}

/// What a call with an idempotency key comes to.
enum Keyed {
    /// It ran.
    First(Bytes),
    /// It was answered before.
    Again(Replay),
}

/// Ends a transaction as its handler ended: only a commit that Postgres confirmed is an answer.
async fn end(tx: Transaction, ended: Ended) -> Result<(Bytes, Receipt), Failed> {
    let failed = match ended {
        Ok(output) => return Ok((output, tx.commit().await?)),
        Err(failed) => failed,
    };
    match failed {
        Failed::Fault(_) | Failed::Panic(_) => tx.rollback().await,
        Failed::Deadline | Failed::Drain => tx.abort().await,
    }
    Err(failed)
}

/// The fault of a serialization failure, a deadlock, or a schema that changed under a prepared statement: the
/// same call may well succeed the next time, on another session.
fn lost_race(fault: &Fault) -> bool {
    matches!(fault.sqlstate().as_deref(), Some("40001" | "40P01"))
        || fault.source().and_then(|source| source.downcast_ref()).is_some_and(is_stale)
}
