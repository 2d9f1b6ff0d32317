//! The kinds of handler: what each may do is a type, so that what it may not do does not compile.
//!
//! | kind | database | transaction | may call |
//! |---|---|---|---|
//! | query | reads (Postgres refuses writes) | none, or one snapshot | queries |
//! | mutation | reads and writes | exactly one | queries, mutations |
//! | action | none of its own | none | queries, mutations, actions; the outside world |
//! | job | inside of `ctx.commit` | the one that finishes it | queries, mutations, actions; the outside world |
//!
//! Mutations, actions and jobs dispatch jobs; nothing calls one.

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
    /// Runs later, and again until it succeeds.
    Job,
}

impl KindName {
    /// The name as attributes and the wire write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Mutation => "mutation",
            Self::Action => "action",
            Self::Job => "job",
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
/// Marks job handlers.
#[derive(Debug, Clone, Copy)]
pub enum Job {}

impl Kind for Query {
    const NAME: KindName = KindName::Query;
}
impl Kind for Mutation {
    const NAME: KindName = KindName::Mutation;
}
impl Kind for Action {
    const NAME: KindName = KindName::Action;
}
impl Kind for Job {
    const NAME: KindName = KindName::Job;
}

/// The kinds whose context has a database.
#[diagnostic::on_unimplemented(
    message = "`Ctx<{Self}>` has no database",
    label = "no `db()` here",
    note = "an action is not transactional: put the statement into a query or a mutation and run that with `ctx.call(..)`",
    note = "a job writes inside of `ctx.commit(async |tx| ..)`, which finishes it in the same transaction"
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
impl CallsOut for Job {}

/// Which kind may run which by `ctx.call`.
#[diagnostic::on_unimplemented(
    message = "`Ctx<{Self}>` cannot call a handler of kind `{Callee}`",
    label = "not callable from here",
    note = "queries call queries; mutations call queries and mutations (in their own transaction); actions and jobs call all three; a job is not called but dispatched"
)]
pub trait MayCall<Callee: Kind>: Kind {}
impl MayCall<Query> for Query {}
impl MayCall<Query> for Mutation {}
impl MayCall<Mutation> for Mutation {}
impl MayCall<Query> for Action {}
impl MayCall<Mutation> for Action {}
impl MayCall<Action> for Action {}
impl MayCall<Query> for Job {}
impl MayCall<Mutation> for Job {}
impl MayCall<Action> for Job {}

/// The kinds that may dispatch jobs.
#[diagnostic::on_unimplemented(
    message = "`Ctx<{Self}>` cannot dispatch a job",
    label = "no `dispatch()` here",
    note = "a query only reads, and a dispatched job is a row: dispatch it in a mutation, with which it commits, or in an action or a job"
)]
pub trait MayDispatch: MayCall<Mutation> {}
impl MayDispatch for Mutation {}
impl MayDispatch for Action {}
impl MayDispatch for Job {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Query {}
    impl Sealed for super::Mutation {}
    impl Sealed for super::Action {}
    impl Sealed for super::Job {}
}
