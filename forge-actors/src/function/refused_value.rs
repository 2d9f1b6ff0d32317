//! Decides who caused a value that Postgres refuses (SQLSTATE class 22): the client, when the value can have
//! come from the arguments of the call; otherwise the application.
//!
//! Postgres does not tell where a value came from. What it tells is compared with the arguments: an error
//! with a position is about a constant that stands in the statement itself; an error that quotes the value is
//! the client's when an argument has that text or number; one that quotes none is the client's when an
//! argument could be such a value. A call of a handler without arguments, or of one whose own rows hold the
//! value, is not answered with `BAD_REQUEST`.

use serde_json::Value;

use crate::kernel::fault::{Code, Fault};
use crate::kernel::sqlstate::SqlStateClass;

/// Numeric value out of range. Only a number can be the cause.
const OUT_OF_RANGE: &str = "22003";
/// What these errors quote are values. Other errors of the class quote names, of encodings for example.
const QUOTE_VALUES: [&str; 5] = [OUT_OF_RANGE, "22007", "22008", "22023", "22P02"];

/// The fault of a call with the arguments `args`: `BAD_REQUEST` for a refused value stays only when the value
/// can be one of theirs.
pub(super) fn classify(fault: Fault, args: &[u8]) -> Fault {
    let Some(state) = refused_value(&fault) else { return fault };
    let is_constant = fault.has_position();
    let message = fault.postgres_error().map(|error| error.message()).unwrap_or_default();
    if !is_constant && may_be_argument(&state, message, &argument_values(args)) {
        fault
    } else {
        fault.into_internal()
    }
}

/// The SQLSTATE, when the fault is what a refused value became by itself, and no answer that the handler has
/// chosen.
fn refused_value(fault: &Fault) -> Option<String> {
    let state = fault.sqlstate().filter(|state| state.starts_with("22"))?;
    let SqlStateClass::RefusedValue(message) = SqlStateClass::of(&state) else { return None };
    (fault.code() == Code::BadRequest && fault.message() == message).then_some(state)
}

fn may_be_argument(state: &str, message: &str, argument_values: &[String]) -> bool {
    let quoted = if QUOTE_VALUES.contains(&state) { quoted(message) } else { Vec::new() };
    if !quoted.is_empty() {
        return argument_values
            .iter()
            .any(|argument| quoted.iter().any(|value| may_come_from(value, argument)));
    }
    argument_values.iter().any(|argument| state != OUT_OF_RANGE || argument.parse::<f64>().is_ok())
}

/// The texts in quotes. Postgres does not escape quotes in a value, so all between the first and the last one
/// is a candidate, too.
fn quoted(message: &str) -> Vec<&str> {
    let outer = message.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"')).map(|(outer, _)| outer);
    outer.into_iter().chain(message.split('"').skip(1).step_by(2)).collect()
}

/// A handler may have trimmed the argument, changed its case, or made the value of several ones.
fn may_come_from(value: &str, argument: &str) -> bool {
    let (value, argument) = (value.to_lowercase(), argument.to_lowercase());
    let number = |text: &str| text.parse::<f64>().ok();
    let equal_numbers = || number(&value).is_some_and(|value| number(&argument) == Some(value));
    argument.contains(&value) || (!argument.is_empty() && value.contains(&argument)) || equal_numbers()
}

/// The texts and numbers of the arguments, and the keys of maps in them.
fn argument_values(args: &[u8]) -> Vec<String> {
    let mut argument_values = Vec::new();
    if let Ok(Value::Object(args)) = serde_json::from_slice(args) {
        args.into_iter().for_each(|(_, value)| collect(value, &mut argument_values));
    }
    argument_values
}

fn collect(value: Value, argument_values: &mut Vec<String>) {
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(number) => argument_values.push(number.to_string()),
        Value::String(text) => argument_values.push(text),
        Value::Array(items) => items.into_iter().for_each(|item| collect(item, argument_values)),
        Value::Object(map) => map.into_iter().for_each(|(key, value)| {
            argument_values.push(key);
            collect(value, argument_values);
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(state: &str, message: &str, args: &str, expected: bool) {
        let argument_values = argument_values(args.as_bytes());
        assert_eq!(may_be_argument(state, message, &argument_values), expected, "{state} {message} {args}");
    }

    #[test]
    fn a_value_is_the_clients_when_an_argument_can_be_it() {
        let unreadable = r#"invalid input syntax for type integer: "x7""#;
        check("22P02", unreadable, r#"{"size": "x7"}"#, true);
        check("22P02", unreadable, r#"{"filter": {"size": [" X7 "]}}"#, true);
        check("22P02", unreadable, r#"{"by": {"x7": 1}}"#, true);
        check("22P02", unreadable, r#"{"x7": true}"#, false);
        check("22P02", unreadable, r#"{"id": "a3"}"#, false);
        check("22P02", unreadable, "{}", false);
        check("22P02", unreadable, "", false);
        check(
            "22P02",
            r#"invalid input syntax for type json: "{"a":"b"#,
            r#"{"doc": "{\"a\":\"b\"}"}"#,
            true,
        );
        check("22003", r#"value "1e+300" is out of range for type real"#, r#"{"n": 1E300}"#, true);
        check("22003", r#"value "1e+300" is out of range for type real"#, r#"{"n": 7}"#, false);
    }

    #[test]
    fn an_error_that_quotes_no_value_is_the_clients_when_an_argument_is_of_its_kind() {
        check("22003", "integer out of range", r#"{"n": 5}"#, true);
        check("22003", "integer out of range", r#"{"n": "5"}"#, true);
        check("22003", "integer out of range", r#"{"name": "ana"}"#, false);
        check("22003", "integer out of range", "{}", false);
        check("22001", "value too long for type character varying(3)", r#"{"name": "ana"}"#, true);
        check("22021", r#"invalid byte sequence for encoding "UTF8": 0x00"#, r#"{"name": "ana"}"#, true);
        check("22021", r#"invalid byte sequence for encoding "UTF8": 0x00"#, r#"{"all": true}"#, false);
    }
}
