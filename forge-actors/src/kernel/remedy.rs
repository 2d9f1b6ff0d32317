//! What a developer does about a fault. Answers in development carry it beside the cause.
//!
//! What helps is said by the place that knows the cause, with
//! [`Fault::with_help`](super::fault::Fault::with_help): one code has many causes, so nothing is guessed from
//! a code. Of a failed statement the SQLSTATE is the cause.

/// Against a token that is missing or refused.
pub const TOKEN: &str =
    "send `authorization: Bearer <token>`; `forge-node call <function> --as <subject>` signs one";
/// Against a token without the role of an administrator.
pub const ADMIN_TOKEN: &str =
    "use a token with the role: `forge-node call <function> --as <subject> --role admin` signs one";
/// Against tokens at a node that has no secret.
pub const SECRET: &str = "set `auth.secret` (`openssl rand -base64 32` prints one)";
/// Against a page of another origin.
pub const ORIGIN: &str = "add the origin of the page to `gateway.cors_origins`";
/// Against a failure inside the server.
pub const LOG: &str = "the log of the node has more under the trace id: of a panic the backtrace";
/// Against a time limit.
pub const TIME_LIMIT: &str =
    "make the slowest statement faster, or raise `timeout` in the attribute of the handler";
/// Against arguments that are larger than the handler takes.
pub const INPUT_MAX: &str = "send less, or raise `input_max` in the attribute of the handler";
/// Against a commit whose outcome is not known.
pub const SAME_KEY: &str = "send the request again with the same `Idempotency-Key`: it is done once";
/// Against a database or a node that is not there at the moment.
pub const READY: &str = "try again in a moment; GET /ready says what the node waits for";

/// What the author of a handler does about an error of a statement. `is_bug` says whether the error counts as
/// the application's, and not as the client's.
pub(super) fn of_sqlstate(state: &str, is_bug: bool) -> Option<&'static str> {
    Some(match (state, is_bug) {
        ("42P01" | "42703", _) => {
            "`forge-node migrate status` lists the migrations that are applied, `forge-node schema` what the \
             models need"
        }
        ("42601", _) => "correct the statement at this position",
        ("42883" | "42804" | "42P18", _) => {
            "give the parameter a type in the statement, for example `$1::uuid`"
        }
        ("25006", _) => "a query only reads: make the handler a mutation",
        ("23502", _) => "give the column a value, or a default in a migration",
        ("23503", _) => {
            "write the row that is referred to first, or answer with an error of the handler's own"
        }
        ("23505", _) => "add `ON CONFLICT` to the statement, or answer with an error of the handler's own",
        ("23514", _) => {
            "check the value before it is written: `#[forge::validated_type]` refuses it as an argument"
        }
        ("42501", _) => "grant the right to the role that the node connects with",
        (state, true) if state.starts_with("22") => {
            "the value is of the statement or of a row, and not of the arguments: correct the cast or the \
             computation, or what the rows hold"
        }
        (state, false) if state.starts_with("22") => {
            "check the value before the statement: `#[forge::validated_type]` refuses it as an argument"
        }
        _ => return None,
    })
}
