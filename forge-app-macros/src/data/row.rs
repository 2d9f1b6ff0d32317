//! How a record is read from a row, and how an enum without data is a column.
//!
//! A struct with named fields becomes `FromRow`: each field is the column of its Rust name. A field whose
//! type no column holds is read from a `jsonb` column. An enum without data is stored as its label in JSON,
//! in a column of type `text` or of a Postgres enum. Generic types have neither, and what the author derives
//! stays his.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Field, Fields, Item, ItemEnum, ItemStruct, Path, Token};

use super::says;

pub(super) fn implement(item: &Item) -> TokenStream {
    match item {
        Item::Struct(item) if item.generics.params.is_empty() && !derives(&item.attrs, "FromRow") => {
            record(item)
        }
        Item::Enum(item) if item.generics.params.is_empty() && !derives(&item.attrs, "Type") => labels(item),
        _ => TokenStream::new(),
    }
}

fn record(item: &ItemStruct) -> TokenStream {
    let Fields::Named(fields) = &item.fields else { return TokenStream::new() };
    let name = &item.ident;
    let fields = fields.named.iter().filter_map(|field| Some(read(field.ident.as_ref()?, field)));
    quote! {
        impl<'r> ::forge::__private::sqlx::FromRow<'r, ::forge::__private::sqlx::postgres::PgRow> for #name {
            #[allow(deprecated, unused_imports, unused_variables, reason = "whatever the fields are")]
            fn from_row(
                row: &'r ::forge::__private::sqlx::postgres::PgRow,
            ) -> ::core::result::Result<Self, ::forge::__private::sqlx::Error> {
                use ::forge::app::row::{ReadColumn as _, ReadFlat as _, ReadJson as _, ReadNothing as _};
                ::core::result::Result::Ok(Self { #(#fields),* })
            }
        }
    }
}

fn read(name: &Ident, field: &Field) -> TokenStream {
    let ty = &field.ty;
    if says(&field.attrs, "skip") || says(&field.attrs, "skip_deserializing") {
        return quote! { #name: ::core::default::Default::default() };
    }
    let reader = quote_spanned! { ty.span() => (&::forge::app::row::Reader::<#ty>::NEW) };
    if says(&field.attrs, "flatten") {
        return quote! { #name: #reader.read_flat(row)? };
    }
    let column = name.unraw().to_string();
    quote! { #name: #reader.read(row, #column)? }
}

/// The codec of an enum without data. One that serde writes as an object has no label.
fn labels(item: &ItemEnum) -> TokenStream {
    let plain = item.variants.iter().all(|variant| matches!(variant.fields, Fields::Unit));
    if !plain || item.variants.is_empty() || ["tag", "untagged"].iter().any(|word| says(&item.attrs, word)) {
        return TokenStream::new();
    }
    let name = &item.ident;
    quote! {
        impl ::forge::__private::sqlx::Type<::forge::__private::sqlx::Postgres> for #name {
            fn type_info() -> ::forge::__private::sqlx::postgres::PgTypeInfo {
                <&str as ::forge::__private::sqlx::Type<::forge::__private::sqlx::Postgres>>::type_info()
            }

            fn compatible(ty: &::forge::__private::sqlx::postgres::PgTypeInfo) -> bool {
                ::forge::app::row::holds_label(ty)
            }
        }

        impl ::forge::__private::sqlx::postgres::PgHasArrayType for #name {
            fn array_type_info() -> ::forge::__private::sqlx::postgres::PgTypeInfo {
                <&str as ::forge::__private::sqlx::postgres::PgHasArrayType>::array_type_info()
            }
        }

        impl<'q> ::forge::__private::sqlx::Encode<'q, ::forge::__private::sqlx::Postgres> for #name {
            fn encode_by_ref(
                &self,
                buffer: &mut ::forge::__private::sqlx::postgres::PgArgumentBuffer,
            ) -> ::core::result::Result<
                ::forge::__private::sqlx::encode::IsNull,
                ::forge::__private::sqlx::error::BoxDynError,
            > {
                ::forge::app::row::encode_label(self, buffer)
            }
        }

        impl<'r> ::forge::__private::sqlx::Decode<'r, ::forge::__private::sqlx::Postgres> for #name {
            fn decode(
                value: ::forge::__private::sqlx::postgres::PgValueRef<'r>,
            ) -> ::core::result::Result<Self, ::forge::__private::sqlx::error::BoxDynError> {
                ::forge::app::row::decode_label(value.as_str()?)
            }
        }

        impl ::forge::app::model::ColumnType for #name {
            const SQL: &'static str = "text";

            fn read(
                row: &::forge::__private::sqlx::postgres::PgRow,
                name: &str,
            ) -> ::core::result::Result<Self, ::forge::__private::sqlx::Error> {
                ::forge::__private::sqlx::Row::try_get(row, name)
            }
        }
    }
}

/// Whether the author derives a trait of this name.
fn derives(attributes: &[Attribute], name: &str) -> bool {
    let derives = attributes.iter().filter(|attribute| attribute.path().is_ident("derive"));
    let mut paths = derives.filter_map(|attribute| {
        attribute.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated).ok()
    });
    paths.any(|paths| paths.iter().any(|path| path.segments.last().is_some_and(|last| last.ident == name)))
}
