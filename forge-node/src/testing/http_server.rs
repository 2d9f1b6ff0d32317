//! The server behind [`HttpAnswers`](super::http::HttpAnswers): a proxy that forwards nothing.
//!
//! A request to an `http` address arrives with its whole address. For an `https` address the client asks for
//! a tunnel first (`CONNECT host:port`); the server agrees, and is itself what answers at the other end of
//! the tunnel, over TLS. Its client does not verify certificates, so the certificate holds nothing.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{default_provider, sign};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::http_exchange::{HttpExchange, HttpReply, HttpRequest};

/// How a request for a tunnel begins.
const TUNNEL: &[u8; 8] = b"CONNECT ";
/// Bytes of a request for a tunnel.
const TUNNEL_BYTES_MAX: usize = 8 * 1024;

/// One key for all servers of the process.
static TLS: LazyLock<TlsAcceptor> = LazyLock::new(|| {
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
        .expect("the system has random bytes");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.as_ref().to_vec()));
    let key = sign::any_ecdsa_type(&key).expect("the key was just made");
    // Its client looks at the signature of the handshake alone, and trusts any.
    let certificate = CertificateDer::from(b"forge test".to_vec());
    let resolver = AnyName(Arc::new(CertifiedKey::new(vec![certificate], key)));
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows these versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    TlsAcceptor::from(Arc::new(config))
});

/// The same key for every name.
#[derive(Debug)]
struct AnyName(Arc<CertifiedKey>);

impl ResolvesServerCert for AnyName {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// A running server. Dropping the value ends it with its connections.
pub(super) struct HttpServer {
    pub(super) address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl HttpServer {
    pub(super) async fn start(exchange: Arc<HttpExchange>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, exchange));
        Ok(Self { address, _tasks: tasks })
    }
}

async fn accept(listener: TcpListener, exchange: Arc<HttpExchange>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, Arc::clone(&exchange)));
            }
            Err(error) => return tracing::warn!(%error, "the test's HTTP server accepts no more connections"),
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, exchange: Arc<HttpExchange>) {
    let ended = match begins_tunnel(&stream).await {
        Ok(true) => tunnel(stream, &exchange).await,
        Ok(false) => serve(stream, None, &exchange).await,
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection of the test's HTTP client ended");
    }
}

/// True when the client asks for a tunnel. Nothing is taken from the stream.
async fn begins_tunnel(stream: &TcpStream) -> io::Result<bool> {
    loop {
        let mut start = [0; TUNNEL.len()];
        let length = stream.peek(&mut start).await?;
        if length == 0 || length == start.len() || !TUNNEL.starts_with(&start[..length]) {
            return Ok(&start == TUNNEL);
        }
        tokio::task::yield_now().await;
    }
}

async fn tunnel(mut stream: TcpStream, exchange: &HttpExchange) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == TUNNEL_BYTES_MAX {
            return Err(io::Error::other("the request for a tunnel does not end"));
        }
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head);
    let target = head.split_whitespace().nth(1).unwrap_or_default();
    let host = target.strip_suffix(":443").unwrap_or(target);
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    serve(TLS.accept(stream).await?, Some(host), exchange).await
}

/// Answers the requests of one connection; `tunnel` is the host at the other end of a tunnel.
async fn serve<S>(stream: S, tunnel: Option<&str>, exchange: &HttpExchange) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(move |request| answer(request, tunnel, exchange));
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.map_err(io::Error::other)
}

async fn answer(
    request: Request<Incoming>,
    tunnel: Option<&str>,
    exchange: &HttpExchange,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let url = match (tunnel, head.uri.scheme()) {
        (Some(host), _) => format!("https://{host}{}", head.uri),
        (None, Some(_)) => head.uri.to_string(),
        (None, None) => {
            let host = head.headers.get(HOST).map(text).unwrap_or_default();
            format!("http://{host}{}", head.uri)
        }
    };
    let headers = head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let body = body.collect().await?.to_bytes();
    let request = HttpRequest { method: head.method.to_string(), url, headers, body };
    Ok(response(exchange.reply_to(request)))
}

fn response(reply: HttpReply) -> Response<Full<Bytes>> {
    let mut builder = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        builder = builder.header(name, value);
    }
    builder.body(Full::new(reply.body)).unwrap_or_else(|error| {
        let mut refused = Response::new(Full::new(format!("the reply is not HTTP: {error}").into()));
        *refused.status_mut() = hyper::StatusCode::NOT_IMPLEMENTED;
        refused
    })
}
