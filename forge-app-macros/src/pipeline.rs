//! The way of every attribute: parse the item, check it into a spec, lower the spec to code.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::parse::Parse;

/// Expands one attribute. `expected` says on which item it stands. `check` turns the item into a spec and
/// reports every mistake, `lower` turns the spec into code. When there are mistakes, `strip` makes the item
/// valid Rust again and the item stays beside the errors, so that code which names it reports nothing on top.
pub(crate) fn attribute<Item: Parse + ToTokens, Spec>(
    item: TokenStream,
    expected: &str,
    check: impl FnOnce(&Item) -> syn::Result<Spec>,
    lower: impl FnOnce(&Spec) -> TokenStream,
    strip: impl FnOnce(Item) -> Item,
) -> TokenStream {
    let parsed = match syn::parse2::<Item>(item.clone()) {
        Ok(parsed) => parsed,
        Err(error) => return wrong_item(item, expected, &error),
    };
    match check(&parsed) {
        Ok(spec) => lower(&spec),
        Err(error) => {
            let errors = error.to_compile_error();
            let item = strip(parsed);
            quote! { #errors #item }
        }
    }
}

/// The error for an item of the wrong sort. The item stays; what is not Rust at all has only rustc's own
/// error.
fn wrong_item(item: TokenStream, expected: &str, error: &syn::Error) -> TokenStream {
    if syn::parse2::<syn::Item>(item.clone()).is_err() {
        return error.to_compile_error();
    }
    let errors = syn::Error::new(Span::call_site(), expected).to_compile_error();
    quote! { #errors #item }
}
