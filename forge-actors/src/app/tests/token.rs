use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::app::token::{TokenRules, Tokens};

const SECRET: &[u8] = b"an example secret of 32 bytes or more";

fn rules() -> TokenRules {
    TokenRules { issuer: None, audience: None, leeway: Duration::from_secs(5) }
}

fn tokens() -> Tokens {
    Tokens::new(SECRET, rules()).expect("long enough")
}

fn now() -> i64 {
    chrono::Utc::now().timestamp()
}

fn signed(algorithm: Algorithm, secret: &[u8], claims: &Value) -> String {
    encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret)).expect("signs")
}

fn check(claims: Value, accepted: bool) {
    let outcome = tokens().verify(&signed(Algorithm::HS256, SECRET, &claims));
    assert_eq!(outcome.is_ok(), accepted, "{claims}: {outcome:?}");
}

#[test]
fn an_issued_token_says_who_it_is() {
    let token = tokens().issue("ana", &["editor"], Some("acme"), Duration::from_secs(60)).expect("issued");
    let identity = tokens().verify(&token).expect("verified");
    assert_eq!((identity.subject.as_str(), identity.tenant.as_deref()), ("ana", Some("acme")));
    assert!(identity.has_role("editor") && !identity.has_role("admin"));
}

#[test]
fn a_short_secret_makes_no_key() {
    assert!(Tokens::new(&[7; 31], rules()).is_err());
    assert!(Tokens::new(&[7; 32], rules()).is_ok());
}

#[test]
fn claims_are_checked_one_by_one() {
    let soon = now() + 60;
    check(json!({ "sub": "a", "exp": soon, "iat": now() }), true);
    check(json!({ "sub": "a", "exp": soon }), true);
    check(json!({ "sub": "a", "exp": now() - 60, "iat": now() }), false);
    check(json!({ "sub": "a", "iat": now() }), false);
    check(json!({ "exp": soon, "iat": now() }), false);
    check(json!({ "sub": "a", "exp": soon.to_string(), "iat": now() }), false);
    check(json!({ "sub": "a", "exp": soon, "iat": now(), "nbf": soon }), false);
    check(json!({ "sub": "a", "exp": soon, "iat": now(), "nbf": soon.to_string() }), false);
    check(json!({ "sub": "a", "exp": soon, "iat": now() + 3_600 }), false);
    check(json!({ "sub": 7, "exp": soon, "iat": now() }), false);
    check(json!({ "sub": "a", "exp": soon, "iat": now(), "roles": "admin" }), false);
}

#[test]
fn another_secret_or_algorithm_is_refused() {
    let claims = json!({ "sub": "a", "exp": now() + 60, "iat": now() });
    assert!(
        tokens()
            .verify(&signed(Algorithm::HS256, b"another secret of 32 bytes or more...", &claims))
            .is_err()
    );
    assert!(tokens().verify(&signed(Algorithm::HS512, SECRET, &claims)).is_err());
    let good = signed(Algorithm::HS256, SECRET, &claims);
    let body = good.split('.').nth(1).expect("a body");
    // {"alg":"none","typ":"JWT"}, also with other capitals, with and without the old signature.
    for header in [
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0",
        "eyJhbGciOiJOb25lIiwidHlwIjoiSldUIn0",
        "eyJhbGciOiJOT05FIiwidHlwIjoiSldUIn0",
    ] {
        assert!(tokens().verify(&format!("{header}.{body}.")).is_err());
        assert!(
            tokens()
                .verify(&format!("{header}.{body}.{}", good.rsplit('.').next().expect("a signature")))
                .is_err()
        );
    }
    for text in ["", ".", "..", "a.b.c", &good[..good.len() - 2]] {
        assert!(tokens().verify(text).is_err(), "{text}");
    }
}

#[test]
fn issuer_and_audience_are_required_once_configured() {
    let rules = TokenRules { issuer: Some("forge".into()), audience: Some("app".into()), ..rules() };
    let tokens = Tokens::new(SECRET, rules).expect("long enough");
    let own = tokens.issue("a", &[], None, Duration::from_secs(60)).expect("issued");
    assert!(tokens.verify(&own).is_ok());
    for claims in [
        json!({ "sub": "a", "exp": now() + 60, "iat": now() }),
        json!({ "sub": "a", "exp": now() + 60, "iat": now(), "iss": "forge" }),
        json!({ "sub": "a", "exp": now() + 60, "iat": now(), "iss": "forge", "aud": "other" }),
        json!({ "sub": "a", "exp": now() + 60, "iat": now(), "iss": "other", "aud": "app" }),
    ] {
        assert!(tokens.verify(&signed(Algorithm::HS256, SECRET, &claims)).is_err(), "{claims}");
    }
}

#[test]
fn extensions_of_the_signature_are_refused() {
    let claims = json!({ "sub": "a", "exp": now() + 60, "iat": now() });
    let check = |change: &dyn Fn(&mut Header), accepted: bool| {
        let mut header = Header::new(Algorithm::HS256);
        change(&mut header);
        let token = encode(&header, &claims, &EncodingKey::from_secret(SECRET)).expect("signs");
        assert_eq!(tokens().verify(&token).is_ok(), accepted, "{header:?}");
    };
    check(&|_| {}, true);
    check(&|header| header.kid = Some("1".into()), true);
    check(&|header| header.extras.insert("b64", true), true);
    check(&|header| header.crit = Some(vec!["exp".into()]), false);
    check(&|header| header.crit = Some(vec![]), false);
    check(&|header| header.extras.insert("b64", false), false);
    check(&|header| header.extras.insert("b64", "false"), false);
}
