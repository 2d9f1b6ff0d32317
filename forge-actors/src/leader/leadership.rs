//! [`Leadership`]: the name of a group of duties.

use std::fmt;

use crate::db::advisory_lock::LockKey;

/// The name of a group of duties that one node performs for the cluster. The subsystem that has the duties
/// declares it as a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leadership(&'static str);

impl Leadership {
    /// The leadership `name`, equal on all nodes of the cluster and in all versions.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The name, as rows and people say it.
    pub const fn name(self) -> &'static str {
        self.0
    }

    /// The lock that its leader holds.
    pub(super) fn lock_key(self) -> LockKey {
        LockKey::forge(&format!("leader/{}", self.0))
    }
}

impl fmt::Display for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
