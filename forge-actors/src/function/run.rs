//! One admitted call, from its arguments to its answer.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::oneshot;
use tracing::{Instrument, Span};

use crate::app::catalog::Decoded;
use crate::app::context::Scope;
use crate::app::{KindName, Registration};
use crate::db::error::is_stale;
use crate::db::handle::Db;
use crate::db::transaction::{Transaction, TransactionOptions};
use crate::function::actor::PATH;
use crate::function::inflight::InFlight;
use crate::function::messages::Room;
use crate::function::signals::Outcome;
use crate::kernel::backoff::Backoff;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::Invocation;
use crate::kernel::limits;
use crate::kernel::time::format_duration;
use crate::supervise::{Crash, Panic, catch_unwind};

/// Between two attempts of a mutation that lost a race: long enough for the winner to commit.
const RACE_BACKOFF: Backoff = Backoff::exponential(Duration::from_millis(4), Duration::from_millis(100));

/// Checks what is left to check, then runs the call as a task of the room and waits for its answer.
pub(super) async fn admitted(
    room: &Arc<Room>,
    registration: &'static Registration,
    invocation: Invocation,
    depth: u32,
) -> Result<Bytes, Fault> {
    let meta = &registration.meta;
    if invocation.args.len() > meta.input_bytes_max {
        let message = format!("the arguments are larger than {} bytes", meta.input_bytes_max);
        return Err(Fault::new(Code::PayloadTooLarge, message));
    }
    if room.tasks.is_closed() && depth == 0 {
        return Err(Fault::new(Code::Unavailable, "the node is stopping").retry_after(Duration::from_secs(1)));
    }
    let permit = room.admission.enter(&invocation.name, depth > 0)?;
    let (answer, answered) = oneshot::channel();
    let span = span_of(&invocation, depth);
    let call = Call { room: room.clone(), registration, invocation: Arc::new(invocation), depth, began: Instant::now() };
    let task = async move {
        let _permit = permit;
        call.run(answer).await;
    };
    room.tasks.spawn(task.instrument(span));
    answered.await.unwrap_or_else(|_| Err(Fault::new(Code::Unavailable, "the node stopped before the call ended")))
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
enum Failed {
    Fault(Fault),
    Panic(Panic),
    /// It took longer than it may.
    Deadline,
    /// The node stops, and has waited long enough.
    Drain,
    /// Nobody waits for the answer of a query any more.
    CallerGone,
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

type Answer = Result<Bytes, Fault>;
type Ended = Result<Bytes, Failed>;

/// Who waits. Only a query ends with its caller: what writes goes on.
struct Waiting<'a>(Option<&'a mut oneshot::Sender<Answer>>);

impl Waiting<'_> {
    async fn gone(&mut self) {
        match &mut self.0 {
            Some(answer) => answer.closed().await,
            None => std::future::pending().await,
        }
    }
}

struct Call {
    room: Arc<Room>,
    registration: &'static Registration,
    invocation: Arc<Invocation>,
    depth: u32,
    began: Instant,
}

impl Call {
    async fn run(self, mut answer: oneshot::Sender<Answer>) {
        let row = InFlight { request: self.invocation.id, name: Arc::clone(&self.invocation.name), since: self.began };
        let _row = self.room.table.enter(row);
        // Reading the arguments and dropping a cut handler run application code too, so all of it is contained.
        let ended = catch_unwind(self.by_kind(&mut answer)).await.unwrap_or_else(|panic| Err(Failed::Panic(panic)));
        let (outcome, result) = self.conclude(ended);
        if let Some(metrics) = self.room.metrics.get(&*self.invocation.name) {
            metrics.ended(outcome, self.began.elapsed());
        }
        // The caller may be gone; what was committed stays committed.
        let _gone = answer.send(result);
    }

    async fn by_kind(&self, answer: &mut oneshot::Sender<Answer>) -> Ended {
        let mut waiting = Waiting((self.registration.meta.kind == KindName::Query).then_some(answer));
        let mut attempt = 1;
        loop {
            let ended = match self.registration.meta.kind {
                KindName::Query => self.query(&mut waiting).await,
                KindName::Mutation => self.mutation().await,
                // What an action did outside cannot be undone, so it is not run again.
                KindName::Action => return self.guarded(self.start(self.decode()?, None), &mut waiting).await,
            };
            let lost_race = matches!(&ended, Err(Failed::Fault(fault)) if lost_race(fault));
            let pause = RACE_BACKOFF.jittered(attempt);
            if !lost_race || attempt >= limits::ATTEMPTS_MAX || self.remaining() <= pause {
                return ended;
            }
            if let Some(metrics) = self.room.metrics.get(&*self.invocation.name) {
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
    fn decode(&self) -> Result<Box<dyn Decoded>, Fault> {
        self.registration.decode(&self.invocation.args)
    }

    fn start(&self, message: Box<dyn Decoded>, db: Option<Db>) -> BoxFuture<'static, Answer> {
        let scope = Scope::new(Arc::clone(&self.invocation), self.depth, self.deadline(), self.room.services());
        message.run(scope, db)
    }

    /// Waits for `future` unless the call is cut first.
    async fn unless_cut<T>(&self, future: impl Future<Output = T>, waiting: &mut Waiting<'_>) -> Result<T, Failed> {
        tokio::select! {
            biased;
            done = future => Ok(done),
            () = tokio::time::sleep_until(self.deadline().into()) => Err(Failed::Deadline),
            () = self.room.cancelled() => Err(Failed::Drain),
            () = waiting.gone() => Err(Failed::CallerGone),
        }
    }

    /// Runs a handler's future until it ends, panics or is cut.
    async fn guarded(&self, running: BoxFuture<'static, Answer>, waiting: &mut Waiting<'_>) -> Ended {
        let output = self.unless_cut(catch_unwind(running), waiting).await?.map_err(Failed::Panic)??;
        // A handler that blocks its thread cannot be cut, but it is late all the same.
        if Instant::now() > self.deadline() { Err(Failed::Deadline) } else { Ok(output) }
    }

    async fn query(&self, waiting: &mut Waiting<'_>) -> Ended {
        let message = self.decode()?;
        let database = &self.room.database;
        if !self.registration.meta.snapshot {
            // Dropping the handler's future gives its session back as broken; the database room cancels the statement.
            return self.guarded(self.start(message, Some(database.reader())), waiting).await;
        }
        let beginning = database.snapshot(&self.invocation.name, self.remaining());
        let tx = self.unless_cut(beginning, waiting).await??;
        let ended = self.guarded(self.start(message, Some(tx.db())), waiting).await;
        end(tx, ended).await
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
        let tx = self.unless_cut(beginning, &mut Waiting(None)).await??;
        let ended = self.guarded(self.start(message, Some(tx.db())), &mut Waiting(None)).await;
        end(tx, ended).await
    }

    fn conclude(&self, ended: Ended) -> (Outcome, Answer) {
        let failed = match ended {
            Ok(output) => return (Outcome::Ok, Ok(output)),
            Err(failed) => failed,
        };
        let (outcome, fault) = match failed {
            Failed::Fault(fault) if fault.code() == Code::Timeout => (Outcome::Timeout, fault),
            Failed::Fault(fault) => (Outcome::Fault, fault),
            Failed::Panic(panic) => (Outcome::Panic, self.panicked(panic)),
            Failed::Deadline => {
                let limit = format_duration(self.registration.meta.timeout);
                let message = format!("`{}` took longer than its time limit of {limit} or its caller's", self.invocation.name);
                (Outcome::Timeout, Fault::new(Code::Timeout, message))
            }
            Failed::Drain => {
                let fault = Fault::new(Code::Unavailable, "the node stopped before the call ended");
                (Outcome::Cancelled, fault.retry_after(Duration::from_secs(1)))
            }
            Failed::CallerGone => (Outcome::Cancelled, Fault::new(Code::Cancelled, "the caller went away")),
        };
        (outcome, Err(fault))
    }

    fn panicked(&self, panic: Panic) -> Fault {
        let path = format!("{}/{}", PATH, self.invocation.name);
        let crash = Crash::new(&path, self.registration.meta.kind.as_str(), &panic.message);
        let fault = Fault::internal(panic.to_string());
        self.room.tree.journal().record_crash(Crash { location: Some(panic.location), backtrace: Some(panic.backtrace), ..crash });
        fault
    }
}

/// Ends a transaction as its handler ended: only a commit that Postgres confirmed is an answer.
async fn end(tx: Transaction, ended: Ended) -> Ended {
    match ended {
        Ok(output) => {
            tx.commit().await?;
            return Ok(output);
        }
        Err(Failed::Fault(_) | Failed::Panic(_)) => tx.rollback().await,
        Err(Failed::Deadline | Failed::Drain | Failed::CallerGone) => tx.abort().await,
    }
    ended
}

/// The fault of a serialization failure, a deadlock, or a schema that changed under a prepared statement: the same call may well
/// succeed the next time, on another session.
fn lost_race(fault: &Fault) -> bool {
    matches!(fault.sqlstate().as_deref(), Some("40001" | "40P01"))
        || fault.source().and_then(|source| source.downcast_ref()).is_some_and(is_stale)
}
