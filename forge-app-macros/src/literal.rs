//! Durations, sizes, numbers and names, read while compiling.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use syn::{LitInt, LitStr};

/// Longest time limit of a call whose caller waits, as `kernel::limits::HANDLER_TIMEOUT_MAX`.
const TIMEOUT_MS_MAX: u64 = 600_000;
/// Longest time limit of a job, and longest wait between two attempts.
const JOB_MS_MAX: u64 = 86_400_000;
/// Longest time for which a finished job is found.
const PERIOD_MS_MAX: u64 = 366 * 86_400_000;
/// Longest time for which a finished job is kept, or for which a workflow runs: ten years.
const TEN_YEARS_MS: u64 = 3_660 * 86_400_000;
/// Shortest time limit of a workflow, whose journal is on disk before anything happens.
const RUN_TIMEOUT_MS_MIN: u64 = 1_000;
/// The newest version that a workflow can have.
const WORKFLOW_VERSION_MAX: u32 = 1_000_000;
/// The bounds of a live query's interval.
const REFRESH_MS_MIN: u64 = 100;
const REFRESH_MS_MAX: u64 = 3_600_000;
const DURATIONS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

/// `"500ms"`, `"5s"`, `"10m"`: more than nothing, at most ten minutes. Answers milliseconds.
pub(crate) fn timeout(literal: &LitStr) -> syn::Result<u64> {
    let ms = time_limit(literal)?;
    if ms > TIMEOUT_MS_MAX {
        let message = "a caller waits for this handler, so its time limit is at most \"10m\"; move longer \
                       work into a job";
        return Err(syn::Error::new_spanned(literal, message));
    }
    Ok(ms)
}

/// The same for a job, whose attempt may take a day.
pub(crate) fn job_timeout(literal: &LitStr) -> syn::Result<u64> {
    let ms = time_limit(literal)?;
    if ms > JOB_MS_MAX {
        return Err(syn::Error::new_spanned(
            literal,
            "an attempt at a job takes at most \"24h\"; split longer work into several jobs",
        ));
    }
    Ok(ms)
}

/// A wait between two attempts, in milliseconds.
pub(crate) fn wait(literal: &LitStr) -> syn::Result<u64> {
    match milliseconds(literal)? {
        0 => Err(syn::Error::new_spanned(literal, "a wait of zero lets a failing job run in circles")),
        ms if ms > JOB_MS_MAX => {
            Err(syn::Error::new_spanned(literal, "a job waits at most \"24h\" between two attempts"))
        }
        ms => Ok(ms),
    }
}

/// A time for which a finished job is found, in milliseconds: `"1h"`, `"30d"`.
pub(crate) fn period(literal: &LitStr) -> syn::Result<u64> {
    let rule = "a finished job is found for more than no time, and for at most \"366d\"";
    days(literal, rule, 1..=PERIOD_MS_MAX)
}

/// The time of a rate limit, a throttle or a debounce, in milliseconds: `"1m"`.
pub(crate) fn window(literal: &LitStr) -> syn::Result<u64> {
    days(literal, "`per`, `wait` and `max` are more than 0 and at most \"24h\"", 1..=JOB_MS_MAX)
}

/// How long finished jobs are kept, in milliseconds: `"30d"`.
pub(crate) fn retention(literal: &LitStr) -> syn::Result<u64> {
    let rule = "a finished job is kept for more than no time, and for at most \"3660d\"";
    days(literal, rule, 1..=TEN_YEARS_MS)
}

/// The time limit of a workflow's run as a whole, in milliseconds: `"30d"`.
pub(crate) fn run_timeout(literal: &LitStr) -> syn::Result<u64> {
    let rule = "the run of a workflow has a time limit of \"1s\" to \"3660d\", its waits included; without \
                `timeout` it has none";
    days(literal, rule, RUN_TIMEOUT_MS_MIN..=TEN_YEARS_MS)
}

/// How long the run of a workflow is kept after its end, in milliseconds: `"30d"`.
pub(crate) fn run_retention(literal: &LitStr) -> syn::Result<u64> {
    let rule = "a run that has ended is kept for more than no time, and for at most \"3660d\"";
    days(literal, rule, 1..=TEN_YEARS_MS)
}

/// The version of a workflow.
pub(crate) fn workflow_version(literal: &LitInt) -> syn::Result<u32> {
    let rule = "the versions of a workflow are 1 to 1000000: the first one is 1, and each function with \
                other steps counts one more";
    within(literal, 1..=WORKFLOW_VERSION_MAX, rule)
}

/// A number in `range`, as `rule` says.
pub(crate) fn within<N: FromStr + PartialOrd>(
    literal: &LitInt,
    range: RangeInclusive<N>,
    rule: &str,
) -> syn::Result<N>
where
    N::Err: Display,
{
    let number = literal.base10_parse::<N>().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| syn::Error::new_spanned(literal, rule))
}

/// A number of milliseconds in `range`, as `rule` says.
fn days(literal: &LitStr, rule: &str, range: RangeInclusive<u64>) -> syn::Result<u64> {
    const UNITS: [(&str, u64); 5] =
        [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    match quantity(&literal.value(), &UNITS) {
        None => Err(not_a_duration(literal, "30d")),
        Some(ms) if range.contains(&ms) => Ok(ms),
        Some(_) => Err(syn::Error::new_spanned(literal, rule)),
    }
}

/// How much later than its time a run of a cron may start, in milliseconds.
pub(crate) fn jitter(literal: &LitStr) -> syn::Result<u64> {
    match milliseconds(literal)? {
        ms if ms > JOB_MS_MAX => {
            Err(syn::Error::new_spanned(literal, "a run starts at most \"24h\" after its time"))
        }
        ms => Ok(ms),
    }
}

fn time_limit(literal: &LitStr) -> syn::Result<u64> {
    match milliseconds(literal)? {
        0 => Err(syn::Error::new_spanned(literal, "a time limit of zero lets nothing run")),
        ms => Ok(ms),
    }
}

fn milliseconds(literal: &LitStr) -> syn::Result<u64> {
    let text = literal.value();
    quantity(&text, &DURATIONS).ok_or_else(|| not_a_duration(literal, "2m"))
}

/// `"250ms"`, `"1s"`, `"10m"`: at least 100 ms, at most an hour. Answers milliseconds.
pub(crate) fn refresh(literal: &LitStr) -> syn::Result<u64> {
    let text = literal.value();
    let wrong = |message: &str| Err(syn::Error::new_spanned(literal, message));
    match quantity(&text, &DURATIONS) {
        None => Err(not_a_duration(literal, "2m")),
        Some(ms) if ms < REFRESH_MS_MIN => {
            wrong("a live query runs again at most every \"100ms\" without a change")
        }
        Some(ms) if ms > REFRESH_MS_MAX => wrong(
            "a refresh is at most \"1h\" apart; without one, a live query runs again after a change to what \
             it read",
        ),
        Some(ms) => Ok(ms),
    }
}

/// The largest arguments of a call, in bytes: `"64KiB"`, `"8MiB"`.
pub(crate) fn size(literal: &LitStr) -> syn::Result<u64> {
    match bytes(literal)? {
        0 => Err(syn::Error::new_spanned(literal, "a size of zero admits no arguments at all")),
        bytes => Ok(bytes),
    }
}

/// `"512B"`, `"64KiB"`, `"8MiB"`. Answers bytes.
pub(crate) fn bytes(literal: &LitStr) -> syn::Result<u64> {
    let text = literal.value();
    let units = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    quantity(&text, &units).ok_or_else(|| {
        let message = format!(
            "`{text}` is not a size: write a whole number and one of B, KiB, MiB, GiB, for example \"64KiB\""
        );
        syn::Error::new_spanned(literal, message)
    })
}

/// A name in lower case, of what `named` says; as `kernel::label::is_label`.
pub(crate) fn label(literal: &LitStr, named: &str) -> syn::Result<String> {
    let name = literal.value();
    let is_clean = name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-'));
    if is_clean && (1..=64).contains(&name.len()) {
        return Ok(name);
    }
    let message = format!("{named} is named by 1 to 64 of the characters a-z, 0-9, `_`, `.` and `-`");
    Err(syn::Error::new_spanned(literal, message))
}

/// A name on the wire or in Postgres that differs from the one that follows from the code.
pub(crate) fn wire_name(literal: &LitStr) -> syn::Result<String> {
    let name = literal.value();
    let word = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if name.contains('.') && name.split('.').all(word) {
        return Ok(name);
    }
    Err(syn::Error::new_spanned(
        literal,
        "a wire name is two or more words with dots between them, for example \"tasks.all\"",
    ))
}

/// `longest` is the example in the largest unit that fits.
fn not_a_duration(literal: &LitStr, longest: &str) -> syn::Error {
    let text = literal.value();
    let message = format!(
        "`{text}` is not a duration: write a whole number and a unit, for example \"500ms\", \"5s\" or \
         \"{longest}\""
    );
    syn::Error::new_spanned(literal, message)
}

fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let factor = units.iter().find(|(name, _)| *name == unit)?.1;
    digits.parse::<u64>().ok()?.checked_mul(factor)
}
