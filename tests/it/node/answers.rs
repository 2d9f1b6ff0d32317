//! Bad input gets a typed answer each, and nothing of the inside gets out.

use std::time::Duration;

use forge_actors::app::token::{TokenRules, Tokens};
use forge_tests::{Client, Database, Reply, probe, until};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::stage::{PATIENCE, probe_on};

/// What an answer never contains: SQL, panic text, paths, names of the libraries below.
const INSIDE: &[&str] = &[
    "select",
    "insert",
    "probe_no_such_column",
    "relation",
    "as asked",
    "panicked",
    ".rs",
    "/src/",
    "sqlx",
    "syntax",
];

#[tokio::test]
async fn every_kind_of_bad_input_has_its_own_answer() {
    let database = Database::create().await;
    let node = probe_on(&database).start().await;
    let client = node.client();
    let token = probe::token("ana");
    let token = Some(token.as_str());

    check("an unknown function", client.call("probe.nothing", json!({}), token).await, 404, "NOT_FOUND");
    check("a name that is none", client.call("../../etc/passwd", json!({}), token).await, 404, "NOT_FOUND");
    let wrong = client.call("probe.one", json!({ "id": "seven" }), token).await;
    assert_eq!(wrong.json()["error"]["details"]["fields"][0]["field"], "id", "{}", wrong.text);
    check("a wrong type", wrong, 422, "VALIDATION");
    let missing = client.call("probe.put_halves", json!({}), token).await;
    let fields = missing.json()["error"]["details"]["fields"].as_array().map(Vec::len);
    assert_eq!(fields, Some(2), "every missing field is named: {}", missing.text);
    check("missing fields", missing, 422, "VALIDATION");
    check(
        "an unknown field",
        client.call("probe.one", json!({ "id": 1, "colour": "red" }), token).await,
        422,
        "VALIDATION",
    );
    check("an array", client.call("probe.one", json!([1]), token).await, 400, "BAD_REQUEST");
    check("half a JSON", post(client, "/rpc/probe.one", "{\"id\": ", token).await, 400, "BAD_REQUEST");
    check("deep JSON", post(client, "/rpc/probe.put", "[".repeat(100_000), token).await, 400, "BAD_REQUEST");
    let deep = format!("{{\"key\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let deep = post(client, "/rpc/probe.put", deep, token).await;
    assert!([400, 422].contains(&deep.status), "a deep argument: {}", deep.text);
    check(
        "a mutation by GET",
        client.get("/rpc/probe.put").await.expect("an answer"),
        405,
        "METHOD_NOT_ALLOWED",
    );
    check("no such path", client.get("/rpcs").await.expect("an answer"), 404, "NOT_FOUND");

    let healthy = client.get("/health").await.expect("an answer");
    assert_eq!(healthy.status, 200);
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn a_huge_body_is_refused_without_being_kept() {
    let database = Database::create().await;
    let mut node = probe_on(&database).start().await;
    let token = probe::token("ana");
    let before = node.process().resident_bytes();
    let body = vec![b' '; 100 * 1024 * 1024];
    // The node may answer and close before it has read everything, which some clients see as a broken
    // connection.
    match node.client().post("/rpc/probe.put", body, Some(&token)).await {
        Ok(reply) => check("100 MiB", reply, 413, "PAYLOAD_TOO_LARGE"),
        Err(error) => assert!(error.is_request() || error.is_body(), "{error:?}"),
    }
    let grown = node.process().resident_bytes().saturating_sub(before);
    assert!(grown < 32 * 1024 * 1024, "a refused body left {grown} bytes in memory");
    assert_eq!(node.client().get("/health").await.expect("an answer").status, 200);
}

#[tokio::test]
async fn a_result_over_the_limit_is_refused() {
    let database = Database::create().await;
    let config = format!("{}\n[functions]\nresult_bytes_max = 1000\n", probe::CONFIG);
    let node = probe_on(&database).file("forge.toml", config).start().await;
    database.execute("insert into probe_rows values (1, 'one', true)").await;
    let wide = |bytes: u32| json!({ "id": 1, "bytes": bytes });
    assert_eq!(node.call("live.wide", wide(900), None).await.status, 200);
    let refused = node.call("live.wide", wide(1_000_000), None).await;
    assert_eq!(refused.json()["error"]["details"]["bytesMax"], 1_000, "{}", refused.text);
    check("a large result", refused, 413, "PAYLOAD_TOO_LARGE");
    // The results of a batch have the limit together.
    let call = |id: u32| json!({ "id": id, "name": "live.wide", "args": wide(600) });
    let batch = json!([call(1), call(2), call(3)]).to_string();
    let answers = post(node.client(), "/rpc", batch, None).await.json();
    let codes: Vec<_> = (0..3).map(|at| answers[at]["error"]["code"].as_str()).collect();
    assert_eq!(codes, [None, Some("PAYLOAD_TOO_LARGE"), Some("PAYLOAD_TOO_LARGE")], "{answers}");
}

#[tokio::test]
async fn no_token_but_a_good_one_is_accepted() {
    let database = Database::create().await;
    let node = probe_on(&database).start().await;
    let now = chrono::Utc::now().timestamp();
    let good = json!({ "sub": "ana", "iat": now, "exp": now + 600 });
    let secret = probe::SECRET.as_bytes();
    let sign = |algorithm, claims: &Value, secret: &[u8]| {
        jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret))
            .expect("sign a token")
    };
    let accepted = sign(Algorithm::HS256, &good, secret);
    let unsigned = format!(
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.",
        accepted.split('.').nth(1).expect("a token has three parts")
    );
    let stripped = format!("{}.", accepted.rsplit_once('.').expect("a token has three parts").0);
    let refused = [
        (
            "an expired token",
            sign(Algorithm::HS256, &json!({ "sub": "ana", "iat": now - 700, "exp": now - 100 }), secret),
        ),
        ("a token without an end", sign(Algorithm::HS256, &json!({ "sub": "ana", "iat": now }), secret)),
        (
            "an end that is a text",
            sign(Algorithm::HS256, &json!({ "sub": "ana", "iat": now, "exp": "9999999999" }), secret),
        ),
        (
            "a token that is not yet valid",
            sign(Algorithm::HS256, &json!({ "sub": "ana", "exp": now + 600, "nbf": now + 300 }), secret),
        ),
        ("another secret", sign(Algorithm::HS256, &good, b"another secret of at least 32 bytes.")),
        ("another algorithm", sign(Algorithm::HS512, &good, secret)),
        ("algorithm none", unsigned),
        ("no signature", stripped),
        ("no token at all", "not.a.token".to_owned()),
    ];
    let put = |key: &str| json!({ "key": key });
    assert_eq!(node.call("probe.put", put("good"), Some(&accepted)).await.status, 200);
    check("no header", node.call("probe.put", put("none"), None).await, 401, "UNAUTHENTICATED");
    for (what, token) in refused {
        check(what, node.call("probe.put", put(what), Some(&token)).await, 401, "UNAUTHENTICATED");
        // A caller without a valid token does not learn which functions exist either.
        check(what, node.call("probe.one", json!({}), Some(&token)).await, 401, "UNAUTHENTICATED");
    }
    assert_eq!(database.column::<String>("select key from probe_ledger").await, ["good"]);
}

#[tokio::test]
async fn what_breaks_inside_stays_inside() {
    let database = Database::create().await;
    let mut node = probe_on(&database).start().await;
    let token = probe::token("ana");
    let token = Some(token.as_str());
    for name in ["probe.bad_sql", "probe.panic", "probe.write_in_query"] {
        let reply = node.call(name, json!({}), token).await;
        let trace = reply.json()["error"]["traceId"].as_str().expect("a failure names its trace").to_owned();
        check(name, reply, 500, "INTERNAL");
        let log = node.process().stderr();
        until(&format!("the log names the trace of {name}"), PATIENCE, || async { log.line(&trace) }).await;
    }
    let key = json!({ "key": "twice" });
    assert_eq!(node.call("probe.put", key.clone(), token).await.status, 200);
    check("a key that exists", node.call("probe.put", key, token).await, 409, "CONFLICT");
    let log = node.process().stderr();
    until("the log has the SQLSTATE", PATIENCE, || async { log.line("sqlstate=\"23505\"") }).await;
    check(
        "a panic after a write",
        node.call("probe.put_and_panic", json!({ "key": "panicked" }), token).await,
        500,
        "INTERNAL",
    );
    assert_eq!(database.column::<String>("select key from probe_ledger").await, ["twice"]);
    // Duties of the node may be in the middle of a transaction of their own.
    until("no call has left its session busy", PATIENCE, || async {
        database.busy_sessions().await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_link_works_once_also_within_the_leeway() {
    let database = Database::create().await;
    let config = probe::CONFIG.replace("[auth]", "[auth]\nleeway = \"1h\"");
    let node = probe_on(&database).file("forge.toml", config).start().await;
    let rules = TokenRules { issuer: None, audience: None, leeway: Duration::from_secs(3_600) };
    let tokens = Tokens::new(probe::SECRET.as_bytes(), rules).expect("the secret is long enough");
    let expired = || tokens.issue_link(Duration::ZERO).expect("sign a link");
    let (first, second) = (expired(), expired());
    let redeem = async |code: &str| node.call("forge.redeem", json!({ "code": code }), None).await;
    assert_eq!(redeem(&first).await.status, 200, "within the leeway");
    // Each exchange deletes the links that can no longer be used.
    assert_eq!(redeem(&second).await.status, 200);
    for used in [&first, &second] {
        check("a used link", redeem(used).await, 401, "UNAUTHENTICATED");
    }
}

#[tokio::test]
async fn refusals_do_not_fill_the_log() {
    const REQUESTS: usize = 300;
    let database = Database::create().await;
    let node = probe_on(&database).start().await;
    for _ in 0..REQUESTS {
        assert_eq!(node.call("probe.nothing", json!({}), None).await.status, 404);
    }
    let ended = node.stop(PATIENCE).await;
    let lines = ended.stderr.lines().filter(|line| line.contains("request answered with an error")).count();
    assert!((1..=REQUESTS / 3).contains(&lines), "{lines} lines for {REQUESTS} requests:\n{}", ended.stderr);
}

async fn post(client: &Client, path: &str, body: impl Into<reqwest::Body>, token: Option<&str>) -> Reply {
    client.post(path, body, token).await.expect("an answer")
}

#[track_caller]
fn check(what: &str, reply: Reply, status: u16, code: &str) {
    assert_eq!((reply.status, reply.code().as_str()), (status, code), "{what}: {}", reply.text);
    let text = reply.text.to_lowercase();
    let leaked: Vec<_> = INSIDE.iter().filter(|word| text.contains(**word)).collect();
    assert!(leaked.is_empty(), "{what}: the answer contains {leaked:?}: {}", reply.text);
}
