//! Handlers: an async fn becomes a message struct, its `Handler` implementation and a registration.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{Attribute, Item, ItemFn, parse_quote};

use crate::{option, pipeline};

mod backoff;
pub(crate) mod kind;
mod limits;
mod lower;
mod message;
mod message_name;
mod options;
mod parse;
mod schedule;
mod spec;

pub(crate) use parse::last_segment;

use kind::Kind;

/// Expands a kind's attribute.
pub(crate) fn expand(kind: &'static Kind, options: TokenStream, item: TokenStream) -> TokenStream {
    let expected = format!(
        "`#[{}]` stands on an async fn: `async fn list(ctx: &{}) -> Result<..>`",
        kind.name, kind.context
    );
    let check = |function: &ItemFn| parse::function(kind, options, function);
    pipeline::attribute(item, &expected, check, lower::handler, parse::beside_errors)
}

/// `#[require_auth]` and `#[require_role(..)]` written above the kind's attribute: they move below it, where
/// the kind's attribute reads them.
pub(crate) fn defer(name: &str, options: TokenStream, item: TokenStream) -> TokenStream {
    let mut function = match syn::parse2::<Item>(item) {
        Ok(Item::Fn(function)) if function.attrs.iter().any(is_kind) => function,
        Ok(item) => {
            let kinds: Vec<_> = kind::KINDS
                .iter()
                .filter(|kind| kind.is_callable())
                .map(|kind| format!("`#[{}]`", kind.name))
                .collect();
            let message = format!("`#[{name}]` belongs on a handler, beside one of {}", kinds.join(", "));
            let error = syn::Error::new(Span::call_site(), message).to_compile_error();
            return quote! { #error #item };
        }
        Err(error) => return error.to_compile_error(),
    };
    let word = Ident::new(name, Span::call_site());
    let attribute: Attribute =
        if options.is_empty() { parse_quote!(#[#word]) } else { parse_quote!(#[#word(#options)]) };
    function.attrs.push(attribute);
    function.into_token_stream()
}

fn is_kind(attribute: &Attribute) -> bool {
    attribute
        .path()
        .segments
        .last()
        .is_some_and(|last| kind::KINDS.iter().any(|kind| last.ident == kind.name))
}

/// `#[require_auth]` and `#[require_role("editor")]`, as options.
fn requirement(attribute: &Attribute) -> Option<syn::Result<spec::AccessOption>> {
    let word = &attribute.path().segments.last()?.ident;
    if word == "require_auth" {
        let access = option::entries_of(attribute).and_then(|entries| match entries.first() {
            Some(entry) => Err(syn::Error::new(entry.span(), "`#[require_auth]` has no options")),
            None => Ok(spec::AccessOption {
                word: "#[require_auth]".to_owned(),
                span: word.span(),
                access: spec::Access::Authenticated,
            }),
        });
        return Some(access);
    }
    (word == "require_role").then(|| {
        let wanted = || {
            syn::Error::new_spanned(
                attribute,
                "`#[require_role]` names one role: `#[require_role(\"editor\")]`",
            )
        };
        let role = attribute.parse_args::<syn::LitStr>().map_err(|_| wanted())?;
        Ok(spec::AccessOption {
            word: "#[require_role]".to_owned(),
            span: word.span(),
            access: spec::Access::role(&role)?,
        })
    })
}
