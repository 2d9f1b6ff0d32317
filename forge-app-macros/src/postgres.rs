//! Identifiers of Postgres, and the sqlx implementations of types that are a text in the database.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

/// `NAMEDATALEN - 1`: Postgres cuts longer names off in silence, and two of them may then be one.
const IDENTIFIER_BYTES_MAX: usize = 63;

/// Refuses names that Postgres would change or that need care everywhere they are written.
pub(crate) fn identifier(name: &str, span: Span, what: &str) -> syn::Result<()> {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !plain {
        let message = format!(
            "{what} `{name}` may only hold lower-case letters, digits and `_`, and begins with no digit"
        );
        return Err(syn::Error::new(span, message));
    }
    if name.len() > IDENTIFIER_BYTES_MAX {
        let message =
            format!("{what} `{name}` has {} bytes; Postgres keeps {IDENTIFIER_BYTES_MAX}", name.len());
        return Err(syn::Error::new(span, message));
    }
    Ok(())
}

/// How a type travels to Postgres and back.
pub(crate) struct Codec<'a> {
    /// `PgTypeInfo` of the type and of its array.
    pub type_info: TokenStream,
    pub array_type_info: TokenStream,
    /// Types besides its own that it reads: a function of `ty`.
    pub compatible: Option<TokenStream>,
    /// The text of `self`.
    pub text: &'a TokenStream,
    /// A `Result<Self, BoxDynError>` of `text: &str`.
    pub read: TokenStream,
}

/// `Type`, `PgHasArrayType`, `Encode` and `Decode`.
pub(crate) fn implement(name: &Ident, codec: Codec<'_>) -> TokenStream {
    let Codec { type_info, array_type_info, compatible, text, read } = codec;
    let compatible = compatible.map(|body| {
        quote! {
            fn compatible(ty: &::forge::__private::sqlx::postgres::PgTypeInfo) -> bool {
                #body
            }
        }
    });
    quote! {
        impl ::forge::__private::sqlx::Type<::forge::__private::sqlx::Postgres> for #name {
            fn type_info() -> ::forge::__private::sqlx::postgres::PgTypeInfo {
                #type_info
            }
            #compatible
        }

        impl ::forge::__private::sqlx::postgres::PgHasArrayType for #name {
            fn array_type_info() -> ::forge::__private::sqlx::postgres::PgTypeInfo {
                #array_type_info
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
                let text: &str = #text;
                ::forge::__private::sqlx::Encode::<'_, ::forge::__private::sqlx::Postgres>::encode_by_ref(
                    &text, buffer,
                )
            }
        }

        impl<'r> ::forge::__private::sqlx::Decode<'r, ::forge::__private::sqlx::Postgres> for #name {
            fn decode(
                value: ::forge::__private::sqlx::postgres::PgValueRef<'r>,
            ) -> ::core::result::Result<Self, ::forge::__private::sqlx::error::BoxDynError> {
                let text = value.as_str()?;
                #read
            }
        }
    }
}

/// A string that is written in JSON as its text and read through `TryFrom<String>`.
pub(crate) fn serde_text(name: &Ident, text: &TokenStream) -> TokenStream {
    quote! {
        impl ::forge::__private::serde::Serialize for #name {
            fn serialize<S: ::forge::__private::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(#text)
            }
        }

        impl<'de> ::forge::__private::serde::Deserialize<'de> for #name {
            fn deserialize<D: ::forge::__private::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                let text: ::std::string::String =
                    ::forge::__private::serde::Deserialize::deserialize(deserializer)?;
                <Self as ::core::convert::TryFrom<::std::string::String>>::try_from(text)
                    .map_err(::forge::__private::serde::de::Error::custom)
            }
        }
    }
}
