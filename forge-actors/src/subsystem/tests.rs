mod readiness;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    ActorNote, ActorPath, ConfigSection, NODE, NodeBuilder, NodeProfile, Part, SectionEntry, Sections,
    Subsystem, SubsystemEntry, describe,
};
use crate::kernel::ids::NodeId;
use crate::kernel::node::ApplicationInfo;
use crate::kernel::resource::ResourceAmounts;
use crate::supervise::StartError;

static SHOP: ActorPath = NODE.child("shop");
static TILL: ActorPath = SHOP.child("till");

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ShopConfig {
    tills: u8,
}

impl Default for ShopConfig {
    fn default() -> Self {
        Self { tills: 2 }
    }
}

impl ConfigSection for ShopConfig {
    const NAME: &'static str = "shop";
    const REFERENCE: &'static str = "[shop]\n# Tills that are open.\ntills = 2\n";

    fn validate(&self) -> Vec<String> {
        if self.tills == 0 { vec!["shop.tills is 0".to_owned()] } else { Vec::new() }
    }
}

struct Shop;

impl Subsystem for Shop {
    const ROOT: ActorNote = ActorNote::new(&SHOP, "sells").safe_to_stop_below();
    const ACTORS: &'static [ActorNote] = &[ActorNote::new(&TILL, "takes money")];
    const SECTIONS: &'static [SectionEntry] = &[SectionEntry::of::<ShopConfig>()];

    fn build(_: &mut NodeBuilder) -> Result<Option<Part>, StartError> {
        Ok(None)
    }
}

fn builder(sections: Sections) -> NodeBuilder {
    let profile = NodeProfile {
        id: NodeId::new(),
        name: "n".to_owned(),
        roles: Vec::new(),
        capabilities: Vec::new(),
        resources: ResourceAmounts::default(),
        application: ApplicationInfo::default(),
    };
    NodeBuilder::new(profile, sections)
}

#[test]
fn a_path_knows_itself_and_what_is_below_it() {
    assert_eq!(TILL.to_string(), "node/shop/till");
    assert_eq!((TILL.id(), TILL.depth(), NODE.depth()), ("till", 2, 0));
    let check = |path: &ActorPath, text: &str, is: bool, contains: bool| {
        assert_eq!((path.is(text), path.contains(text)), (is, contains), "{path} and {text}");
    };
    check(&SHOP, "node/shop", true, false);
    check(&SHOP, "node/shop/till", false, true);
    check(&SHOP, "node/shop/till/drawer", false, true);
    check(&SHOP, "node/shopping", false, false);
    check(&SHOP, "node/shopping/till", false, false);
    check(&SHOP, "node/shop/", false, false);
    check(&SHOP, "node", false, false);
    check(&SHOP, "other/node/shop", false, false);
    check(&NODE, "node", true, false);
    check(&NODE, "node/shop", false, true);
}

#[test]
fn the_tree_is_described_from_the_table() {
    let text = describe(&[SubsystemEntry::of::<Shop>()]);
    assert_eq!(
        text,
        "node\n├ shop       sells\n│ ├ till     takes money\n├ readiness  keeps `/ready` up to date\n"
    );
}

#[test]
fn a_section_is_read_checked_and_replaced() {
    let section = SectionEntry::of::<ShopConfig>();
    let mut sections = Sections::defaults([section]);
    assert_eq!(sections.get::<ShopConfig>(), ShopConfig { tills: 2 });
    sections.read(section, serde_json::json!({ "tills": 0 })).expect("a number of tills");
    assert_eq!(sections.validate(), ["shop.tills is 0"]);
    let error = sections.read(section, serde_json::json!({ "tills": 300 })).expect_err("300 does not fit");
    assert_eq!(error.key, "tills");
    assert!(error.message.contains("300"), "{}", error.message);
    sections.set(ShopConfig { tills: 9 });
    assert_eq!(builder(sections).config::<ShopConfig>(), ShopConfig { tills: 9 });
}

#[test]
fn the_builder_keeps_one_value_of_each_type() {
    let mut node = builder(Sections::default());
    node.provide(7_u16);
    assert_eq!((node.get::<u16>(), node.find::<u32>()), (7, None));
    assert_eq!((node.take::<u16>(), node.take::<u16>()), (Some(7), None));
}

/// Runs what should panic and returns its message.
fn panic_of(work: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let panic = std::panic::catch_unwind(work).expect_err("a panic");
    let text = panic.downcast_ref::<String>().cloned();
    text.unwrap_or_else(|| fmt::format(format_args!("{:?}", panic.downcast_ref::<&str>())))
}

#[test]
fn a_wrong_order_is_named() {
    let missing = panic_of(|| assert_eq!(builder(Sections::default()).get::<u64>(), 0));
    assert!(missing.contains("no earlier subsystem provides a u64"), "{missing}");
    let twice = panic_of(|| {
        let mut node = builder(Sections::default());
        node.provide(1_u64);
        node.provide(2_u64);
    });
    assert!(twice.contains("the node has a u64 already"), "{twice}");
}

#[test]
fn a_note_says_what_may_be_stopped() {
    let check = |note: ActorNote, itself: bool, below: bool| {
        assert_eq!((note.allows_stop("node/shop"), note.allows_stop("node/shop/till")), (itself, below));
        assert!(!note.allows_stop("node/shopping"));
    };
    check(ActorNote::new(&SHOP, ""), false, false);
    check(ActorNote::new(&SHOP, "").safe_to_stop_below(), false, true);
    check(ActorNote::new(&SHOP, "").safe_to_stop(), true, true);
}

/// The tree in the head of `tree.rs` is written from the table.
#[test]
fn the_documented_tree_is_fresh() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tree.txt");
    let text = describe(crate::tree::SUBSYSTEMS);
    if std::env::var_os("FORGE_BLESS").is_some() {
        std::fs::write(&path, &text).expect("writes");
    }
    let written = std::fs::read_to_string(&path).expect("tree.txt is there");
    assert!(written == text, "tree.txt is old; FORGE_BLESS=1 writes it anew:\n{text}");
}
