//! The kinds of handler, a row each. A new kind is a new row and, where it has options of its own, new words in [`Word`].

use crate::option::Key;

/// What is particular to a kind.
pub(crate) struct Kind {
    /// The attribute, and the constructor of `Meta`.
    pub name: &'static str,
    /// The marker type in `::forge::app`.
    pub marker: &'static str,
    /// The context in `::forge::app`, as people write it.
    pub context: &'static str,
    /// The kind with its article.
    pub one: &'static str,
    /// What the kind is for, as the end of "a query ..".
    pub purpose: &'static str,
    pub options: &'static [Key<Word>],
}

/// The options of all kinds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Public,
    Auth,
    Role,
    Internal,
    Name,
    Timeout,
    Concurrency,
    InputMax,
    Snapshot,
    Refresh,
    Isolation,
}

const PUBLIC: Key<Word> = Key { name: "public", usage: "public", id: Word::Public };
const AUTH: Key<Word> = Key { name: "auth", usage: "auth", id: Word::Auth };
const ROLE: Key<Word> = Key { name: "role", usage: "role = \"editor\"", id: Word::Role };
const INTERNAL: Key<Word> = Key { name: "internal", usage: "internal", id: Word::Internal };
const NAME: Key<Word> = Key { name: "name", usage: "name = \"tasks.all\"", id: Word::Name };
const TIMEOUT: Key<Word> = Key { name: "timeout", usage: "timeout = \"5s\"", id: Word::Timeout };
const CONCURRENCY: Key<Word> = Key { name: "concurrency", usage: "concurrency = 10", id: Word::Concurrency };
const INPUT_MAX: Key<Word> = Key { name: "input_max", usage: "input_max = \"64KiB\"", id: Word::InputMax };
const SNAPSHOT: Key<Word> = Key { name: "snapshot", usage: "snapshot", id: Word::Snapshot };
const REFRESH: Key<Word> = Key { name: "refresh", usage: "refresh = \"1s\"", id: Word::Refresh };
const ISOLATION: Key<Word> = Key { name: "isolation", usage: "isolation = serializable", id: Word::Isolation };

pub(crate) static QUERY: Kind = Kind {
    name: "query",
    one: "a query",
    marker: "Query",
    context: "QueryContext",
    purpose: "only reads",
    options: &[PUBLIC, AUTH, ROLE, INTERNAL, NAME, TIMEOUT, CONCURRENCY, INPUT_MAX, SNAPSHOT, REFRESH],
};

pub(crate) static MUTATION: Kind = Kind {
    name: "mutation",
    one: "a mutation",
    marker: "Mutation",
    context: "MutationContext",
    purpose: "writes in one transaction",
    options: &[PUBLIC, AUTH, ROLE, INTERNAL, NAME, TIMEOUT, CONCURRENCY, INPUT_MAX, ISOLATION],
};

pub(crate) static ACTION: Kind = Kind {
    name: "action",
    one: "an action",
    marker: "Action",
    context: "ActionContext",
    purpose: "calls out and has no transaction",
    options: &[PUBLIC, AUTH, ROLE, INTERNAL, NAME, TIMEOUT, CONCURRENCY, INPUT_MAX],
};

/// All kinds.
pub(crate) static KINDS: [&Kind; 3] = [&QUERY, &MUTATION, &ACTION];
