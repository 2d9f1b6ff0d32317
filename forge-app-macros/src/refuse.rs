//! Mistakes that every attribute refuses alike.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Attribute, GenericArgument, Generics, Path, PathArguments, Signature, Token, Type, TypePath};

use crate::option::Problems;

/// `#[derive(Debug)]` beside an attribute that writes `Debug` itself ends in "conflicting implementations";
/// say it plainly instead.
pub(crate) fn derives(attributes: &[Attribute], written: &[&str], owner: &str) -> syn::Result<()> {
    let mut problems = Problems::default();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("derive")) {
        let Ok(paths) = attribute.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated) else {
            continue;
        };
        for path in paths {
            let Some(last) = path.segments.last() else { continue };
            // `sqlx::Type` is another trait of the same name.
            let foreign = path.segments.len() > 1 && path.segments[0].ident == "sqlx";
            if !foreign && written.iter().any(|name| last.ident == name) {
                let message = format!("{owner} implements `{}` already: leave it out here", last.ident);
                problems.add(syn::Error::new_spanned(&path, message));
            }
        }
    }
    problems.finish()
}

/// Takes the derives away that Forge writes and that only another crate could provide. Beside the error that
/// refuses them, rustc would report that crate as missing.
pub(crate) fn strip_derives(attributes: &mut [Attribute]) {
    const FOREIGN: &[&str] = &["Serialize", "Deserialize", "FromRow"];
    for attribute in attributes.iter_mut().filter(|attribute| attribute.path().is_ident("derive")) {
        let Ok(paths) = attribute.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated) else {
            continue;
        };
        let foreign = |path: &Path| {
            path.segments.last().is_some_and(|last| FOREIGN.iter().any(|name| last.ident == name))
        };
        let kept = paths.iter().filter(|path| !foreign(path));
        *attribute = syn::parse_quote!(#[derive(#(#kept),*)]);
    }
}

/// An attribute of Forge, as `#[forge::event]` or, imported, as `#[event]`.
pub(crate) fn is_forge(attribute: &Attribute, name: &str) -> bool {
    let path = attribute.path();
    path.is_ident(name)
        || path.segments.len() == 2 && path.segments[0].ident == "forge" && path.segments[1].ident == name
}

/// `#[sensitive]` outside of a model, where a type says what is kept from view.
pub(crate) fn sensitive(attribute: &Attribute, owner: &str) -> Option<syn::Error> {
    let message = format!(
        "`#[sensitive]` marks columns of a model; {owner} is kept from view by its type, for example \
         `Secret<String>`"
    );
    attribute.path().is_ident("sensitive").then(|| syn::Error::new_spanned(attribute, message))
}

/// `Option<Option<T>>`, anywhere in a type. JSON has one `null` for two of its three values, so that one of
/// them would arrive as the other. Behind an alias, the generator of clients finds it.
pub(crate) fn nested_option(ty: &Type) -> syn::Result<()> {
    struct Nested(Problems);
    impl<'ast> Visit<'ast> for Nested {
        fn visit_type_path(&mut self, path: &'ast TypePath) {
            let is_option = |ty: &Type| matches!(ty, Type::Path(path) if option_of(path).is_some());
            if option_of(path).is_some_and(is_option) {
                let message = "`Option<Option<T>>` has three values, and JSON has one `null` for two of \
                               them: take an enum, or two fields";
                self.0.add(syn::Error::new_spanned(path, message));
            }
            visit::visit_type_path(self, path);
        }
    }
    let mut nested = Nested(Problems::default());
    nested.visit_type(ty);
    nested.0.finish()
}

/// The `T` of `Option<T>`.
fn option_of(path: &TypePath) -> Option<&Type> {
    let last = path.path.segments.last().filter(|last| last.ident == "Option")?;
    match &last.arguments {
        PathArguments::AngleBracketed(arguments) => match arguments.args.first()? {
            GenericArgument::Type(ty) => Some(ty),
            _ => None,
        },
        _ => None,
    }
}

/// `const`, `unsafe` and `extern` on a function that Forge calls; `rule` says what the function is instead.
pub(crate) fn qualifiers(signature: &Signature, rule: &str) -> syn::Result<()> {
    let qualifiers: [Option<&dyn ToTokens>; 3] = [
        signature.constness.as_ref().map(|token| token as _),
        signature.unsafety.as_ref().map(|token| token as _),
        signature.abi.as_ref().map(|token| token as _),
    ];
    let mut problems = Problems::default();
    for token in qualifiers.into_iter().flatten() {
        problems.add(syn::Error::new_spanned(token, rule));
    }
    problems.finish()
}

/// Type and lifetime parameters, on things that stand for one table, one message or one wire type.
pub(crate) fn generics(generics: &Generics, owner: &str) -> syn::Result<()> {
    if generics.params.is_empty() && generics.where_clause.is_none() {
        return Ok(());
    }
    let tokens: TokenStream = if generics.params.is_empty() {
        generics.where_clause.to_token_stream()
    } else {
        generics.to_token_stream()
    };
    Err(syn::Error::new_spanned(
        tokens,
        format!("{owner} cannot be generic: it stands for one concrete type on the wire and in Postgres"),
    ))
}
