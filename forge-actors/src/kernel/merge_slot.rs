//! One value that newer ones are merged into, and a wake-up for the task that takes it.
//!
//! A slot replaces a queue where later values can be merged into earlier ones: a slow taker then has less to
//! do, and the memory stays bounded.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// Holds at most one `T`, for one taker.
pub struct MergeSlot<T> {
    value: Mutex<Option<T>>,
    filled: Notify,
}

impl<T> MergeSlot<T> {
    /// An empty slot.
    pub const fn new() -> Self {
        Self { value: Mutex::new(None), filled: Notify::const_new() }
    }

    /// Merges a value into the slot's value and wakes the taker. `merge` runs under a lock, so it must be
    /// short.
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

    /// Takes the value, if there is one.
    pub fn try_take(&self) -> Option<T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A copy of the value, which stays.
    pub fn get(&self) -> Option<T>
    where
        T: Clone,
    {
        self.value.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a part of the value, if there is one.
    pub fn take_part<P>(&self, take: impl FnOnce(&mut T) -> Option<P>) -> Option<P> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner).as_mut().and_then(take)
    }

    /// Waits until there is a value and takes it. A cancelled call loses no value.
    pub async fn take(&self) -> T {
        loop {
            // `Notify` stores a permit while no task waits, so a value that is put between the two statements
            // is not missed.
            if let Some(value) = self.try_take() {
                return value;
            }
            self.filled.notified().await;
        }
    }
}

impl<T> Default for MergeSlot<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for MergeSlot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MergeSlot").finish_non_exhaustive()
    }
}
