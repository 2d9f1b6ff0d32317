//! The one integration binary: linking once is most of what a test build costs.

mod attributes;
mod function;
mod harness;
mod node;
mod store;
mod tidy;
mod trybuild;
