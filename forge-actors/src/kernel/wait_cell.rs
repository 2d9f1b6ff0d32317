//! A value that several tasks change and one task waits for: a lock and a wake-up.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// Holds a `T`. Writers never wait for the task that takes from the value.
pub struct WaitCell<T> {
    value: Mutex<T>,
    changed: Notify,
}

impl<T> WaitCell<T> {
    /// A cell that holds `value`.
    pub const fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Notify::const_new() }
    }

    /// Changes the value and wakes the waiting task. `change` runs under the lock: it must not block.
    pub fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let changed = change(&mut self.value.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
        changed
    }

    /// Waits until `take` finds something in the value and returns it. `take` runs under the lock after each
    /// change. Cancelling the wait loses nothing. One task may wait at a time.
    pub async fn wait_for<R>(&self, mut take: impl FnMut(&mut T) -> Option<R>) -> R {
        loop {
            let taken = take(&mut self.value.lock().unwrap_or_else(PoisonError::into_inner));
            if let Some(taken) = taken {
                return taken;
            }
            // `notify_one` stores a permit, so a change between `take` and this line is not missed.
            self.changed.notified().await;
        }
    }
}

impl<T> fmt::Debug for WaitCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitCell").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_wakes_the_waiting_task() {
        let cell = WaitCell::new(0);
        let even = |value: &mut i32| (*value > 0 && *value % 2 == 0).then(|| std::mem::take(value));
        let (taken, ()) = tokio::join!(cell.wait_for(even), async {
            cell.change(|value| *value = 1);
            tokio::task::yield_now().await;
            cell.change(|value| *value += 1);
        });
        assert_eq!(taken, 2);
        cell.change(|value| *value = 4);
        assert_eq!(cell.wait_for(even).await, 4, "a change before the wait is not missed");
    }
}
