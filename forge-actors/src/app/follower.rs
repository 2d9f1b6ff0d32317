//! Followers of jobs and runs: the identities that were given a handle, and the callers that read by one.

use crate::app::context::Ctx;
use crate::app::kind::Kind;
use crate::kernel::invocation::Identity;

/// The text by which an identity is stored as a follower of a job or a run: its tenant and subject, as JSON.
/// That of a caller without a token is `null`: everyone who knows the id of such a job or run may follow it.
pub(crate) fn follower(identity: Option<&Identity>) -> String {
    let known = identity.map(|identity| (identity.tenant.as_deref(), identity.subject.as_str()));
    serde_json::json!(known).to_string()
}

/// The caller that reads a job or a run by its handle.
#[derive(Debug, Clone)]
pub struct Viewer {
    /// The text of its identity, see `follower`.
    pub follower: String,
    /// May read all jobs and runs that have a handle.
    pub sees_all: bool,
}

impl Viewer {
    /// The caller of a handler. Administrators may read all jobs and runs that have a handle.
    pub(crate) fn of<K: Kind>(ctx: &Ctx<K>) -> Self {
        Self { follower: follower(ctx.auth().identity().ok()), sees_all: ctx.auth().has_role("admin") }
    }
}
