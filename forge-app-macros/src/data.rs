//! `#[forge::data]`: a plain record or union that crosses the wire.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{Attribute, Item, Meta};

use crate::{option, refuse};

const OWNER: &str = "`#[forge::data]`";
const DERIVED: &[&str] = &["Serialize", "Deserialize"];

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let item = match syn::parse2::<Item>(item) {
        Ok(item) => item,
        Err(error) => return error.to_compile_error(),
    };
    match lower(options, &item) {
        Ok(tokens) => tokens,
        Err(error) => refuse::with_item(&error, item),
    }
}

fn lower(options: TokenStream, item: &Item) -> syn::Result<TokenStream> {
    let (attributes, is_enum) = match item {
        Item::Struct(item) => (&item.attrs, false),
        Item::Enum(item) => (&item.attrs, true),
        _ => {
            return Err(syn::Error::new(Span::call_site(), format!("{OWNER} stands on a struct or an enum")));
        }
    };
    let mut problems = option::Problems::default();
    for entry in option::entries(options)? {
        problems.keep(entry.find::<()>(&[], OWNER));
    }
    problems.keep(refuse::derives(attributes, DERIVED, OWNER));
    problems.finish()?;
    let mut serde = vec![quote! { crate = "::forge::__private::serde" }];
    if !renames(attributes, "rename_all") {
        serde.push(quote! { rename_all = "camelCase" });
    }
    if is_enum && !renames(attributes, "rename_all_fields") {
        serde.push(quote! { rename_all_fields = "camelCase" });
    }
    let wire_type = wire_type();
    Ok(quote! {
        #[derive(::forge::__private::serde::Serialize, ::forge::__private::serde::Deserialize)]
        #[serde(#(#serde),*)]
        #wire_type
        #item
    })
}

/// The derive that tells generators of clients what a type looks like.
pub(crate) fn wire_type() -> TokenStream {
    quote! {
        #[derive(::forge::__private::specta::Type)]
        #[specta(crate = ::forge::__private::specta)]
    }
}

/// Whether the author has chosen the case of names by a word of serde's own.
fn renames(attributes: &[Attribute], word: &str) -> bool {
    attributes.iter().filter(|attribute| attribute.path().is_ident("serde")).any(|attribute| match &attribute
        .meta
    {
        Meta::List(list) => list
            .tokens
            .to_token_stream()
            .into_iter()
            .any(|token| matches!(token, proc_macro2::TokenTree::Ident(name) if name == word)),
        _ => false,
    })
}
