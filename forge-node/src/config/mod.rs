//! Configuration: flags over environment over `forge.toml` over defaults. Each value keeps where it was
//! written.
//!
//! ```text
//!   forge.toml ─ parse ─ ${VAR} ─┐
//!   FORGE_SECTION__KEY ──────────┼─▶ one table + origin of each key ─▶ Config ─▶ validate
//!   flags ───────────────────────┘
//! ```
//!
//! `reference.toml` is the list of keys: it is compiled in, unknown keys are found by it, and a test proves
//! that it and the structs name the same keys with the same defaults. The report of a wrong value names the
//! file and line, the variable, or the flag.

pub mod environment;
pub mod error;
pub mod layer;
pub mod load;
pub mod reference;
pub mod section;
pub mod substitute;

#[cfg(test)]
mod tests;
