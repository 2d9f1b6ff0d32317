//! Admission: the places of the node's calls, of which no function and no caller may take all, and a limit
//! for each handler that declares its own. No call queues here: a full node refuses at once, and the caller
//! decides when to try again.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::config::FunctionConfig;
use super::signals::CALLS_REFUSED_TOTAL;
use crate::app::Catalog;
use crate::kernel::fair_limit::{
    CallPlace, CallerHash, ConcurrencyLimit, ConcurrencyPermit, FairLimit, FairPermit, LimitReached,
};
use crate::kernel::fault::{Code, Fault};

/// When a refused caller should try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The limits of a node, and how many places of each are taken.
pub(super) struct Admission {
    node: FairLimit,
    /// Calls that actions and jobs make. They have places of their own: with the places of the node, a full
    /// node could wait for itself.
    nested: FairLimit,
    handlers: HashMap<String, Arc<ConcurrencyLimit>>,
}

/// The places of one admitted call, which are free again when it is dropped.
pub(super) struct Permit {
    places: Option<FairPermit>,
    _of_handler: Option<ConcurrencyPermit>,
}

impl Admission {
    pub(super) fn new(config: &FunctionConfig, catalog: &Catalog) -> Self {
        let names = || catalog.iter().map(|(name, _)| name);
        let places = || FairLimit::new(config.calls_max, config.shares(), names());
        let handlers = catalog.iter().filter_map(|(name, registration)| {
            Some((name.to_owned(), ConcurrencyLimit::new(registration.meta.concurrency?)))
        });
        Self { node: places(), nested: places(), handlers: handlers.collect() }
    }

    /// Takes a place for a call of `name`; `nested` is true for a call inside of another one. Fails with
    /// `OVERLOADED` when there is none.
    pub(super) fn enter(
        &self,
        name: &str,
        caller: Option<CallerHash>,
        nested: bool,
    ) -> Result<Permit, Fault> {
        let places = if nested { &self.nested } else { &self.node };
        let places = places.acquire(name, caller).map_err(|limit| match limit {
            LimitReached::All => refused("node", "the node is at its limit of calls".to_owned())
                .with_help("try again after `retryAfterMs`, or raise `functions.calls_max`"),
            LimitReached::Function => {
                refused("function", format!("`{name}` is at its limit of calls on this node"))
                    .with_help("try again after `retryAfterMs`, or raise `functions.function_share`")
            }
            LimitReached::Caller => {
                refused("caller", "this caller is at its limit of calls on this node".to_owned())
                    .with_help("try again after `retryAfterMs`, or raise `functions.caller_share`")
            }
        })?;
        Ok(Permit { places: Some(places), _of_handler: self.enter_handler(name)? })
    }

    /// Admits a call of `name` as a step of a workflow: the subsystem of workflows limits how many run,
    /// beside the handler's own limit.
    pub(super) fn enter_step(&self, name: &str) -> Result<Permit, Fault> {
        Ok(Permit { places: None, _of_handler: self.enter_handler(name)? })
    }

    fn enter_handler(&self, name: &str) -> Result<Option<ConcurrencyPermit>, Fault> {
        let Some(limit) = self.handlers.get(name) else { return Ok(None) };
        limit.acquire().map(Some).ok_or_else(|| {
            let message = format!("`{name}` is at the limit of its `concurrency` on this node");
            refused("handler", message).with_help(
                "try again after `retryAfterMs`, or raise `concurrency` in the attribute of the handler",
            )
        })
    }
}

impl Permit {
    /// A permit without a place, for callers that limit themselves how many run.
    pub(super) fn unlimited() -> Self {
        Self { places: None, _of_handler: None }
    }

    /// The place of the node, for the call's context: it is given up while the call waits for a core.
    pub(super) fn place(&self) -> Weak<CallPlace> {
        self.places.as_ref().map_or_else(Weak::new, |places| Arc::downgrade(places.place()))
    }
}

fn refused(limit: &'static str, message: String) -> Fault {
    metrics::counter!(CALLS_REFUSED_TOTAL, "limit" => limit).increment(1);
    Fault::new(Code::Overloaded, message).retry_after(RETRY_AFTER)
}
