//! The name of a handler's message: from the function's own, or as the attribute gives it.

use proc_macro2::Ident;
use syn::LitStr;
use syn::ext::IdentExt;

use crate::case;

/// Names that every module has from Rust, and that a message of the same name would take from it.
const HIDES_RUST: &[&str] = &[
    "Box", "Clone", "Default", "From", "Into", "Iterator", "Option", "Result", "String", "ToOwned",
    "ToString", "Vec",
];

/// `create` → `Create`.
pub(super) fn derived(function: &Ident) -> syn::Result<Ident> {
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
pub(super) fn given(literal: &LitStr) -> syn::Result<Ident> {
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
