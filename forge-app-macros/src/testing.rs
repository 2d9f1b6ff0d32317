//! `#[forge::test]`: an async fn becomes a test that has a database of its own.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Attribute, FnArg, ItemFn, Pat, Path, Type};

use crate::function::kind::KINDS;
use crate::option::{self, Key, Problems};
use crate::{pipeline, refuse};

const OWNER: &str = "`#[forge::test]`";
const EXPECTED: &str = "`#[forge::test]` stands on an async fn: `async fn creates(cx: TestContext)`";
const CONTEXT: &str = "a test takes its context alone: `cx: TestContext`";

/// The options: none so far.
const KEYS: &[Key<()>] = &[];

/// A test, checked.
struct TestSpec {
    /// The function without the attributes that belong to the test.
    body: ItemFn,
    /// The attributes of the test: documentation, `#[ignore]`, `#[cfg(..)]`.
    attributes: Vec<Attribute>,
}

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    pipeline::attribute(item, EXPECTED, |function: &ItemFn| check(options, function), lower, beside_errors)
}

fn check(options: TokenStream, function: &ItemFn) -> syn::Result<TestSpec> {
    let mut problems = Problems::default();
    for entry in option::entries(options)? {
        problems.keep(entry.find(KEYS, OWNER));
    }
    for attribute in function.attrs.iter().filter(|attribute| is_test(attribute.path())) {
        let message = format!("{OWNER} makes the test: leave this attribute out");
        problems.add(syn::Error::new_spanned(attribute, message));
    }
    problems.keep(signature(function));
    problems.keep(context(function));
    problems.finish()?;
    let mut body = function.clone();
    let attributes = std::mem::take(&mut body.attrs);
    Ok(TestSpec { body, attributes })
}

fn signature(function: &ItemFn) -> syn::Result<()> {
    let signature = &function.sig;
    let mut problems = Problems::default();
    if signature.asyncness.is_none() {
        let message = format!("a test is async: write `async fn {}`", signature.ident);
        problems.add(syn::Error::new(signature.fn_token.span, message));
    }
    problems.keep(refuse::qualifiers(signature, "a test is a plain async fn"));
    if !signature.generics.params.is_empty() {
        let message = "a test cannot be generic: the test runner calls it by its name alone";
        problems.add(syn::Error::new_spanned(&signature.generics, message));
    }
    problems.finish()
}

/// The one argument, checked by what is written; an alias of the type is left to the type checker.
fn context(function: &ItemFn) -> syn::Result<()> {
    let mut inputs = function.sig.inputs.iter();
    let argument = match (inputs.next(), inputs.next()) {
        (None, _) => return Err(syn::Error::new(function.sig.paren_token.span.join(), CONTEXT)),
        (Some(FnArg::Receiver(receiver)), _) => {
            return Err(syn::Error::new_spanned(receiver, "a test is a free function, without `self`"));
        }
        (Some(FnArg::Typed(_)), Some(second)) => return Err(syn::Error::new_spanned(second, CONTEXT)),
        (Some(FnArg::Typed(argument)), None) => argument,
    };
    let (named, borrowed) = match &*argument.ty {
        Type::Reference(reference) => (last_word(&reference.elem), true),
        other => (last_word(other), false),
    };
    match named.as_deref() {
        Some("TestContext") if borrowed => {
            Err(syn::Error::new_spanned(&argument.ty, "a test owns its context: take `cx: TestContext`"))
        }
        Some(handler) if KINDS.iter().any(|kind| kind.context == handler) => {
            let message = format!(
                "`{handler}` is what a handler gets: a test takes `cx: TestContext`, and calls the handler \
                 by its message"
            );
            Err(syn::Error::new_spanned(&argument.ty, message))
        }
        _ if borrowed || !matches!(&*argument.pat, Pat::Ident(_) | Pat::Wild(_)) => {
            Err(syn::Error::new_spanned(argument, CONTEXT))
        }
        _ => Ok(()),
    }
}

fn last_word(ty: &Type) -> Option<String> {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
        _ => None,
    }
}

/// `#[test]`, and those of runtimes, such as `#[tokio::test]`.
fn is_test(path: &Path) -> bool {
    path.segments.last().is_some_and(|last| last.ident == "test")
}

fn lower(spec: &TestSpec) -> TokenStream {
    let TestSpec { body, attributes } = spec;
    let name = &body.sig.ident;
    // A failed test is reported at the place of this call.
    let run = quote_spanned! { name.span() =>
        ::forge::testing::run(
            ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name)),
            #name,
        )
    };
    quote! {
        #(#attributes)*
        #[::core::prelude::v1::test]
        fn #name() {
            #body
            #run
        }
    }
}

/// The function beside the errors that refuse it: rustc's own test attribute would refuse it once more.
fn beside_errors(mut function: ItemFn) -> ItemFn {
    function.attrs.retain(|attribute| !is_test(attribute.path()));
    function
}
