//! The contract of clients: the generated files of a zoo of types, and the types that are refused.
//!
//! The files in `golden` are what the zoo's handlers generate; `FORGE_BLESS=1` writes them anew: read the
//! difference before committing it.

mod refusals;
mod schemas;
mod typescript;
mod zoo;

use forge::app::{Catalog, Registration};
use forge_tests::workspace;
use forge_ts::{Audience, Contract, File};

fn contract_of<const N: usize>(registrations: [&'static Registration; N]) -> Contract {
    let catalog = Catalog::from_registrations(registrations.into_iter()).expect("distinct names");
    Contract::of(&catalog, Audience::Application).unwrap_or_else(|refused| panic!("{refused}"))
}

fn zoo_files() -> [File; 3] {
    forge_ts::files(&contract_of(zoo::ALL), "zoo")
}

#[test]
fn the_generated_files_are_the_golden_ones() {
    for File { name, text } in zoo_files() {
        let path = workspace().join("tests/it/generate/golden").join(name);
        if std::env::var_os("FORGE_BLESS").is_some() {
            std::fs::write(&path, &text).expect("write the golden file");
        }
        let golden =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(text, golden, "{name} is not the golden one; with FORGE_BLESS=1 it is written anew");
    }
}

#[test]
fn the_order_of_registration_changes_nothing() {
    let mut backwards = zoo::ALL;
    backwards.reverse();
    assert_eq!(forge_ts::files(&contract_of(backwards), "zoo"), zoo_files());
}

#[test]
fn the_contract_changes_with_the_types() {
    let (before, after) = (contract_of(zoo::ALL), contract_of(zoo::CHANGED));
    assert_ne!(before.hash, after.hash);
    assert!(
        before.hash.len() == 16 && before.hash.bytes().all(|digit| digit.is_ascii_hexdigit()),
        "{}",
        before.hash
    );
    let document = forge_ts::schema::document;
    let changes = forge_ts::drift::changes(&document(&before), &document(&after));
    let named = ["function `zoo.feed`.args.animal is gone", "function `zoo.feed`.args.animalId is new"];
    assert!(named.iter().all(|line| changes.iter().any(|change| change == line)), "{changes:#?}");
    assert_eq!(forge_ts::drift::changes(&document(&before), &document(&before)), Vec::<String>::new());
}

#[test]
fn what_clients_cannot_call_they_do_not_hear_of() {
    let names: Vec<_> = contract_of(zoo::ALL).functions.into_iter().map(|function| function.name).collect();
    assert_eq!(
        names,
        [
            "zoo.adopt",
            "zoo.any_one",
            "zoo.clip_later",
            "zoo.feed",
            "zoo.list",
            "zoo.night.open_gate",
            "zoo.wash_later"
        ]
    );
}
