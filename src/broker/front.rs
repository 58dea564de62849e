//! TLS before the embedded broker: it takes TLS connections and passes on what comes through them.
//!
//! The broker could do so itself, but makes the handshakes of all clients wait for the slowest one,
//! without a bound: one phone that is silent would keep all others out. Here each has its own task
//! and its own time. A certificate that was renewed counts from the next connection on.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::{BrokerError, CLIENTS_MAX, lock};
use crate::config::ListenTls;
use crate::tls::{self, TlsError};

/// TLS connections at one time, those included that are not yet clients.
pub(super) const CONNECTIONS_MAX: usize = CLIENTS_MAX + 200;
/// The longest that a handshake may take.
const HANDSHAKE_SECONDS_MAX: u64 = 10;
/// The longest that one side of a connection may take to end when the other has.
const END_SECONDS_MAX: u64 = 5;
/// How long to wait when the machine has no connection to give.
const PAUSE: Duration = Duration::from_millis(100);
/// Different reasons of failed handshakes that are told.
const REPORTED_MAX: usize = 16;

/// What listens with TLS.
pub(super) struct Front {
    listener: TcpListener,
    address: SocketAddr,
    /// Where the broker is.
    broker: SocketAddr,
    certificate: Arc<Certificate>,
}

/// The certificate with which the next connection is met.
pub(super) struct Certificate {
    files: ListenTls,
    config: RwLock<Arc<ServerConfig>>,
}

impl Certificate {
    pub(super) fn read(files: ListenTls) -> Result<Self, TlsError> {
        let config = RwLock::new(config(&files)?);
        Ok(Self { files, config })
    }

    /// Takes what is in the files now, if it is good.
    pub(super) fn read_again(&self) -> Result<(), TlsError> {
        let config = config(&self.files)?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    pub(super) fn files(&self) -> &ListenTls {
        &self.files
    }

    fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn config(files: &ListenTls) -> Result<Arc<ServerConfig>, TlsError> {
    tls::server(tls::certificates(&files.cert_file)?, tls::private_key(&files.key_file)?)
}

impl Front {
    pub(super) async fn bind(
        certificate: Arc<Certificate>,
        broker: SocketAddr,
    ) -> Result<Self, BrokerError> {
        let address = certificate.files.listen;
        let cannot = |error| BrokerError::listen("broker.tls_listen", address, error);
        let listener = TcpListener::bind(address).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        Ok(Self { listener, address, broker, certificate })
    }

    pub(super) fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Takes connections, until it is dropped, and they with it.
    pub(super) async fn run(self) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let reported = Arc::new(Mutex::new(HashSet::new()));
        let mut connections = JoinSet::new();
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            while connections.try_join_next().is_some() {}
            let (stream, _) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!("a TLS connection was not accepted: {error}");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let acceptor = TlsAcceptor::from(self.certificate.config());
            let (broker, reported) = (self.broker, Arc::clone(&reported));
            connections.spawn(async move {
                if let Err(error) = connection(stream, acceptor, broker).await {
                    report(&error, &reported);
                }
                drop(place);
            });
        }
    }
}

/// Strangers knock at every open port, so what is always the same is told once.
fn report(error: &io::Error, reported: &Mutex<HashSet<String>>) {
    let text = error.to_string();
    let mut reported = lock(reported);
    if reported.len() < REPORTED_MAX && reported.insert(text) {
        tracing::info!("a TLS handshake failed, the first time in this way: {error}");
    }
}

/// An error is one of the handshake.
async fn connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    broker: SocketAddr,
) -> io::Result<()> {
    // Without it small packets wait; the connection is good all the same.
    let _ = stream.set_nodelay(true);
    let handshake = timeout(Duration::from_secs(HANDSHAKE_SECONDS_MAX), acceptor.accept(stream));
    let client = handshake.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let Ok(broker) = TcpStream::connect(broker).await else { return Ok(()) };
    let _ = broker.set_nodelay(true);
    let (from_client, to_client) = tokio::io::split(client);
    let (from_broker, to_broker) = broker.into_split();
    let mut up = pin!(pass_on(from_client, to_broker));
    let mut down = pin!(pass_on(from_broker, to_client));
    // What is still on its way is delivered; a client that has vanished ends nothing itself.
    let end = Duration::from_secs(END_SECONDS_MAX);
    let _ = tokio::select! {
        () = &mut up => timeout(end, down).await,
        () = &mut down => timeout(end, up).await,
    };
    Ok(())
}

/// Until one of the two is at its end.
async fn pass_on(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let _ = copy(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}
