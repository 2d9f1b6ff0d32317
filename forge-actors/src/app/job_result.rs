//! The result of a job: what its handler returns, kept as JSON in the history. A job that returns nothing
//! has none, and costs none.

use std::any::{Any, TypeId, type_name};

use bytes::Bytes;

use crate::app::error::Result;
use crate::app::handler::Handler;
use crate::app::wire_type::WireType;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::limits::JOB_RESULT_BYTES_MAX;

/// How JSON writes that there is no value.
const NOTHING: &[u8] = b"null";

/// Writes the result of a job as JSON.
///
/// # Errors
/// `PAYLOAD_TOO_LARGE` beyond [`JOB_RESULT_BYTES_MAX`]; the job is not tried again then, since its next
/// result would be as large.
pub(super) fn written<T: WireType>(result: &T) -> Result<Bytes> {
    let json = result.to_json_within(JOB_RESULT_BYTES_MAX).map_err(|error| {
        let fault = Fault::from(error);
        match fault.code() {
            Code::PayloadTooLarge => {
                fault.with_help("keep what is large in a table or a file, and return its id").without_retry()
            }
            _ => fault,
        }
    })?;
    Ok(json.into())
}

/// The JSON text of a result; `None` when there is no value.
pub(crate) fn kept(json: Bytes) -> Option<Bytes> {
    (json != NOTHING).then_some(json)
}

/// The result of a job of `H` that ends with `ctx.commit`: what the effect has returned.
///
/// # Errors
/// When the effect has returned another type than the handler does: the result would be lost, since a job is
/// finished when its effect is committed.
pub(super) fn of_effect<H: Handler>(returned: &dyn Any) -> Result<Option<Bytes>> {
    if returned.is::<H::Output>() {
        let result = returned.downcast_ref::<H::Output>().map(written).transpose()?;
        return Ok(result.and_then(kept));
    }
    if TypeId::of::<H::Output>() == TypeId::of::<()>() {
        return Ok(None);
    }
    Err(Fault::internal(format!(
        "`commit` finishes the job, so what its effect returns is the job's result: return a `{}` from the \
         effect of `{}`",
        type_name::<H::Output>(),
        H::META.wire_name()
    )))
}
