//! One admitted call, from its arguments to its answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::oneshot;
use tracing::{Instrument, Span};

use crate::app::catalog::Decoded;
use crate::app::context::Scope;
use crate::app::{KindName, Registration};
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

/// Why a handler did not end by itself.
enum Cut {
    Deadline,
    Drain,
    CallerGone,
}

/// What one attempt came to.
enum Attempt {
    Answered(Result<Bytes, Fault>),
    Panicked(Panic),
    Cut(Cut),
}

struct Call {
    room: Arc<Room>,
    registration: &'static Registration,
    invocation: Arc<Invocation>,
    depth: u32,
    began: Instant,
}

impl Call {
    async fn run(self, mut answer: oneshot::Sender<Result<Bytes, Fault>>) {
        let row = InFlight { request: self.invocation.id, name: Arc::clone(&self.invocation.name), since: self.began };
        let _row = self.room.table.enter(row);
        let attempt = match self.registration.meta.kind {
            KindName::Query => self.query(&mut answer).await,
            KindName::Mutation => self.mutation().await,
            KindName::Action => self.action().await,
        };
        let attempt = attempt.unwrap_or_else(|fault| Attempt::Answered(Err(fault)));
        let (outcome, result) = self.conclude(attempt);
        if let Some(metrics) = self.room.metrics.get(&*self.invocation.name) {
            metrics.ended(outcome, self.began.elapsed());
        }
        // The caller may be gone; what was committed stays committed.
        let _gone = answer.send(result);
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

    fn start(&self, message: Box<dyn Decoded>, db: Option<Db>) -> BoxFuture<'static, Result<Bytes, Fault>> {
        let scope = Scope::new(Arc::clone(&self.invocation), self.depth, self.deadline(), self.room.services());
        message.run(scope, db)
    }

    /// Runs a handler's future until it ends, panics or is cut.
    async fn guarded(&self, running: BoxFuture<'static, Result<Bytes, Fault>>, caller_gone: impl Future<Output = ()>) -> Attempt {
        tokio::select! {
            biased;
            ended = catch_unwind(running) => match ended {
                Ok(result) => Attempt::Answered(result),
                Err(panic) => Attempt::Panicked(panic),
            },
            () = tokio::time::sleep_until(self.deadline().into()) => Attempt::Cut(Cut::Deadline),
            () = self.room.cancelled() => Attempt::Cut(Cut::Drain),
            () = caller_gone => Attempt::Cut(Cut::CallerGone),
        }
    }

    async fn action(&self) -> Result<Attempt, Fault> {
        let running = self.start(self.decode()?, None);
        Ok(self.guarded(running, std::future::pending()).await)
    }

    async fn query(&self, answer: &mut oneshot::Sender<Result<Bytes, Fault>>) -> Result<Attempt, Fault> {
        let message = self.decode()?;
        if !self.registration.meta.snapshot {
            // Dropping the handler's future gives its session back as broken; the database room cancels the statement.
            let running = self.start(message, Some(self.room.database.reader()));
            return Ok(self.guarded(running, answer.closed()).await);
        }
        let tx = self.room.database.snapshot(&self.invocation.name, self.remaining()).await?;
        let running = self.start(message, Some(tx.db()));
        let attempt = self.guarded(running, answer.closed()).await;
        Ok(self.end(tx, attempt).await)
    }

    async fn mutation(&self) -> Result<Attempt, Fault> {
        for number in 1.. {
            let attempt = self.mutation_once().await?;
            let lost_race = matches!(&attempt, Attempt::Answered(Err(fault)) if lost_race(fault));
            let pause = RACE_BACKOFF.jittered(number);
            if !lost_race || number >= limits::MUTATION_ATTEMPTS_MAX || self.remaining() <= pause {
                return Ok(attempt);
            }
            if let Some(metrics) = self.room.metrics.get(&*self.invocation.name) {
                metrics.retried();
            }
            tokio::time::sleep(pause).await;
        }
        unreachable!("the attempts are counted from 1 without end")
    }

    async fn mutation_once(&self) -> Result<Attempt, Fault> {
        // Read first: arguments that are refused cost no transaction.
        let message = self.decode()?;
        let options = TransactionOptions {
            isolation: self.registration.meta.isolation,
            read_only: false,
            statement_timeout: self.remaining(),
            label: &self.invocation.name,
        };
        let tx = Transaction::begin(&self.room.database, options).await?;
        let running = self.start(message, Some(tx.db()));
        let attempt = self.guarded(running, std::future::pending()).await;
        Ok(self.end(tx, attempt).await)
    }

    /// Ends a transaction as its attempt ended: only an `Ok` that Postgres confirmed stays `Ok`.
    async fn end(&self, tx: Transaction, attempt: Attempt) -> Attempt {
        match attempt {
            Attempt::Answered(Ok(output)) => Attempt::Answered(tx.commit().await.map(|()| output)),
            Attempt::Answered(Err(_)) | Attempt::Panicked(_) => {
                tx.rollback().await;
                attempt
            }
            Attempt::Cut(_) => {
                tx.abort().await;
                attempt
            }
        }
    }

    fn conclude(&self, attempt: Attempt) -> (Outcome, Result<Bytes, Fault>) {
        match attempt {
            Attempt::Answered(Ok(output)) => (Outcome::Ok, Ok(output)),
            Attempt::Answered(Err(fault)) if fault.code() == Code::Timeout => (Outcome::Timeout, Err(fault)),
            Attempt::Answered(Err(fault)) => (Outcome::Fault, Err(fault)),
            Attempt::Panicked(panic) => (Outcome::Panic, Err(self.panicked(panic))),
            Attempt::Cut(Cut::Deadline) => {
                let limit = self.registration.meta.timeout;
                let message = format!("`{}` took longer than {}", self.invocation.name, crate::kernel::time::format_duration(limit));
                (Outcome::Timeout, Err(Fault::new(Code::Timeout, message)))
            }
            Attempt::Cut(Cut::Drain) => (
                Outcome::Cancelled,
                Err(Fault::new(Code::Unavailable, "the node stopped before the call ended").retry_after(Duration::from_secs(1))),
            ),
            Attempt::Cut(Cut::CallerGone) => (Outcome::Cancelled, Err(Fault::new(Code::Cancelled, "the caller went away"))),
        }
    }

    fn panicked(&self, panic: Panic) -> Fault {
        let path = format!("{}/{}", PATH, self.invocation.name);
        let crash = Crash::new(&path, self.registration.meta.kind.as_str(), &panic.message);
        let fault = Fault::internal(panic.to_string());
        self.room.tree.journal().record_crash(Crash { location: Some(panic.location), backtrace: Some(panic.backtrace), ..crash });
        fault
    }
}

/// The fault of a serialization failure or a deadlock: the same call may well succeed the next time.
fn lost_race(fault: &Fault) -> bool {
    matches!(fault.sqlstate().as_deref(), Some("40001" | "40P01"))
}
