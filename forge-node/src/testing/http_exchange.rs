//! What a test and its HTTP server share: the answers that the test sets, and the requests that came.

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;

/// What the test and the server share: the test adds answers and reads requests, the server uses answers up
/// and adds requests. No one waits for a change.
#[derive(Default)]
pub(super) struct HttpExchange(watch::Sender<HttpScript>);

#[derive(Default)]
struct HttpScript {
    answers: Vec<HttpAnswer>,
    requests: Vec<HttpRequest>,
}

struct HttpAnswer {
    method: String,
    url: String,
    reply: HttpReply,
}

/// A request that a handler sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// `GET`, `POST`, ..
    pub method: String,
    /// The whole address, with its query.
    pub url: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpReply {
    /// The status.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl HttpExchange {
    pub(super) fn add(&self, method: &str, url: &str, reply: HttpReply) {
        let answer = HttpAnswer { method: method.to_uppercase(), url: url.to_owned(), reply };
        self.0.send_modify(|script| script.answers.push(answer));
    }

    pub(super) fn requests(&self) -> Vec<HttpRequest> {
        self.0.borrow().requests.clone()
    }

    /// Notes the request, and takes its answer.
    pub(super) fn reply_to(&self, request: HttpRequest) -> HttpReply {
        let mut reply = None;
        self.0.send_modify(|script| {
            let fitting: Vec<usize> =
                (0..script.answers.len()).filter(|index| script.answers[*index].fits(&request)).collect();
            reply = match fitting.as_slice() {
                [] => None,
                [only] => Some(script.answers[*only].reply.clone()),
                [first, ..] => Some(script.answers.remove(*first).reply),
            };
            script.requests.push(request.clone());
        });
        reply.unwrap_or_else(|| unanswered(&request))
    }
}

impl HttpAnswer {
    fn fits(&self, request: &HttpRequest) -> bool {
        let whole = self.url.contains('?');
        let asked =
            if whole { request.url.as_str() } else { request.url.split('?').next().unwrap_or_default() };
        self.method == request.method && self.url.trim_end_matches('/') == asked.trim_end_matches('/')
    }
}

fn unanswered(request: &HttpRequest) -> HttpReply {
    let HttpRequest { method, url, .. } = request;
    tracing::warn!(method, url, "no answer is set for the request of a handler: cx.http().answer(..)");
    let text = format!("no answer is set for {method} {url}: cx.http().answer(\"{method}\", \"{url}\", ..)");
    HttpReply { status: 501, headers: Vec::new(), body: text.into() }
}

impl HttpRequest {
    /// The body as JSON; `null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let name = name.to_lowercase();
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

impl HttpReply {
    /// A status without a body.
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// 200 with a JSON body.
    pub fn json(body: impl Into<Value>) -> Self {
        let body: Value = body.into();
        Self::status(200).header("content-type", "application/json").body(body.to_string())
    }

    /// 200 with a text.
    pub fn text(body: impl Into<String>) -> Self {
        let body: String = body.into();
        Self::status(200).header("content-type", "text/plain; charset=utf-8").body(body)
    }

    /// With another status.
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// With a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a body.
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }
}
