//! `#[forge::workflow_migration]`: a function that changes the journals of one version's runs into those of a
//! newer version is registered.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{FnArg, GenericArgument, ItemFn, PathArguments, PathSegment, ReturnType, Type};

use crate::function::last_segment;
use crate::option::{self, Entry, Key, Problems};
use crate::{literal, pipeline, refuse};

const OWNER: &str = "`#[forge::workflow_migration]`";
const EXPECTED: &str = "`#[forge::workflow_migration]` stands on a function: \
                        `fn onboard_1_to_2(journal: &mut Journal<Onboard>) -> Result<()>`";
const JOURNAL: &str = "a migration takes the journal alone, with the message of the newer version: \
                       `journal: &mut Journal<Onboard>`";

#[derive(Clone, Copy, PartialEq)]
enum MigrationOption {
    From,
    To,
}

const KEYS: &[Key<MigrationOption>] = &[
    Key { name: "from", usage: "from = 1", id: MigrationOption::From },
    Key { name: "to", usage: "to = 2", id: MigrationOption::To },
];

/// A migration, checked.
struct MigrationSpec {
    function: ItemFn,
    versions: Versions,
    /// The message of the newer version, as it is written in the parameter.
    workflow: Type,
}

struct Versions {
    from: u32,
    to: u32,
}

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    pipeline::attribute(item, EXPECTED, |function| check(options, function), lower, |function| function)
}

fn check(options: TokenStream, function: &ItemFn) -> syn::Result<MigrationSpec> {
    let mut problems = Problems::default();
    let versions = problems.keep(option::entries(options).and_then(|entries| versions(&entries)));
    problems.keep(signature(function));
    let workflow = problems.keep(journal(function));
    problems.keep(result(function));
    problems.finish()?;
    let checked = "no problem was found, so every part was read";
    Ok(MigrationSpec {
        function: function.clone(),
        versions: versions.expect(checked),
        workflow: workflow.expect(checked),
    })
}

fn versions(entries: &[Entry]) -> syn::Result<Versions> {
    let mut problems = Problems::default();
    problems.keep(option::once(entries, &[]));
    let (mut from, mut to) = (None, None);
    for entry in entries {
        let read = entry.find(KEYS, OWNER).and_then(|key| {
            let number = entry.integer(key)?;
            let version = literal::workflow_version(&number)?;
            match key.id {
                MigrationOption::From => from = Some(version),
                MigrationOption::To => to = Some((version, number.span())),
            }
            Ok(())
        });
        problems.keep(read);
    }
    problems.finish()?;
    let (Some(from), Some((to, place))) = (from, to) else {
        let message = format!(
            "{OWNER} needs both versions: `#[forge::workflow_migration(from = 1, to = 2)]` makes runs of \
             version 1 runs of version 2"
        );
        return Err(syn::Error::new(Span::call_site(), message));
    };
    if from >= to {
        let message = format!("a migration leads to a newer version, and {to} is not newer than {from}");
        return Err(syn::Error::new(place, message));
    }
    Ok(Versions { from, to })
}

fn signature(function: &ItemFn) -> syn::Result<()> {
    let signature = &function.sig;
    let mut problems = Problems::default();
    if let Some(asyncness) = &signature.asyncness {
        let message = format!(
            "a migration is not async: it changes the journal that it is given, and waits for nothing; write \
             `fn {}`",
            signature.ident
        );
        problems.add(syn::Error::new_spanned(asyncness, message));
    }
    problems.keep(refuse::qualifiers(signature, "a migration is a plain fn"));
    if !signature.generics.params.is_empty() || signature.generics.where_clause.is_some() {
        let message = "a migration cannot be generic: it is about the runs of one workflow";
        let place: &dyn ToTokens = if signature.generics.params.is_empty() {
            &signature.generics.where_clause
        } else {
            &signature.generics
        };
        problems.add(syn::Error::new_spanned(place, message));
    }
    problems.finish()
}

/// The type in the one parameter `&mut Journal<..>`.
fn journal(function: &ItemFn) -> syn::Result<Type> {
    let mut inputs = function.sig.inputs.iter();
    let argument = match (inputs.next(), inputs.next()) {
        (None, _) => return Err(syn::Error::new(function.sig.paren_token.span.join(), JOURNAL)),
        (Some(FnArg::Receiver(receiver)), _) => {
            return Err(syn::Error::new_spanned(receiver, "a migration is a free function, without `self`"));
        }
        (Some(FnArg::Typed(_)), Some(second)) => return Err(syn::Error::new_spanned(second, JOURNAL)),
        (Some(FnArg::Typed(argument)), None) => argument,
    };
    let wrong = || syn::Error::new_spanned(&argument.ty, JOURNAL);
    let Type::Reference(reference) = &*argument.ty else { return Err(wrong()) };
    let segment = last_segment(&reference.elem).filter(|last| last.ident == "Journal").ok_or_else(wrong)?;
    match (reference.mutability, &reference.lifetime, sole_type(segment)) {
        (Some(_), None, Some(workflow)) => Ok(workflow.clone()),
        _ => Err(wrong()),
    }
}

fn result(function: &ItemFn) -> syn::Result<()> {
    let wanted = "a migration returns `Result<()>`";
    let ReturnType::Type(_, ty) = &function.sig.output else {
        return Err(syn::Error::new(
            function.sig.ident.span(),
            format!("{wanted}, and this returns nothing"),
        ));
    };
    let value = last_segment(ty).filter(|last| last.ident == "Result").and_then(sole_type);
    match value {
        Some(Type::Tuple(value)) if value.elems.is_empty() => Ok(()),
        _ => Err(syn::Error::new_spanned(ty, wanted)),
    }
}

/// The `T` of `Journal<T>`.
fn sole_type(segment: &PathSegment) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    match (arguments.args.first()?, arguments.args.len()) {
        (GenericArgument::Type(ty), 1) => Some(ty),
        _ => None,
    }
}

fn lower(spec: &MigrationSpec) -> TokenStream {
    let MigrationSpec { function, versions: Versions { from, to }, workflow } = spec;
    let name = &function.sig.ident;
    let cfgs = function.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg"));
    // Hygienic names: the function may be called `journal`.
    let contents = Ident::new("contents", Span::mixed_site());
    let journal = Ident::new("journal", Span::mixed_site());
    let migrate = quote! {
        |#contents| {
            let mut #journal = ::forge::app::workflow::Journal::<#workflow>::of(#contents);
            #name(&mut #journal)?;
            ::core::result::Result::Ok(#journal.into_contents())
        }
    };
    let (file, line) = (quote! { ::core::file!() }, quote! { ::core::line!() });
    // Of a type that is no workflow the compiler says so where the type is written.
    let registration = quote_spanned! { workflow.span() =>
        ::forge::app::workflow::MigrationRegistration::of::<#workflow>(#from, #to, #migrate, #file, #line)
    };
    quote! {
        #function

        #(#cfgs)*
        ::forge::__private::inventory::submit! { #registration }
    }
}
