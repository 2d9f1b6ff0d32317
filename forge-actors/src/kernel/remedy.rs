//! What a developer does about a fault. Answers in development carry it beside the cause.

use std::borrow::Cow;

use super::fault::{Code, Fault};

/// What helps against `fault`: what its maker has said, or else what helps against its kind. `None` for the
/// application's own errors, which say it themselves.
pub fn remedy(fault: &Fault) -> Option<Cow<'_, str>> {
    if let Some(help) = fault.help() {
        return Some(help.into());
    }
    let of_statement = fault.sqlstate().and_then(|state| of_sqlstate(&state));
    of_statement.or_else(|| of_code(fault.code())).map(Cow::Borrowed)
}

/// Errors of statements, which the handler's author corrects.
fn of_sqlstate(state: &str) -> Option<&'static str> {
    Some(match state {
        "42P01" | "42703" => {
            "`forge-node migrate status` lists the migrations that are applied, `forge-node schema` what the \
             models need"
        }
        "42601" => "correct the statement at this position",
        "42883" | "42804" | "42P18" => "give the parameter a type in the statement, for example `$1::uuid`",
        "25006" => "a query only reads: make the handler a mutation",
        "23502" => "give the column a value, or a default in a migration",
        "23503" => "write the row that is referred to first, or answer with an error of the handler's own",
        "23505" => "add `ON CONFLICT` to the statement, or answer with an error of the handler's own",
        "23514" => {
            "check the value before it is written: `#[forge::validated_type]` refuses it as an argument"
        }
        "42501" => "grant the right to the role that the node connects with",
        _ => return None,
    })
}

fn of_code(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::BadRequest => "send one JSON object with the arguments by name; openapi.json lists them",
        Code::Unauthenticated => {
            "send `authorization: Bearer <token>`; `forge-node call <function> --as <subject>` signs one"
        }
        Code::PermissionDenied => {
            "use a token with the role: `forge-node call <function> --as <subject> --role <role>` signs one"
        }
        Code::NotFound => "`forge-node functions` lists the functions",
        Code::MethodNotAllowed => "call it by POST; only queries answer GET",
        Code::Conflict => {
            "retry when the answer has `retryAfterMs`; otherwise the call conflicts with rows that exist, or \
             repeats an idempotency key with other arguments"
        }
        Code::PayloadTooLarge => "send less, or raise `input_max` in the attribute of the handler",
        Code::UnsupportedMediaType => "send `content-type: application/json`",
        Code::Validation => "`details.fields` says of each argument what is accepted",
        Code::Internal => "the log of the node has more under the trace id: of a panic the backtrace",
        Code::Unavailable => "try again in a moment; GET /ready says what the node waits for",
        Code::Overloaded => {
            "try again after `retryAfterMs`; the limits are `functions.calls_max` and `concurrency` of the \
             handler"
        }
        Code::OutcomeUnknown => "send the request again with the same `Idempotency-Key`: it is done once",
        Code::Timeout => {
            "make the slowest statement faster, or raise `timeout` in the attribute of the handler"
        }
        Code::VersionMismatch => {
            "build the page and the node from the same version: `forge-node generate` writes the client"
        }
        Code::AlreadyDone => "the call is committed: read what it did; use a new key for another call",
        Code::App(_) => return None,
    })
}
