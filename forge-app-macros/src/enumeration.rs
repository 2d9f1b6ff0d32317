//! `#[forge::forge_enum]`: one closed set in Rust, Postgres, JSON and TypeScript.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::{Fields, ItemEnum, Variant};

use crate::option::{self, Key, Problems};
use crate::postgres::{self, Codec};
use crate::{case, declared, doc, pipeline, refuse};

const NAME: Key<()> = Key { name: "name", usage: "name = \"task_status\"", id: () };
const DERIVED: &[&str] =
    &["Clone", "Copy", "PartialEq", "Eq", "PartialOrd", "Ord", "Hash", "Debug", "Serialize", "Deserialize"];

struct EnumSpec {
    item: ItemEnum,
    sql_name: String,
    doc: String,
    variants: Vec<(Ident, String)>,
}

pub(crate) fn expand(attribute: &str, options: TokenStream, item: TokenStream) -> TokenStream {
    let owner = format!("`#[forge::{attribute}]`");
    let expected = format!("{owner} stands on an enum");
    let stripped = |mut item: ItemEnum| {
        refuse::strip_derives(&mut item.attrs);
        item
    };
    pipeline::attribute(item, &expected, |item| parse(&owner, options, item), lower, stripped)
}

fn parse(owner: &str, options: TokenStream, item: &ItemEnum) -> syn::Result<EnumSpec> {
    let entries = option::entries(options)?;
    let mut problems = Problems::default();
    problems.keep(option::once(&entries, &[]));
    let mut name = (case::snake(&item.ident.to_string()), item.ident.span());
    for entry in &entries {
        let literal = entry.find(&[NAME], owner).and_then(|key| entry.string(key));
        if let Some(literal) = problems.keep(literal) {
            name = (literal.value(), literal.span());
        }
    }
    problems.keep(postgres::identifier(&name.0, name.1, "the type"));
    problems.keep(refuse::generics(&item.generics, "an enum type"));
    problems.keep(refuse::derives(&item.attrs, DERIVED, owner));
    if item.variants.is_empty() {
        problems.add(syn::Error::new_spanned(&item.ident, "an enum type without variants has no values"));
    }
    let variants: Vec<_> = item.variants.iter().filter_map(|variant| problems.keep(label(variant))).collect();
    for (index, (ident, label)) in variants.iter().enumerate() {
        if let Some((earlier, _)) = variants[..index].iter().find(|(_, other)| other == label) {
            problems.add(syn::Error::new(
                ident.span(),
                format!("`{earlier}` and `{ident}` are both `{label}` in Postgres: rename one"),
            ));
        }
    }
    problems.finish()?;
    Ok(EnumSpec { item: item.clone(), sql_name: name.0, doc: doc::first_paragraph(&item.attrs), variants })
}

fn label(variant: &Variant) -> syn::Result<(Ident, String)> {
    if !matches!(variant.fields, Fields::Unit) {
        let message = format!(
            "`{}` holds data, and a Postgres enum holds names only: put the data into columns, or the whole \
             into JSON",
            variant.ident
        );
        return Err(syn::Error::new_spanned(&variant.fields, message));
    }
    if let Some((_, discriminant)) = &variant.discriminant {
        return Err(syn::Error::new_spanned(discriminant, "values are stored by name: leave the number out"));
    }
    let label = case::snake(&variant.ident.to_string());
    postgres::identifier(&label, variant.ident.span(), "the label")?;
    Ok((variant.ident.clone(), label))
}

fn lower(spec: &EnumSpec) -> TokenStream {
    let EnumSpec { item, sql_name, doc, .. } = spec;
    let name = &item.ident;
    let text = quote! { self.as_str() };
    let codec = postgres::implement(
        name,
        Codec {
            type_info: quote! { ::forge::__private::sqlx::postgres::PgTypeInfo::with_name(#sql_name) },
            array_type_info: quote! { ::forge::__private::sqlx::postgres::PgTypeInfo::array_of(#sql_name) },
            compatible: None,
            text: &text,
            read: quote! {
                <Self as ::core::str::FromStr>::from_str(text).map_err(::core::convert::Into::into)
            },
        },
    );
    let serde = postgres::serde_text(name, &text);
    let declared = declared::implement_type(name, doc, &quote! { ::forge::app::wire_type::labels::<Self>() });
    let (labels, metadata, reading) = (labels(spec), metadata(spec), reading(spec));
    quote! {
        #[derive(
            ::core::clone::Clone,
            ::core::marker::Copy,
            ::core::cmp::PartialEq,
            ::core::cmp::Eq,
            ::core::cmp::PartialOrd,
            ::core::cmp::Ord,
            ::core::hash::Hash,
            ::core::fmt::Debug,
        )]
        #item

        #labels
        #metadata
        #reading
        #serde
        #codec
        #declared
    }
}

fn labels(spec: &EnumSpec) -> TokenStream {
    let name = &spec.item.ident;
    let (idents, labels): (Vec<&Ident>, Vec<&String>) =
        spec.variants.iter().map(|(ident, label)| (ident, label)).unzip();
    quote! {
        #[allow(dead_code, unreachable_pub, reason = "every enum type has the same methods")]
        impl #name {
            /// All values, in the order of their declaration.
            pub const ALL: &'static [Self] = &[#(Self::#idents),*];

            /// The value's label in Postgres and JSON.
            pub const fn as_str(self) -> &'static str {
                match self { #(Self::#idents => #labels,)* }
            }
        }

        impl ::core::fmt::Display for #name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    }
}

fn metadata(spec: &EnumSpec) -> TokenStream {
    let EnumSpec { item, sql_name, doc, variants } = spec;
    let name = &item.ident;
    let labels = variants.iter().map(|(_, label)| label);
    quote! {
        impl ::forge::app::enumeration::Enumeration for #name {
            const META: ::forge::app::enumeration::EnumMeta = ::forge::app::enumeration::EnumMeta {
                name: ::core::stringify!(#name),
                sql_name: #sql_name,
                doc: #doc,
                labels: &[#(#labels),*],
                file: ::core::file!(),
                line: ::core::line!(),
            };
        }

        impl ::forge::app::model::ColumnType for #name {
            const SQL: &'static str = #sql_name;
            const ENUM: ::core::option::Option<&'static ::forge::app::enumeration::EnumMeta> =
                ::core::option::Option::Some(&<Self as ::forge::app::enumeration::Enumeration>::META);

            fn read(
                row: &::forge::__private::sqlx::postgres::PgRow,
                name: &str,
            ) -> ::core::result::Result<Self, ::forge::__private::sqlx::Error> {
                ::forge::__private::sqlx::Row::try_get(row, name)
            }
        }

        ::forge::__private::inventory::submit! { ::forge::app::enumeration::EnumRegistration::of::<#name>() }
    }
}

fn reading(spec: &EnumSpec) -> TokenStream {
    let name = &spec.item.ident;
    let (idents, labels): (Vec<&Ident>, Vec<&String>) =
        spec.variants.iter().map(|(ident, label)| (ident, label)).unzip();
    quote! {
        impl ::core::str::FromStr for #name {
            type Err = ::forge::app::enumeration::UnknownLabel;

            fn from_str(text: &str) -> ::core::result::Result<Self, Self::Err> {
                match text {
                    #(#labels => ::core::result::Result::Ok(Self::#idents),)*
                    _ => {
                        let unknown = ::forge::app::enumeration::UnknownLabel::of::<Self>(text);
                        ::core::result::Result::Err(unknown)
                    }
                }
            }
        }

        impl ::core::convert::TryFrom<::std::string::String> for #name {
            type Error = ::forge::app::enumeration::UnknownLabel;

            fn try_from(text: ::std::string::String) -> ::core::result::Result<Self, Self::Error> {
                text.parse()
            }
        }
    }
}
