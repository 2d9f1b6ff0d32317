//! `#[derive(Message)]`: an actor's message enum, with the names of its variants.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput};

use crate::refuse;

pub(crate) fn expand(item: TokenStream) -> TokenStream {
    syn::parse2(item).and_then(|input| lower(&input)).unwrap_or_else(|error| error.to_compile_error())
}

fn lower(input: &DeriveInput) -> syn::Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(syn::Error::new_spanned(
            &input.ident,
            "`#[derive(Message)]` stands on an enum: one variant for each message of the actor",
        ));
    };
    refuse::generics(&input.generics, "a message")?;
    let name = &input.ident;
    let names = data.variants.iter().map(|variant| variant.ident.to_string());
    let index = if data.variants.is_empty() {
        quote! { match *self {} }
    } else {
        let arms = data.variants.iter().enumerate().map(|(index, variant)| {
            let ident = &variant.ident;
            quote! { Self::#ident { .. } => #index, }
        });
        quote! { match self { #(#arms)* } }
    };
    Ok(quote! {
        impl ::forge::supervise::Message for #name {
            const NAMES: &'static [&'static str] = &[#(#names),*];

            fn index(&self) -> usize {
                #index
            }
        }
    })
}
