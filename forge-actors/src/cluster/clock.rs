//! Whether the clock of this node lets it check tokens. Pure.
//!
//! Tokens are made by other nodes or by other programs, and their times are compared with this node's clock.
//! The only clock that all nodes read is the database's. A node that differs from it is the wrong one where
//! another node agrees with it; where none does, the database's clock may as well be the wrong one, and no
//! node would be better.

use std::time::Duration;

use crate::db::clock::{CLOCK_DIFFERENCE_MAX, ClockDifference};
use crate::kernel::time::format_duration;
use crate::subsystem::HealthVerdict;

/// The largest difference of the clocks with which a node checks tokens that have this leeway.
pub(super) fn tolerance(leeway: Duration) -> Duration {
    leeway.max(CLOCK_DIFFERENCE_MAX)
}

/// What `/ready` says of a node whose clock differs by more than `tolerance`. `others_agree`: another node
/// has the database's time.
pub(super) fn verdict(difference: ClockDifference, tolerance: Duration, others_agree: bool) -> HealthVerdict {
    let (what, tolerance) = (difference.describe(), format_duration(tolerance));
    let least = format_duration(CLOCK_DIFFERENCE_MAX);
    let text = format!("{what}, and at most {tolerance} are tolerated (auth.leeway, but at least {least})");
    if others_agree {
        HealthVerdict::Broken(format!("{text}; another node's clock agrees with the database's").into())
    } else {
        HealthVerdict::Remark(text.into())
    }
}
