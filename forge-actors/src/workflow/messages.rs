//! Messages of the actors of the workflow subsystem.

use super::rows::{ClaimedRun, FoundWork};
use crate::kernel::fault::Fault;

/// Messages of the claimer.
#[derive(forge_app_macros::Message)]
pub(super) enum RunClaimerMessage {
    /// Time for a poll.
    Poll,
    /// A run may be due.
    RunReady,
    /// A run that has left is due before the next poll.
    DueSoon,
    /// A run has left: there is a place for another one.
    PlaceFree,
    /// The lease keeper has a lease, or has lost it.
    LeaseChanged,
    /// Runs were begun with their start.
    Begun,
    /// A claim has ended.
    Claimed(Result<Vec<ClaimedRun>, Fault>),
    /// A poll has ended.
    Found(Result<FoundWork, Fault>),
}

/// Messages of the writers that gather rows.
#[derive(forge_app_macros::Message)]
pub(super) enum BatchMessage {
    /// A row has gathered, or a write has ended.
    Proceed,
}

/// Messages of the lease keeper.
#[derive(forge_app_macros::Message)]
pub(super) enum LeaseMessage {
    /// A lease is needed.
    Wanted,
    /// Time to renew the lease, and to read what wakes or stops the runs that are held.
    Tick,
    /// What was begun at a tick has ended.
    Done,
}

/// Messages of the router.
#[derive(forge_app_macros::Message)]
pub(super) enum RouterMessage {
    /// Events may have come.
    EventsReady,
    /// What was begun has ended.
    Done,
}

/// Messages of an instance.
#[derive(forge_app_macros::Message)]
pub(super) enum InstanceMessage {
    /// The activation has ended.
    Ended,
}
