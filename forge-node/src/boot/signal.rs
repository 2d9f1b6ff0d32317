//! SIGTERM and SIGINT: the first one drains the node, the second one ends the process at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::terminal::report::{Exit, Report};

/// The signals that stop a node.
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Receives the signals from now on; they no longer kill the process.
    pub fn take() -> Result<Self, Report> {
        let take = |kind| {
            signal(kind).map_err(|error| {
                Report::new(Exit::Failed, "signals", "signals cannot be received").cause(error)
            })
        };
        Ok(Self { terminate: take(SignalKind::terminate())?, interrupt: take(SignalKind::interrupt())? })
    }

    /// Waits for the next signal, and returns its name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Runs `work` until it ends or a signal arrives.
pub async fn interruptible<T>(work: impl Future<Output = Result<T, Report>>) -> Result<T, Report> {
    let mut signals = StopSignals::take()?;
    tokio::select! {
        outcome = work => outcome,
        signal = signals.next() => {
            Err(Report::new(Exit::Interrupted, "interrupted", format!("ended by {signal}")))
        }
    }
}

/// The report of a node that a second signal ended.
pub fn interrupted() -> Report {
    Report::new(Exit::Interrupted, "interrupted", "a second signal ended the node before it had drained")
}
