//! Log lines that strangers can cause as often as they like: of each kind, the first of a second is written.

use std::array;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// Kinds that are counted apart, about: kinds whose names hash to one slot count as one.
const SLOTS: usize = 67;

/// Decides which lines are written. Each field of a slot stands for itself, so relaxed ordering is enough.
pub struct LogSampler {
    slots: [Slot; SLOTS],
}

struct Slot {
    /// The second, since 1970, in which a line was written last.
    second: AtomicI64,
    /// Lines since then that were not written.
    suppressed: AtomicU64,
}

impl LogSampler {
    /// A sampler that has written nothing.
    pub fn new() -> Self {
        Self {
            slots: array::from_fn(|_| Slot {
                second: AtomicI64::new(i64::MIN),
                suppressed: AtomicU64::new(0),
            }),
        }
    }

    /// A line of the kind `name` is due in `second`. `Some` when it is to be written, with the number of
    /// lines of its kind that were not written since the last one.
    pub fn sample(&self, name: &str, second: i64) -> Option<u64> {
        let slot = &self.slots[slot_of(name)];
        if slot.second.swap(second, Relaxed) == second {
            slot.suppressed.fetch_add(1, Relaxed);
            return None;
        }
        Some(slot.suppressed.swap(0, Relaxed))
    }
}

impl Default for LogSampler {
    fn default() -> Self {
        Self::new()
    }
}

/// FNV-1a: names are few, short and not chosen by clients.
fn slot_of(name: &str) -> usize {
    let hash =
        name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::fault::Code;

    #[test]
    fn the_first_line_of_a_second_is_written_and_counts_the_others() {
        let sampler = LogSampler::new();
        assert_eq!(sampler.sample("NOT_FOUND", 7), Some(0));
        assert_eq!(sampler.sample("NOT_FOUND", 7), None);
        assert_eq!(sampler.sample("NOT_FOUND", 7), None);
        assert_eq!(sampler.sample("OVERLOADED", 7), Some(0), "another kind");
        assert_eq!(sampler.sample("NOT_FOUND", 8), Some(2));
        assert_eq!(sampler.sample("NOT_FOUND", 9), Some(0));
    }

    #[test]
    fn forges_own_codes_have_a_slot_each() {
        let mut slots: Vec<_> = Code::ALL.iter().map(|code| slot_of(code.name())).collect();
        slots.sort_unstable();
        slots.dedup();
        assert_eq!(slots.len(), Code::ALL.len());
    }
}
