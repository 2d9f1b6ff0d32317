//! The kinds of handler, a row each. A new kind is a new row and, where it has options of its own, new words
//! in [`Word`].

use syn::LitStr;

use crate::literal;
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
    /// Reads a time limit, in milliseconds.
    pub timeout: fn(&LitStr) -> syn::Result<u64>,
}

impl Kind {
    /// Somebody outside may call it, unless it says otherwise.
    pub(crate) fn is_callable(&self) -> bool {
        self.options.iter().any(|key| key.id == Word::Auth)
    }
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
    Queue,
    Priority,
    Attempts,
    Backoff,
    Alias,
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
const ISOLATION: Key<Word> =
    Key { name: "isolation", usage: "isolation = serializable", id: Word::Isolation };
const QUEUE: Key<Word> = Key { name: "queue", usage: "queue = \"mail\"", id: Word::Queue };
const PRIORITY: Key<Word> = Key { name: "priority", usage: "priority = 50", id: Word::Priority };
const ATTEMPTS: Key<Word> = Key { name: "attempts", usage: "attempts = 8", id: Word::Attempts };
const BACKOFF: Key<Word> =
    Key { name: "backoff", usage: "backoff = exponential(\"5s\", max = \"1h\")", id: Word::Backoff };
const ALIAS: Key<Word> = Key { name: "alias", usage: "alias = \"mail.old_name\"", id: Word::Alias };

/// Options that may be given several times.
pub(crate) const REPEATABLE: &[&str] = &["alias"];

pub(crate) static QUERY: Kind = Kind {
    name: "query",
    one: "a query",
    marker: "Query",
    context: "QueryContext",
    purpose: "only reads",
    options: &[PUBLIC, AUTH, ROLE, INTERNAL, NAME, TIMEOUT, CONCURRENCY, INPUT_MAX, SNAPSHOT, REFRESH],
    timeout: literal::timeout,
};

pub(crate) static MUTATION: Kind = Kind {
    name: "mutation",
    one: "a mutation",
    marker: "Mutation",
    context: "MutationContext",
    purpose: "writes in one transaction",
    options: &[PUBLIC, AUTH, ROLE, INTERNAL, NAME, TIMEOUT, CONCURRENCY, INPUT_MAX, ISOLATION],
    timeout: literal::timeout,
};

pub(crate) static ACTION: Kind = Kind {
    name: "action",
    one: "an action",
    marker: "Action",
    context: "ActionContext",
    purpose: "calls out and has no transaction",
    options: &[PUBLIC, AUTH, ROLE, INTERNAL, NAME, TIMEOUT, CONCURRENCY, INPUT_MAX],
    timeout: literal::timeout,
};

pub(crate) static JOB: Kind = Kind {
    name: "job",
    one: "a job",
    marker: "Job",
    context: "JobContext",
    purpose: "runs later, and again until it succeeds",
    options: &[NAME, ALIAS, QUEUE, PRIORITY, ATTEMPTS, BACKOFF, TIMEOUT, INPUT_MAX],
    timeout: literal::job_timeout,
};

/// All kinds.
pub(crate) static KINDS: [&Kind; 4] = [&QUERY, &MUTATION, &ACTION, &JOB];
