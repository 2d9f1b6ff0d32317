//! The one integration binary: linking once is most of what a test build costs.

mod attributes;
mod function;
mod generate;
mod guide;
mod harness;
mod mistakes;
mod model;
mod node;
mod reactor;
mod store;
mod testing;
mod tidy;
mod workflow;
