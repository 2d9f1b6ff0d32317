//! A job that is dispatched anew, as it was or with other arguments.

use serde_json::Value;
use sqlx::Row;

use crate::app::secret::REDACTED;
use crate::db::handle::Db;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::JobId;
use crate::kernel::invocation::Identity;

/// What is taken over from a job.
#[derive(Debug, Clone)]
pub struct StoredJob {
    /// Wire name of its handler.
    pub name: String,
    /// Its queue.
    pub queue: String,
    /// Its priority.
    pub priority: i16,
    /// Its attempts.
    pub attempts_max: i32,
    /// Its arguments object, as JSON, with its secrets.
    pub args: String,
    /// The identity that it runs with.
    pub identity: Option<Identity>,
    /// The time limit of its attempts, where the dispatch named one.
    pub timeout_ms: Option<u32>,
}

/// Reads what a clone takes over.
///
/// # Errors
/// `CONFLICT` when its identity cannot be read.
pub async fn find_stored(db: &Db, id: JobId) -> Result<Option<StoredJob>, Fault> {
    let find = sqlx::query(include_str!("../sql/find_stored_job.sql")).bind(id);
    let Some(row) = find.fetch_optional(db).await? else { return Ok(None) };
    let identity: Option<String> = row.try_get("identity")?;
    let identity = identity.as_deref().map(serde_json::from_str).transpose().map_err(|error| {
        let message = "the identity of the job cannot be read, so that no other job can have it";
        Fault::new(Code::Conflict, message).because(error)
    })?;
    let timeout_ms: Option<i64> = row.try_get("timeout_ms")?;
    Ok(Some(StoredJob {
        name: row.try_get("name")?,
        queue: row.try_get("queue")?,
        priority: row.try_get("priority")?,
        attempts_max: row.try_get("attempts_max")?,
        args: row.try_get("args")?,
        identity,
        timeout_ms: timeout_ms.and_then(|ms| u32::try_from(ms).ok()),
    }))
}

/// The arguments of a clone: `given`, in which `[redacted]` stands for the value of `stored` at that place,
/// where `shown` (the arguments as people see them) has it too. Arguments without it stay as they were
/// written.
///
/// # Errors
/// `BAD_REQUEST` when `given` is no JSON, or when `[redacted]` stands where nothing is hidden.
pub fn with_secrets(given: &str, shown: &str, stored: &str) -> Result<String, Fault> {
    let parse = |text: &str| serde_json::from_str::<Value>(text);
    let mut args = parse(given)
        .map_err(|error| Fault::new(Code::BadRequest, format!("the arguments are no JSON: {error}")))?;
    if !given.contains(REDACTED) {
        return Ok(given.to_owned());
    }
    let (shown, stored) = (parse(shown).map_err(Fault::internal)?, parse(stored).map_err(Fault::internal)?);
    restore(&mut args, Some(&shown), Some(&stored))?;
    Ok(args.to_string())
}

fn restore(given: &mut Value, shown: Option<&Value>, stored: Option<&Value>) -> Result<(), Fault> {
    match given {
        Value::String(text) if text == REDACTED => {
            let hidden = shown.and_then(Value::as_str) == Some(REDACTED);
            let Some(secret) = stored.filter(|_| hidden) else {
                let message = format!("`{REDACTED}` stands where the job has no secret: write the value");
                return Err(Fault::new(Code::BadRequest, message));
            };
            *given = secret.to_owned();
            Ok(())
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let shown = shown.and_then(|shown| shown.get(name));
                restore(field, shown, stored.and_then(|stored| stored.get(name)))?;
            }
            Ok(())
        }
        Value::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                let shown = shown.and_then(|shown| shown.get(at));
                restore(item, shown, stored.and_then(|stored| stored.get(at)))?;
            }
            Ok(())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_values_are_taken_over_and_others_are_not_made_up() {
        let stored = r#"{"user": 7, "pin": "4711", "cards": [{"no": "1"}, {"no": "2"}]}"#;
        let shown =
            r#"{"user": 7, "pin": "[redacted]", "cards": [{"no": "[redacted]"}, {"no": "[redacted]"}]}"#;
        let of = |given: &str| with_secrets(given, shown, stored);
        let exact = r#"{ "user": 12345678901234567890123 }"#;
        assert_eq!(of(exact).expect("no secret"), exact, "as it was written");
        let given = r#"{"user": 8, "pin": "[redacted]", "cards": [{"no": "[redacted]"}, {"no": "3"}]}"#;
        let expected = r#"{"user": 8, "pin": "4711", "cards": [{"no": "1"}, {"no": "3"}]}"#;
        let value = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        assert_eq!(value(&of(given).expect("hidden values")), value(expected));
        for wrong in [
            r#"{"user": "[redacted]"}"#,
            r#"{"other": "[redacted]"}"#,
            r#"{"cards": ["[redacted]"]}"#,
            r#"{"cards": [{"no": "1"}, {"no": "1"}, {"no": "[redacted]"}]}"#,
            "{",
        ] {
            assert_eq!(of(wrong).expect_err(wrong).code(), Code::BadRequest, "{wrong}");
        }
    }
}
