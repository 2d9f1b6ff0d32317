//! The kinds of handler, a row each. A new kind is a new row and, where it has options of its own, new words
//! in [`HandlerOption`].

use syn::LitStr;

use crate::literal;
use crate::option::Key;

/// What is particular to a kind.
pub(crate) struct Kind {
    /// The attribute, and the constructor of `Meta`.
    pub name: &'static str,
    /// The marker type in `::forge::app`.
    pub marker: &'static str,
    /// The struct in `::forge::app` with the options that only this kind has.
    pub options_type: Option<&'static str>,
    /// The context in `::forge::app`, as people write it.
    pub context: &'static str,
    /// The kind with its article.
    pub one: &'static str,
    /// What the kind is for, as the end of "a query ..".
    pub purpose: &'static str,
    /// How it is started, as the end of "a job ..", where nobody can call it.
    pub start: &'static str,
    pub options: &'static [Key<HandlerOption>],
    /// Reads a time limit, in milliseconds.
    pub timeout: fn(&LitStr) -> syn::Result<u64>,
}

impl Kind {
    /// Handlers of this kind can be called from outside.
    pub(crate) fn is_callable(&self) -> bool {
        self.options.iter().any(|key| key.id == HandlerOption::Auth)
    }
}

/// The options of all kinds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandlerOption {
    Public,
    Auth,
    Role,
    Internal,
    Name,
    Message,
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
    JobConcurrency,
    RateLimit,
    Unique,
    Throttle,
    Debounce,
    Capability,
    Retain,
    Resources,
    Timezone,
    Overlap,
    CatchUp,
    Jitter,
    Workflow(WorkflowOption),
}

/// The options that only workflows have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkflowOption {
    Version,
    Timeout,
    Deprecated,
    Retention,
}

impl HandlerOption {
    /// The option says who may call.
    pub(crate) fn is_access(self) -> bool {
        matches!(self, Self::Public | Self::Auth | Self::Role | Self::Internal)
    }
}

const PUBLIC: Key<HandlerOption> = Key { name: "public", usage: "public", id: HandlerOption::Public };
const AUTH: Key<HandlerOption> = Key { name: "auth", usage: "auth", id: HandlerOption::Auth };
const ROLE: Key<HandlerOption> = Key { name: "role", usage: "role = \"editor\"", id: HandlerOption::Role };
const INTERNAL: Key<HandlerOption> = Key { name: "internal", usage: "internal", id: HandlerOption::Internal };
const NAME: Key<HandlerOption> = Key { name: "name", usage: "name = \"tasks.all\"", id: HandlerOption::Name };
const MESSAGE: Key<HandlerOption> =
    Key { name: "message", usage: "message = \"AllTasks\"", id: HandlerOption::Message };
const TIMEOUT: Key<HandlerOption> =
    Key { name: "timeout", usage: "timeout = \"5s\"", id: HandlerOption::Timeout };
const CONCURRENCY: Key<HandlerOption> =
    Key { name: "concurrency", usage: "concurrency = 10", id: HandlerOption::Concurrency };
const INPUT_MAX: Key<HandlerOption> =
    Key { name: "input_max", usage: "input_max = \"64KiB\"", id: HandlerOption::InputMax };
const SNAPSHOT: Key<HandlerOption> = Key { name: "snapshot", usage: "snapshot", id: HandlerOption::Snapshot };
const REFRESH: Key<HandlerOption> =
    Key { name: "refresh", usage: "refresh = \"1s\"", id: HandlerOption::Refresh };
const ISOLATION: Key<HandlerOption> =
    Key { name: "isolation", usage: "isolation = serializable", id: HandlerOption::Isolation };
const QUEUE: Key<HandlerOption> = Key { name: "queue", usage: "queue = \"mail\"", id: HandlerOption::Queue };
const PRIORITY: Key<HandlerOption> =
    Key { name: "priority", usage: "priority = 50", id: HandlerOption::Priority };
const ATTEMPTS: Key<HandlerOption> =
    Key { name: "attempts", usage: "attempts = 8", id: HandlerOption::Attempts };
const BACKOFF: Key<HandlerOption> =
    Key { name: "backoff", usage: "backoff = exponential(\"5s\", max = \"1h\")", id: HandlerOption::Backoff };
const ALIAS: Key<HandlerOption> =
    Key { name: "alias", usage: "alias = \"mail.old_name\"", id: HandlerOption::Alias };

const JOB_CONCURRENCY: Key<HandlerOption> = Key {
    name: "concurrency",
    usage: "concurrency(limit = 2, key = tenant)",
    id: HandlerOption::JobConcurrency,
};
const RATE_LIMIT: Key<HandlerOption> = Key {
    name: "rate_limit",
    usage: "rate_limit(requests = 100, per = \"1m\", key = tenant)",
    id: HandlerOption::RateLimit,
};
const UNIQUE: Key<HandlerOption> =
    Key { name: "unique", usage: "unique(by = task, within = \"1h\")", id: HandlerOption::Unique };
const THROTTLE: Key<HandlerOption> =
    Key { name: "throttle", usage: "throttle(by = task, per = \"1m\")", id: HandlerOption::Throttle };
const DEBOUNCE: Key<HandlerOption> =
    Key { name: "debounce", usage: "debounce(by = task, wait = \"5s\")", id: HandlerOption::Debounce };
const CAPABILITY: Key<HandlerOption> =
    Key { name: "capability", usage: "capability = \"gpu\"", id: HandlerOption::Capability };
const RESOURCES: Key<HandlerOption> =
    Key { name: "resources", usage: "resources(cpu = 2, memory = \"1GiB\")", id: HandlerOption::Resources };
const RETAIN: Key<HandlerOption> =
    Key { name: "retain", usage: "retain = \"30d\"", id: HandlerOption::Retain };

const TIMEZONE: Key<HandlerOption> =
    Key { name: "timezone", usage: "timezone = \"Europe/Berlin\"", id: HandlerOption::Timezone };
const OVERLAP: Key<HandlerOption> =
    Key { name: "overlap", usage: "overlap = queue", id: HandlerOption::Overlap };
const CATCH_UP: Key<HandlerOption> =
    Key { name: "catch_up", usage: "catch_up = 3", id: HandlerOption::CatchUp };
const JITTER: Key<HandlerOption> =
    Key { name: "jitter", usage: "jitter = \"30s\"", id: HandlerOption::Jitter };

const VERSION: Key<HandlerOption> =
    Key { name: "version", usage: "version = 2", id: HandlerOption::Workflow(WorkflowOption::Version) };
const RUN_TIMEOUT: Key<HandlerOption> =
    Key { name: "timeout", usage: "timeout = \"30d\"", id: HandlerOption::Workflow(WorkflowOption::Timeout) };
const DEPRECATED: Key<HandlerOption> =
    Key { name: "deprecated", usage: "deprecated", id: HandlerOption::Workflow(WorkflowOption::Deprecated) };
const RUN_RETENTION: Key<HandlerOption> = Key {
    name: "retention",
    usage: "retention = \"30d\"",
    id: HandlerOption::Workflow(WorkflowOption::Retention),
};

/// Options that may be given several times.
pub(crate) const REPEATABLE: &[&str] = &["alias"];

pub(crate) static QUERY: Kind = Kind {
    name: "query",
    one: "a query",
    marker: "Query",
    options_type: Some("QueryOptions"),
    context: "QueryContext",
    purpose: "only reads",
    start: "is called",
    options: &[
        PUBLIC,
        AUTH,
        ROLE,
        INTERNAL,
        NAME,
        MESSAGE,
        TIMEOUT,
        CONCURRENCY,
        INPUT_MAX,
        SNAPSHOT,
        REFRESH,
    ],
    timeout: literal::timeout,
};

pub(crate) static MUTATION: Kind = Kind {
    name: "mutation",
    one: "a mutation",
    marker: "Mutation",
    options_type: Some("MutationOptions"),
    context: "MutationContext",
    purpose: "writes in one transaction",
    start: "is called",
    options: &[PUBLIC, AUTH, ROLE, INTERNAL, NAME, MESSAGE, TIMEOUT, CONCURRENCY, INPUT_MAX, ISOLATION],
    timeout: literal::timeout,
};

pub(crate) static ACTION: Kind = Kind {
    name: "action",
    one: "an action",
    marker: "Action",
    options_type: None,
    context: "ActionContext",
    purpose: "calls out and has no transaction",
    start: "is called",
    options: &[PUBLIC, AUTH, ROLE, INTERNAL, NAME, MESSAGE, TIMEOUT, CONCURRENCY, INPUT_MAX],
    timeout: literal::timeout,
};

pub(crate) static JOB: Kind = Kind {
    name: "job",
    one: "a job",
    marker: "Job",
    options_type: Some("JobMeta"),
    context: "JobContext",
    purpose: "runs later, and again until it succeeds",
    start: "is dispatched",
    options: &[
        NAME,
        MESSAGE,
        ALIAS,
        QUEUE,
        PRIORITY,
        ATTEMPTS,
        BACKOFF,
        TIMEOUT,
        JOB_CONCURRENCY,
        RATE_LIMIT,
        UNIQUE,
        THROTTLE,
        DEBOUNCE,
        CAPABILITY,
        RESOURCES,
        RETAIN,
        INPUT_MAX,
    ],
    timeout: literal::job_timeout,
};

pub(crate) static CRON: Kind = Kind {
    name: "cron",
    one: "a cron",
    marker: "Cron",
    options_type: Some("CronMeta"),
    context: "CronContext",
    purpose: "runs at the times of its schedule",
    start: "runs on its schedule",
    options: &[
        TIMEZONE, OVERLAP, CATCH_UP, JITTER, NAME, MESSAGE, ALIAS, QUEUE, PRIORITY, ATTEMPTS, BACKOFF,
        TIMEOUT, RETAIN, INPUT_MAX,
    ],
    timeout: literal::job_timeout,
};

pub(crate) static WORKFLOW: Kind = Kind {
    name: "workflow",
    one: "a workflow",
    marker: "Workflow",
    options_type: Some("WorkflowMeta"),
    context: "WorkflowContext",
    purpose: "goes on from its journal until it ends",
    start: "is started",
    options: &[VERSION, RUN_TIMEOUT, DEPRECATED, RUN_RETENTION, NAME, MESSAGE, ALIAS, INPUT_MAX],
    timeout: literal::run_timeout,
};

/// All kinds.
pub(crate) static KINDS: [&Kind; 6] = [&QUERY, &MUTATION, &ACTION, &JOB, &CRON, &WORKFLOW];
