//! Why the handlers of a binary do not make a catalog.

use crate::kernel::diagnose::{Diagnose, FailureKind};
use crate::kernel::invocation::SYSTEM_PREFIX;

/// Why the handlers of a binary do not make a catalog.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Nothing registered: the binary never named the application's crate, so the linker left it out.
    #[error("no handlers are linked into this binary; name the application's crate in `forge::main!(..)`")]
    Empty,
    /// Jobs of one group count together, and for how long must be one time.
    #[error(
        "the jobs `{one}` and `{other}` share the rate limit of the group `{group}` and have different \
         `per`; give them the same `per`, or groups of their own"
    )]
    RateGroup {
        /// The group.
        group: String,
        /// Wire name of one of the jobs.
        one: String,
        /// Wire name of another one.
        other: String,
    },
    /// Jobs of one group count together, up to one limit.
    #[error(
        "the jobs `{one}` and `{other}` share the concurrency of the group `{group}` and have different \
         `limit`; give them the same `limit`, or groups of their own"
    )]
    ConcurrencyGroup {
        /// The group.
        group: String,
        /// Wire name of one of the jobs.
        one: String,
        /// Wire name of another one.
        other: String,
    },
    /// An application's handler has a name that is kept for Forge's own.
    #[error(
        "the handler `{name}` of {place} has a name that begins with `{SYSTEM_PREFIX}`, which is kept for \
         Forge's own handlers; rename its module, or give it `name = \"..\"`"
    )]
    Reserved {
        /// The wire name, or an alias.
        name: String,
        /// `file:line` of the handler.
        place: String,
    },
    /// A migration of a workflow leads nowhere.
    #[error(
        "the migration of `{workflow}` from version {from} to {to} at {place} needs a function of version \
         {to} in this binary, a `from` before its `to`, and to be the only one from {from}"
    )]
    Migration {
        /// Wire name of the workflow.
        workflow: String,
        /// The version whose runs are migrated.
        from: u32,
        /// The version that they should have then.
        to: u32,
        /// `file:line` of the migration.
        place: String,
    },
    /// Two handlers have one name.
    #[error("two handlers are named `{name}`: {first} and {second}; rename one, or give it `name = \"..\"`")]
    Duplicate {
        /// The wire name.
        name: String,
        /// `file:line` of the first.
        first: String,
        /// `file:line` of the second.
        second: String,
    },
}

impl Diagnose for CatalogError {
    fn code(&self) -> &'static str {
        match self {
            Self::RateGroup { .. } => "rate-limit-group",
            Self::ConcurrencyGroup { .. } => "concurrency-group",
            Self::Empty => "no-handlers",
            Self::Migration { .. } => "workflow-migration",
            Self::Reserved { .. } => "reserved-name",
            Self::Duplicate { .. } => "duplicate-handler",
        }
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Failed
    }
}
