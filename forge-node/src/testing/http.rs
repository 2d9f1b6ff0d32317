//! What services outside of the application answer in a test.
//!
//! The HTTP client of a test's actions and jobs sends every request, whatever its address, to a server in
//! the test's own process, as to a proxy. So an application tests the addresses that it uses in production,
//! and no request reaches the network.

use std::net::SocketAddr;
use std::sync::Arc;

use super::error::TestError;
use super::http_exchange::{HttpExchange, HttpReply, HttpRequest};
use super::http_server::HttpServer;

/// The answers of a test, and the requests that came: `cx.http()`.
pub struct HttpAnswers {
    exchange: Arc<HttpExchange>,
    server: HttpServer,
}

impl HttpAnswers {
    pub(super) async fn start() -> Result<Self, TestError> {
        let exchange = Arc::<HttpExchange>::default();
        Ok(Self { server: HttpServer::start(Arc::clone(&exchange)).await?, exchange })
    }

    /// The client that sends all requests here.
    pub(super) fn client(&self) -> Result<reqwest::Client, TestError> {
        let proxy = reqwest::Proxy::all(format!("http://{}", self.address()))?;
        // The certificate is made for no name, and its authority is nobody.
        Ok(reqwest::Client::builder().proxy(proxy).tls_danger_accept_invalid_certs(true).build()?)
    }

    /// Where the server of this test listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Sets the answer to requests of `method` to `url`, for example
    /// `cx.http().answer("POST", "https://mail.example/send", HttpReply::status(202))`.
    ///
    /// A `url` without a query answers requests with any query. Several answers to the same requests are
    /// given in turn, each once and the last one from then on. A request without an answer is answered with
    /// 501.
    pub fn answer(&self, method: &str, url: &str, reply: HttpReply) {
        self.exchange.add(method, url, reply);
    }

    /// The requests so far, those without an answer included.
    pub fn requests(&self) -> Vec<HttpRequest> {
        self.exchange.requests()
    }
}
