//! The workflows of a binary, as an operator who starts one sees them.

use crate::app::argument_form::ArgumentForm;
use crate::kernel::integer::Int53;

/// A workflow that the binary of the answering node has code for.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartableWorkflow {
    /// Its wire name.
    pub name: String,
    /// The first paragraph of its documentation.
    pub doc: String,
    /// The version that a start takes which names none; `None` when all of them are deprecated.
    pub newest: Option<u32>,
    /// Its versions, the oldest first.
    pub versions: Vec<StartableVersion>,
}

/// A version of a workflow that the binary of the answering node has code for.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartableVersion {
    /// The version.
    pub version: u32,
    /// It only goes on with runs that exist.
    pub is_deprecated: bool,
    /// Its arguments; `None` when its message was written by hand.
    pub arguments: Option<Vec<ArgumentForm>>,
    /// Bytes of the largest arguments, as JSON.
    pub input_bytes_max: Int53,
}
