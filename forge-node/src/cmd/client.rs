//! Sends requests to a running node over HTTP, as any client does.

use std::time::Duration;

use forge_actors::app::token::Tokens;
use forge_actors::kernel::error_chain::root_cause;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::boot::secret;
use crate::cli::Target;
use crate::config::load::Loaded;
use crate::terminal::context::CommandContext;
use crate::terminal::output;
use crate::terminal::report::{Exit, Report};
use crate::terminal::text::Text;
use forge_actors::gateway::config::GatewayConfig;

/// Time for a request: longer than the longest handler may run.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(610);
/// Time for connecting to the node.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Lifetime of a token that is signed for one request.
const TOKEN_TTL: Duration = Duration::from_secs(300);

/// A node's address, and the credential that requests to it carry.
pub struct Client {
    http: reqwest::Client,
    url: String,
    credential: Credential,
}

/// The credential of a request.
enum Credential {
    None,
    Token(String),
    /// A new token for each request, because the client may live longer than a token.
    Signed {
        tokens: Tokens,
        subject: String,
        roles: Vec<String>,
    },
}

impl Credential {
    fn given(token: Option<&str>) -> Self {
        token.map_or(Self::None, |token| Self::Token(token.to_owned()))
    }

    fn token(&self) -> Result<Option<String>, Report> {
        match self {
            Self::None => Ok(None),
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

/// The environment variable that holds a token.
const TOKEN_VARIABLE: &str = "FORGE_TOKEN";

/// The identity of a request, when the command line gives no token.
#[derive(Debug, Clone, Copy)]
pub enum RequestIdentity<'a> {
    /// That of the token in FORGE_TOKEN; without one, none.
    Environment,
    /// That of the token in FORGE_TOKEN; without one, an administrator, whose token is signed with the
    /// configured secret.
    Administrator,
    /// The given subject, whose token is signed with the configured secret.
    Signed {
        /// The subject.
        subject: &'a str,
        /// The roles.
        roles: &'a [String],
    },
}

impl Client {
    /// A client for `target`.
    ///
    /// # Errors
    /// When the URL is none, or a token must be signed and there is no secret.
    pub fn new(loaded: &Loaded, target: &Target, identity: RequestIdentity<'_>) -> Result<Self, Report> {
        let url = target.url.clone().unwrap_or_else(|| default_url(loaded));
        check_url(&url)?;
        let variable = loaded.environment.get_filled(TOKEN_VARIABLE);
        let credential = match (target.token.as_deref(), identity, variable) {
            (None, RequestIdentity::Administrator, None) => {
                signer(loaded, "forge-node", &["admin".to_owned()])?
            }
            (None, RequestIdentity::Signed { subject, roles }, _) => signer(loaded, subject, roles)?,
            (given, _, variable) => Credential::given(given.or(variable)),
        };
        let http =
            reqwest::Client::builder().timeout(REQUEST_TIMEOUT).connect_timeout(CONNECT_TIMEOUT).build();
        let http = http.map_err(|error| {
            Report::new(Exit::Failed, "http-client", "the HTTP client could not be created").cause(error)
        })?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned(), credential })
    }

    /// A client for the commands of an administrator.
    ///
    /// # Errors
    /// Those of the configuration, and those of [`new`](Self::new).
    pub fn of_administrator(target: &Target, context: CommandContext<'_>) -> Result<Self, Report> {
        Self::new(&context.load(&[])?, target, RequestIdentity::Administrator)
    }

    /// Calls a function of the node, and returns the data of its answer.
    pub async fn call(&self, function: &str, args: &Value) -> Result<Value, Report> {
        let mut answer = self.post(&format!("/rpc/{function}"), args.to_string()).await?;
        Ok(answer["data"].take())
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
                format!("{} answered {status}, but not with the JSON of a Forge node", self.url),
            )
            .tried(self.url.as_str())
            .help("check --url, and which program listens on that port")),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Report {
        let (exit, code, message) = match error.is_timeout() {
            true => (Exit::Timeout, "node-timeout", "the node did not answer in time"),
            false => (Exit::Failed, "node-unreachable", "the node is not reachable"),
        };
        Report::new(exit, code, message)
            .tried(self.url.as_str())
            .cause(root_cause(error))
            .help("start a node with forge-node start, or name a running one with --url")
    }

    /// The report of the node's own error, with the exit code for its status.
    fn refused(&self, status: u16, error: &Value) -> Report {
        let text = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (exit, help) = match status {
            401 => (Exit::Permission, Some("send a token with --token, or sign one with --as <subject>")),
            403 => (Exit::Permission, Some("where a role is missing: --as <subject> --role <role>")),
            404 => (Exit::NotFound, None),
            408 | 504 => (Exit::Timeout, None),
            _ => (Exit::Failed, None),
        };
        let mut report = Report::new(exit, text("code"), text("message")).tried(self.url.as_str());
        let details = error.get("details").filter(|details| !details.is_null()).map(Value::to_string);
        let trace = error.get("traceId").and_then(Value::as_str).map(|trace| format!("trace {trace}"));
        let cause = error.get("cause").and_then(Value::as_str).map(str::to_owned);
        let causes: Vec<_> = cause.into_iter().chain(details).chain(trace).collect();
        if !causes.is_empty() {
            report = report.cause(causes.join(", "));
        }
        // A node in development knows the cause, and says what helps against it.
        let said = error.get("help").and_then(Value::as_str);
        match said.or(help) {
            Some(help) => report.help(help),
            None => report,
        }
    }
}

/// Refuses a URL that no request can be sent to, or to which no path can be added.
pub(super) fn check_url(url: &str) -> Result<(), Report> {
    let cause = match reqwest::Url::parse(url) {
        Ok(parsed) if !matches!(parsed.scheme(), "http" | "https") => {
            format!("its scheme is {}", parsed.scheme())
        }
        Ok(parsed) if parsed.query().is_some() => "it has a query".to_owned(),
        Ok(parsed) if parsed.fragment().is_some() => "it has a fragment".to_owned(),
        Ok(_) => return Ok(()),
        Err(error) => error.to_string(),
    };
    Err(bad_url(url, cause))
}

/// [`check_url`], for a node whose page is opened: that has the root of its host.
pub(super) fn check_page_url(url: &str) -> Result<(), Report> {
    check_url(url)?;
    match reqwest::Url::parse(url) {
        Ok(parsed) if parsed.path() != "/" => Err(bad_url(url, format!("it has the path {}", parsed.path()))),
        _ => Ok(()),
    }
}

fn bad_url(url: &str, cause: String) -> Report {
    Report::new(Exit::Usage, "bad-url", format!("`{url}` is not the URL of a node"))
        .cause(cause)
        .help("write http:// or https://, host and port alone, for example --url http://127.0.0.1:8080")
}

/// The URL at which a node with this configuration answers on this machine.
pub(super) fn default_url(loaded: &Loaded) -> String {
    let gateway = &loaded.config.section::<GatewayConfig>();
    let host = match gateway.host {
        host if host.is_unspecified() => "127.0.0.1".to_owned(),
        std::net::IpAddr::V4(host) => host.to_string(),
        std::net::IpAddr::V6(host) => format!("[{host}]"),
    };
    format!("http://{host}:{}", gateway.port)
}

/// A credential that signs tokens for `subject` with the configured secret.
fn signer(loaded: &Loaded, subject: &str, roles: &[String]) -> Result<Credential, Report> {
    Ok(Credential::Signed {
        tokens: configured_tokens(loaded)?,
        subject: subject.to_owned(),
        roles: roles.to_vec(),
    })
}

/// The keys that a node with this configuration signs with.
pub(super) fn configured_tokens(loaded: &Loaded) -> Result<Tokens, Report> {
    let configured = match &loaded.config.auth.secret {
        Some(secret) => Some(secret.clone()),
        None => secret::existing(&loaded.folder)?,
    };
    let secret = configured.ok_or_else(|| {
        Report::new(Exit::Permission, "no-secret", "no token can be signed: there is no secret")
            .tried(format!("auth.secret and {}", secret::path(&loaded.folder).display()))
            .help("run the command in the folder where the node was started, or send a token with --token")
    })?;
    Ok(Tokens::new(secret.expose().as_bytes(), loaded.config.auth.rules())?)
}

/// Reads `data` of a node's answer.
pub(super) fn decode<T: DeserializeOwned>(data: &Value) -> Result<T, Report> {
    T::deserialize(data).map_err(|error| {
        let message = "the node's answer does not fit this version of Forge";
        Report::new(Exit::Drift, "other-version", message).cause(error)
    })
}

/// Prints the data of an answer: with `--json` as it is, otherwise as `render` draws it.
pub(super) fn print<T: DeserializeOwned>(
    data: &Value,
    context: CommandContext<'_>,
    render: impl FnOnce(T) -> Text,
) -> Result<(), Report> {
    output::data(if context.global.json { Text::json(data) } else { render(decode(data)?) });
    Ok(())
}
