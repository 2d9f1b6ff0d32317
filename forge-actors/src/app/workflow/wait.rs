//! Waiting: for a time, an event, a signal. While a run can do nothing but wait, it is rows.

use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::app::context::WorkflowContext;
use crate::app::error::Result;
use crate::app::wire_shape::shape_of;
use crate::app::workflow::event::{Event, key_text};
use crate::app::workflow_run::branch::{Branch, StepPosition};
use crate::app::workflow_run::journal::{Divergence, StepIdentity, StepKind, StepStatus, UNCHECKED_SHAPE};
use crate::app::workflow_run::limits::{SHORT_WAIT, WAIT_MAX};
use crate::app::workflow_run::run::{ActiveRun, Found};
use crate::app::workflow_run::store::{StepRow, TakenEvent};
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::Fault;
use crate::kernel::time::{Timestamp, secs};

/// Waits in memory until this moment; a run that only waits leaves memory meanwhile.
pub(super) async fn sleep_until(run: &ActiveRun, position: &str, due_at: Timestamp) {
    let left = run.time_until(due_at);
    if left <= SHORT_WAIT {
        let _executing = run.executing();
        tokio::time::sleep(left).await;
    } else {
        let _waiting = run.waiting(position, Some(due_at));
        tokio::time::sleep(left).await;
    }
}

/// When a wait is over in any case.
#[derive(Debug, Clone, Copy)]
enum WaitLimit {
    /// After this time.
    After(Duration),
    /// At this moment.
    At(Timestamp),
}

impl WaitLimit {
    /// Writes it into the row of a wait that begins now.
    fn begin(self, run: &ActiveRun, row: &mut StepRow) {
        row.status = StepStatus::Waiting;
        match self {
            Self::After(duration) => row.due_in = Some(duration.min(WAIT_MAX)),
            Self::At(moment) => row.due_at = Some(run.due_at(moment)),
        }
    }
}

/// A durable pause; awaiting it waits.
#[must_use = "a sleep does nothing until it is awaited"]
pub struct Sleep<'a> {
    ctx: &'a WorkflowContext,
    place: Result<StepPosition>,
    limit: WaitLimit,
}

/// A wait for an event or a signal; awaiting it waits for ever.
#[must_use = "a wait does nothing until it is awaited"]
pub struct WaitFor<'a, E> {
    ctx: &'a WorkflowContext,
    wanted: Result<Wanted>,
    /// Reads the event. Chosen where the wait is made, so that awaiting it has no condition that could fail a
    /// second time.
    read: fn(&[u8]) -> serde_json::Result<E>,
}

/// A wait for an event or a signal with a time limit; awaiting it waits until then.
#[must_use = "a wait does nothing until it is awaited"]
pub struct WaitForUntil<'a, E> {
    wait: WaitFor<'a, E>,
    limit: WaitLimit,
}

/// What a wait waits for.
struct Wanted {
    place: StepPosition,
    kind: StepKind,
    name: String,
    key: String,
    shape: u64,
}

impl WorkflowContext {
    /// Waits for this long, a hundred years at most. The run leaves memory meanwhile, and goes on when the
    /// time has come by the clock of the database. The run fails with `PAYLOAD_TOO_LARGE` when its journal is
    /// full.
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// #[forge::workflow]
    /// pub async fn trial(ctx: &WorkflowContext) -> Result<()> {
    ///     ctx.sleep(days(45)).await;
    ///     Ok(())
    /// }
    /// # fn main() {}
    /// ```
    pub fn sleep(&self, duration: Duration) -> Sleep<'_> {
        Sleep { ctx: self, place: self.place(), limit: WaitLimit::After(duration) }
    }

    /// Waits until this moment, as [`sleep`](Self::sleep) does for a duration: by the clock of the database,
    /// and a hundred years at most. A moment that has passed is no wait. The journal has the moment of the
    /// first time that the run came here, so that a replay does not depend on how it was computed.
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// #[forge::workflow]
    /// pub async fn remind(ctx: &WorkflowContext, due: Timestamp) -> Result<()> {
    ///     ctx.sleep_until(due - days(1)).await;
    ///     Ok(())
    /// }
    /// # fn main() {}
    /// ```
    pub fn sleep_until(&self, moment: Timestamp) -> Sleep<'_> {
        Sleep { ctx: self, place: self.place(), limit: WaitLimit::At(moment) }
    }

    /// Waits for an event with this key. An event that was emitted after the run had started and before it
    /// waits here is found too; each event is consumed once by a run, the oldest one first. An event that
    /// does not fit the type is not consumed: the run diverges, and goes on when a person retries it with
    /// code that fits.
    ///
    /// # Errors
    /// `PAYLOAD_TOO_LARGE` when the journal is full.
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// # #[forge::event(key = user)] pub struct EmailVerified { pub user: Uuid }
    /// #[forge::workflow]
    /// pub async fn verify(ctx: &WorkflowContext, user: Uuid) -> Result<bool> {
    ///     let verified = ctx.wait_for::<EmailVerified>(user).timeout(days(7)).await?;
    ///     Ok(verified.is_some())
    /// }
    /// # fn main() {}
    /// ```
    pub fn wait_for<E: Event>(&self, key: E::Key) -> WaitFor<'_, E> {
        let wanted = self.place().and_then(|place| {
            let (name, key) = (E::name(), key_text(&key)?);
            Ok(Wanted { place, kind: StepKind::Event, name, key, shape: shape_of::<E>() })
        });
        WaitFor { ctx: self, wanted, read: E::from_json }
    }

    /// Waits for a signal of this type to this run (`ctx.signal(run, event)` sends one). Signals that came
    /// before are found, the oldest one first.
    ///
    /// # Errors
    /// As [`wait_for`](Self::wait_for).
    pub fn wait_for_signal<E: Event>(&self) -> WaitFor<'_, E> {
        let wanted = self.place().map(|place| {
            let key = self.run().id.to_string();
            Wanted { place, kind: StepKind::Signal, name: E::name(), key, shape: shape_of::<E>() }
        });
        WaitFor { ctx: self, wanted, read: E::from_json }
    }
}

impl<'a, E> WaitFor<'a, E> {
    /// Waits for this long at most: then the result is `None`.
    pub fn timeout(self, limit: Duration) -> WaitForUntil<'a, E> {
        WaitForUntil { wait: self, limit: WaitLimit::After(limit) }
    }

    /// Waits until this moment at most, by the clock of the database, and a hundred years at most: then the
    /// result is `None`. An event that has come is found also when the moment has passed.
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// # #[forge::event(key = order)] pub struct Paid { pub order: u32 }
    /// #[forge::workflow]
    /// pub async fn collect(ctx: &WorkflowContext, order: u32, due: Timestamp) -> Result<bool> {
    ///     let paid = ctx.wait_for::<Paid>(order).until(due).await?;
    ///     Ok(paid.is_some())
    /// }
    /// # fn main() {}
    /// ```
    pub fn until(self, moment: Timestamp) -> WaitForUntil<'a, E> {
        WaitForUntil { wait: self, limit: WaitLimit::At(moment) }
    }

    async fn run(self, limit: Option<WaitLimit>) -> Result<Option<E>> {
        self.wanted?.wait(self.ctx.run(), limit, self.read).await
    }
}

impl<'a, E: Send + 'a> IntoFuture for WaitFor<'a, E> {
    type Output = Result<E>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let event = self.run(None).await?;
            event.ok_or_else(|| Fault::internal("a wait without a time limit has ended without an event"))
        })
    }
}

impl<'a, E: Send + 'a> IntoFuture for WaitForUntil<'a, E> {
    type Output = Result<Option<E>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.wait.run(Some(self.limit)))
    }
}

impl<'a> IntoFuture for Sleep<'a> {
    type Output = ();
    type IntoFuture = BoxFuture<'a, ()>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { ctx, place, limit } = self;
            let run = ctx.run();
            let place = match place {
                Ok(place) => place,
                Err(fault) => {
                    // Nothing that a workflow could do about it.
                    let error = error_chain(&fault);
                    tracing::error!(run = %run.id, error, "a sleep has no place in the run");
                    return run.never().await;
                }
            };
            while let Err(fault) = sleep(run, &place, limit).await {
                let _executing = run.executing();
                let error = error_chain(&fault);
                tracing::error!(run = %run.id, error, "a sleep could not be recorded; retrying");
                tokio::time::sleep(RECORD_AGAIN).await;
            }
        })
    }
}

/// Between two attempts to record a sleep.
const RECORD_AGAIN: Duration = secs(1);

async fn sleep(run: &Arc<ActiveRun>, place: &StepPosition, limit: WaitLimit) -> Result<()> {
    let wanted = StepIdentity { kind: StepKind::Sleep, name: "sleep", shape: UNCHECKED_SHAPE };
    let due_at = match run.find(place, wanted) {
        Found::Ended(entry) => {
            Branch::current()?.ended(entry.finished_at);
            return Ok(());
        }
        Found::Never => return run.never().await,
        Found::Open(entry) => entry.due_at,
        Found::New => {
            if let Err(fault) = run.check_bounds() {
                // A sleep returns nothing that could say so.
                run.fail(fault);
                return run.never().await;
            }
            let _executing = run.executing();
            let mut row = StepRow::new(&place.position, StepKind::Sleep, "sleep", UNCHECKED_SHAPE);
            limit.begin(run, &mut row);
            run.record(row).await?.due_at
        }
    };
    if let Some(due_at) = due_at {
        sleep_until(run, &place.position, due_at).await;
    }
    let _executing = run.executing();
    let mut row = StepRow::new(&place.position, StepKind::Sleep, "sleep", UNCHECKED_SHAPE);
    row.number = Some(run.next_number());
    let recorded = run.record(row).await?;
    Branch::current()?.ended(recorded.finished_at);
    Ok(())
}

impl Wanted {
    /// Waits for the event.
    async fn wait<E>(
        &self,
        run: &Arc<ActiveRun>,
        limit: Option<WaitLimit>,
        read: fn(&[u8]) -> serde_json::Result<E>,
    ) -> Result<Option<E>> {
        let Self { place, kind, name, key, shape } = self;
        let wanted = StepIdentity { kind: *kind, name, shape: *shape };
        let due_at = match run.find(place, wanted) {
            Found::Ended(entry) => {
                Branch::current()?.ended(entry.finished_at);
                let payload = entry.output.filter(|_| entry.status == StepStatus::Completed);
                let Some(payload) = payload else { return Ok(None) };
                return match read(payload.as_bytes()) {
                    Ok(event) => Ok(Some(event)),
                    Err(error) => self.diverge(run, "the payload that the run has received", &error).await,
                };
            }
            Found::Never => return run.never().await,
            Found::Open(entry) => entry.due_at,
            Found::New => {
                run.check_bounds()?;
                let _executing = run.executing();
                let mut row = StepRow::new(&place.position, *kind, name, *shape);
                row.status = StepStatus::Waiting;
                if let Some(limit) = limit {
                    limit.begin(run, &mut row);
                }
                row.event = Some((name.clone(), key.clone()));
                run.record(row).await?.due_at
            }
        };
        let mut arrivals = run.arrivals();
        loop {
            arrivals.borrow_and_update();
            {
                let _executing = run.executing();
                if let Some(event) = run.store.find_event(name, key, &run.claimed_events()).await? {
                    // A wait beside this one may have found it at the same time: there may be another event.
                    let Some(claimed) = run.claim_event(event.id) else { continue };
                    let received = match read(event.payload.as_bytes()) {
                        Ok(received) => received,
                        // Not consumed: code that fits receives it.
                        Err(error) => {
                            let payload = format!("the payload of the event {}", event.id);
                            return self.diverge(run, &payload, &error).await;
                        }
                    };
                    self.consume(run, event).await?;
                    claimed.keep();
                    return Ok(Some(received));
                }
                if due_at.is_some_and(|due_at| run.time_until(due_at).is_zero()) {
                    let mut row = StepRow::new(&place.position, *kind, name, *shape);
                    row.status = StepStatus::Skipped;
                    row.number = Some(run.next_number());
                    row.event = Some((name.clone(), key.clone()));
                    Branch::current()?.ended(run.record(row).await?.finished_at);
                    return Ok(None);
                }
            }
            let _waiting = run.waiting(&place.position, due_at);
            let left = due_at.map_or(WAIT_MAX, |due_at| run.time_until(due_at));
            tokio::select! {
                // The sender lives as long as the run.
                _ = arrivals.changed() => {}
                () = tokio::time::sleep(left) => {}
            }
        }
    }

    /// What has come does not fit the type that the code waits for: the run is parked.
    async fn diverge<T>(&self, run: &ActiveRun, payload: &str, error: &serde_json::Error) -> T {
        let step = format!("`{}` ({})", self.name, self.kind.as_str());
        run.diverge(Divergence {
            position: self.place.position.clone(),
            expected: format!("{step} with {payload}"),
            found: Some(format!("{step} of a type that it does not fit: {error}")),
        });
        run.never().await
    }

    async fn consume(&self, run: &Arc<ActiveRun>, event: TakenEvent) -> Result<()> {
        let mut row = StepRow::new(&self.place.position, self.kind, &self.name, self.shape);
        row.number = Some(run.next_number());
        row.event = Some((self.name.clone(), self.key.clone()));
        row.event_id = Some(event.id);
        let reserved = run.reserve(event.payload.len())?;
        row.output = Some(event.payload);
        Branch::current()?.ended(run.record(row).await?.finished_at);
        drop(reserved);
        Ok(())
    }
}
