//! Durations, sizes and labels, read while compiling.

use syn::LitStr;

/// Longest time limit of a call whose caller waits, as `kernel::limits::HANDLER_TIMEOUT_MAX`.
const TIMEOUT_MS_MAX: u64 = 600_000;
/// Longest time limit of a job, and longest wait between two attempts.
const JOB_MS_MAX: u64 = 86_400_000;
/// Longest time for which a finished job is found.
const PERIOD_MS_MAX: u64 = 366 * 86_400_000;
/// Longest time for which a finished job is kept: ten years.
const RETENTION_MS_MAX: u64 = 3_660 * 86_400_000;
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
    days(literal, "a finished job is found for more than no time, and for at most \"366d\"", PERIOD_MS_MAX)
}

/// The time of a rate limit, a throttle or a debounce, in milliseconds: `"1m"`.
pub(crate) fn window(literal: &LitStr) -> syn::Result<u64> {
    days(literal, "`per`, `wait` and `max` are more than 0 and at most \"24h\"", JOB_MS_MAX)
}

/// How long finished jobs are kept, in milliseconds: `"30d"`.
pub(crate) fn retention(literal: &LitStr) -> syn::Result<u64> {
    days(literal, "a finished job is kept for more than no time, and for at most \"3660d\"", RETENTION_MS_MAX)
}

/// More than nothing, and at most `max` milliseconds, as `rule` says.
fn days(literal: &LitStr, rule: &str, max: u64) -> syn::Result<u64> {
    const UNITS: [(&str, u64); 5] =
        [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    match quantity(&literal.value(), &UNITS) {
        None => Err(not_a_duration(literal)),
        Some(ms) if ms == 0 || ms > max => Err(syn::Error::new_spanned(literal, rule)),
        Some(ms) => Ok(ms),
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
    quantity(&text, &DURATIONS).ok_or_else(|| not_a_duration(literal))
}

/// `"250ms"`, `"1s"`, `"10m"`: at least 100 ms, at most an hour. Answers milliseconds.
pub(crate) fn refresh(literal: &LitStr) -> syn::Result<u64> {
    let text = literal.value();
    let wrong = |message: &str| Err(syn::Error::new_spanned(literal, message));
    match quantity(&text, &DURATIONS) {
        None => Err(not_a_duration(literal)),
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

fn not_a_duration(literal: &LitStr) -> syn::Error {
    let text = literal.value();
    let message = format!(
        "`{text}` is not a duration: write a whole number and a unit, for example \"500ms\", \"5s\" or \"2m\""
    );
    syn::Error::new_spanned(literal, message)
}

fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let factor = units.iter().find(|(name, _)| *name == unit)?.1;
    digits.parse::<u64>().ok()?.checked_mul(factor)
}
