//! `#[forge::data]`: a plain record or union that crosses the wire and is read from rows.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{Attribute, Field, Fields, Item, Meta};

use crate::option::{self, Key};
use crate::{pipeline, refuse};

mod row;

const OWNER: &str = "`#[forge::data]`";
const ROW: Key<()> = Key { name: "row", usage: "row = false", id: () };
const DERIVED: &[&str] = &["Serialize", "Deserialize"];

/// A struct or an enum that crosses the wire, checked.
pub(crate) struct DataSpec {
    item: Item,
    /// The container attributes of serde.
    serde: Vec<TokenStream>,
    /// Written unless the author reads rows himself.
    row: bool,
}

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let expected = format!("{OWNER} stands on a struct or an enum");
    pipeline::attribute(item, &expected, |item| parse(options, item), lower, stripped)
}

/// The item as rustc may see it beside errors, without what only Forge and serde's derives read.
pub(crate) fn stripped(mut item: Item) -> Item {
    let strip = |attributes: &mut Vec<Attribute>| {
        refuse::strip_derives(attributes);
        let ours = ["sensitive", "serde"];
        attributes.retain(|attribute| !ours.iter().any(|name| attribute.path().is_ident(name)));
    };
    let strip_fields = |fields: &mut Fields| fields.iter_mut().for_each(|field| strip(&mut field.attrs));
    match &mut item {
        Item::Struct(item) => {
            strip(&mut item.attrs);
            strip_fields(&mut item.fields);
        }
        Item::Enum(item) => {
            strip(&mut item.attrs);
            for variant in &mut item.variants {
                strip(&mut variant.attrs);
                strip_fields(&mut variant.fields);
            }
        }
        _ => {}
    }
    item
}

/// The attributes of a struct or an enum.
fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Struct(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        _ => &[],
    }
}

/// The fields of a struct, or of all variants of an enum.
fn fields(item: &Item) -> Box<dyn Iterator<Item = &Field> + '_> {
    match item {
        Item::Struct(item) => Box::new(item.fields.iter()),
        Item::Enum(item) => Box::new(item.variants.iter().flat_map(|variant| &variant.fields)),
        _ => Box::new(std::iter::empty()),
    }
}

fn parse(options: TokenStream, item: &Item) -> syn::Result<DataSpec> {
    let mut problems = option::Problems::default();
    let entries = option::entries(options)?;
    problems.keep(option::once(&entries, &[]));
    let mut row = true;
    for entry in &entries {
        let wanted = entry.find(&[ROW], OWNER).and_then(|key| entry.boolean(key));
        row = problems.keep(wanted).unwrap_or(row);
    }
    if attributes(item).iter().any(|attribute| refuse::is_forge(attribute, "event")) {
        let message = format!("`#[forge::event]` writes what {OWNER} writes: leave {OWNER} out");
        problems.add(syn::Error::new(Span::call_site(), message));
    }
    let spec = problems.keep(check(item, OWNER, row));
    problems.finish()?;
    Ok(spec.expect("no problem was found, so the item was read"))
}

/// Checks the item of the attribute `owner`, whose type crosses the wire, and which is read from rows too if
/// `row` says so.
pub(crate) fn check(item: &Item, owner: &str, row: bool) -> syn::Result<DataSpec> {
    let is_enum = match item {
        Item::Struct(_) => false,
        Item::Enum(_) => true,
        _ => {
            let message = format!("{owner} stands on a struct or an enum");
            return Err(syn::Error::new(Span::call_site(), message));
        }
    };
    let attributes = attributes(item);
    let mut problems = option::Problems::default();
    problems.keep(refuse::derives(attributes, DERIVED, owner));
    let owner_field = format!("a field of {owner}");
    for attribute in fields(item).flat_map(|field| &field.attrs) {
        if let Some(error) = refuse::sensitive(attribute, &owner_field) {
            problems.add(error);
        }
    }
    // A field that is read by a function of its own may tell an absent key from `null`.
    let plain = |field: &&Field| !says(&field.attrs, "with") && !says(&field.attrs, "deserialize_with");
    for field in fields(item).filter(plain) {
        problems.keep(refuse::nested_option(&field.ty));
    }
    problems.finish()?;
    let mut serde = vec![quote! { crate = "::forge::__private::serde" }];
    if !says(attributes, "rename_all") {
        serde.push(quote! { rename_all = "camelCase" });
    }
    if is_enum && !says(attributes, "rename_all_fields") {
        serde.push(quote! { rename_all_fields = "camelCase" });
    }
    Ok(DataSpec { item: item.clone(), serde, row })
}

/// The item, its derives, and how it is read from rows.
pub(crate) fn lower(spec: &DataSpec) -> TokenStream {
    let DataSpec { item, serde, row } = spec;
    let wire_type = wire_type();
    let row = row.then(|| row::implement(item));
    quote! {
        #[derive(::forge::__private::serde::Serialize, ::forge::__private::serde::Deserialize)]
        #[serde(#(#serde),*)]
        #wire_type
        #item

        #row
    }
}

/// The derive from which generators of clients know the type.
pub(crate) fn wire_type() -> TokenStream {
    quote! {
        #[derive(::forge::__private::specta::Type)]
        #[specta(crate = ::forge::__private::specta)]
    }
}

/// Whether an attribute of serde contains this word.
fn says(attributes: &[Attribute], word: &str) -> bool {
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
