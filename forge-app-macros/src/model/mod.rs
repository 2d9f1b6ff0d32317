//! `#[forge::model]`: a struct becomes the description of a table, readable from its rows.

use crate::pipeline;
use proc_macro2::TokenStream;

mod lower;
mod parse;
mod spec;

const OWNER: &str = "`#[forge::model]`";

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let expected = format!("{OWNER} stands on a struct with named fields");
    pipeline::attribute(
        item,
        &expected,
        |item| parse::model(options, item),
        lower::model,
        parse::without_our_attributes,
    )
}
