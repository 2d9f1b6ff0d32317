//! Forge: typed functions on an actor runtime and Postgres.
//!
//! Applications depend on this crate alone. Its prelude has the types that handlers need, its attributes make
//! handlers, and [`main!`] makes the binary:
//!
//! ```
//! use forge::prelude::*;
//!
//! /// Says hello.
//! #[forge::query(public)]
//! pub async fn greet(ctx: &QueryContext, name: String) -> Result<String> {
//!     Ok(sqlx::query_scalar("SELECT 'Hello, ' || $1").bind(name).fetch_one(ctx.db()).await?)
//! }
//! # fn main() {}
//! ```
//!
//! A binary is one line in `src/main.rs`: `forge::main!(shop);`.
//!
//! The rest of the crate is the command line of such a binary: [`cli`] has the commands and their flags,
//! [`cmd`] their implementations, [`terminal`] what they print with; [`config`] reads `forge.toml`, [`boot`]
//! starts a node. With the feature `testing`, for the dev-dependencies of an application, `testing` runs its
//! tests.

pub mod boot;
pub mod cli;
pub mod cmd;
pub mod config;
pub mod prelude;
mod run;
pub mod terminal;
#[cfg(feature = "testing")]
pub mod testing;

pub use forge_actors::app::{Result, password};
#[cfg(feature = "testing")]
pub use forge_actors::test;
pub use forge_actors::{
    Message, action, app, cron, data, db, enum_type, error, event, forge_enum, id, job, kernel, model,
    mutation, query, register, require_auth, require_role, supervise, validated_type, workflow,
    workflow_migration,
};
pub use run::{run, run_developer};
pub use sqlx;

/// Names that expanded macros use; not part of the public API.
#[doc(hidden)]
pub mod __private {
    pub use forge_actors::__private::*;
    pub use mimalloc::MiMalloc;
}

/// Makes the binary of an application: `forge::main!(shop)` names the crates whose handlers it serves.
///
/// A crate that a binary never names is left out by the linker, with all of its handlers.
#[macro_export]
macro_rules! main {
    ($($application:ident),+ $(,)?) => {
        // mimalloc returns memory to the system after a burst of requests; glibc's malloc does not.
        #[global_allocator]
        static ALLOCATOR: $crate::__private::MiMalloc = $crate::__private::MiMalloc;

        fn main() -> ::std::process::ExitCode {
            static APPS: &[&$crate::app::App] = &[$(&$application::APP),+];
            $crate::run(APPS)
        }
    };
}
