use proc_macro2::Span;
use quote::quote;
use syn::{LitStr, parse_quote};

use crate::case::{camel, nearest, pascal, snake};
use crate::{doc, literal, message};

#[test]
fn cases() {
    for (from, to) in
        [("project_id", "projectId"), ("a", "a"), ("_unused", "unused"), ("line_2", "line2"), ("", "")]
    {
        assert_eq!(camel(from), to);
    }
    assert_eq!(pascal("task_created"), "TaskCreated");
    for (from, to) in [
        ("InProgress", "in_progress"),
        ("HTTPStatus", "http_status"),
        ("Done", "done"),
        ("V2Beta", "v2_beta"),
    ] {
        assert_eq!(snake(from), to);
    }
}

#[test]
fn nearest_is_near() {
    let names = || ["timeout", "public", "role"].into_iter();
    assert_eq!(nearest("tiemout", names()), Some("timeout"));
    assert_eq!(nearest("publik", names()), Some("public"));
    assert_eq!(nearest("isolation", names()), None);
}

fn text_literal(text: &str) -> LitStr {
    LitStr::new(text, Span::call_site())
}

#[test]
fn timeouts() {
    for (text, expected) in [("500ms", 500), ("5s", 5_000), ("10m", 600_000)] {
        assert_eq!(literal::timeout(&text_literal(text)).expect(text), expected);
    }
    for text in ["", "5", "s", "0s", "11m", "1h", "5 s", "-1s", "99999999999999999999s"] {
        assert!(literal::timeout(&text_literal(text)).is_err(), "{text}");
    }
}

#[test]
fn times_of_workflows() {
    for (text, expected) in [("1s", 1_000), ("30d", 30 * 86_400_000), ("3660d", 3_660 * 86_400_000)] {
        assert_eq!(literal::run_timeout(&text_literal(text)).expect(text), expected);
        assert_eq!(literal::run_retention(&text_literal(text)).expect(text), expected);
    }
    for text in ["", "30", "999ms", "0d", "3661d", "1y"] {
        assert!(literal::run_timeout(&text_literal(text)).is_err(), "{text}");
    }
    assert_eq!(literal::run_retention(&text_literal("999ms")).expect("a short time"), 999);
}

#[test]
fn versions_of_workflows() {
    for (number, expected) in [("1", Some(1)), ("1000000", Some(1_000_000)), ("0", None), ("1000001", None)] {
        let literal = syn::LitInt::new(number, Span::call_site());
        assert_eq!(literal::workflow_version(&literal).ok(), expected, "{number}");
    }
}

#[test]
fn sizes() {
    for (text, expected) in [("1B", 1), ("64KiB", 65_536), ("8MiB", 8 << 20)] {
        assert_eq!(literal::size(&text_literal(text)).expect(text), expected);
    }
    for text in ["", "64", "64KB", "0B", "1.5MiB", "99999999999GiB"] {
        assert!(literal::size(&text_literal(text)).is_err(), "{text}");
    }
}

#[test]
fn takes_the_first_paragraph() {
    let item: syn::ItemFn = parse_quote! {
        /// Open tasks of a project,
        /// newest first.
        ///
        /// More.
        fn list() {}
    };
    assert_eq!(doc::first_paragraph(&item.attrs), "Open tasks of a project, newest first.");
    assert_eq!(doc::first_paragraph(&[]), "");
}

#[test]
fn names_every_variant_in_order() {
    let code =
        message::expand(quote! { enum Command { Start, Stop(u8), Claim { batch: usize } } }).to_string();
    assert!(code.contains(r#"["Start" , "Stop" , "Claim"]"#), "{code}");
    assert!(code.contains("Self :: Claim { .. } => 2usize"), "{code}");
}

#[test]
fn refuses_structs_and_generics() {
    assert!(message::expand(quote! { struct Command; }).to_string().contains("stands on an enum"));
    assert!(message::expand(quote! { enum Command<T> { Set(T) } }).to_string().contains("cannot be generic"));
}
