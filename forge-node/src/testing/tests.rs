//! What can be said without a database.

use std::panic::Location;

use forge_actors::db::migrate::set::MigrationSet;
use forge_actors::kernel::fault::{Code, Fault};

use super::error::TestError;
use super::http_exchange::{HttpExchange, HttpReply, HttpRequest};
use super::template::fingerprint;

#[test]
fn a_template_is_found_by_everything_that_made_it() {
    let set = |text: &str| MigrationSet::parse("shop", &[("0001_create_tasks.sql", text)]).expect("parses");
    let (first, second) = (
        set("-- @up\nCREATE TABLE tasks (id int);\n-- @irreversible\n"),
        set("-- @up\nCREATE TABLE tasks (id int8);\n-- @irreversible\n"),
    );
    let of =
        |set: &MigrationSet, models: &[(&str, Option<bool>)]| fingerprint(std::slice::from_ref(set), models);
    assert_eq!(of(&first, &[("tasks", None)]), of(&first, &[("tasks", None)]));
    assert_ne!(of(&first, &[("tasks", None)]), of(&second, &[("tasks", None)]));
    assert_ne!(of(&first, &[("tasks", None)]), of(&first, &[("tasks", Some(false))]));
}

#[test]
fn a_failed_test_names_the_causes() {
    let fault = Fault::new(Code::Unavailable, "the database is not reachable")
        .because(std::io::Error::other("connection refused"));
    let error = TestError::from(fault);
    assert_eq!(error.to_string(), "UNAVAILABLE: the database is not reachable: connection refused");
    assert_eq!(TestError::new("no Postgres").to_string(), "no Postgres");
    assert!(Location::caller().file().ends_with("tests.rs"));
}

#[test]
fn answers_are_given_in_turn_and_the_last_one_stays() {
    let exchange = HttpExchange::default();
    exchange.add("post", "https://mail.example/send", HttpReply::status(503));
    exchange.add("POST", "https://mail.example/send", HttpReply::status(202));
    exchange.add("GET", "https://mail.example/list?page=2", HttpReply::text("second"));
    let status = |method: &str, url: &str| {
        let (method, url) = (method.to_owned(), url.to_owned());
        exchange.reply_to(HttpRequest { method, url, headers: Vec::new(), body: "".into() }).status
    };
    assert_eq!(status("POST", "https://mail.example/send"), 503);
    assert_eq!(status("POST", "https://mail.example/send?to=ana"), 202);
    assert_eq!(status("POST", "https://mail.example/send"), 202);
    assert_eq!(status("GET", "https://mail.example/send"), 501);
    assert_eq!(status("GET", "https://mail.example/list?page=2"), 200);
    assert_eq!(status("GET", "https://mail.example/list?page=3"), 501);
    assert_eq!(exchange.requests().len(), 6);
}
