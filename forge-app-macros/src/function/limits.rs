//! `concurrency(limit = 2, key = tenant)`, `rate_limit(requests = 100, per = "1m")`, `unique(by = task)`,
//! `throttle(..)` and `debounce(..)` of jobs.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::Expr;
use syn::ext::IdentExt;

use crate::literal;
use crate::option::{self, Entry, Key, Problems};

/// The parts of a key, as they are written.
#[derive(Default)]
pub(crate) struct KeyParts(Vec<Ident>);

/// What jobs of one handler share with others of the same key.
#[derive(Default)]
pub(crate) struct Limits {
    pub concurrency: Option<Concurrency>,
    pub rate: Option<Rate>,
    /// With the word that was written.
    pub unique: Option<(Ident, Unique)>,
}

pub(crate) struct Concurrency {
    limit: u32,
    key: KeyParts,
    group: Option<String>,
}

pub(crate) struct Rate {
    requests: u32,
    per_ms: u64,
    key: KeyParts,
    group: Option<String>,
}

pub(crate) struct Unique {
    key: KeyParts,
    rule: Rule,
}

enum Rule {
    /// With a variant of `::forge::app::UniqueStates`.
    Once {
        within_ms: Option<u64>,
        states: &'static str,
    },
    Debounce {
        wait_ms: u64,
        max_ms: u64,
    },
}

/// What a part of a key means that is no argument.
const CALLER_PARTS: [(&str, &str); 3] = [("tenant", "Tenant"), ("user", "User"), ("args", "Arguments")];
/// The jobs that a unique dispatch finds: as attributes write them, and as `UniqueStates` names them.
const STATES: [(&str, &str); 3] = [("unfinished", "Unfinished"), ("not_failed", "NotFailed"), ("any", "Any")];
/// How much longer than `wait` a debounced job waits at most, unless `max` says so.
const DEBOUNCE_FACTOR: u64 = 10;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Limit,
    Requests,
    Per,
    Key,
    Group,
    By,
    Within,
    States,
    Wait,
    Max,
}

const LIMIT: Key<Word> = Key { name: "limit", usage: "limit = 2", id: Word::Limit };
const REQUESTS: Key<Word> = Key { name: "requests", usage: "requests = 100", id: Word::Requests };
const PER: Key<Word> = Key { name: "per", usage: "per = \"1m\"", id: Word::Per };
const KEY: Key<Word> = Key { name: "key", usage: "key = tenant", id: Word::Key };
const GROUP: Key<Word> = Key { name: "group", usage: "group = \"stripe\"", id: Word::Group };
const BY: Key<Word> = Key { name: "by", usage: "by = (tenant, task)", id: Word::By };
const WITHIN: Key<Word> = Key { name: "within", usage: "within = \"1h\"", id: Word::Within };
const UNIQUE_STATES: Key<Word> = Key { name: "states", usage: "states = unfinished", id: Word::States };
const WAIT: Key<Word> = Key { name: "wait", usage: "wait = \"5s\"", id: Word::Wait };
const MAX: Key<Word> = Key { name: "max", usage: "max = \"1m\"", id: Word::Max };

/// What the parentheses of one option hold.
#[derive(Default)]
struct Written {
    limit: Option<u32>,
    requests: Option<u32>,
    per_ms: Option<u64>,
    key: KeyParts,
    group: Option<String>,
    within_ms: Option<u64>,
    states: Option<&'static str>,
    wait_ms: Option<u64>,
    max_ms: Option<u64>,
}

impl Written {
    /// Reads the parentheses of `entry`, which may be missing.
    fn read(entry: &Entry, words: &[Key<Word>], owner: &str) -> syn::Result<Self> {
        let entries = match &entry.value {
            option::Value::List(entries) => entries.as_slice(),
            option::Value::Absent => &[],
            option::Value::Is(value) => {
                let usages: Vec<_> = words.iter().map(|word| word.usage).collect();
                let message = format!("{owner} is written `{}({})`", entry.name, usages.join(", "));
                return Err(syn::Error::new_spanned(value, message));
            }
        };
        option::once(entries, &[])?;
        let (mut written, mut problems) = (Self::default(), Problems::default());
        for part in entries {
            let read = part.find(words, owner).and_then(|word| written.read_word(part, word));
            problems.keep(read);
        }
        problems.finish()?;
        Ok(written)
    }

    fn read_word(&mut self, entry: &Entry, word: &Key<Word>) -> syn::Result<()> {
        match word.id {
            Word::Limit => self.limit = Some(count(entry, word)?),
            Word::Requests => self.requests = Some(count(entry, word)?),
            Word::Per => self.per_ms = Some(literal::window(&entry.string(word)?)?),
            Word::Key | Word::By => self.key = KeyParts::parse(entry.expression(word)?)?,
            Word::Group => self.group = Some(literal::label(&entry.string(word)?, "a group")?),
            Word::Within => self.within_ms = Some(literal::period(&entry.string(word)?)?),
            Word::States => {
                let path = entry.path(word)?;
                let found = STATES.iter().find(|(name, _)| path.is_ident(name));
                let wrong = "`states` is one of `unfinished`, `not_failed`, `any`";
                self.states = Some(found.ok_or_else(|| syn::Error::new_spanned(&path, wrong))?.1);
            }
            Word::Wait => self.wait_ms = Some(literal::window(&entry.string(word)?)?),
            Word::Max => self.max_ms = Some(literal::window(&entry.string(word)?)?),
        }
        Ok(())
    }
}

impl Concurrency {
    pub(crate) fn parse(entry: &Entry) -> syn::Result<Self> {
        let owner = "the concurrency of a job";
        let written = Written::read(entry, &[LIMIT, KEY, GROUP], owner)?;
        let missing = || {
            let message = "`concurrency` needs `limit`: `concurrency(limit = 2, key = tenant)`";
            syn::Error::new(entry.span(), message)
        };
        Ok(Self { limit: written.limit.ok_or_else(missing)?, key: written.key, group: written.group })
    }
}

impl Rate {
    pub(crate) fn parse(entry: &Entry) -> syn::Result<Self> {
        let written = Written::read(entry, &[REQUESTS, PER, KEY, GROUP], "the rate limit of a job")?;
        let (Some(requests), Some(per_ms)) = (written.requests, written.per_ms) else {
            let message =
                "`rate_limit` needs `requests` and `per`: `rate_limit(requests = 100, per = \"1m\")`";
            return Err(syn::Error::new(entry.span(), message));
        };
        Ok(Self { requests, per_ms, key: written.key, group: written.group })
    }
}

impl Unique {
    /// `unique(by = task, within = "1h", states = any)`.
    pub(crate) fn parse(entry: &Entry) -> syn::Result<Self> {
        let written = Written::read(entry, &[BY, WITHIN, UNIQUE_STATES], "what makes a job unique")?;
        let states = written.states.unwrap_or(match written.within_ms {
            Some(_) => "NotFailed",
            None => "Unfinished",
        });
        if written.within_ms.is_none() && states != "Unfinished" {
            let message = "`states = any` and `states = not_failed` need `within`: `unique(within = \"1h\", \
                           states = any)`";
            return Err(syn::Error::new(entry.span(), message));
        }
        Ok(Self {
            key: written.key.or_all_arguments(entry),
            rule: Rule::Once { within_ms: written.within_ms, states },
        })
    }

    /// `throttle(by = task, per = "1m")`.
    pub(crate) fn throttle(entry: &Entry) -> syn::Result<Self> {
        let written = Written::read(entry, &[BY, PER], "the throttle of a job")?;
        let missing = || {
            let message = "`throttle` needs `per`: `throttle(by = task, per = \"1m\")`";
            syn::Error::new(entry.span(), message)
        };
        let within_ms = Some(written.per_ms.ok_or_else(missing)?);
        Ok(Self { key: written.key.or_all_arguments(entry), rule: Rule::Once { within_ms, states: "Any" } })
    }

    /// `debounce(by = task, wait = "5s", max = "1m")`.
    pub(crate) fn debounce(entry: &Entry) -> syn::Result<Self> {
        let written = Written::read(entry, &[BY, WAIT, MAX], "the debounce of a job")?;
        let missing = || {
            let message = "`debounce` needs `wait`: `debounce(by = task, wait = \"5s\")`";
            syn::Error::new(entry.span(), message)
        };
        let wait_ms = written.wait_ms.ok_or_else(missing)?;
        let max_ms = written.max_ms.unwrap_or(wait_ms.saturating_mul(DEBOUNCE_FACTOR));
        if max_ms < wait_ms {
            return Err(syn::Error::new(entry.span(), "`max` is shorter than `wait`"));
        }
        let rule = Rule::Debounce { wait_ms, max_ms };
        // Its newest arguments are what a debounced job runs with, so they are not its key.
        Ok(Self { key: written.key, rule })
    }
}

impl KeyParts {
    /// `task`, or `(tenant, task)`.
    fn parse(value: &Expr) -> syn::Result<Self> {
        let wrong = |value: &Expr| {
            let message = "a key is the name of an argument, `tenant`, `user`, `args`, or a tuple of these: \
                           `(tenant, task)`";
            syn::Error::new_spanned(value, message)
        };
        let part = |value: &Expr| match value {
            Expr::Path(path) => path.path.get_ident().cloned().ok_or_else(|| wrong(value)),
            _ => Err(wrong(value)),
        };
        let parts: syn::Result<Vec<Ident>> = match value {
            Expr::Tuple(tuple) if !tuple.elems.is_empty() => tuple.elems.iter().map(part).collect(),
            other => part(other).map(|part| vec![part]),
        };
        parts.map(Self)
    }

    fn or_all_arguments(self, entry: &Entry) -> Self {
        if self.0.is_empty() { Self(vec![Ident::new("args", entry.span())]) } else { self }
    }

    /// The parts as code, each of them an argument or what the caller is.
    fn resolved(&self, arguments: &[(&Ident, &str)]) -> syn::Result<TokenStream> {
        let mut problems = Problems::default();
        let parts: Vec<_> =
            self.0.iter().filter_map(|part| problems.keep(resolve(part, arguments))).collect();
        problems.finish()?;
        Ok(quote! { &[#(#parts),*] })
    }
}

/// An argument wins over a word for the caller. `arguments`: their names, and their names in JSON.
fn resolve(part: &Ident, arguments: &[(&Ident, &str)]) -> syn::Result<TokenStream> {
    if let Some((_, wire)) = arguments.iter().find(|(name, _)| name.unraw() == part.unraw()) {
        return Ok(quote! { ::forge::app::KeyPart::Argument(#wire) });
    }
    if let Some((_, variant)) = CALLER_PARTS.iter().find(|(word, _)| part == word) {
        let variant = Ident::new(variant, part.span());
        return Ok(quote! { ::forge::app::KeyPart::#variant });
    }
    let names: Vec<_> = arguments.iter().map(|(name, _)| format!("`{name}`")).collect();
    let known = if names.is_empty() { "it has none".to_owned() } else { names.join(", ") };
    let message = format!(
        "unknown key `{part}`: use an argument of the job ({known}), `tenant` or `user` (of the caller), or \
         `args` (all arguments)"
    );
    Err(syn::Error::new(part.span(), message))
}

impl Limits {
    /// Keeps what makes dispatches unique; there is one such rule.
    pub(crate) fn set_unique(&mut self, entry: &Entry, unique: Unique) -> syn::Result<()> {
        if let Some((word, _)) = &self.unique {
            let message = format!(
                "`{}` cannot be combined with `{word}`: one of them decides what a second dispatch does",
                entry.name
            );
            return Err(syn::Error::new(entry.span(), message));
        }
        self.unique = Some((entry.name.clone(), unique));
        Ok(())
    }

    /// The fields of `JobLimits`, or nothing when there are no limits.
    pub(crate) fn lowered(&self, arguments: &[(&Ident, &str)]) -> syn::Result<Option<TokenStream>> {
        let Self { concurrency, rate, unique } = self;
        if concurrency.is_none() && rate.is_none() && unique.is_none() {
            return Ok(None);
        }
        let mut problems = Problems::default();
        let mut key = |parts: &KeyParts| problems.keep(parts.resolved(arguments)).unwrap_or_default();
        let concurrency = optional(concurrency.as_ref().map(|Concurrency { limit, key: parts, group }| {
            let (key, group) = (key(parts), optional(group.as_ref()));
            quote! { ::forge::app::JobConcurrency { limit: #limit, key: #key, group: #group } }
        }));
        let rate = optional(rate.as_ref().map(|Rate { requests, per_ms, key: parts, group }| {
            let (key, group) = (key(parts), optional(group.as_ref()));
            let per = quote! { ::core::time::Duration::from_millis(#per_ms) };
            quote! { ::forge::app::JobRate { requests: #requests, per: #per, key: #key, group: #group } }
        }));
        let unique = optional(unique.as_ref().map(|(_, Unique { key: parts, rule })| {
            let key = key(parts);
            quote! { ::forge::app::JobUnique { key: #key, rule: #rule } }
        }));
        problems.finish()?;
        Ok(Some(
            quote! { ::forge::app::JobLimits { concurrency: #concurrency, rate: #rate, unique: #unique } },
        ))
    }
}

impl ToTokens for Rule {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let secs = |ms: u64| ms as f64 / 1_000.0;
        tokens.extend(match *self {
            Self::Once { within_ms, states } => {
                let within = optional(within_ms.map(secs));
                let states = Ident::new(states, proc_macro2::Span::call_site());
                quote! {
                    ::forge::app::UniqueRule::Once {
                        within_secs: #within,
                        states: ::forge::app::UniqueStates::#states,
                    }
                }
            }
            Self::Debounce { wait_ms, max_ms } => {
                let (wait, max) = (secs(wait_ms), secs(max_ms));
                quote! { ::forge::app::UniqueRule::Debounce { wait_secs: #wait, wait_secs_max: #max } }
            }
        });
    }
}

/// `Some(..)` or `None`, by its path.
fn optional<T: ToTokens>(value: Option<T>) -> TokenStream {
    match value {
        Some(value) => quote! { ::core::option::Option::Some(#value) },
        None => quote! { ::core::option::Option::None },
    }
}

fn count(entry: &Entry, word: &Key<Word>) -> syn::Result<u32> {
    let literal = entry.integer(word)?;
    let number = literal.base10_parse::<u32>().ok().filter(|number| (1..=10_000).contains(number));
    number.ok_or_else(|| {
        syn::Error::new_spanned(literal, format!("`{}` must be between 1 and 10000", word.name))
    })
}
