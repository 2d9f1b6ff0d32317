//! What the elector receives.

/// Messages of the elector.
#[derive(forge_app_macros::Message)]
pub(super) enum ElectorMessage {
    /// Renew the terms of this node, and try to be elected where it does not lead.
    Renew,
    /// End all terms in order, and stand for nothing any more.
    Withdraw,
}
