//! What the elector receives.

/// Messages of the elector.
#[derive(forge_app_macros::Message)]
pub(super) enum ElectorMessage {
    /// The next round is due.
    RoundDue,
    /// This node stands for nothing any more. Only a wake-up: the flag is in `LeaderShared`.
    WithdrawRequested,
}
