//! From an attributed function to a [`FnSpec`].

use proc_macro2::{Ident, Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::visit::Visit;
use syn::{FnArg, GenericArgument, ItemFn, Pat, PatType, PathArguments, PathSegment, ReturnType, Type};

use super::kind::{KINDS, Kind};
use super::spec::{Argument, FnSpec, Options};
use super::{message_name, options};
use crate::option::Problems;
use crate::{case, doc, refuse};

/// Checks everything and reports every mistake.
pub(crate) fn function(kind: &'static Kind, tokens: TokenStream, function: &ItemFn) -> syn::Result<FnSpec> {
    let mut problems = Problems::default();
    let options = problems.keep(options::parse(kind, tokens, &function.attrs));
    problems.keep(signature(kind, function));
    let named = options.as_ref().and_then(|options| options.message.clone());
    let message = problems.keep(named.map_or_else(|| message_name::derived(&function.sig.ident), Ok));
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
    problems.keep(refuse::qualifiers(signature, &format!("{handler} is a plain async fn")));
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

pub(crate) fn last_segment(ty: &Type) -> Option<&PathSegment> {
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
