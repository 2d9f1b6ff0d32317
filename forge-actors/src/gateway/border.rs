//! The function room, as the gateway sees it.

use bytes::Bytes;

use super::routes::Border;
use crate::app::Catalog;
use crate::function::Functions;
use crate::kernel::fault::Fault;
use crate::kernel::invocation::Invocation;

impl Border for Functions {
    fn catalog(&self) -> &Catalog {
        Functions::catalog(self)
    }

    async fn call(&self, invocation: Invocation) -> Result<Bytes, Fault> {
        Functions::call(self, invocation).await
    }
}
