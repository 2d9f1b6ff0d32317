//! What a subsystem of a node is: one trait, which drives the supervision tree, `/ready`, the configuration
//! file, the figures of the dashboard, the protection of actors against a stop, and the tree in the docs.
//!
//! ```text
//!   tree.rs: SUBSYSTEMS ── one line each ──▶ SubsystemEntry ┬ root, actors ─────────▶ docs, stop protection
//!                                                  ├ sections ─────────────▶ forge.toml, reference.toml
//!                                                  ├ check ────────────────▶ /ready
//!                                                  └ build(NodeBuilder) ───▶ Part: child, stats, hooks
//! ```
//!
//! A node builds its subsystems in the order of the table. A subsystem takes what it needs from the
//! [`NodeBuilder`] by type and provides its own handle there, so the table's order is the order of
//! dependencies; it is also the order in which the supervisor starts the children. They stop in reverse.
//!
//! Adding a subsystem: a folder with `subsystem.rs` (an `impl Subsystem`), and the line
//! `SubsystemEntry::of::<..>()` in `tree.rs`. What the diagram shows follows from these two; ARCHITECTURE.md
//! names the lines that the tests ask for beside them.
//!
//! Invariants
//! - The paths of actors are statics ([`ActorPath`]); child ids, checks and protections use the same static.
//! - A subsystem names every fixed actor below it in `ACTORS`; a test compares them with a running node.
//! - Asking the builder for something that no earlier subsystem provided is a bug, and panics at boot.

mod builder;
mod describe;
mod entry;
mod path;
mod readiness;
mod section;
mod stats;

#[cfg(test)]
mod tests;

// The face of this folder is flat, as that of `supervise`: a subsystem's file names several of these.
pub use builder::{HttpAddress, NodeBuilder, NodeProfile};
pub use describe::describe;
pub use entry::{
    ActorNote, CommandRoute, HealthVerdict, Part, ReadinessRule, StopRule, Subsystem, SubsystemEntry,
};
pub(crate) use entry::{FillStats, Health, Hook};
pub use path::{ActorPath, NODE};
pub use readiness::{READINESS_NOTE, Readiness, ReadinessCheck, ReadinessReport, ReadinessWatcher};
pub use section::{ConfigSection, SectionEntry, SectionError, Sections, read_section};
pub use stats::{DatabaseUsage, ElectionStats, Figure, FigureUnit, NodeStats, PoolUsage};
