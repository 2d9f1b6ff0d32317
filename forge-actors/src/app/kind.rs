//! The kinds of handler: what each may do is a type, so that what it may not do does not compile.
//!
//! | kind | database | transaction | may call |
//! |---|---|---|---|
//! | query | reads (Postgres refuses writes) | none, or one snapshot | queries |
//! | mutation | reads and writes | exactly one | queries, mutations |
//! | action | none of its own | none | queries, mutations, actions; the outside world |

use serde::{Deserialize, Serialize};

/// The kinds, as a value: metadata, metrics, the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KindName {
    /// Reads.
    Query,
    /// Writes in one transaction.
    Mutation,
    /// Calls out; not transactional.
    Action,
}

impl KindName {
    /// The name as attributes and the wire write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Mutation => "mutation",
            Self::Action => "action",
        }
    }
}

/// A kind of handler, as a type. Sealed: kinds are Forge's, handlers are the application's.
pub trait Kind: sealed::Sealed + Send + Sync + 'static {
    /// The kind as a value.
    const NAME: KindName;
}

/// Marks query handlers.
#[derive(Debug, Clone, Copy)]
pub enum Query {}
/// Marks mutation handlers.
#[derive(Debug, Clone, Copy)]
pub enum Mutation {}
/// Marks action handlers.
#[derive(Debug, Clone, Copy)]
pub enum Action {}

impl Kind for Query {
    const NAME: KindName = KindName::Query;
}
impl Kind for Mutation {
    const NAME: KindName = KindName::Mutation;
}
impl Kind for Action {
    const NAME: KindName = KindName::Action;
}

/// The kinds whose context has a database.
#[diagnostic::on_unimplemented(
    message = "`Ctx<{Self}>` has no database",
    label = "no `db()` here",
    note = "an action is not transactional: put the statement into a query or a mutation and run that with `ctx.call(..)`"
)]
pub trait HasDatabase: Kind {}
impl HasDatabase for Query {}
impl HasDatabase for Mutation {}

/// The kinds that may talk to the outside world.
#[diagnostic::on_unimplemented(
    message = "`Ctx<{Self}>` cannot call out",
    label = "no `http()` here",
    note = "a call to another service holds a transaction open and cannot be rolled back: do it in an action"
)]
pub trait CallsOut: Kind {}
impl CallsOut for Action {}

/// Which kind may run which by `ctx.call`.
#[diagnostic::on_unimplemented(
    message = "`Ctx<{Self}>` cannot call a handler of kind `{Callee}`",
    label = "not callable from here",
    note = "queries call queries; mutations call queries and mutations (in their own transaction); actions call all three"
)]
pub trait MayCall<Callee: Kind>: Kind {}
impl MayCall<Query> for Query {}
impl MayCall<Query> for Mutation {}
impl MayCall<Mutation> for Mutation {}
impl<Callee: Kind> MayCall<Callee> for Action {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Query {}
    impl Sealed for super::Mutation {}
    impl Sealed for super::Action {}
}
