//! The function room's public face.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::app::context::{Invoke, Services};
use crate::app::handler::{Access, Meta};
use crate::app::{Catalog, Registration};
use crate::change::HintHub;
use crate::db::database::Database;
use crate::function::actor::FunctionsActor;
use crate::function::admission::Admission;
pub use crate::function::attempt::AttemptEnd;
use crate::function::config::FunctionConfig;
pub use crate::function::inflight::InFlight;
use crate::function::inflight::Table;
pub use crate::function::live::{LiveQuery, LiveRun};
use crate::function::run;
use crate::function::signals::{self, HandlerMetrics};
use crate::kernel::commit::Receipt;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::{Caller, Invocation};
use crate::supervise::{ChildSpec, Tree};

/// Runs handlers. Cheap to clone; every clone is the same room.
#[derive(Clone)]
pub struct Functions {
    pub(super) room: Arc<Room>,
}

/// What the room's tasks share.
pub(super) struct Room {
    pub(super) catalog: Arc<Catalog>,
    pub(super) database: Database,
    pub(super) services: OnceLock<Arc<Services>>,
    pub(super) tree: Arc<Tree>,
    pub(super) hints: HintHub,
    pub(super) config: FunctionConfig,
    pub(super) admission: Admission,
    pub(super) table: Table,
    pub(super) metrics: HashMap<String, HandlerMetrics>,
    pub(super) calls: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) tasks: TaskTracker,
    /// Ends what still runs when a drain has waited long enough.
    pub(super) cancel: watch::Sender<bool>,
}

/// Calls that have ended since the node started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallCounts {
    /// All of them, those inside others included.
    pub calls: u64,
    /// Those that failed by the node's fault: panics, time limits, internal errors.
    pub errors: u64,
}

/// What the room needs of the node, besides the catalog.
pub struct Needs {
    /// Where handlers read and write.
    pub database: Database,
    /// Panics of handlers go to its journal.
    pub tree: Arc<Tree>,
    /// Commits are announced here.
    pub hints: HintHub,
    /// Limits.
    pub config: FunctionConfig,
}

impl Functions {
    /// The room and the child that its supervisor runs. `services` makes what contexts hand out; it gets the
    /// room itself, since contexts call handlers.
    pub fn new(
        catalog: Arc<Catalog>,
        needs: Needs,
        services: impl FnOnce(Arc<dyn Invoke>) -> Services,
    ) -> (Self, ChildSpec) {
        let room = Arc::new(Room {
            admission: Admission::new(needs.config.calls_max, &catalog),
            metrics: signals::for_catalog(&catalog),
            calls: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            catalog,
            database: needs.database,
            services: OnceLock::new(),
            tree: needs.tree,
            hints: needs.hints,
            config: needs.config,
            table: Table::default(),
            tasks: TaskTracker::new(),
            cancel: watch::Sender::new(false),
        });
        let functions = Self { room };
        let services = Arc::new(services(Arc::new(Weak(Arc::downgrade(&functions.room)))));
        functions
            .room
            .services
            .set(services)
            .unwrap_or_else(|_| unreachable!("a new room has no services yet"));
        let spec = FunctionsActor::spec(functions.clone());
        (functions, spec)
    }

    /// The handlers.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.room.catalog
    }

    /// The calls that have ended.
    pub fn counts(&self) -> CallCounts {
        CallCounts { calls: self.room.calls.load(Relaxed), errors: self.room.errors.load(Relaxed) }
    }

    /// The calls that run now.
    pub fn in_flight(&self) -> Vec<InFlight> {
        self.room.table.list()
    }

    /// How long a node that stops waits for calls that run.
    pub fn drain_timeout(&self) -> Duration {
        self.room.config.drain_timeout
    }

    /// Runs handlers for those who have judged the access themselves. It keeps nothing alive.
    pub fn invoker(&self) -> Arc<dyn Invoke> {
        Arc::new(Weak(Arc::downgrade(&self.room)))
    }

    /// A call from outside: checks that the handler exists, that the caller may, that the arguments fit and
    /// that there is room, in this order; then runs it.
    pub async fn call(&self, invocation: Invocation) -> Result<Bytes, Fault> {
        self.submit(invocation).await.0
    }

    /// [`call`](Self::call), with the receipt of what was committed: empty unless a mutation wrote something.
    pub async fn submit(&self, invocation: Invocation) -> (Result<Bytes, Fault>, Receipt) {
        let registration =
            self.room.find(&invocation.name).filter(|found| found.meta.access != Access::Internal);
        let registration = registration.ok_or_else(|| unknown(&invocation.name));
        match registration.and_then(|found| authorize(&found.meta, &invocation.caller).map(|()| found)) {
            Ok(registration) => run::admitted(&self.room, registration, invocation, 0).await,
            Err(fault) => (Err(fault), Receipt::default()),
        }
    }
}

impl Room {
    pub(super) fn find(&self, name: &str) -> Option<&'static Registration> {
        self.catalog.get(name)
    }

    /// Ends when a drain has waited long enough.
    pub(super) async fn cancelled(&self) {
        let mut cancel = self.cancel.subscribe();
        // The sender lives in `self`, so waiting for the value cannot fail.
        let _value = cancel.wait_for(|cancelled| *cancelled).await;
    }

    pub(super) fn services(&self) -> Arc<Services> {
        self.services.get().expect("set before the room is handed out").clone()
    }
}

/// The room as contexts see it: weak, because the room owns them through its services.
struct Weak(std::sync::Weak<Room>);

impl Invoke for Weak {
    fn invoke(&self, invocation: Invocation, depth: u32) -> BoxFuture<'static, Result<Bytes, Fault>> {
        let room = self.0.upgrade();
        Box::pin(async move {
            let room = room.ok_or_else(|| Fault::new(Code::Unavailable, "the node is stopping"))?;
            let registration = room.find(&invocation.name).ok_or_else(|| unknown(&invocation.name))?;
            run::admitted(&room, registration, invocation, depth).await.0
        })
    }
}

pub(super) fn unknown(name: &str) -> Fault {
    // A name from outside is cut, so that an answer never grows with the question.
    let shown: String = name.chars().take(100).collect();
    Fault::new(Code::NotFound, format!("there is no function `{shown}`"))
}

pub(super) fn authorize(meta: &Meta, caller: &Caller) -> Result<(), Fault> {
    let identity = || {
        caller
            .identity
            .as_deref()
            .ok_or_else(|| Fault::new(Code::Unauthenticated, "this function needs a token"))
    };
    match meta.access {
        Access::Public => Ok(()),
        Access::Authenticated => identity().map(|_| ()),
        Access::Role(role) if identity()?.has_role(role) => Ok(()),
        Access::Role(role) => {
            Err(Fault::new(Code::PermissionDenied, format!("this function needs the role `{role}`")))
        }
        Access::Internal => Err(unknown(&meta.wire_name())),
    }
}
