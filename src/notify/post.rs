//! Requests to web servers elsewhere.
//!
//! By hyper, with which the daemon serves HTTP already, and the TLS of its brokers: one connection for
//! each request, and nothing kept or followed. A redirect is a refusal: what is signed for one place is
//! told to no other.

use std::sync::Arc;

use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::outcome::Outcome;
use crate::domain::instant::Instant;

/// Longest head of an answer, in bytes.
const HEAD_MAX_BYTES: usize = 16 * 1024;

/// What makes requests.
pub(super) struct Client(Option<Arc<ClientConfig>>);

/// What is posted: JSON.
#[derive(Debug)]
pub(super) struct Post {
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Client {
    pub(super) fn new(tls: Option<Arc<ClientConfig>>) -> Self {
        Self(tls)
    }

    /// Posts it; whoever calls decides for how long to wait.
    pub(super) async fn post(&self, url: &Uri, post: Post, now: Instant) -> Outcome {
        let secure = url.scheme_str() == Some("https");
        let Some(host) = url.host() else { return Outcome::refused("its URL has no host") };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = match TcpStream::connect((host, port)).await {
            Ok(stream) => stream,
            Err(failed) => return Outcome::unreached(format!("no connection: {failed}")),
        };
        if !secure {
            return exchange(stream, url, post, now).await;
        }
        let Some(tls) = &self.0 else { return Outcome::refused("TLS is not set up") };
        let Ok(name) = ServerName::try_from(host.to_owned()) else {
            return Outcome::refused("no certificate can be for its name");
        };
        match TlsConnector::from(Arc::clone(tls)).connect(name, stream).await {
            Ok(stream) => exchange(stream, url, post, now).await,
            Err(failed) => Outcome::unreached(format!("no TLS: {failed}")),
        }
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    url: &Uri,
    post: Post,
    now: Instant,
) -> Outcome {
    let mut request = Request::post(url.path_and_query().map_or("/", |path| path.as_str()))
        .header(HOST, url.authority().map_or("", |authority| authority.as_str()))
        .header(USER_AGENT, concat!("nightrun/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, "application/json");
    for (name, value) in post.headers {
        request = request.header(name, value);
    }
    let Ok(request) = request.body(post.body) else {
        return Outcome::refused("the request cannot be made");
    };
    let begun = http1::Builder::new().max_buf_size(HEAD_MAX_BYTES).handshake(TokioIo::new(stream));
    let (mut sender, connection) = match begun.await {
        Ok(begun) => begun,
        Err(failed) => return Outcome::unreached(format!("no HTTP: {failed}")),
    };
    let answered = async {
        match sender.send_request(request).await {
            Ok(answer) => {
                let retry_after = answer.headers().get(RETRY_AFTER).and_then(|at| at.to_str().ok());
                Outcome::of_status(answer.status(), retry_after, now)
            }
            Err(failed) => Outcome::lost(format!("the connection broke: {failed}")),
        }
    };
    // The connection ends when this does: what follows the head of the answer is not read.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    answered.await
}
