//! One call without its types, in the form in which gateway, job queue and mesh pass it to a handler.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::kernel::connection_limiter::client_network;
use crate::kernel::fair_limit::CallerHash;
use crate::kernel::idempotency_key::IdempotencyKey;
use crate::kernel::ids::RequestId;
use crate::kernel::trace::TraceContext;

/// The identity of a caller, from a verified token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The token's `sub`.
    pub subject: String,
    /// The token's `roles`.
    #[serde(default)]
    pub roles: Vec<String>,
    /// The token's `tenant`.
    #[serde(default)]
    pub tenant: Option<String>,
    /// All claims of the token.
    #[serde(default)]
    pub claims: serde_json::Map<String, serde_json::Value>,
}

/// Where a call came from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Caller {
    /// The verified identity; `None` for an anonymous caller.
    pub identity: Option<Arc<Identity>>,
    /// IP address of the client.
    pub ip: Option<IpAddr>,
    /// The client's `User-Agent`.
    pub user_agent: Option<String>,
}

impl Caller {
    /// Stands for the caller in limits: the identity, or the network of an anonymous client. `None` for work
    /// of the node itself.
    pub fn key(&self) -> Option<CallerHash> {
        match (&self.identity, self.ip) {
            (Some(identity), _) => Some(CallerHash::of((&identity.tenant, &identity.subject))),
            (None, Some(ip)) => Some(CallerHash::of(client_network(ip))),
            (None, None) => None,
        }
    }
}

/// The names of the node's own handlers begin with it, for example `forge.overview`. The catalog refuses such
/// names of an application.
pub const SYSTEM_PREFIX: &str = "forge.";

/// True for the node's own handlers, which the dashboard and the command line call. They run on the node's
/// runtime, because they do not block. The figures that a node shows of its load leave them out: a person who
/// looks at a dashboard would see mostly the dashboard.
pub fn is_system(handler: &str) -> bool {
    handler.starts_with(SYSTEM_PREFIX)
}

/// A call by name, with its arguments as JSON bytes.
#[derive(Clone)]
pub struct Invocation {
    /// Identifies the request in logs.
    pub id: RequestId,
    /// Wire name of the handler.
    pub name: Arc<str>,
    /// The JSON object of arguments.
    pub args: Bytes,
    /// The caller.
    pub caller: Caller,
    /// The trace that the call belongs to.
    pub trace: TraceContext,
    /// The caller does not wait beyond this moment. The handler's own timeout may end the call earlier.
    pub deadline: Option<Instant>,
    /// A mutation that is sent again with this key is not run again.
    pub idempotency_key: Option<IdempotencyKey>,
}

impl Invocation {
    /// A call of `name` that starts a trace of its own.
    pub fn new(name: impl Into<Arc<str>>, args: impl Into<Bytes>, caller: Caller) -> Self {
        Self {
            id: RequestId::new(),
            name: name.into(),
            args: args.into(),
            caller,
            trace: TraceContext::new_root(),
            deadline: None,
            idempotency_key: None,
        }
    }
}

/// Without the arguments, in which there may be secrets.
impl fmt::Debug for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invocation")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("trace", &self.trace)
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// Whether the token has this role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own == role)
    }
}
