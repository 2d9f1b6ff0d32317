//! Keys of jobs: by which limits and unique dispatches tell jobs apart.
//!
//! An attribute names the parts of a key: arguments of the handler, the caller's tenant or the caller. A
//! dispatch writes their values into the text of the key, which starts with its purpose and its scope:
//! `concurrency:mail.send:["acme"]`. The scope is the handler, or a group that several handlers name.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::app::error::Result;
use crate::kernel::fault::Fault;
use crate::kernel::invocation::Identity;

/// Bytes of the values of a key; longer ones are replaced by their digest.
const VALUES_MAX: usize = 200;

/// A part of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPart {
    /// The argument with this name in JSON; a missing one is `null`.
    Argument(&'static str),
    /// All arguments.
    Arguments,
    /// The tenant of the caller who dispatches; `null` without one.
    Tenant,
    /// The subject of the caller who dispatches; `null` without one.
    User,
}

/// How many jobs with one key may be held at a time, by all nodes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobConcurrency {
    /// Jobs at a time.
    pub limit: u32,
    /// Parts of the key; none: all jobs of the handler share the limit.
    pub key: &'static [KeyPart],
    /// Handlers that name the same group share their keys. `None`: the handler is alone.
    pub group: Option<&'static str>,
}

/// How many jobs with one key may be claimed in a time, by all nodes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobRate {
    /// Claims within the time, wherever it begins.
    pub requests: u32,
    /// The time.
    pub per: Duration,
    /// As for [`JobConcurrency`].
    pub key: &'static [KeyPart],
    /// As for [`JobConcurrency`].
    pub group: Option<&'static str>,
}

/// What jobs of one handler share with others of the same key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JobLimits {
    /// How many may be held at a time, by all nodes together.
    pub concurrency: Option<JobConcurrency>,
    /// How many may be claimed in a time, by all nodes together.
    pub rate: Option<JobRate>,
    /// Dispatches that find a job instead of making one.
    pub unique: Option<JobUnique>,
}

impl JobLimits {
    /// No limits.
    pub const NONE: Self = Self { concurrency: None, rate: None, unique: None };

    /// True for a job that is claimed under the lock of a key.
    pub const fn limits_claims(&self) -> bool {
        self.concurrency.is_some() || self.rate.is_some()
    }
}

/// Dispatches with the same key find one job.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JobUnique {
    /// Parts of the key.
    pub key: &'static [KeyPart],
    /// What a dispatch does that finds a job.
    pub rule: UniqueRule,
}

/// What a dispatch does that finds a job with the same key.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum UniqueRule {
    /// It changes nothing, and returns that job.
    Once {
        /// For how many seconds after its dispatch a job is found; `None`: as long as its state says.
        within_secs: Option<f64>,
        /// The jobs that are found.
        states: UniqueStates,
    },
    /// A job that has not begun gets the new arguments and waits anew; one that has begun is not found.
    Debounce {
        /// Seconds from the last dispatch to the run.
        wait_secs: f64,
        /// Seconds from the first dispatch to the run, at most.
        wait_secs_max: f64,
    },
}

/// Which jobs a unique dispatch finds, by what became of them.
#[forge_app_macros::data]
#[serde(rename_all = "snake_case")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UniqueStates {
    /// Those that are not finished.
    Unfinished,
    /// Those, and those that have succeeded.
    NotFailed,
    /// All, whatever became of them.
    Any,
}

/// The keys of one dispatch.
#[forge_app_macros::data]
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobKeys {
    /// The key of the handler's concurrency limit.
    pub concurrency: Option<String>,
    /// The key of the handler's rate limit.
    pub rate: Option<String>,
    /// The key that makes the dispatch unique.
    pub unique: Option<UniqueKey>,
}

/// The key of a unique dispatch, with its rule.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq)]
pub struct UniqueKey {
    /// The key.
    pub key: String,
    /// What a dispatch does that finds a job.
    pub rule: UniqueRule,
}

impl JobKeys {
    /// The keys of a job of the handler `name` that `identity` dispatches with the arguments object `args`.
    ///
    /// # Errors
    /// `INTERNAL` when `args` is no JSON object.
    pub fn of(limits: &JobLimits, name: &str, args: &str, identity: Option<&Identity>) -> Result<Self> {
        if limits.concurrency.is_none() && limits.rate.is_none() && limits.unique.is_none() {
            return Ok(Self::default());
        }
        let arguments = serde_json::from_str(args).map_err(Fault::internal)?;
        let values = KeyValues { args, arguments, identity };
        let concurrency =
            limits.concurrency.map(|limit| values.key("concurrency", limit.group, name, limit.key));
        let rate = limits.rate.map(|limit| values.key("rate", limit.group, name, limit.key));
        let unique = limits.unique.map(|unique| {
            values.key("unique", None, name, unique.key).map(|key| UniqueKey { key, rule: unique.rule })
        });
        Ok(Self {
            concurrency: concurrency.transpose()?,
            rate: rate.transpose()?,
            unique: unique.transpose()?,
        })
    }
}

impl UniqueKey {
    /// The key that a dispatch of the handler `name` names itself. `rule`: the one of the handler.
    pub(super) fn named(name: &str, value: &str, rule: Option<UniqueRule>) -> Self {
        let value = serde_json::Value::from(value).to_string();
        let unfinished = UniqueRule::Once { within_secs: None, states: UniqueStates::Unfinished };
        Self { key: text("unique", &format!("{name}/key"), &value), rule: rule.unwrap_or(unfinished) }
    }
}

/// Where the values of a key come from.
struct KeyValues<'a> {
    args: &'a str,
    arguments: BTreeMap<String, Box<RawValue>>,
    identity: Option<&'a Identity>,
}

impl KeyValues<'_> {
    fn key(&self, purpose: &str, group: Option<&str>, name: &str, parts: &[KeyPart]) -> Result<String> {
        let mut values = String::from("[");
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                values.push(',');
            }
            let of_caller = |value: Option<&str>| serde_json::to_string(&value).map_err(Fault::internal);
            match part {
                KeyPart::Argument(name) => {
                    values.push_str(self.arguments.get(*name).map_or("null", |value| value.get()));
                }
                KeyPart::Arguments => values.push_str(self.args),
                KeyPart::Tenant => {
                    values.push_str(&of_caller(self.identity.and_then(|caller| caller.tenant.as_deref()))?);
                }
                KeyPart::User => {
                    values.push_str(&of_caller(self.identity.map(|caller| caller.subject.as_str()))?);
                }
            }
        }
        values.push(']');
        let scope = group.map_or_else(|| name.to_owned(), |group| format!("group {group}"));
        Ok(text(purpose, &scope, &values))
    }
}

fn text(purpose: &str, scope: &str, values: &str) -> String {
    if values.len() <= VALUES_MAX {
        return format!("{purpose}:{scope}:{values}");
    }
    let mut key = format!("{purpose}:{scope}:sha256 ");
    for byte in Sha256::digest(values) {
        write!(key, "{byte:02x}").expect("a text takes all that is written");
    }
    key
}
