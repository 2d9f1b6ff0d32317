//! The options of `#[forge::workflow(..)]`.

use std::time::Duration;

/// Version, time limit and retention of a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkflowMeta {
    /// The version of this function. A run keeps the version that it began with; several versions of one
    /// workflow may be in one binary.
    pub version: u32,
    /// A run that has not ended after this time fails with `TIMEOUT`, and is compensated. `None`: a run may
    /// last for ever.
    pub timeout: Option<Duration>,
    /// The function only goes on with runs that exist; none begins with it.
    pub deprecated: bool,
    /// How long a run and its journal are kept after its end; `[workflows] retention` without it.
    pub retention: Option<Duration>,
    /// Names under which rows of earlier versions may be stored.
    pub aliases: &'static [&'static str],
}

impl WorkflowMeta {
    /// The options of an attribute that names none.
    pub const DEFAULT: Self =
        Self { version: 1, timeout: None, deprecated: false, retention: None, aliases: &[] };
}
