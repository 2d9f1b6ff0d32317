//! Talks to a running node over HTTP, as any client would.

use std::time::Duration;

use forge_actors::app::token::Tokens;
use serde_json::Value;

use crate::boot::secret;
use crate::cli::Target;
use crate::cmd::report::{Exit, Report};
use crate::config::load::Loaded;

/// How long a request may take: longer than the longest handler.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(610);
/// How long reaching the node may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a token lives that is signed for one request.
const TOKEN_TTL: Duration = Duration::from_secs(300);

/// A node, and who speaks to it.
pub struct Client {
    http: reqwest::Client,
    url: String,
    credential: Credential,
}

/// What a request says about who asks.
enum Credential {
    Nothing,
    Token(String),
    /// A token of its own for each request: a client may outlive any of them.
    Signed {
        tokens: Tokens,
        subject: String,
        roles: Vec<String>,
    },
}

impl Credential {
    fn known(token: Option<&str>) -> Self {
        token.map_or(Self::Nothing, |token| Self::Token(token.to_owned()))
    }

    fn token(&self) -> Result<Option<String>, Report> {
        match self {
            Self::Nothing => Ok(None),
            Self::Token(token) => Ok(Some(token.to_owned())),
            Self::Signed { tokens, subject, roles } => {
                let roles: Vec<_> = roles.iter().map(String::as_str).collect();
                let signed = tokens.issue(subject, &roles, None, TOKEN_TTL);
                signed.map(Some).map_err(|error| {
                    Report::new(Exit::Failed, "token", "the token cannot be signed").cause(error)
                })
            }
        }
    }
}

/// The variable that holds a token.
const TOKEN_VARIABLE: &str = "FORGE_TOKEN";

/// Who asks, when no token is given.
#[derive(Debug, Clone, Copy)]
pub enum Asker<'a> {
    /// The one of the environment's token; otherwise nobody.
    Anyone,
    /// The one of the environment's token; otherwise an administrator, signed for with the secret of this
    /// place.
    Administrator,
    /// This one, signed for with the secret of this place.
    Signed {
        /// The subject.
        subject: &'a str,
        /// The roles.
        roles: &'a [String],
    },
}

impl Client {
    /// A client for `target`.
    pub fn new(loaded: &Loaded, target: &Target, asker: Asker<'_>) -> Result<Self, Report> {
        let url = target.url.clone().unwrap_or_else(|| default_url(loaded));
        check_url(&url)?;
        let known = loaded.environment.get_filled(TOKEN_VARIABLE);
        let credential = match (target.token.as_deref(), asker, known) {
            (None, Asker::Administrator, None) => signer(loaded, "forge-node", &["admin".to_owned()])?,
            (None, Asker::Signed { subject, roles }, _) => signer(loaded, subject, roles)?,
            (given, _, known) => Credential::known(given.or(known)),
        };
        let http =
            reqwest::Client::builder().timeout(REQUEST_TIMEOUT).connect_timeout(CONNECT_TIMEOUT).build();
        let http = http.map_err(|error| {
            Report::new(Exit::Failed, "http-client", "no HTTP client can be made").cause(error)
        })?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned(), credential })
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> Result<Value, Report> {
        self.send(self.http.get(format!("{}{path}", self.url))).await
    }

    /// `POST path` with a JSON body.
    pub async fn post(&self, path: &str, body: String) -> Result<Value, Report> {
        self.send(
            self.http
                .post(format!("{}{path}", self.url))
                .header("content-type", "application/json")
                .body(body),
        )
        .await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Value, Report> {
        let request = match self.credential.token()? {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        let parsed: Option<Value> = serde_json::from_slice(&body).ok();
        match parsed {
            Some(answer) if status.is_success() => Ok(answer),
            Some(answer) if answer.get("error").is_some() => {
                Err(self.refused(status.as_u16(), &answer["error"]))
            }
            _ => Err(Report::new(
                Exit::Failed,
                "not-a-node",
                format!("{} answered {status}, and not as a Forge node does", self.url),
            )
            .tried(self.url.as_str())
            .help("check --url, or what else listens on that port")),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Report {
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        let (exit, code, message) = match error.is_timeout() {
            true => (Exit::Timeout, "node-timeout", "the node did not answer in time"),
            false => (Exit::Failed, "node-unreachable", "the node is not reachable"),
        };
        Report::new(exit, code, message)
            .tried(self.url.as_str())
            .cause(cause)
            .help("forge-node start, or name a running one with --url")
    }

    /// The node's own error, with the exit code that fits its status.
    fn refused(&self, status: u16, error: &Value) -> Report {
        let text = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (exit, help) = match status {
            401 => (Exit::Permission, Some("send a token with --token, or sign one with --as <subject>")),
            403 => (Exit::Permission, Some("sign a token that has the role: --as <subject> --role <role>")),
            404 => (Exit::NotFound, None),
            408 | 504 => (Exit::Timeout, None),
            _ => (Exit::Failed, None),
        };
        let mut report = Report::new(exit, text("code"), text("message")).tried(self.url.as_str());
        let details = error.get("details").filter(|details| !details.is_null()).map(Value::to_string);
        let trace = error.get("traceId").and_then(Value::as_str).map(|trace| format!("trace {trace}"));
        let known: Vec<_> = details.into_iter().chain(trace).collect();
        if !known.is_empty() {
            report = report.cause(known.join(", "));
        }
        match help {
            Some(help) => report.help(help),
            None => report,
        }
    }
}

/// Refuses what no request can go to, before one is made.
pub(super) fn check_url(url: &str) -> Result<(), Report> {
    let cause = match reqwest::Url::parse(url) {
        Ok(parsed) if matches!(parsed.scheme(), "http" | "https") => return Ok(()),
        Ok(parsed) => format!("it begins with {}://", parsed.scheme()),
        Err(error) => error.to_string(),
    };
    Err(Report::new(Exit::Usage, "bad-url", format!("`{url}` is not the URL of a node"))
        .cause(cause)
        .help("write it with http:// or https://, for example --url http://127.0.0.1:8080"))
}

/// Where a node of this configuration listens, as seen from this machine.
pub(super) fn default_url(loaded: &Loaded) -> String {
    let gateway = &loaded.config.gateway;
    let host = match gateway.host {
        host if host.is_unspecified() => "127.0.0.1".to_owned(),
        std::net::IpAddr::V4(host) => host.to_string(),
        std::net::IpAddr::V6(host) => format!("[{host}]"),
    };
    format!("http://{host}:{}", gateway.port)
}

/// Signs as `subject` with the secret of this place.
fn signer(loaded: &Loaded, subject: &str, roles: &[String]) -> Result<Credential, Report> {
    Ok(Credential::Signed {
        tokens: tokens_of_place(loaded)?,
        subject: subject.to_owned(),
        roles: roles.to_vec(),
    })
}

/// The keys that nodes of this place sign with.
pub(super) fn tokens_of_place(loaded: &Loaded) -> Result<Tokens, Report> {
    let known = match &loaded.config.auth.secret {
        Some(secret) => Some(secret.clone()),
        None => secret::existing(&loaded.folder)?,
    };
    let secret = known.ok_or_else(|| {
        Report::new(Exit::Permission, "no-secret", "no token can be signed here: there is no secret")
            .tried(format!("auth.secret and {}", secret::path(&loaded.folder).display()))
            .help("run it where the node was started, or send a token with --token")
    })?;
    let tokens = Tokens::new(secret.expose().as_bytes(), loaded.config.auth.rules());
    tokens.map_err(|error| Report::of_room(Exit::Config, "short-secret", &error))
}
