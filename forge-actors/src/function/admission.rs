//! Admission: one limit of running calls for the node, and one for each handler that declares its own. No
//! call queues here: a full node refuses at once, and the caller decides when to try again.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::app::Catalog;
use crate::kernel::fault::{Code, Fault};

/// When a refused caller should try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The limits of a node, and how many places of each are taken.
pub(super) struct Admission {
    node: Arc<CallLimit>,
    /// Calls that actions and jobs make. They have places of their own: with the places of the node, a full
    /// node could wait for itself.
    nested: Arc<CallLimit>,
    handlers: HashMap<String, Arc<CallLimit>>,
}

struct CallLimit {
    taken: AtomicU32,
    max: u32,
}

/// The places of one admitted call, which are free again when it is dropped.
pub(super) struct Permit {
    limits: [Option<Arc<CallLimit>>; 2],
}

impl Admission {
    pub(super) fn new(calls_max: u32, catalog: &Catalog) -> Self {
        let limit = |max| Arc::new(CallLimit { taken: AtomicU32::new(0), max });
        let handlers = catalog.iter().filter_map(|(name, registration)| {
            Some((name.to_owned(), limit(registration.meta.concurrency?)))
        });
        Self { node: limit(calls_max), nested: limit(calls_max), handlers: handlers.collect() }
    }

    /// Takes a place for a call of `name`; `nested` is true for a call inside of another one. Fails with
    /// `OVERLOADED` when there is none.
    pub(super) fn enter(&self, name: &str, nested: bool) -> Result<Permit, Fault> {
        let mut permit = Permit { limits: [None, None] };
        let limit = if nested { &self.nested } else { &self.node };
        limit.take().ok_or_else(|| refused("the node runs as many calls as it may"))?;
        permit.limits[0] = Some(Arc::clone(limit));
        if let Some(limit) = self.handlers.get(name) {
            limit.take().ok_or_else(|| refused(format!("`{name}` runs as many times at once as it may")))?;
            permit.limits[1] = Some(Arc::clone(limit));
        }
        Ok(permit)
    }
}

impl Permit {
    /// A permit without a place, for callers that limit themselves how many run.
    pub(super) fn unlimited() -> Self {
        Self { limits: [None, None] }
    }
}

fn refused(message: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
    Fault::new(Code::Overloaded, message).retry_after(RETRY_AFTER)
}

impl CallLimit {
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
