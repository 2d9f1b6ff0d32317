//! [`JobHandle`]: the id of a job that clients may follow, with the types of what comes of the job.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgRow, PgTypeInfo, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Row};

use crate::__private::specta;
use crate::app::error::AppError;
use crate::app::handler::Handler;
use crate::app::model::ColumnType;
use crate::app::wire_type::{self, WireType};
use crate::kernel::ids::JobId;

/// A job of the handler `H` that was dispatched with [`handle`](crate::app::dispatch::Dispatch::handle). On
/// the wire and in Postgres it is the job's id; TypeScript also knows the types of the job's result and of
/// its own errors, so that `useJob(handle)` is typed.
///
/// The identity that dispatched the job follows it with the handle: its status, progress and result. So does
/// an administrator; for others there is no such job.
///
/// ```
/// # extern crate forge_actors as forge;
/// # use forge::prelude::*;
/// # #[forge::job]
/// # pub async fn render(_ctx: &JobContext, pages: u32) -> Result<u32> { Ok(pages) }
/// #[forge::mutation]
/// pub async fn start(ctx: &MutationContext, pages: u32) -> Result<JobHandle<Render>> {
///     ctx.dispatch(Render { pages }).handle().await
/// }
/// # fn main() {}
/// ```
pub struct JobHandle<H> {
    id: JobId,
    handler: PhantomData<fn() -> H>,
}

impl<H> JobHandle<H> {
    /// The handle of a job whose id was kept. That the job is one of `H` is the caller's knowledge.
    pub const fn of(id: JobId) -> Self {
        Self { id, handler: PhantomData }
    }

    /// The id of the job.
    pub const fn id(&self) -> JobId {
        self.id
    }
}

impl<H> Clone for JobHandle<H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for JobHandle<H> {}

impl<H> PartialEq for JobHandle<H> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<H> Eq for JobHandle<H> {}

impl<H> Hash for JobHandle<H> {
    fn hash<S: Hasher>(&self, state: &mut S) {
        self.id.hash(state);
    }
}

impl<H> fmt::Debug for JobHandle<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobHandle({})", self.id)
    }
}

impl<H> fmt::Display for JobHandle<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

impl<H> From<JobHandle<H>> for JobId {
    fn from(handle: JobHandle<H>) -> Self {
        handle.id
    }
}

impl<H> Serialize for JobHandle<H> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.id.serialize(serializer)
    }
}

impl<'de, H> Deserialize<'de> for JobHandle<H> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        JobId::deserialize(deserializer).map(Self::of)
    }
}

impl<H> sqlx::Type<Postgres> for JobHandle<H> {
    fn type_info() -> PgTypeInfo {
        <JobId as sqlx::Type<Postgres>>::type_info()
    }
}

impl<H> PgHasArrayType for JobHandle<H> {
    fn array_type_info() -> PgTypeInfo {
        JobId::array_type_info()
    }
}

impl<'q, H> Encode<'q, Postgres> for JobHandle<H> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<'q, Postgres>::encode_by_ref(&self.id, buffer)
    }
}

impl<'r, H> Decode<'r, Postgres> for JobHandle<H> {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        <JobId as Decode<'r, Postgres>>::decode(value).map(Self::of)
    }
}

impl<H: Handler> ColumnType for JobHandle<H> {
    const SQL: &'static str = "uuid";

    fn read(row: &PgRow, name: &str) -> Result<Self, sqlx::Error> {
        row.try_get(name)
    }
}

impl<H: Handler> specta::Type for JobHandle<H> {
    fn definition(types: &mut specta::Types) -> specta::datatype::DataType {
        let (output, error) = (H::Output::definition(types), (H::Error::DEFINITION)(types));
        wire_type::job_handle(types, output, error)
    }
}
