//! The state of a frame: pure transitions. See [`frame`](super::frame) for what a frame is.
//!
//! ```text
//!            statement failed
//!     Open ────────────────────▶ Failed            only a rollback is possible
//!      │ │                        │ │
//!      │ └───dropped──┐ ┌─dropped─┘ │
//!      │              ▼ ▼           │
//!      │           Abandoned        │              its savepoint still stands
//!    ended             │          ended
//!      │             ended          │
//!      └────────────┐  │  ┌─────────┘
//!                   ▼  ▼  ▼
//!                   Closed                         sends no statement any more
//! ```

use std::sync::atomic::{AtomicU8, Ordering};

/// Where a frame stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum FrameState {
    /// Every statement of the frame succeeded.
    Open,
    /// A statement of the frame failed, or was refused before it was sent. Postgres refuses further
    /// statements until the frame is rolled back, and the frame's effects cannot be kept.
    Failed,
    /// The frame was dropped without being released or rolled back. The frame around it rolls it back before
    /// its own next statement.
    Abandoned,
    /// The frame was released, rolled back or committed.
    Closed,
}

/// What happens to a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameEvent {
    /// Postgres answered a statement with an error, or the statement was refused before it was sent.
    StatementFailed,
    /// The frame's owner dropped it.
    Dropped,
    /// The frame was released, rolled back or committed, by its owner or by the frame around it.
    Ended,
}

impl FrameState {
    /// The state after `event`.
    pub(super) fn after(self, event: FrameEvent) -> Self {
        match (self, event) {
            (_, FrameEvent::Ended) | (Self::Closed, _) => Self::Closed,
            (Self::Abandoned, _) | (Self::Open | Self::Failed, FrameEvent::Dropped) => Self::Abandoned,
            (Self::Open | Self::Failed, FrameEvent::StatementFailed) => Self::Failed,
        }
    }

    /// True while the frame may send statements, be it only those that roll it back.
    pub(super) fn accepts_statements(self) -> bool {
        match self {
            Self::Open | Self::Failed => true,
            Self::Abandoned | Self::Closed => false,
        }
    }

    const ALL: [Self; 4] = [Self::Open, Self::Failed, Self::Abandoned, Self::Closed];

    fn from_number(number: u8) -> Self {
        Self::ALL[usize::from(number)]
    }
}

/// A frame's state, readable by the frame around it. Events come from the frame's statements and from its
/// drop, which may run on another thread.
#[derive(Debug)]
pub(super) struct FrameStateCell(AtomicU8);

impl FrameStateCell {
    pub(super) fn new() -> Self {
        Self(AtomicU8::new(FrameState::Open as u8))
    }

    pub(super) fn get(&self) -> FrameState {
        FrameState::from_number(self.0.load(Ordering::Acquire))
    }

    /// Applies `event`, and returns the state from before it.
    pub(super) fn record(&self, event: FrameEvent) -> FrameState {
        let mut before = self.get();
        loop {
            let after = before.after(event) as u8;
            match self.0.compare_exchange(before as u8, after, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return before,
                Err(other) => before = FrameState::from_number(other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FrameEvent::{Dropped, Ended, StatementFailed};
    use super::FrameState::{Abandoned, Closed, Failed, Open};
    use super::*;

    #[test]
    fn each_state_takes_each_event() {
        let check = |before: FrameState, event: FrameEvent, after: FrameState| {
            assert_eq!(before.after(event), after, "{before:?} {event:?}");
        };
        check(Open, StatementFailed, Failed);
        check(Open, Dropped, Abandoned);
        check(Open, Ended, Closed);
        check(Failed, StatementFailed, Failed);
        check(Failed, Dropped, Abandoned);
        check(Failed, Ended, Closed);
        check(Abandoned, StatementFailed, Abandoned);
        check(Abandoned, Dropped, Abandoned);
        check(Abandoned, Ended, Closed);
        for event in [StatementFailed, Dropped, Ended] {
            check(Closed, event, Closed);
        }
    }

    #[test]
    fn only_open_and_failed_frames_send_statements() {
        let accepting = FrameState::ALL.map(FrameState::accepts_statements);
        assert_eq!(accepting, [true, true, false, false]);
    }

    #[test]
    fn a_cell_keeps_every_state_and_returns_the_one_before() {
        let cell = FrameStateCell::new();
        for (event, before) in
            [(StatementFailed, Open), (Dropped, Failed), (StatementFailed, Abandoned), (Ended, Abandoned)]
        {
            assert_eq!((cell.get(), cell.record(event)), (before, before));
        }
        assert_eq!(cell.get(), Closed);
    }
}
