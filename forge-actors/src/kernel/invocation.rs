//! One call, erased: what gateway, queue, mesh and replay hand to a handler alike.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::kernel::idempotency_key::IdempotencyKey;
use crate::kernel::ids::RequestId;
use crate::kernel::trace::TraceContext;

/// Who a verified token says the caller is.
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
    /// Every claim, as sent.
    #[serde(default)]
    pub claims: serde_json::Map<String, serde_json::Value>,
}

/// Where a call came from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Caller {
    /// The verified identity; `None` is anonymous.
    pub identity: Option<Arc<Identity>>,
    /// Address of the peer.
    pub ip: Option<IpAddr>,
    /// Its `User-Agent`.
    pub user_agent: Option<String>,
}

/// A call by name, its arguments as the JSON bytes they came in.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Names the request in logs.
    pub id: RequestId,
    /// Wire name of the handler.
    pub name: Arc<str>,
    /// The JSON object of arguments.
    pub args: Bytes,
    /// Who calls.
    pub caller: Caller,
    /// Which trace it belongs to.
    pub trace: TraceContext,
    /// The caller no longer waits after this moment; the handler's own timeout may end it earlier.
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

impl Identity {
    /// The token carries this role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|held| held == role)
    }
}
