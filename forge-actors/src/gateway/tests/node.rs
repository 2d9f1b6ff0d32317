//! A gateway in front of a few functions, and a client that sees every byte.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use dashmap::DashMap;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::context::Services;
use crate::app::node::NodeView;
use crate::app::token::{TokenRules, Tokens};
use crate::app::{Access, Action, Catalog, Ctx, Handler, Meta, Query, Registration, Result as AppResult};
use crate::change::HintHub;
use crate::cron::begin::CronRunBeginner;
use crate::db::config::DatabaseConfig;
use crate::db::database::Database;
use crate::function::config::FunctionConfig;
use crate::function::{FunctionDeps, Functions};
use crate::gateway::accept::serve;
use crate::gateway::assets::{Assets, Site};
use crate::gateway::config::GatewayConfig;
use crate::gateway::port::Port;
use crate::gateway::{Gateway, GatewayDeps};
use crate::job::buffer::{BufferPlace, JobBuffer};
use crate::job::dispatcher::JobInserter;
use crate::job::ends::JobEnds;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::NodeId;
use crate::subsystem::{ConfigSection, Readiness};
use crate::supervise::Tree;
use crate::tree::SUBSYSTEMS;
use crate::workflow::starter::WorkflowStarter;

/// A wait that takes this long has failed.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Bytes of a result.
pub(super) const RESULT_BYTES_MAX: usize = 128 * 1024 * 1024;

macro_rules! handler {
    (
        $name:ident { $($field:ident: $type:ty),* } $kind:ident -> $output:ty,
        $meta:expr, |$message:ident, $ctx:ident| $body:expr
    ) => {
        #[forge_app_macros::data]
        pub(super) struct $name { $(pub(super) $field: $type),* }

        impl Handler for $name {
            type Kind = $kind;
            type Output = $output;
            type Error = Fault;
            const META: Meta = $meta;

            async fn run(self, $ctx: &Ctx<$kind>) -> AppResult<$output> {
                let $message = self;
                $body
            }
        }
    };
}

const fn query(function: &'static str) -> Meta {
    Meta::query("tests", function, file!(), line!())
}

const fn action(function: &'static str) -> Meta {
    Meta::action("tests", function, file!(), line!())
}

const fn accessible(mut meta: Meta, access: Access) -> Meta {
    meta.access = access;
    meta
}

handler!(Echo { text: String } Query -> String, query("echo").public(), |message, _ctx| Ok(message.text));
handler!(Big { bytes: usize } Query -> String, query("big").public(), |message, _ctx| {
    Ok("x".repeat(message.bytes))
});
handler!(Any { value: serde_json::Value } Action -> bool, action("any").public(), |message, _ctx| {
    Ok(message.value.is_null())
});
handler!(Whoami {} Query -> String, query("whoami"), |_message, ctx| {
    Ok(ctx.auth().identity()?.subject.clone())
});
handler!(Address {} Query -> Option<String>, query("address").public(), |_message, ctx| {
    Ok(ctx.request().ip().map(|ip| ip.to_string()))
});
handler!(Manage {} Action -> bool, accessible(action("manage"), Access::Role("admin")), |_message, _ctx| {
    Ok(true)
});
handler!(Hidden {} Action -> bool, accessible(action("hidden"), Access::Internal), |_message, _ctx| Ok(true));
handler!(Slow {} Action -> bool, action("slow").public(), |_message, ctx| {
    let calls = SLOW_CALLS.get(&ctx.node().id).expect("the node has been started").clone();
    calls.entered.notify_one();
    calls.release.notified().await;
    Ok(true)
});
handler!(Explode {} Query -> bool, query("explode").public(), |_message, _ctx| {
    Err(Fault::internal("relation \"secrets\" does not exist"))
});
handler!(Busy {} Query -> bool, query("busy").public(), |_message, _ctx| {
    Err(Fault::new(Code::Overloaded, "come back").retry_after(Duration::from_millis(1_200)))
});

static REGISTRATIONS: [Registration; 10] = [
    Registration::of::<Echo>(),
    Registration::of::<Big>(),
    Registration::of::<Any>(),
    Registration::of::<Whoami>(),
    Registration::of::<Address>(),
    Registration::of::<Manage>(),
    Registration::of::<Hidden>(),
    Registration::of::<Slow>(),
    Registration::of::<Explode>(),
    Registration::of::<Busy>(),
];

/// Lets a test see and release the calls of `tests.slow` on its node.
#[derive(Clone, Default)]
pub(super) struct SlowCalls {
    pub(super) entered: Arc<Notify>,
    pub(super) release: Arc<Notify>,
}

static SLOW_CALLS: LazyLock<DashMap<NodeId, SlowCalls>> = LazyLock::new(DashMap::new);

/// A running gateway. Its metrics go to a recorder of its own: every test has one thread.
pub(super) struct Node {
    pub(super) address: SocketAddr,
    pub(super) tokens: Tokens,
    pub(super) slow_calls: SlowCalls,
    pub(super) readiness: Readiness,
    pub(super) drain: CancellationToken,
    pub(super) served: JoinHandle<()>,
    pub(super) gateway: Gateway,
    pub(super) port: Arc<Port>,
    _recorder: metrics::LocalRecorderGuard<'static>,
}

pub(super) fn tokens(secret: u8) -> Tokens {
    let rules = TokenRules { issuer: None, audience: None, leeway: Duration::from_secs(5) };
    Tokens::new(&[secret; 32], rules).expect("32 bytes are enough")
}

/// The function subsystem, without a database: queries that run no statement and actions need none.
fn functions(id: NodeId) -> Functions {
    let catalog = Catalog::from_registrations(REGISTRATIONS.iter()).expect("names differ");
    let tree = Tree::new();
    let node = NodeView::new(id, "node", Arc::clone(&tree), SUBSYSTEMS);
    let deps = FunctionDeps {
        database: Database::new(PgConnectOptions::new(), DatabaseConfig::default(), "node"),
        tree,
        hints: HintHub::new(),
        terms: watch::channel(None).1,
        config: FunctionConfig { result_bytes_max: RESULT_BYTES_MAX, ..FunctionConfig::default() },
    };
    let (inserter, _) = JobInserter::new(deps.database.clone(), deps.hints.clone());
    let (job_ends, _) = JobEnds::new(deps.database.clone(), deps.hints.clone());
    let (job_buffer, _) = JobBuffer::new(BufferPlace::none(), deps.database.clone(), deps.hints.clone());
    let (workflows, _) = WorkflowStarter::new(deps.database.clone(), deps.hints.clone());
    let services = |invoke, blocking| Services {
        node,
        invoke,
        jobs: Arc::new(inserter),
        job_ends: Arc::new(job_ends),
        job_buffer: Arc::new(job_buffer),
        workflows: Arc::new(workflows),
        crons: Arc::new(CronRunBeginner),
        tokens: None,
        http: reqwest::Client::new(),
        blocking,
        result_bytes_max: RESULT_BYTES_MAX,
    };
    Functions::new(Arc::new(catalog), deps, services).expect("threads").0
}

pub(super) fn config(change: impl FnOnce(&mut GatewayConfig)) -> GatewayConfig {
    let mut config = GatewayConfig { port: 0, ..GatewayConfig::default() };
    change(&mut config);
    assert_eq!(config.validate(), Vec::<String>::new(), "a valid configuration");
    config
}

impl Node {
    pub(super) async fn start(change: impl FnOnce(&mut GatewayConfig)) -> Self {
        Self::start_with(config(change), Some(tokens(1))).await
    }

    /// A node whose page lies in `folder`.
    pub(super) async fn start_site(folder: &Path, change: impl FnOnce(&mut GatewayConfig)) -> Self {
        let assets = Assets { site: Some(Site::folder(folder.to_owned())), dashboard: None };
        Self::launch(config(change), Some(tokens(1)), assets).await
    }

    pub(super) async fn start_with(config: GatewayConfig, accepted: Option<Tokens>) -> Self {
        Self::launch(config, accepted, Assets::default()).await
    }

    async fn launch(config: GatewayConfig, accepted: Option<Tokens>, assets: Assets) -> Self {
        let recorder: &'static PrometheusRecorder =
            Box::leak(Box::new(PrometheusBuilder::new().build_recorder()));
        let guard = metrics::set_default_local_recorder(recorder);
        let id = NodeId::new();
        let slow_calls = SlowCalls::default();
        SLOW_CALLS.insert(id, slow_calls.clone());
        let readiness = Readiness::new(&["database"]);
        let port = Arc::new(Port::open(&config).expect("a free port"));
        let address = port.address();
        let deps = GatewayDeps {
            functions: functions(id),
            tokens: accepted,
            readiness: readiness.clone(),
            metrics: recorder.handle(),
            sessions: None,
            assets,
        };
        let gateway = Gateway::new(config, deps);
        let drain = CancellationToken::new();
        let listener = port.listener().expect("the port is open");
        let served =
            tokio::spawn(serve(Arc::clone(&gateway.shared), Arc::clone(&port), listener, drain.clone()));
        Self {
            address,
            tokens: tokens(1),
            slow_calls,
            readiness,
            drain,
            served,
            gateway,
            port,
            _recorder: guard,
        }
    }

    pub(super) async fn connect(&self) -> Client {
        Client { stream: BufReader::new(TcpStream::connect(self.address).await.expect("the port is open")) }
    }

    /// A connection from another address of the loopback.
    pub(super) async fn connect_from(&self, address: [u8; 4]) -> Client {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((address, 0).into()).expect("an address of the loopback");
        Client { stream: BufReader::new(socket.connect(self.address).await.expect("the port is open")) }
    }

    /// A connection whose kernel takes few bytes before the client reads them.
    pub(super) async fn connect_narrow(&self) -> Client {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(1).expect("the kernel has a least size");
        Client { stream: BufReader::new(socket.connect(self.address).await.expect("the port is open")) }
    }

    /// One request on a connection of its own.
    pub(super) async fn send(&self, request: &str) -> Answer {
        self.connect().await.send(request).await
    }

    /// `POST` of JSON, with more header lines (each ended by CRLF).
    pub(super) async fn post(&self, path: &str, headers: &str, body: &str) -> Answer {
        self.send(&post(path, headers, body)).await
    }

    pub(super) async fn get(&self, path: &str, headers: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n")).await
    }

    pub(super) fn bearer(&self, roles: &[&str]) -> String {
        let token = self.tokens.issue("ann", roles, None, Duration::from_secs(60)).expect("a token");
        format!("authorization: Bearer {token}\r\n")
    }
}

pub(super) fn post(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
}

/// One HTTP/1.1 connection.
pub(super) struct Client {
    pub(super) stream: BufReader<TcpStream>,
}

/// One answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Client {
    pub(super) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).await.expect("the server reads");
    }

    pub(super) async fn send(&mut self, request: &str) -> Answer {
        self.write(request).await;
        self.receive().await
    }

    pub(super) async fn receive(&mut self) -> Answer {
        tokio::time::timeout(WAIT_MAX, self.read_answer()).await.expect("an answer in time")
    }

    /// The head of an answer.
    pub(super) async fn receive_head(&mut self) -> Answer {
        tokio::time::timeout(WAIT_MAX, self.read_head()).await.expect("a head in time")
    }

    /// Waits for the server to close, and returns what it still sent.
    pub(super) async fn closed(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset closes as well as an end does.
        let _ = tokio::time::timeout(WAIT_MAX, self.stream.read_to_end(&mut rest))
            .await
            .expect("the server closes in time");
        rest
    }

    async fn read_answer(&mut self) -> Answer {
        let mut answer = self.read_head().await;
        let length = answer.header("content-length").map_or(0, |length| length.parse().expect("a length"));
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.expect("the whole body");
        answer.body = String::from_utf8(body).expect("UTF-8");
        answer
    }

    async fn read_head(&mut self) -> Answer {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).await.expect("a head");
            match line.trim_end() {
                "" => break,
                text => lines.push(text.to_owned()),
            }
        }
        let status =
            lines.first().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status line");
        let split =
            |line: &String| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        let headers: Vec<_> = lines.iter().skip(1).map(|line| split(line).expect("a header")).collect();
        Answer { status, headers, body: String::new() }
    }
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// Asserts an error envelope.
    #[track_caller]
    pub(super) fn fails(&self, status: u16, code: &str) -> &Self {
        let body = self.json();
        assert_eq!(
            (self.status, &body["error"]["code"]),
            (status, &serde_json::json!(code)),
            "{}",
            self.body
        );
        assert_eq!(body["error"]["traceId"].as_str(), self.header("x-trace-id"));
        self
    }

    /// Asserts `{"data": …}`.
    #[track_caller]
    pub(super) fn answers(&self, data: serde_json::Value) -> &Self {
        assert_eq!((self.status, self.json()), (200, serde_json::json!({ "data": data })));
        self
    }
}
