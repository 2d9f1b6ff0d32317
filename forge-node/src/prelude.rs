//! What nearly every file of an application names: `use forge::prelude::*;`.

pub use forge_actors::app::password;
pub use forge_actors::prelude::*;
pub use sqlx;
