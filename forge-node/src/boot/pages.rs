//! The built pages that this binary carries.

include!(concat!(env!("OUT_DIR"), "/pages.rs"));
