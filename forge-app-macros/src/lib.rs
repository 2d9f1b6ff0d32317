//! Forge's attributes and derives, re-exported by the crate `forge`.
//!
//! One pipeline for all of them: **parse** (tokens to a spec; every mistake becomes an error on the offending
//! token, and all mistakes of one attribute are reported together), **spec** (plain data, already checked),
//! **lower** (spec to code that names everything by an absolute path below `::forge`, so that an application
//! needs no other dependency and may shadow any name).
//!
//! `option` is the one grammar of options; each attribute brings a table of the words it knows. The kinds of
//! handler are rows of `function::kind`, not copies.

use proc_macro::TokenStream;

mod application;
mod case;
mod data;
mod declared;
mod doc;
mod enumeration;
mod error_enum;
mod event;
mod function;
mod literal;
mod message;
mod model;
mod option;
mod pipeline;
mod postgres;
mod refuse;
mod testing;
mod validated;
mod workflow_migration;

#[cfg(test)]
mod tests;

/// Makes an async fn a query: it reads, and Postgres refuses it any write.
///
/// `list(ctx: &QueryContext, done: Option<bool>) -> Result<Vec<Task>>` stays callable and gains the message
/// `List { done }`, its `Handler` implementation and its registration.
///
/// Options: `public`, `auth` (the default), `role = "editor"`, `internal`, `name = "tasks.all"` (on the
/// wire), `message = "AllTasks"` (the struct), `timeout = "5s"`, `concurrency = 10`, `input_max = "64KiB"`,
/// `snapshot`, `refresh = "1s"`.
#[proc_macro_attribute]
pub fn query(options: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(&function::kind::QUERY, options.into(), item.into()).into()
}

/// Makes an async fn a mutation: exactly one transaction, which commits when it returns `Ok`.
///
/// Options: those of [`macro@query`] without `snapshot` and `refresh`, and `isolation = read_committed |
/// repeatable_read | serializable`.
#[proc_macro_attribute]
pub fn mutation(options: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(&function::kind::MUTATION, options.into(), item.into()).into()
}

/// Makes an async fn an action: it may talk to the outside world, and has no transaction of its own.
///
/// Options: those of [`macro@query`] without `snapshot` and `refresh`.
#[proc_macro_attribute]
pub fn action(options: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(&function::kind::ACTION, options.into(), item.into()).into()
}

/// Makes an async fn a job: `ctx.dispatch(..)` queues it, a worker runs it, and a failed attempt is repeated.
///
/// It runs at least once; what it writes inside of `ctx.commit(async |tx| ..)` it writes exactly once. It
/// cannot be called from outside.
///
/// Options: `queue = "mail"` ("default"), `priority = 50` (0 to 100, larger ones first), `attempts = 8` (10),
/// `backoff = fixed("5s")`, `linear("5s", max = "10m")` or `exponential("5s", max = "1h")` (from "1s"),
/// `timeout = "30s"` (up to "24h"), `input_max = "64KiB"`, `name = "mail.welcome"`, `message = "Welcome"`,
/// and `alias = "mail.hello"` for each name that queued rows may still carry.
#[proc_macro_attribute]
pub fn job(options: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(&function::kind::JOB, options.into(), item.into()).into()
}

/// Makes an async fn a cron: it runs at the times of a schedule, once each in the whole cluster.
///
/// `#[forge::cron("0 9 * * MON-FRI", timezone = "Europe/Berlin")]`: five fields (minute, hour, day of the
/// month, month, weekday), six with the second in front, or a nickname such as `@daily`. The expression and
/// the zone are checked while this compiles. Without an expression the handler may take arguments, and runs
/// on the schedules that mutations create with `ctx.crons().create(..)`.
///
/// A run is a job, with the options of [`macro@job`] (`attempts` is 3). Those of its own: `timezone` ("UTC"),
/// `overlap = skip` (the default), `queue` or `allow` (what becomes of a run while the one before is not
/// finished), `catch_up = 3` (1; how many missed times run afterwards), `jitter = "30s"` (a run starts up to
/// this much later).
#[proc_macro_attribute]
pub fn cron(options: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(&function::kind::CRON, options.into(), item.into()).into()
}

/// Makes an async fn a workflow: `ctx.start(..)` begins a run, which goes on from its journal after any
/// crash, for years if it has to.
///
/// `onboard(ctx: &WorkflowContext, user: UserId) -> Result<Outcome>` stays a function and gains the message
/// `Onboard { user }`. The function is executed from its beginning whenever its run goes on, and takes what
/// its steps have returned from the journal; so all effects belong into steps, and time and chance come from
/// `ctx.now()`, `ctx.uuid()` and `ctx.random()`. It cannot be called.
///
/// Options: `version = 2` (1; up to 1,000,000), `timeout = "30d"` (none: a run may last for ever; "1s" to
/// "3660d", for the run as a whole with its waits), `retention = "30d"` (`[workflows] retention`; how long
/// a run and its journal are kept after its end), `deprecated` (the function only goes on with runs that
/// exist, and none begins with it), `input_max = "64KiB"` ("1MiB"), `name = "flows.onboard"`, `message =
/// "Onboard"`, and `alias = "flows.welcome"` for each name that runs may still carry.
///
/// A function that takes other steps than its runs have taken is a new version. Both stay in the code until
/// the last run of the older one has ended. The older function is renamed; `name` says that it is a version
/// of the same workflow, and its message, here `OnboardV1`, follows from its own name:
///
/// ```text
/// #[forge::workflow(name = "flows.onboard", deprecated)]
/// async fn onboard_v1(ctx: &WorkflowContext, user: UserId) -> Result<Outcome> { .. }
///
/// #[forge::workflow(version = 2)]                 // `flows.onboard`, in the module `flows`
/// async fn onboard(ctx: &WorkflowContext, user: UserId) -> Result<Outcome> { .. }
/// ```
#[proc_macro_attribute]
pub fn workflow(options: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(&function::kind::WORKFLOW, options.into(), item.into()).into()
}

/// Makes a function the way from one version of a workflow to a newer one: with a binary that has no function
/// of version `from` left, its runs go on with the function of version `to`.
///
/// `#[forge::workflow_migration(from = 1, to = 2)]` stands on `fn onboard_1_to_2(journal: &mut
/// Journal<Onboard>) -> Result<()>`, where `Onboard` is the message of the newer version. The function gives
/// the journal the steps that the newer version takes: `journal.rename(..)`, `insert(..)`, `remove(..)`,
/// `map_result(..)`, and `input_mut()` for other arguments. It is not async, and has no other effects.
///
/// Both options are required; `to` is larger than `from`.
#[proc_macro_attribute]
pub fn workflow_migration(options: TokenStream, item: TokenStream) -> TokenStream {
    workflow_migration::expand(options.into(), item.into()).into()
}

/// Makes a struct an event: something that happens, and for which workflows wait with
/// `ctx.wait_for::<EmailVerified>(user)`. The struct has named fields, or none.
///
/// It is written and read as one of [`macro@data`] is, with the same attributes of serde, but not from rows.
///
/// Options: `key = user` (none), the field that says what the event is about: a run that waits names the same
/// value; `name = "accounts.email_verified"` (the module and the struct in snake_case), under which Postgres
/// holds the event, and which may not change while runs wait for it.
#[proc_macro_attribute]
pub fn event(options: TokenStream, item: TokenStream) -> TokenStream {
    event::expand(options.into(), item.into()).into()
}

/// Beside a kind's attribute: the caller needs a valid token (which is also the default).
#[proc_macro_attribute]
pub fn require_auth(options: TokenStream, item: TokenStream) -> TokenStream {
    function::defer("require_auth", options.into(), item.into()).into()
}

/// Beside a kind's attribute: the caller's token must carry a role, `#[require_role("editor")]`.
#[proc_macro_attribute]
pub fn require_role(options: TokenStream, item: TokenStream) -> TokenStream {
    function::defer("require_role", options.into(), item.into()).into()
}

/// Makes an enum a handler's error: each variant has `#[code("LIMIT_REACHED", status = 409)]`, a
/// documentation comment (the message that callers read) and named fields or none (the details that clients
/// read, typed).
///
/// A handler that returns `Result<T, TaskError>` may use `?` on sqlx errors, faults and failed calls: the
/// enum gets a hidden variant that holds them.
#[proc_macro_attribute]
pub fn error(options: TokenStream, item: TokenStream) -> TokenStream {
    error_enum::expand(options.into(), item.into()).into()
}

/// Makes a struct the source of truth of a table.
///
/// Options: `table = "tasks"`, `index(project, status, where = "status <> 'done'", name = "..")`,
/// `unique(project, title)`. Field attributes: `#[id]`, `#[indexed]`, `#[unique]`, `#[default = "open"]` (a
/// value) or `#[default(sql = "now()")]` (an expression), `#[updated_at]`, `#[column(name = "..", type =
/// "..")]`, `#[sensitive]`, `#[relation(belongs_to = Project, on_delete = cascade)]`.
///
/// A `#[sensitive]` field is left out of JSON and shown as `[redacted]` by `Debug`. Reading the struct from
/// JSON still requires the field: a value that was lost on the way must not come back as an empty one.
#[proc_macro_attribute]
pub fn model(options: TokenStream, item: TokenStream) -> TokenStream {
    model::expand(options.into(), item.into()).into()
}

/// Makes a struct or an enum something that crosses the wire: serde's derives in camelCase, and its type for
/// clients. A struct with named fields is read from rows too (`sqlx::FromRow`, a column for each field), and
/// an enum without data is stored as its label.
///
/// Option: `row = false` leaves the reading of rows to the author. `#[serde(..)]` on the item, its variants
/// and its fields says what serde offers, for example `#[serde(tag = "type")]` on an enum whose variants hold
/// data; `#[serde(rename_all = "..")]` replaces camelCase.
#[proc_macro_attribute]
pub fn data(options: TokenStream, item: TokenStream) -> TokenStream {
    data::expand(options.into(), item.into()).into()
}

/// Makes a fieldless enum a Postgres enum, a string on the wire and a union in TypeScript; labels are the
/// variants in snake_case.
///
/// Option: `name = "task_status"`, the type's name in Postgres when it is not the Rust name in snake_case.
#[proc_macro_attribute]
pub fn forge_enum(options: TokenStream, item: TokenStream) -> TokenStream {
    enumeration::expand("forge_enum", options.into(), item.into()).into()
}

/// Another name of [`macro@forge_enum`].
#[proc_macro_attribute]
pub fn enum_type(options: TokenStream, item: TokenStream) -> TokenStream {
    enumeration::expand("enum_type", options.into(), item.into()).into()
}

/// Makes `struct Title(String)` a text that is checked wherever one is made: parsed, read from JSON, read
/// from a column.
///
/// Options: `len = 1..=200` (characters), `trim`, `lowercase`, `check = function` (`fn(&str) -> Result<(),
/// &'static str>`), `secret` (`Debug`, `Display` and what administrators see of a job's arguments show
/// `[redacted]`; JSON and SQL carry the value, since the text has to arrive).
#[proc_macro_attribute]
pub fn validated_type(options: TokenStream, item: TokenStream) -> TokenStream {
    validated::expand(options.into(), item.into()).into()
}

/// Makes an async fn a test that has a database of its own, migrated as the application's is:
/// `async fn creates_a_task(cx: TestContext) -> TestResult`. `forge::testing` says what a test can do.
///
/// A test calls handlers as clients do, by their messages. `#[ignore]`, `#[should_panic]` and `#[cfg(..)]`
/// stand beside it as they do beside `#[test]`.
#[proc_macro_attribute]
pub fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    testing::expand(options.into(), item.into()).into()
}

/// Names the variants of an actor's message enum, for the live tree.
#[proc_macro_derive(Message)]
pub fn message(item: TokenStream) -> TokenStream {
    message::expand(item.into()).into()
}

/// Declares the application in the root of its crate: `forge::app! { name = "taskboard", migrations =
/// "../migrations" }`.
///
/// The folder is relative to the file that holds the macro; its `*.sql` files are embedded, and an edit
/// rebuilds the crate.
#[proc_macro]
pub fn app(input: TokenStream) -> TokenStream {
    let file = proc_macro::Span::call_site().local_file();
    application::expand(input.into(), file).into()
}
