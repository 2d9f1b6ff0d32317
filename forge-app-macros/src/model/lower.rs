//! From a [`ModelSpec`] to code.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Field, Fields};

use super::spec::{Column, DefaultValue, Index, ModelSpec};
use crate::data;

/// The struct, its serialisation, `FromRow`, `Model`, and the registration.
pub(crate) fn model(spec: &ModelSpec) -> TokenStream {
    let (definition, debug, from_row, metadata) =
        (definition(spec), debug(spec), from_row(spec), metadata(spec));
    let checks = spec.columns.iter().map(checks);
    let name = &spec.item.ident;
    quote! {
        #definition
        #debug
        #from_row
        #metadata
        #(#checks)*
        ::forge::__private::inventory::submit! { ::forge::app::model::ModelRegistration::of::<#name>() }
    }
}

fn definition(spec: &ModelSpec) -> TokenStream {
    let mut item = spec.item.clone();
    if let Fields::Named(fields) = &mut item.fields {
        for (field, column) in fields.named.iter_mut().zip(&spec.columns) {
            serialised(field, column);
        }
    }
    let wire_type = data::wire_type();
    quote! {
        #[derive(
            ::core::clone::Clone,
            ::forge::__private::serde::Serialize,
            ::forge::__private::serde::Deserialize,
        )]
        #[serde(crate = "::forge::__private::serde")]
        #wire_type
        #item
    }
}

fn serialised(field: &mut Field, column: &Column) {
    let wire = &column.wire;
    field.attrs.push(syn::parse_quote!(#[serde(rename = #wire)]));
    if column.marks.sensitive.is_some() {
        field.attrs.push(syn::parse_quote!(#[serde(skip_serializing)]));
        field.attrs.push(syn::parse_quote!(#[specta(skip)]));
    }
}

fn debug(spec: &ModelSpec) -> TokenStream {
    let name = &spec.item.ident;
    let fields = spec.columns.iter().map(|Column { field, marks, .. }| {
        let value = if marks.sensitive.is_some() {
            quote! { &::core::format_args!("[redacted]") }
        } else {
            quote! { &self.#field }
        };
        quote! { .field(::core::stringify!(#field), #value) }
    });
    quote! {
        impl ::core::fmt::Debug for #name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.debug_struct(::core::stringify!(#name))#(#fields)*.finish()
            }
        }
    }
}

fn from_row(spec: &ModelSpec) -> TokenStream {
    let model = &spec.item.ident;
    let fields = spec.columns.iter().map(|Column { field, ty, name, .. }| {
        quote! { #field: <#ty as ::forge::app::model::ColumnType>::read(row, #name)? }
    });
    quote! {
        impl<'r> ::forge::__private::sqlx::FromRow<'r, ::forge::__private::sqlx::postgres::PgRow> for #model {
            fn from_row(
                row: &'r ::forge::__private::sqlx::postgres::PgRow,
            ) -> ::core::result::Result<Self, ::forge::__private::sqlx::Error> {
                ::core::result::Result::Ok(Self { #(#fields),* })
            }
        }
    }
}

fn metadata(spec: &ModelSpec) -> TokenStream {
    let ModelSpec { item, table, doc, reactive, columns, indexes, id } = spec;
    let name = &item.ident;
    let (id, id_type) = (&columns[*id].name, &columns[*id].ty);
    let columns = columns.iter().map(column);
    let indexes = indexes.iter().map(index);
    let reactive = reactive.map_or_else(|| quote! { None }, |on| quote! { Some(#on) });
    quote! {
        impl ::forge::app::model::Model for #name {
            type Id = #id_type;
            const TABLE: &'static str = #table;
            const ID_COLUMN: &'static str = #id;
            const META: ::forge::app::model::ModelMeta = ::forge::app::model::ModelMeta {
                name: ::core::stringify!(#name),
                table: #table,
                doc: #doc,
                columns: &[#(#columns),*],
                indexes: &[#(#indexes),*],
                reactive: ::core::option::Option::#reactive,
                file: ::core::file!(),
                line: ::core::line!(),
            };
        }
    }
}

fn column(column: &Column) -> TokenStream {
    let Column { field, ty, name, sql, marks, .. } = column;
    let sql = sql
        .as_ref()
        .map(|sql| quote! { sql: #sql, array: false, enumeration: ::core::option::Option::None, });
    let id = marks.id.map(|_| quote! { id: true, });
    let updated_at = marks.updated_at.map(|_| quote! { updated_at: true, });
    let sensitive = marks.sensitive.map(|_| quote! { sensitive: true, });
    let default = marks.default.as_ref().map(|default| {
        let value = match default {
            DefaultValue::Value(text, _) => quote! { Value(#text) },
            DefaultValue::Expression(text) => quote! { Expression(#text) },
        };
        quote! { default: ::core::option::Option::Some(::forge::app::model::DefaultValue::#value), }
    });
    let references = marks.relation.as_ref().map(|relation| {
        let (target, on_delete) = (&relation.target, format_ident!("{}", relation.on_delete));
        quote! {
            references: ::core::option::Option::Some(::forge::app::model::Reference {
                table: <#target as ::forge::app::model::OwnerOf<#ty>>::OWNER_TABLE,
                column: <#target as ::forge::app::model::OwnerOf<#ty>>::OWNER_COLUMN,
                on_delete: ::forge::app::model::OnDelete::#on_delete,
            }),
        }
    });
    quote! {
        ::forge::app::model::ColumnMeta {
            field: ::core::stringify!(#field),
            name: #name,
            #sql #id #updated_at #sensitive #default #references
            ..<#ty as ::forge::app::model::ColumnType>::COLUMN
        }
    }
}

fn index(index: &Index) -> TokenStream {
    let Index { name, columns, unique, predicate } = index;
    let predicate =
        predicate.as_ref().map_or_else(|| quote! { None }, |predicate| quote! { Some(#predicate) });
    quote! {
        ::forge::app::model::IndexMeta {
            name: #name,
            columns: &[#(#columns),*],
            unique: #unique,
            predicate: ::core::option::Option::#predicate,
        }
    }
}

/// What only the types know, as constants that fail on the line they concern.
fn checks(column: &Column) -> TokenStream {
    let Column { field, ty, marks, .. } = column;
    let relation = marks.relation.as_ref().map(|relation| {
        let nullable = (relation.on_delete == "SetNull").then(|| {
            let message =
                format!("`on_delete = set_null` leaves `{field}` empty: its type must be an `Option`");
            quote_spanned! { relation.span =>
                const _: () = ::core::assert!(<#ty as ::forge::app::model::ColumnType>::NULLABLE, #message);
            }
        });
        quote! { #nullable }
    });
    let label = marks.default.as_ref().and_then(|default| match default {
        DefaultValue::Value(text, span) => Some((text, span)),
        DefaultValue::Expression(_) => None,
    });
    let label = label.map(|(text, span)| {
        let message = format!("`{text}` is no label of the type of `{field}`");
        quote_spanned! { *span => const _: () = ::core::assert!(::forge::app::model::may_hold(
            <#ty as ::forge::app::model::ColumnType>::ENUM,
            <#ty as ::forge::app::model::ColumnType>::ARRAY,
            #text,
        ), #message); }
    });
    let touched = marks.updated_at.map(|span| {
        quote_spanned! { span => const _: fn(#ty) -> ::forge::kernel::time::Timestamp = |moment| moment; }
    });
    let never_null = marks.id.map(|_| {
        quote_spanned! { ty.span() =>
            const _: () = ::core::assert!(
                !<#ty as ::forge::app::model::ColumnType>::NULLABLE,
                "an id is never NULL: take the `Option` off",
            );
        }
    });
    quote! { #relation #label #touched #never_null }
}
