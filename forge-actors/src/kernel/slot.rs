//! A mailbox of one: what arrives before the last was taken is merged into it, so that a slow taker has less
//! to do and never more to hold.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// Holds at most one `T`, for one taker.
pub struct Slot<T> {
    value: Mutex<Option<T>>,
    filled: Notify,
}

impl<T> Slot<T> {
    /// An empty slot.
    pub const fn new() -> Self {
        Self { value: Mutex::new(None), filled: Notify::const_new() }
    }

    /// Merges into what lies there and wakes the taker. `merge` runs under a lock: no waiting in it.
    pub fn put(&self, merge: impl FnOnce(&mut Option<T>)) {
        let filled = {
            let mut value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
            merge(&mut value);
            value.is_some()
        };
        if filled {
            self.filled.notify_one();
        }
    }

    /// What lies there, if anything does.
    pub fn try_take(&self) -> Option<T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits until something lies there and takes it. Cancelling loses nothing.
    pub async fn take(&self) -> T {
        loop {
            // A permit is stored when nobody waits, so what is put between the two lines is not missed.
            if let Some(value) = self.try_take() {
                return value;
            }
            self.filled.notified().await;
        }
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}
