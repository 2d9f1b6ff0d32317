//! Who may start now: one limit for the node, one for each handler that names its own. Nothing queues here; a
//! full node says so at once, and the caller decides when to come back.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::app::Catalog;
use crate::kernel::fault::{Code, Fault};

/// How long a refused caller should stay away.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The limits and how much of each is taken.
pub(super) struct Admission {
    node: Arc<Limit>,
    /// Calls inside calls. They have places of their own: sharing the node's could leave a full node waiting
    /// for itself.
    nested: Arc<Limit>,
    handlers: HashMap<String, Arc<Limit>>,
}

struct Limit {
    taken: AtomicU32,
    max: u32,
}

/// One admitted call; dropping it frees its places.
pub(super) struct Permit {
    limits: [Option<Arc<Limit>>; 2],
}

impl Admission {
    pub(super) fn new(calls_max: u32, catalog: &Catalog) -> Self {
        let limit = |max| Arc::new(Limit { taken: AtomicU32::new(0), max });
        let handlers = catalog.iter().filter_map(|(name, registration)| {
            Some((name.to_owned(), limit(registration.meta.concurrency?)))
        });
        Self { node: limit(calls_max), nested: limit(calls_max), handlers: handlers.collect() }
    }

    /// Takes a place for a call of `name`, from outside or inside another one (`nested`).
    pub(super) fn enter(&self, name: &str, nested: bool) -> Result<Permit, Fault> {
        let mut permit = Permit { limits: [None, None] };
        let of_all = if nested { &self.nested } else { &self.node };
        of_all.take().ok_or_else(|| refused("the node runs as many calls as it may"))?;
        permit.limits[0] = Some(of_all.clone());
        if let Some(limit) = self.handlers.get(name) {
            limit.take().ok_or_else(|| refused(format!("`{name}` runs as many times at once as it may")))?;
            permit.limits[1] = Some(limit.clone());
        }
        Ok(permit)
    }
}

impl Permit {
    /// For what has places of its own elsewhere.
    pub(super) fn unlimited() -> Self {
        Self { limits: [None, None] }
    }
}

fn refused(message: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
    Fault::new(Code::Overloaded, message).retry_after(RETRY_AFTER)
}

impl Limit {
    fn take(&self) -> Option<()> {
        let more = |taken| (taken < self.max).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| ())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        for limit in self.limits.iter().flatten() {
            limit.taken.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
