//! One attempt at a job: the handler runs as an action does, and its end is told apart finely enough to
//! decide what becomes of the job.
//!
//! It runs in its worker's task, so that a worker that is stopped ends it; what it calls runs to its end, as
//! what actions call.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::Instrument;

use crate::app::job::{Conclude, Snooze};
use crate::function::admission::Permit;
use crate::function::messages::Functions;
use crate::function::run::{Call, Ended, Failed};
use crate::function::signals::Outcome;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::Invocation;
use crate::supervise::catch_unwind;

/// How an attempt ended.
#[derive(Debug)]
pub enum AttemptEnd {
    /// The handler returned `Ok`.
    Done,
    /// It asked to be run later.
    Snoozed(Duration),
    /// The arguments do not fit the handler: another attempt would not help.
    Refused(Fault),
    /// It failed, panicked or took too long.
    Failed(Fault),
    /// The node stops, and nobody is to blame.
    Cut,
}

impl AttemptEnd {
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Snoozed(_) => "snoozed",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
            Self::Cut => "cut",
        }
    }
}

impl Functions {
    /// Runs a job's handler once. Workers limit how many run, so it takes no place of a call.
    pub async fn attempt(&self, invocation: Invocation, attempt: Arc<dyn Conclude>) -> AttemptEnd {
        let Some(registration) = self.room.find(&invocation.name).filter(|found| found.meta.job.is_some())
        else {
            return AttemptEnd::Failed(Fault::new(Code::NotFound, "this binary has no such job"));
        };
        let span = tracing::info_span!(
            "job",
            handler = %invocation.name,
            trace_id = %invocation.trace.trace_id_hex(),
            job = %attempt.attempt().job,
            attempt = attempt.attempt().number,
        );
        let call = Call::new(&self.room, registration, invocation, 0, Permit::unlimited());
        let began = Instant::now();
        let ended = async {
            let end = call.attempt(attempt).await;
            tracing::debug!(
                end = end.as_str(),
                ms = began.elapsed().as_secs_f64() * 1_000.0,
                "an attempt ended"
            );
            end
        };
        ended.instrument(span).await
    }
}

impl Call {
    async fn attempt(self, attempt: Arc<dyn Conclude>) -> AttemptEnd {
        let (_row, mut ending) = self.begin();
        let message = match catch_unwind(async { self.decode() }).await {
            Ok(Ok(message)) => message,
            Ok(Err(fault)) => {
                ending.outcome = Outcome::Fault;
                return AttemptEnd::Refused(fault);
            }
            Err(panic) => {
                let (outcome, answer) = self.conclude(Err(Failed::Panic(panic)));
                ending.outcome = outcome;
                return answer.map_or_else(AttemptEnd::Failed, |_| AttemptEnd::Done);
            }
        };
        let running = message.run(self.scope().attempting(attempt), None);
        // Dropping a cut handler runs application code too.
        let ended: Ended =
            catch_unwind(self.guarded(running)).await.unwrap_or_else(|panic| Err(Failed::Panic(panic)));
        if let Err(Failed::Fault(fault)) = &ended
            && let Some(Snooze(delay)) = fault.source().and_then(|source| source.downcast_ref())
        {
            ending.outcome = Outcome::Ok;
            return AttemptEnd::Snoozed(*delay);
        }
        if matches!(ended, Err(Failed::Drain)) {
            return AttemptEnd::Cut;
        }
        let (outcome, answer) = self.conclude(ended);
        ending.outcome = outcome;
        answer.map_or_else(AttemptEnd::Failed, |_| AttemptEnd::Done)
    }
}
