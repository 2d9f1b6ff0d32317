//! Who follows jobs and runs: the identities that have a handle, and those who ask.

use crate::app::context::Ctx;
use crate::app::kind::Kind;
use crate::kernel::invocation::Identity;

/// Stands for an identity among the followers of a job or a run: tenant and subject, as JSON. An anonymous
/// one is `null`, and stands for everyone who knows the id.
pub(crate) fn follower(identity: Option<&Identity>) -> String {
    let known = identity.map(|identity| (identity.tenant.as_deref(), identity.subject.as_str()));
    serde_json::json!(known).to_string()
}

/// Who asks for a job or a run by its handle.
#[derive(Debug, Clone)]
pub struct Viewer {
    /// Stands for the identity.
    pub follower: String,
    /// Sees everything that is followed.
    pub sees_all: bool,
}

impl Viewer {
    /// The caller of a handler. Administrators see everything that is followed.
    pub(crate) fn of<K: Kind>(ctx: &Ctx<K>) -> Self {
        Self { follower: follower(ctx.auth().identity().ok()), sees_all: ctx.auth().has_role("admin") }
    }
}
