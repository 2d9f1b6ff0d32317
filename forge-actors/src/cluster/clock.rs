//! Whether the clock of this node lets it check tokens. Pure.
//!
//! Tokens are made by other nodes or by somebody else, and their times are compared with this node's clock.
//! The only clock that all nodes read is the database's. A node that differs from it is the wrong one where
//! another node agrees with it; where none does, the database's clock may as well be the wrong one, and no
//! node would be better.

use std::time::Duration;

use crate::db::clock::ClockDifference;
use crate::kernel::time::{format_duration, secs};
use crate::subsystem::HealthVerdict;

/// A smaller difference takes no node out of service, however small `auth.leeway` is.
const DIFFERENCE_MIN: Duration = secs(2);

/// The largest difference of the clocks with which a node checks tokens that have this leeway.
pub(super) fn tolerance(leeway: Duration) -> Duration {
    leeway.max(DIFFERENCE_MIN)
}

/// What `/ready` says of a node whose clock differs by more than `tolerance`. `others_agree`: another node
/// has the database's time.
pub(super) fn verdict(difference: ClockDifference, tolerance: Duration, others_agree: bool) -> HealthVerdict {
    let (what, tolerance) = (difference.describe(), format_duration(tolerance));
    if others_agree {
        let text = format!("{what}, other nodes' agree, and tokens are checked with a leeway of {tolerance}");
        HealthVerdict::Broken(text.into())
    } else {
        let text = format!("{what}, by more than the leeway of tokens ({tolerance})");
        HealthVerdict::Remark(text.into())
    }
}
