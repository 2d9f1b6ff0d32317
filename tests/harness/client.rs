//! A small HTTP client that speaks the wire format.

use std::time::Duration;

use serde_json::Value;

/// Longer than any time limit under test, so that a hung node fails its test by a message.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);

/// Calls one node.
#[derive(Clone)]
pub struct Client {
    base: String,
    http: reqwest::Client,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body, as text.
    pub text: String,
}

impl Client {
    /// A client of the node at `base`, for example `http://127.0.0.1:8080`.
    pub fn new(base: impl Into<String>) -> Self {
        let http =
            reqwest::Client::builder().timeout(REQUEST_LIMIT).no_proxy().build().expect("build the client");
        Self { base: base.into(), http }
    }

    /// Where the node is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Calls a function; panics when no HTTP answer comes.
    pub async fn call(&self, name: &str, args: Value, token: Option<&str>) -> Reply {
        self.try_call(name, args, token).await.unwrap_or_else(|error| panic!("call {name}: {error:?}"))
    }

    /// Calls a function; an error is a connection that broke.
    pub async fn try_call(&self, name: &str, args: Value, token: Option<&str>) -> reqwest::Result<Reply> {
        let request = self.http.post(format!("{}/rpc/{name}", self.base)).json(&args);
        read(authorised(request, token)).await
    }

    /// Calls a mutation under an idempotency key; an error is a connection that broke.
    pub async fn try_mutate(
        &self,
        name: &str,
        args: &Value,
        token: &str,
        idempotency_key: &str,
    ) -> reqwest::Result<Reply> {
        let request = self.http.post(format!("{}/rpc/{name}", self.base)).json(args);
        read(authorised(request, Some(token)).header("idempotency-key", idempotency_key)).await
    }

    /// `GET` of a path.
    pub async fn get(&self, path: &str) -> reqwest::Result<Reply> {
        read(self.http.get(format!("{}{path}", self.base))).await
    }

    /// `POST` of bytes as JSON to a path.
    pub async fn post(
        &self,
        path: &str,
        body: impl Into<reqwest::Body>,
        token: Option<&str>,
    ) -> reqwest::Result<Reply> {
        let request = self
            .http
            .post(format!("{}{path}", self.base))
            .header("content-type", "application/json")
            .body(body);
        read(authorised(request, token)).await
    }
}

impl Reply {
    /// `data` of a success; panics on a failure.
    pub fn data(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()["data"].clone()
    }

    /// `error.code` of a failure; empty when there is none.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The body as JSON; `null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }
}

fn authorised(request: reqwest::RequestBuilder, token: Option<&str>) -> reqwest::RequestBuilder {
    match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    }
}

async fn read(request: reqwest::RequestBuilder) -> reqwest::Result<Reply> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Reply { status, headers, text: response.text().await? })
}
