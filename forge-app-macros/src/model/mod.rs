//! `#[forge::model]`: a struct becomes the description of a table, readable from its rows.

use proc_macro2::TokenStream;
use syn::ItemStruct;

use crate::refuse;

mod lower;
mod parse;
mod spec;

const OWNER: &str = "`#[forge::model]`";

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let item = match syn::parse2::<ItemStruct>(item) {
        Ok(item) => item,
        Err(error) => {
            return syn::Error::new(error.span(), format!("{OWNER} stands on a struct with named fields"))
                .to_compile_error();
        }
    };
    match parse::model(options, &item) {
        Ok(spec) => lower::model(&spec),
        Err(error) => refuse::with_item(&error, parse::without_our_attributes(item)),
    }
}
