//! Configuration: flags over environment over `forge.toml` over defaults, and every value knows where it came
//! from.
//!
//! ```text
//!   forge.toml ─ parse ─ ${VAR} ─┐
//!   FORGE_SECTION__KEY ──────────┼─▶ one table + origin of each key ─▶ Config ─▶ validate
//!   flags ───────────────────────┘
//! ```
//!
//! `reference.toml` is the list of keys: it is compiled in, unknown keys are judged by it, and a test proves
//! that it and the structs name the same keys with the same defaults. A value that is wrong is reported with
//! file and line, variable or flag.

pub mod environment;
pub mod error;
pub mod layer;
pub mod load;
pub mod reference;
pub mod section;
pub mod substitute;

#[cfg(test)]
mod tests;
