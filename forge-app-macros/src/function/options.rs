//! The options of an attribute, read into [`Options`].

use proc_macro2::{Span, TokenStream};
use syn::Attribute;
use syn::ext::IdentExt;

use super::backoff::Backoff;
use super::kind::{HandlerOption, KINDS, Kind, REPEATABLE, WorkflowOption};
use super::limits::{Concurrency, Rate, Unique};
use super::message_name;
use super::schedule;
use super::spec::{Access, AccessOption, ISOLATIONS, Options, PRIORITIES, WorkflowOptions};
use crate::literal::{self, within};
use crate::option::{self, Entry, Key, Problems};

/// Reads everything that the attribute says, and the requirements that stand above it.
pub(super) fn parse(
    kind: &'static Kind,
    tokens: TokenStream,
    attributes: &[Attribute],
) -> syn::Result<Options> {
    let mut problems = Problems::default();
    let mut options = Options::default();
    let tokens = match kind.name {
        "cron" => {
            let (expression, rest) = schedule::leading_literal(tokens)?;
            options.cron.expression = expression;
            if let Some(expression) = &options.cron.expression {
                problems.keep(schedule::check(expression));
            }
            rest
        }
        _ => tokens,
    };
    let entries = option::entries(tokens)?;
    problems.keep(option::once(&entries, REPEATABLE));
    let mut access: Vec<AccessOption> =
        attributes.iter().filter_map(super::requirement).filter_map(|word| problems.keep(word)).collect();
    for entry in &entries {
        let read = known(kind, entry).and_then(|key| read(kind, entry, key, &mut options));
        access.extend(problems.keep(read).flatten());
    }
    access.reverse();
    options.access = access.pop().map(|first| {
        for other in &access {
            let message =
                format!("`{}` and `{}` both say who may call: keep one of them", first.word, other.word);
            problems.add(syn::Error::new(other.span, message));
        }
        if !kind.is_callable() {
            problems.add(not_callable(kind, &first.word, first.span));
        }
        first.access
    });
    problems.finish()?;
    Ok(options)
}

/// The error for a word that says who may call.
fn not_callable(kind: &Kind, word: &str, span: Span) -> syn::Error {
    let message = format!("`{word}` says who may call, and {} cannot be called: it {}", kind.one, kind.start);
    syn::Error::new(span, message)
}

/// The option's row. The error for an option of another kind names that kind.
fn known(kind: &'static Kind, entry: &Entry) -> syn::Result<&'static Key<HandlerOption>> {
    entry.find(kind.options, &format!("`#[{}]`", kind.name)).map_err(|unknown| {
        let of = |other: &&Kind| other.options.iter().find(|key| entry.name == key.name).map(|key| key.id);
        let Some((owner, id)) = KINDS.iter().find_map(|other| Some((other, of(other)?))) else {
            return unknown;
        };
        if id.is_access() {
            return not_callable(kind, &entry.name.to_string(), entry.span());
        }
        let message = format!(
            "`{}` is an option of `#[{}]`; {} {}\n{}",
            entry.name,
            owner.name,
            kind.one,
            kind.purpose,
            option::valid(kind.options)
        );
        syn::Error::new(entry.span(), message)
    })
}

/// Stores one option, or answers the word that decides access.
fn read(
    kind: &Kind,
    entry: &Entry,
    key: &Key<HandlerOption>,
    options: &mut Options,
) -> syn::Result<Option<AccessOption>> {
    let access = |access| AccessOption { word: key.name.to_owned(), span: entry.span(), access };
    match key.id {
        HandlerOption::Public => return entry.flag(key).map(|()| Some(access(Access::Public))),
        HandlerOption::Auth => return entry.flag(key).map(|()| Some(access(Access::Authenticated))),
        HandlerOption::Internal => return entry.flag(key).map(|()| Some(access(Access::Internal))),
        HandlerOption::Role => return Access::role(&entry.string(key)?).map(access).map(Some),
        HandlerOption::Name => options.name = Some(literal::wire_name(&entry.string(key)?)?),
        HandlerOption::Message => options.message = Some(message_name::given(&entry.string(key)?)?),
        HandlerOption::Timeout => options.timeout_ms = Some((kind.timeout)(&entry.string(key)?)?),
        HandlerOption::Concurrency => {
            let literal = entry.integer(key)?;
            let count = literal.base10_parse()?;
            if count == 0 {
                return Err(syn::Error::new_spanned(literal, "a concurrency of zero lets nothing run"));
            }
            options.concurrency = Some(count);
        }
        HandlerOption::InputMax => options.input_bytes_max = Some(literal::size(&entry.string(key)?)?),
        HandlerOption::Snapshot => {
            entry.flag(key)?;
            options.snapshot = true;
        }
        HandlerOption::Refresh => options.refresh_ms = Some(literal::refresh(&entry.string(key)?)?),
        HandlerOption::Isolation => {
            let path = entry.path(key)?;
            let found = ISOLATIONS.iter().find(|(word, _)| path.is_ident(word));
            let wrong = || {
                syn::Error::new_spanned(
                    &path,
                    "`isolation` is one of `read_committed`, `repeatable_read`, `serializable`",
                )
            };
            options.isolation = Some(found.ok_or_else(wrong)?.1);
        }
        HandlerOption::Queue => options.job.queue = Some(literal::label(&entry.string(key)?, "a queue")?),
        HandlerOption::Priority => options.job.priority = Some(priority(entry, key)?),
        HandlerOption::Attempts => {
            options.job.attempts =
                Some(within(&entry.integer(key)?, 1..=1_000, "a job has 1 to 1000 attempts")?)
        }
        HandlerOption::Backoff => options.job.backoff = Some(Backoff::parse(entry.expression(key)?)?),
        HandlerOption::JobConcurrency => options.job.limits.concurrency = Some(Concurrency::parse(entry)?),
        HandlerOption::RateLimit => options.job.limits.rate = Some(Rate::parse(entry)?),
        HandlerOption::Unique => options.job.limits.set_unique(entry, Unique::parse(entry)?)?,
        HandlerOption::Throttle => options.job.limits.set_unique(entry, Unique::throttle(entry)?)?,
        HandlerOption::Debounce => options.job.limits.set_unique(entry, Unique::debounce(entry)?)?,
        HandlerOption::Resources => options.job.resources = resources(entry, key)?,
        HandlerOption::Retain => options.job.retain_ms = Some(literal::retention(&entry.string(key)?)?),
        HandlerOption::Capability => {
            options.job.capability = Some(literal::label(&entry.string(key)?, "a capability")?);
        }
        HandlerOption::Timezone => options.cron.timezone = Some(schedule::timezone(&entry.string(key)?)?),
        HandlerOption::Overlap => options.cron.overlap = Some(schedule::overlap(&entry.path(key)?)?),
        HandlerOption::CatchUp => {
            let rule = "0 to 100 missed times run afterwards; the others are recorded as missed";
            options.cron.catch_up = Some(within(&entry.integer(key)?, 0..=100, rule)?);
        }
        HandlerOption::Jitter => options.cron.jitter_ms = Some(literal::jitter(&entry.string(key)?)?),
        HandlerOption::Alias => options.aliases.push(literal::wire_name(&entry.string(key)?)?),
        HandlerOption::Workflow(word) => workflow(kind, entry, key, word, &mut options.workflow)?,
    }
    Ok(None)
}

/// Stores an option of a workflow.
fn workflow(
    kind: &Kind,
    entry: &Entry,
    key: &Key<HandlerOption>,
    word: WorkflowOption,
    options: &mut WorkflowOptions,
) -> syn::Result<()> {
    match word {
        WorkflowOption::Version => {
            options.version = Some(literal::workflow_version(&entry.integer(key)?)?);
        }
        WorkflowOption::Timeout => options.timeout_ms = Some((kind.timeout)(&entry.string(key)?)?),
        WorkflowOption::Deprecated => {
            entry.flag(key)?;
            options.deprecated = true;
        }
        WorkflowOption::Retention => {
            options.retention_ms = Some(literal::run_retention(&entry.string(key)?)?);
        }
    }
    Ok(())
}

/// `priority = 50` or `priority = high`, as `::forge::app::Priority` names the levels.
fn priority(entry: &Entry, key: &Key<HandlerOption>) -> syn::Result<u8> {
    let rule = "a priority is 0 to 100, larger ones run first; or one of `background`, `low`, `normal`, \
                `high`, `critical`";
    let Ok(path) = entry.path(key) else {
        return within(&entry.integer(key)?, 0..=100, rule);
    };
    let level = PRIORITIES.iter().find(|(word, _)| path.is_ident(word)).map(|(_, level)| *level);
    level.ok_or_else(|| syn::Error::new_spanned(&path, rule))
}

/// `resources(cpu = 2, memory = "1GiB")`.
fn resources(entry: &Entry, key: &Key<HandlerOption>) -> syn::Result<Vec<(String, u64)>> {
    let entries = entry.list(key)?;
    option::once(entries, &[])?;
    let amount = |part: &Entry| {
        let amount = match part.integer(key) {
            Ok(number) => number.base10_parse()?,
            Err(_) => literal::bytes(&part.string(key)?)?,
        };
        match amount {
            0 => Err(syn::Error::new(part.span(), "a job that needs nothing of a resource does not name it")),
            amount => Ok((part.name.unraw().to_string(), amount)),
        }
    };
    entries.iter().map(amount).collect()
}
