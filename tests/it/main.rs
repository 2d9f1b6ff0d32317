//! The one integration binary: linking once is most of what a test build costs.

mod harness;
mod store;
mod tidy;
