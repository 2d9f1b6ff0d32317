//! [`WorkflowHandle`]: the id of a run that clients may follow, with the types of what comes of the run.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::__private::specta;
use crate::app::error::AppError;
use crate::app::handler::Handler;
use crate::app::wire_type::{self, WireType};
use crate::kernel::ids::RunId;

/// A run of the workflow `H` that was started with [`handle`](crate::app::workflow::Start::handle). On the
/// wire it is the run's id; TypeScript also knows the types of its result and of its own errors, so that
/// `useWorkflow(handle)` is typed.
///
/// The identity that started the run follows it with the handle. So does an administrator; for others there
/// is no such run.
pub struct WorkflowHandle<H> {
    id: RunId,
    workflow: PhantomData<fn() -> H>,
}

impl<H> WorkflowHandle<H> {
    /// The handle of a run whose id was kept. That the run is one of `H` is the caller's knowledge.
    pub const fn of(id: RunId) -> Self {
        Self { id, workflow: PhantomData }
    }

    /// The id of the run.
    pub const fn id(&self) -> RunId {
        self.id
    }
}

impl<H> Clone for WorkflowHandle<H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for WorkflowHandle<H> {}

impl<H> PartialEq for WorkflowHandle<H> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<H> Eq for WorkflowHandle<H> {}

impl<H> Hash for WorkflowHandle<H> {
    fn hash<S: Hasher>(&self, state: &mut S) {
        self.id.hash(state);
    }
}

impl<H> fmt::Debug for WorkflowHandle<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorkflowHandle({})", self.id)
    }
}

impl<H> From<WorkflowHandle<H>> for RunId {
    fn from(handle: WorkflowHandle<H>) -> Self {
        handle.id
    }
}

impl<H> Serialize for WorkflowHandle<H> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.id.serialize(serializer)
    }
}

impl<'de, H> Deserialize<'de> for WorkflowHandle<H> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RunId::deserialize(deserializer).map(Self::of)
    }
}

impl<H: Handler> specta::Type for WorkflowHandle<H> {
    fn definition(types: &mut specta::Types) -> specta::datatype::DataType {
        let (output, error) = (H::Output::definition(types), (H::Error::DEFINITION)(types));
        wire_type::workflow_handle(types, output, error)
    }
}
