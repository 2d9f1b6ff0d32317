//! `#[forge::event]`: a record for which workflows wait, and its key.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::ext::IdentExt;
use syn::{Attribute, Field, Fields, Item, ItemStruct, Path, Type};

use crate::data::{self, DataSpec};
use crate::option::{self, Key, Problems};
use crate::{case, literal, pipeline, refuse};

const OWNER: &str = "`#[forge::event]`";
const EXPECTED: &str = "`#[forge::event]` stands on a struct with named fields, or without fields: what has \
                        happened is one type, and one of its fields is its key";

#[derive(Clone, Copy)]
enum EventOption {
    Key,
    Name,
}

const KEYS: &[Key<EventOption>] = &[
    Key { name: "key", usage: "key = user", id: EventOption::Key },
    Key { name: "name", usage: "name = \"accounts.email_verified\"", id: EventOption::Name },
];

/// An event, checked.
struct EventSpec {
    data: DataSpec,
    event: Ident,
    cfgs: Vec<Attribute>,
    name: EventName,
    /// The field that says what the event is about, and its type.
    key: Option<(Ident, Type)>,
}

enum EventName {
    Given(String),
    /// The part behind the module's name.
    OfStruct(String),
}

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    pipeline::attribute(item, EXPECTED, |item| check(options, item), lower, beside_errors)
}

fn check(options: TokenStream, item: &Item) -> syn::Result<EventSpec> {
    let Item::Struct(event) = item else { return Err(syn::Error::new(Span::call_site(), EXPECTED)) };
    let mut problems = Problems::default();
    if matches!(event.fields, Fields::Unnamed(_)) {
        problems.add(syn::Error::new_spanned(&event.fields, EXPECTED));
    }
    problems.keep(refuse::generics(&event.generics, "an event"));
    // One above this attribute has refused itself.
    for attribute in event.attrs.iter().filter(|attribute| refuse::is_forge(attribute, "data")) {
        let message = format!("{OWNER} writes what `#[forge::data]` writes: leave it out here");
        problems.add(syn::Error::new_spanned(attribute, message));
    }
    let data = problems.keep(data::check(item, OWNER, false));
    let entries = problems.keep(option::entries(options)).unwrap_or_default();
    problems.keep(option::once(&entries, &[]));
    let mut key = None;
    let mut name = EventName::OfStruct(case::snake(&event.ident.unraw().to_string()));
    for entry in &entries {
        let read = entry.find(KEYS, OWNER).and_then(|word| match word.id {
            EventOption::Key => {
                entry.path(word).and_then(|path| field(event, &path)).map(|field| key = field)
            }
            EventOption::Name => {
                let given = literal::wire_name(&entry.string(word)?)?;
                name = EventName::Given(given);
                Ok(())
            }
        });
        problems.keep(read);
    }
    problems.finish()?;
    Ok(EventSpec {
        data: data.expect("no problem was found, so the item was read"),
        event: event.ident.clone(),
        cfgs: event.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg")).cloned().collect(),
        name,
        key,
    })
}

/// The field that is the key. A struct whose fields have no names is refused already, and has none.
fn field(event: &ItemStruct, path: &Path) -> syn::Result<Option<(Ident, Type)>> {
    if matches!(event.fields, Fields::Unnamed(_)) {
        return Ok(None);
    }
    let named = |field: &Field| Some((field.ident.clone()?, field.ty.clone()));
    let fields: Vec<_> = event.fields.iter().filter_map(named).collect();
    let found = fields.iter().find(|(name, _)| path.is_ident(name));
    found.cloned().map(Some).ok_or_else(|| {
        let names: Vec<_> = fields.iter().map(|(name, _)| name.unraw().to_string()).collect();
        let written = path.get_ident().map(|name| name.unraw().to_string()).unwrap_or_default();
        let hint = case::nearest(&written, names.iter().map(String::as_str))
            .map(|name| format!("; did you mean `{name}`?"))
            .unwrap_or_default();
        let list: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        let has =
            if list.is_empty() { "it has none".to_owned() } else { format!("fields: {}", list.join(", ")) };
        let message = format!("the key of an event is one of its fields{hint}\n{has}");
        syn::Error::new_spanned(path, message)
    })
}

fn beside_errors(mut item: Item) -> Item {
    if let Item::Struct(event) = &mut item {
        event.attrs.retain(|attribute| !refuse::is_forge(attribute, "data"));
    }
    data::stripped(item)
}

fn lower(spec: &EventSpec) -> TokenStream {
    let EventSpec { data, event, cfgs, name, key } = spec;
    let data = data::lower(data);
    let name = match name {
        EventName::Given(name) => quote! { ::std::borrow::ToOwned::to_owned(#name) },
        EventName::OfStruct(word) => quote! {
            let module = ::core::module_path!();
            let innermost = module.rsplit_once("::").map_or(module, |(_, last)| last);
            ::std::format!("{innermost}.{}", #word)
        },
    };
    let (ty, key) = match key {
        Some((field, ty)) => (quote! { #ty }, quote! { &self.#field }),
        None => (quote! { () }, quote! { &() }),
    };
    quote! {
        #data

        #(#cfgs)*
        // Where a type is no event, a list of some events helps nobody.
        #[diagnostic::do_not_recommend]
        #[allow(deprecated, reason = "an event is declared for as long as its struct is")]
        impl ::forge::app::Event for #event {
            type Key = #ty;

            fn name() -> ::std::string::String {
                #name
            }

            fn key(&self) -> &Self::Key {
                #key
            }
        }

        #(#cfgs)*
        ::forge::__private::inventory::submit! { ::forge::app::workflow::EventRegistration::of::<#event>() }
    }
}
