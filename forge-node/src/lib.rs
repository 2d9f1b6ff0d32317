//! Forge: typed functions on an actor runtime and Postgres.
//!
//! Applications depend on this crate alone. Its prelude has what handlers need, its attributes make them,
//! [`main!`] makes the binary:
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
//! The rest of the crate is the command line that such a binary has: [`cli`] says which verbs, [`cmd`] does
//! them, [`config`] reads `forge.toml`, [`boot`] starts a node.

pub mod boot;
pub mod cli;
pub mod cmd;
pub mod config;
pub mod prelude;
mod run;

pub use forge_actors::app::{NoError, Result, password};
pub use forge_actors::{
    Message, action, app, data, db, enum_type, error, forge_enum, id, job, kernel, model, mutation, query,
    register, require_auth, require_role, supervise, validated_type,
};
pub use run::{run, run_developer};
pub use sqlx;

/// What expanded macros name; not part of the public API.
#[doc(hidden)]
pub mod __private {
    pub use forge_actors::__private::*;
    pub use mimalloc::MiMalloc;
}

/// Makes the binary of an application: `forge::main!(shop)` names the crates whose handlers it serves.
///
/// The names matter: a crate that a binary never names is left out by the linker, with all its handlers.
#[macro_export]
macro_rules! main {
    ($($application:ident),+ $(,)?) => {
        // Request-sized allocations from many threads are what it is good at.
        #[global_allocator]
        static ALLOCATOR: $crate::__private::MiMalloc = $crate::__private::MiMalloc;

        fn main() -> ::std::process::ExitCode {
            static APPS: &[&$crate::app::App] = &[$(&$application::APP),+];
            $crate::run(APPS)
        }
    };
}
