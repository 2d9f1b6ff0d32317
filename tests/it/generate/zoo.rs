//! Handlers with every type that may cross the wire, and samples of what they answer.

use std::collections::BTreeMap;

use forge::app::handler::{Handler, Meta};
use forge::app::{Mutation, Registration};
use forge::prelude::*;
use serde_json::Value;

forge::id!(pub AnimalId);

/// Letters of a name.
#[forge::validated_type(len = 1..=20, trim)]
pub(super) struct Name(String);

/// How it feels.
#[forge::forge_enum(name = "zoo_mood")]
pub(super) enum Mood {
    Calm,
    VeryAngry,
}

/// A page of a list.
#[forge::data]
pub(super) struct Page<T> {
    pub items: Vec<T>,
    /// Continues after the last item.
    pub next: Option<String>,
}

/// What it eats.
#[forge::data]
#[derive(Debug, Clone)]
pub(super) enum Diet {
    Nothing,
    /// One thing.
    Only(String),
    Mixed {
        plant_share: u8,
    },
    Pair(i32, bool),
}

/// Where it is kept.
#[forge::data]
#[serde(tag = "type")]
pub(super) enum House {
    Cage {
        bar_count: u16,
    },
    #[serde(rename = "open")]
    Meadow,
}

/// What stands on its sign.
#[forge::data]
#[serde(untagged)]
pub(super) enum Label {
    Number(i32),
    Text(String),
    Empty,
}

/// Grams.
#[forge::data]
pub(super) struct Weight(u32);

#[forge::data]
pub(super) struct Size {
    pub width_cm: f32,
    pub height_cm: f64,
}

/// A parent with its children.
#[forge::data]
pub(super) struct Family {
    pub name: String,
    pub children: Vec<Family>,
}

/// An animal, with one field for each kind of type.
#[forge::data]
pub(super) struct Animal {
    pub mood: Mood,
    pub moods: Vec<Option<Mood>>,
    pub weight: Weight,
    #[serde(flatten)]
    pub size: Size,
    pub diets: Vec<Diet>,
    pub houses: (House, House),
    pub labels: [Label; 3],
    pub family: Option<Box<Family>>,
    pub by_mood: BTreeMap<Mood, u32>,
    pub by_cage: BTreeMap<u16, Name>,
    pub by_keeper: BTreeMap<String, Vec<i8>>,
    pub seen: Timestamp,
    pub born: sqlx::types::chrono::NaiveDate,
    pub letter: char,
    pub visitors: Int53,
    pub stars: Int64,
    pub notes: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nickname: Option<String>,
    /// Nobody counts them any more.
    #[deprecated = "look at `visitors`"]
    pub guests: u32,
    #[serde(rename = "class-name")]
    pub class: String,
    pub nothing: (),
}

#[forge::error]
pub(super) enum FeedError {
    /// It has eaten enough: */ and that is that.
    #[code("FULL", status = 409)]
    Full { grams_eaten: u32, until: Option<Timestamp> },
    /// There is no such animal.
    #[code("NO_ANIMAL", status = 404)]
    NoAnimal,
}

/// Every animal.
#[forge::query(public)]
pub(super) async fn list(
    _ctx: &QueryContext,
    mood: Option<Mood>,
    names: Option<Vec<Name>>,
    page: u32,
) -> Result<Page<Animal>> {
    let _ = (mood, names, page);
    Ok(Page { items: vec![animal()], next: None })
}

/// Any animal: it takes no arguments.
#[forge::query]
pub(super) async fn any_one(_ctx: &QueryContext) -> Result<Option<Animal>> {
    Ok(None)
}

/// Feeds an animal.
#[forge::mutation(role = "keeper")]
pub(super) async fn feed(
    _ctx: &MutationContext,
    /// Which one.
    animal: AnimalId,
    diet: Diet,
) -> Result<AnimalId, FeedError> {
    let _ = diet;
    Ok(animal)
}

/// Opens the gate.
#[forge::action(name = "zoo.night.open_gate")]
#[deprecated = "the gate stays open"]
pub(super) async fn open_gate(_ctx: &ActionContext, by: (String, u8)) -> Result<()> {
    drop(by);
    Ok(())
}

/// Washes an animal later: a client follows the job by its handle.
#[forge::mutation]
pub(super) async fn wash_later(ctx: &MutationContext, animal: AnimalId) -> Result<JobHandle<Wash>> {
    ctx.dispatch(Wash { animal }).handle().await
}

/// Clips claws later; nothing comes of it.
#[forge::mutation]
pub(super) async fn clip_later(ctx: &MutationContext, animal: AnimalId) -> Result<Vec<JobHandle<Clip>>> {
    Ok(vec![ctx.dispatch(Clip { animal }).handle().await?])
}

/// Adopts an animal: a client follows the run by its handle.
#[forge::mutation]
pub(super) async fn adopt(ctx: &MutationContext, animal: AnimalId) -> Result<WorkflowHandle<Adoption>> {
    ctx.start(Adoption { animal }).handle().await
}

#[forge::workflow]
pub(super) async fn adoption(_ctx: &WorkflowContext, animal: AnimalId) -> Result<Weight, FeedError> {
    let _ = animal;
    Err(FeedError::NoAnimal)
}

#[forge::job]
pub(super) async fn wash(_ctx: &JobContext, animal: AnimalId) -> Result<Page<Weight>, FeedError> {
    let _ = animal;
    Err(FeedError::NoAnimal)
}

#[forge::job]
pub(super) async fn clip(_ctx: &JobContext, animal: AnimalId) -> Result<()> {
    let _ = animal;
    Ok(())
}

/// No client hears of it, so it may hold any number.
#[forge::query(internal)]
pub(super) async fn hidden(_ctx: &QueryContext, number: i64) -> Result<u64> {
    Ok(number.unsigned_abs())
}

/// Feeds an animal; written by hand, with one field that has another name, as after a change.
#[forge::data]
pub(super) struct FeedChanged {
    animal_id: AnimalId,
    diet: Diet,
}

impl Handler for FeedChanged {
    type Kind = Mutation;
    type Output = AnimalId;
    type Error = FeedError;
    const META: Meta =
        Meta { name: Some("zoo.feed"), ..Meta::mutation(module_path!(), "feed", file!(), line!()) };

    async fn run(self, _ctx: &MutationContext) -> Result<AnimalId, FeedError> {
        drop(self.diet);
        Ok(self.animal_id)
    }
}

static LIST: Registration = Registration::of::<List>();
static ANY_ONE: Registration = Registration::of::<AnyOne>();
static FEED: Registration = Registration::of::<Feed>();
static FEED_CHANGED: Registration = Registration::of::<FeedChanged>();
static OPEN_GATE: Registration = Registration::of::<OpenGate>();
static HIDDEN: Registration = Registration::of::<Hidden>();
static WASH_LATER: Registration = Registration::of::<WashLater>();
static CLIP_LATER: Registration = Registration::of::<ClipLater>();
static ADOPT: Registration = Registration::of::<Adopt>();

/// Every handler of the zoo.
pub(super) const ALL: [&Registration; 8] =
    [&LIST, &ANY_ONE, &FEED, &OPEN_GATE, &HIDDEN, &WASH_LATER, &CLIP_LATER, &ADOPT];
/// The same after an argument of `zoo.feed` was renamed.
pub(super) const CHANGED: [&Registration; 8] =
    [&LIST, &ANY_ONE, &FEED_CHANGED, &OPEN_GATE, &HIDDEN, &WASH_LATER, &CLIP_LATER, &ADOPT];

/// What serde writes for the types of the zoo: name of the type, JSON.
pub(super) fn samples() -> Vec<(&'static str, Value)> {
    let errors: [FeedError; 2] = [FeedError::Full { grams_eaten: 3, until: None }, FeedError::NoAnimal];
    let mut samples = vec![
        ("Animal", json!(animal())),
        ("Page<Animal>", json!(Page { items: vec![animal()], next: Some("a".into()) })),
    ];
    samples.extend(errors.map(Fault::from).iter().map(|fault| {
        let code = fault.code().name();
        ("FeedError", json!({ "code": code, "message": fault.message(), "details": fault.details() }))
    }));
    samples
}

#[expect(deprecated, reason = "the sample has every field")]
fn animal() -> Animal {
    let leaf = Family { name: "b".into(), children: Vec::new() };
    Animal {
        mood: Mood::VeryAngry,
        moods: vec![Some(Mood::Calm), None],
        weight: Weight(12),
        size: Size { width_cm: 1.5, height_cm: 2.0 },
        diets: vec![
            Diet::Nothing,
            Diet::Only("hay".into()),
            Diet::Mixed { plant_share: 3 },
            Diet::Pair(1, true),
        ],
        houses: (House::Cage { bar_count: 9 }, House::Meadow),
        labels: [Label::Number(1), Label::Text("x".into()), Label::Empty],
        family: Some(Box::new(Family { name: "a".into(), children: vec![leaf] })),
        by_mood: BTreeMap::from([(Mood::Calm, 1)]),
        by_cage: BTreeMap::from([(7, Name::parse("Leo").expect("a name"))]),
        by_keeper: BTreeMap::from([("ana".into(), vec![-1])]),
        seen: Timestamp::UNIX_EPOCH,
        born: sqlx::types::chrono::NaiveDate::default(),
        letter: 'z',
        visitors: Int53::try_from(Int53::MAX).expect("the largest"),
        stars: i64::MIN.into(),
        notes: json!({ "free": [1, null, "x"] }),
        nickname: None,
        guests: 1,
        class: "cat".into(),
        nothing: (),
    }
}
