//! From an attributed function to a [`FnSpec`].

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use proc_macro2::{Ident, Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::visit::Visit;
use syn::{
    Attribute, FnArg, GenericArgument, ItemFn, LitInt, LitStr, Pat, PatType, PathArguments, PathSegment,
    ReturnType, Type,
};

use super::backoff::Backoff;
use super::kind::{HandlerOption, KINDS, Kind, REPEATABLE};
use super::limits::{Concurrency, Rate, Unique};
use super::schedule;
use super::spec::{Access, AccessOption, Argument, FnSpec, ISOLATIONS, Options, PRIORITIES};
use crate::option::{self, Entry, Key, Problems};
use crate::{case, doc, literal, refuse};

/// Names that every module has from Rust, and that a message of the same name would take from it.
const HIDES_RUST: &[&str] = &[
    "Box", "Clone", "Default", "From", "Into", "Iterator", "Option", "Result", "String", "ToOwned",
    "ToString", "Vec",
];

/// Checks everything and reports every mistake.
pub(crate) fn function(kind: &'static Kind, tokens: TokenStream, function: &ItemFn) -> syn::Result<FnSpec> {
    let mut problems = Problems::default();
    let options = problems.keep(options(kind, tokens, &function.attrs));
    problems.keep(signature(kind, function));
    let named = options.as_ref().and_then(|options| options.message.clone());
    let message = problems.keep(named.map_or_else(|| message(&function.sig.ident), Ok));
    let mut inputs = function.sig.inputs.iter();
    let context_span = problems.keep(context(kind, inputs.next(), function.sig.paren_token.span.join()));
    // With `self` in front nothing is where it belongs, and that is said already.
    let method = function.sig.receiver().is_some();
    let arguments: Vec<_> =
        inputs.filter(|_| !method).filter_map(|input| problems.keep(argument(input))).collect();
    problems.keep(distinct(&arguments));
    problems.keep(supplied(options.as_ref(), &arguments));
    let names: Vec<_> = arguments.iter().map(|argument| (&argument.name, argument.wire.as_str())).collect();
    let limits = options.as_ref().map(|options| options.job.limits.lowered(&names)).transpose();
    let limits = problems.keep(limits).flatten().flatten();
    let result = problems.keep(result(&function.sig.output, &function.sig.ident));
    problems.finish()?;
    let checked = "no problem was found, so every part was read";
    let (output, error) = result.expect(checked);
    Ok(FnSpec {
        kind,
        doc: doc::first_paragraph(&function.attrs),
        deprecated: doc::deprecation(&function.attrs),
        function: without_our_attributes(function.clone()),
        message: message.expect(checked),
        arguments,
        output,
        error,
        context_span: context_span.expect(checked),
        options: options.expect(checked),
        limits,
    })
}

/// The function as rustc may see it: requirements are consumed, and documentation of arguments has moved to
/// the message.
pub(crate) fn without_our_attributes(mut function: ItemFn) -> ItemFn {
    function.attrs.retain(|attribute| super::requirement(attribute).is_none());
    for input in &mut function.sig.inputs {
        if let FnArg::Typed(argument) = input {
            let ours = ["doc", "sensitive"];
            argument.attrs.retain(|attribute| !ours.iter().any(|name| attribute.path().is_ident(name)));
        }
    }
    function
}

/// The function beside the errors that refuse it. rustc would report a `Result` of nothing once more.
pub(crate) fn beside_errors(function: ItemFn) -> ItemFn {
    let mut function = without_our_attributes(function);
    if let ReturnType::Type(_, ty) = &mut function.sig.output
        && last_segment(ty).is_some_and(|last| last.ident == "Result" && last.arguments.is_none())
    {
        **ty = syn::parse_quote!(::forge::Result<()>);
    }
    function
}

fn options(kind: &'static Kind, tokens: TokenStream, attributes: &[Attribute]) -> syn::Result<Options> {
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
            let message = format!(
                "`{}` says who may call, and {} cannot be called: it {}",
                first.word, kind.one, kind.start
            );
            problems.add(syn::Error::new(first.span, message));
        }
        first.access
    });
    problems.finish()?;
    Ok(options)
}

/// The option's row. The error for an option of another kind names that kind.
fn known(kind: &'static Kind, entry: &Entry) -> syn::Result<&'static Key<HandlerOption>> {
    entry.find(kind.options, &format!("`#[{}]`", kind.name)).map_err(|unknown| {
        let owners: Vec<_> =
            KINDS.iter().filter(|other| other.options.iter().any(|key| entry.name == key.name)).collect();
        match owners.as_slice() {
            [] => unknown,
            [owner, ..] => {
                let message = format!(
                    "`{}` is an option of `#[{}]`; {} {}",
                    entry.name, owner.name, kind.one, kind.purpose
                );
                syn::Error::new(entry.span(), message)
            }
        }
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
        HandlerOption::Name => options.name = Some(wire_name(&entry.string(key)?)?),
        HandlerOption::Message => options.message = Some(message_name(&entry.string(key)?)?),
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
        HandlerOption::Queue => options.job.queue = Some(queue(&entry.string(key)?)?),
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
        HandlerOption::Capability => options.job.capability = Some(queue(&entry.string(key)?)?),
        HandlerOption::Timezone => options.cron.timezone = Some(schedule::timezone(&entry.string(key)?)?),
        HandlerOption::Overlap => options.cron.overlap = Some(schedule::overlap(&entry.path(key)?)?),
        HandlerOption::CatchUp => {
            let rule = "0 to 100 missed times run afterwards; the others are recorded as missed";
            options.cron.catch_up = Some(within(&entry.integer(key)?, 0..=100, rule)?);
        }
        HandlerOption::Jitter => options.cron.jitter_ms = Some(literal::jitter(&entry.string(key)?)?),
        HandlerOption::Alias => options.job.aliases.push(wire_name(&entry.string(key)?)?),
    }
    Ok(None)
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
            Err(_) => literal::size(&part.string(key)?)?,
        };
        match amount {
            0 => Err(syn::Error::new(part.span(), "a job that needs nothing of a resource does not name it")),
            amount => Ok((part.name.unraw().to_string(), amount)),
        }
    };
    entries.iter().map(amount).collect()
}

fn within<N: FromStr + PartialOrd>(literal: &LitInt, range: RangeInclusive<N>, rule: &str) -> syn::Result<N>
where
    N::Err: Display,
{
    let number = literal.base10_parse::<N>().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| syn::Error::new_spanned(literal, rule))
}

fn queue(literal: &LitStr) -> syn::Result<String> {
    let name = literal.value();
    let clean = name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-'));
    if clean && (1..=64).contains(&name.len()) {
        return Ok(name);
    }
    Err(syn::Error::new_spanned(
        literal,
        "a queue is named by 1 to 64 of the characters a-z, 0-9, `_`, `.` and `-`",
    ))
}

fn wire_name(literal: &LitStr) -> syn::Result<String> {
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

fn signature(kind: &Kind, function: &ItemFn) -> syn::Result<()> {
    let signature = &function.sig;
    let mut problems = Problems::default();
    let handler = kind.one;
    if signature.asyncness.is_none() {
        problems.add(syn::Error::new(
            signature.fn_token.span,
            format!("{handler} is async: write `async fn {}`", signature.ident),
        ));
    }
    let unusual: [Option<&dyn ToTokens>; 3] = [
        signature.constness.as_ref().map(|token| token as _),
        signature.unsafety.as_ref().map(|token| token as _),
        signature.abi.as_ref().map(|token| token as _),
    ];
    for token in unusual.into_iter().flatten() {
        problems.add(syn::Error::new_spanned(token, format!("{handler} is a plain async fn")));
    }
    if !signature.generics.params.is_empty() || signature.generics.where_clause.is_some() {
        let message = format!(
            "{handler} cannot be generic: its arguments become the fields of one message with one wire form"
        );
        let span: &dyn ToTokens = if signature.generics.params.is_empty() {
            &signature.generics.where_clause
        } else {
            &signature.generics
        };
        problems.add(syn::Error::new_spanned(span, message));
    }
    problems.finish()
}

/// `create` → `Create`.
fn message(function: &Ident) -> syn::Result<Ident> {
    let name = function.unraw().to_string();
    let message = case::pascal(&name);
    let refused = |reason: &str| {
        let message = format!(
            "`{name}` would make a message named `{message}`, {reason}: rename the function, or name the \
             message with `message = \"..\"`"
        );
        syn::Error::new(function.span(), message)
    };
    if HIDES_RUST.contains(&message.as_str()) {
        return Err(refused("which would hide Rust's own"));
    }
    let mut ident = syn::parse_str::<Ident>(&message).map_err(|_| refused("which is no name for a type"))?;
    ident.set_span(function.span());
    Ok(ident)
}

/// `message = "AllTasks"`.
fn message_name(literal: &LitStr) -> syn::Result<Ident> {
    let name = literal.value();
    let wrong =
        || syn::Error::new_spanned(literal, "a message is named like a type, for example \"AllTasks\"");
    if !name.starts_with(|c: char| c.is_ascii_uppercase()) || HIDES_RUST.contains(&name.as_str()) {
        return Err(wrong());
    }
    let mut ident = syn::parse_str::<Ident>(&name).map_err(|_| wrong())?;
    ident.set_span(literal.span());
    Ok(ident)
}

/// Checks the first parameter by what is written; an alias is left to the type checker.
fn context(kind: &Kind, input: Option<&FnArg>, parentheses: Span) -> syn::Result<Span> {
    let wanted = format!("the first argument of {} is its context: `ctx: &{}`", kind.one, kind.context);
    let argument = match input {
        None => return Err(syn::Error::new(parentheses, wanted)),
        Some(FnArg::Receiver(receiver)) => {
            let message =
                "a handler is a free function, without `self`: state lives in Postgres, or in an actor";
            return Err(syn::Error::new_spanned(receiver, message));
        }
        Some(FnArg::Typed(argument)) => argument,
    };
    let (by_reference, named) = match &*argument.ty {
        Type::Reference(reference) => {
            (reference.mutability.is_none() && reference.lifetime.is_none(), last_segment(&reference.elem))
        }
        other => (false, last_segment(other)),
    };
    let other = KINDS
        .iter()
        .find(|other| other.name != kind.name && named.is_some_and(|last| last.ident == other.context));
    if let Some(other) = other {
        let message = format!(
            "`#[{}]` takes `&{}`, and this is the context of {}: {} {}",
            kind.name, kind.context, other.one, kind.one, kind.purpose
        );
        return Err(syn::Error::new_spanned(&argument.ty, message));
    }
    if !by_reference || !matches!(&*argument.pat, Pat::Ident(_) | Pat::Wild(_)) {
        return Err(syn::Error::new_spanned(argument, wanted));
    }
    Ok(named.map_or_else(Span::call_site, |last| last.ident.span()))
}

fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match ty {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

fn argument(input: &FnArg) -> syn::Result<Argument> {
    let FnArg::Typed(PatType { attrs, pat, ty, .. }) = input else {
        return Err(syn::Error::new_spanned(input, "a handler is a free function, without `self`"));
    };
    let mut problems = Problems::default();
    if let Some(attribute) = attrs.iter().find(|attribute| !attribute.path().is_ident("doc")) {
        let error = refuse::sensitive(attribute, "an argument").unwrap_or_else(|| {
            syn::Error::new_spanned(attribute, "an argument takes no attributes but its documentation")
        });
        problems.add(error);
    }
    let name = match &**pat {
        Pat::Ident(pattern) if pattern.subpat.is_none() && pattern.by_ref.is_none() => {
            Some(pattern.ident.clone())
        }
        _ => {
            problems.add(syn::Error::new_spanned(
                pat,
                "an argument has a plain name, because the name is its key in JSON",
            ));
            None
        }
    };
    problems.keep(owned(ty));
    problems.keep(refuse::nested_option(ty));
    let wire = name.as_ref().map(|name| case::camel(&name.unraw().to_string())).unwrap_or_default();
    if name.is_some() && wire.is_empty() {
        problems
            .add(syn::Error::new_spanned(pat, "an argument has a name, because the name is its key in JSON"));
    }
    problems.finish()?;
    let docs = attrs.iter().filter(|attribute| attribute.path().is_ident("doc")).cloned().collect();
    Ok(Argument { name: name.expect("its absence is a problem"), wire, ty: (**ty).clone(), docs })
}

/// Arguments arrive in a message, so they own what they hold.
fn owned(ty: &Type) -> syn::Result<()> {
    struct Borrows(Problems);
    impl<'ast> Visit<'ast> for Borrows {
        fn visit_type_reference(&mut self, reference: &'ast syn::TypeReference) {
            let owned = match &*reference.elem {
                Type::Path(path) if path.path.is_ident("str") => "String".to_owned(),
                Type::Slice(slice) => format!("Vec<{}>", slice.elem.to_token_stream()),
                other => other.to_token_stream().to_string(),
            };
            let message = format!("an argument arrives in a message and owns its data: take `{owned}`");
            self.0.add(syn::Error::new_spanned(reference, message));
        }

        fn visit_lifetime(&mut self, lifetime: &'ast syn::Lifetime) {
            if lifetime.ident != "static" {
                self.0.add(syn::Error::new_spanned(
                    lifetime,
                    "an argument arrives in a message and owns its data: it has no lifetime",
                ));
            }
        }

        fn visit_type_impl_trait(&mut self, ty: &'ast syn::TypeImplTrait) {
            self.0.add(syn::Error::new_spanned(
                ty,
                "an argument has one concrete type, which is its form in JSON",
            ));
        }
    }
    let mut borrows = Borrows(Problems::default());
    borrows.visit_type(ty);
    borrows.0.finish()
}

fn distinct(arguments: &[Argument]) -> syn::Result<()> {
    let mut problems = Problems::default();
    for (index, argument) in arguments.iter().enumerate() {
        if let Some(earlier) = arguments[..index].iter().find(|earlier| earlier.wire == argument.wire) {
            let message = format!(
                "`{}` and `{}` are both `{}` in JSON: rename one",
                earlier.name, argument.name, argument.wire
            );
            problems.add(syn::Error::new(argument.name.span(), message));
        }
    }
    problems.finish()
}

/// The schedule of an attribute brings no arguments.
fn supplied(options: Option<&Options>, arguments: &[Argument]) -> syn::Result<()> {
    let expression = options.and_then(|options| options.cron.expression.as_ref());
    match (expression, arguments.first()) {
        (Some(_), Some(argument)) => Err(syn::Error::new(
            argument.name.span(),
            "the schedule of an attribute has no arguments to give: leave the expression out, and create \
             schedules with arguments by `ctx.crons().create(..)`",
        )),
        _ => Ok(()),
    }
}

/// `Result<T>` or `Result<T, E>`, by whatever path.
fn result(output: &ReturnType, function: &Ident) -> syn::Result<(Type, Option<Type>)> {
    let wanted =
        "a handler returns `Result<T>`, or `Result<T, E>` with an error enum declared by `#[forge::error]`";
    let ty = match output {
        ReturnType::Default => {
            return Err(syn::Error::new(function.span(), format!("{wanted}; for no value, `Result<()>`")));
        }
        ReturnType::Type(_, ty) => ty,
    };
    let wrong = || syn::Error::new_spanned(ty, wanted);
    let segment = last_segment(ty).filter(|last| last.ident == "Result").ok_or_else(wrong)?;
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return Err(wrong()) };
    let types: Vec<_> = arguments
        .args
        .iter()
        .filter_map(|argument| if let GenericArgument::Type(ty) = argument { Some(ty) } else { None })
        .collect();
    for ty in &types {
        refuse::nested_option(ty)?;
    }
    match types.as_slice() {
        [output] if arguments.args.len() == 1 => Ok(((*output).clone(), None)),
        [output, error] if arguments.args.len() == 2 => Ok(((*output).clone(), Some((*error).clone()))),
        _ => Err(wrong()),
    }
}
