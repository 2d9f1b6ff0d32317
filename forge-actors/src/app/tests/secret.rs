use serde_json::{Value, json};

use crate::app::catalog::Registration;
use crate::app::job_key::JobKeys;
use crate::app::new_job::NewJob;
use crate::app::{Handler, JobContext, QueryContext, Result, Secret};
use crate::kernel::fault::Fault;
use crate::kernel::ids::JobId;
use crate::kernel::invocation::{Caller, Invocation};

#[crate::validated_type(len = 4.., secret)]
struct Pin(String);

#[crate::data]
struct Card {
    holder: String,
    #[serde(rename = "no")]
    number: Secret<u64>,
}

/// Pays with one of several cards.
#[crate::job]
async fn pay(
    _ctx: &JobContext,
    amount: u32,
    pin: Pin,
    cards: Vec<Card>,
    code: Option<Secret<String>>,
) -> Result<()> {
    drop((amount, pin, cards, code));
    Ok(())
}

/// Has nothing to hide.
#[crate::query]
async fn rate(_ctx: &QueryContext, currency: String) -> Result<()> {
    drop(currency);
    Ok(())
}

static PAY: Registration = Registration::of::<Pay>();
static RATE: Registration = Registration::of::<Rate>();

fn payment() -> Pay {
    Pay {
        amount: 3,
        pin: Pin::parse("4711").expect("long enough"),
        cards: vec![Card { holder: "ana".to_owned(), number: Secret::new(55_501) }],
        code: Some("let-me-in".to_owned().into()),
    }
}

/// The values that no person may see.
fn hides(text: &str) -> bool {
    !["4711", "55501", "let-me-in"].iter().any(|secret| text.contains(secret))
}

#[test]
fn a_secret_arrives_and_is_not_shown() {
    let args = json!({
        "amount": 3, "pin": "4711", "cards": [{ "holder": "ana", "no": 55_501 }], "code": "let-me-in"
    });
    assert_eq!(serde_json::to_value(payment()).expect("serialises"), args);
    let read = Pay::decode(args.to_string().as_bytes()).expect("fits");
    assert_eq!(
        (*read.cards[0].number.expose(), read.code.map(Secret::into_exposed)),
        (55_501, Some("let-me-in".to_owned()))
    );
    let shown = format!("{:?}", payment());
    assert!(hides(&shown) && shown.contains("code: Some([redacted])"), "{shown}");
}

#[test]
fn stored_arguments_are_shown_without_their_secrets() {
    let stored = serde_json::to_string(&payment()).expect("serialises");
    let shown: Value = serde_json::from_str(&PAY.shown_arguments(&stored)).expect("JSON");
    assert_eq!(
        shown,
        json!({
            "amount": 3, "pin": "[redacted]", "cards": [{ "holder": "ana", "no": "[redacted]" }],
            "code": "[redacted]"
        })
    );
    assert_eq!(serde_json::to_string(&payment()).expect("serialises"), stored, "only while they are shown");
}

#[test]
fn of_arguments_that_do_not_fit_only_the_names_are_shown() {
    let shown = |args: &str| -> Value { serde_json::from_str(&PAY.shown_arguments(args)).expect("JSON") };
    let names = json!({ "pin": "[redacted]", "old": "[redacted]" });
    assert_eq!(shown(r#"{"pin":"4711","old":1}"#), names);
    assert_eq!(shown("4711"), "[redacted]");
    let open = r#"{ "currency": 7 }"#;
    assert_eq!(RATE.shown_arguments(open), open, "where no type is secret, nothing is hidden");
}

#[test]
fn a_refusal_does_not_repeat_a_secret() {
    let args = r#"{"amount":3,"pin":4711,"cards":[{"holder":"ana","no":"55501"}],"code":["let-me-in"]}"#;
    let Err(fault) = Pay::decode(args.as_bytes()) else { panic!("nothing fits") };
    let details = fault.details().map(ToString::to_string).unwrap_or_default();
    assert!(hides(&details) && details.matches("the value is secret").count() == 3, "{details}");
    let short = r#"{"amount":3,"pin":"47","cards":[]}"#;
    let Err(fault) = Pay::decode(short.as_bytes()) else { panic!("too short") };
    let details = fault.details().map(ToString::to_string).unwrap_or_default();
    assert!(details.contains("must have at least 4 characters (it has 2)"), "{details}");
}

#[test]
fn a_call_and_a_new_job_are_printed_without_their_arguments() {
    let args = serde_json::to_string(&payment()).expect("serialises");
    let call = Invocation::new("secret.pay", args.clone(), Caller::default());
    let job = NewJob {
        id: JobId::new(),
        name: "secret.pay".to_owned(),
        queue: "default".to_owned(),
        priority: 50,
        attempts_max: 1,
        after_secs: 0.0,
        run_at: None,
        timeout_ms: None,
        followed: false,
        awaited: false,
        keys: Secret::new(JobKeys { rate: Some(format!("rate:secret.pay:{args}")), ..JobKeys::default() }),
        args: Secret::new(args),
    };
    for shown in [format!("{call:?}"), format!("{job:?}")] {
        assert!(hides(&shown) && shown.contains("secret.pay"), "{shown}");
    }
    let fault = Fault::internal(format!("{:?} was refused", payment()));
    assert!(hides(&format!("{fault:?}")), "{fault:?}");
}
