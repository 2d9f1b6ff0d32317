//! The former path of [`MergeSlot`](super::merge_slot::MergeSlot).

pub use super::merge_slot::MergeSlot as Slot;
