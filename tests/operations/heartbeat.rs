//! The heartbeat over HTTP: while the daemon works, and not otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant as Tick};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use nightrun::tls;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::page::{Page, until};
use crate::support::certificates::Authority;
use crate::support::daemon::{Daemon, Installation, PATIENCE};
use crate::support::{Mosquitto, within};

const SECRET: &str = "a-secret-path";

/// A service that takes heartbeats, or at first sends them elsewhere.
struct Receiver {
    port: u16,
    beats: Arc<AtomicUsize>,
    elsewhere: Arc<AtomicUsize>,
    redirects: Arc<AtomicUsize>,
}

impl Receiver {
    /// It sends so many beats elsewhere first.
    async fn start(redirects: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let [beats, elsewhere, left] = [0, 0, redirects].map(|n| Arc::new(AtomicUsize::new(n)));
        let this = Self { port, beats, elsewhere, redirects: left };
        let (beats, left) = (Arc::clone(&this.beats), Arc::clone(&this.redirects));
        let elsewhere = Arc::clone(&this.elsewhere);
        let beat = async move || {
            if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
                return (StatusCode::FOUND, [("location", "/elsewhere")]);
            }
            beats.fetch_add(1, Ordering::SeqCst);
            (StatusCode::OK, [("location", "")])
        };
        let routes = Router::new().route(&format!("/{SECRET}"), get(beat)).route(
            "/elsewhere",
            get(async move || elsewhere.fetch_add(1, Ordering::SeqCst).to_string()),
        );
        tokio::spawn(async move { axum::serve(listener, routes).await });
        this
    }

    fn beats(&self) -> usize {
        self.beats.load(Ordering::SeqCst)
    }

    /// Waits until there were so many.
    async fn until(&self, beats: usize) {
        let give_up_at = Tick::now() + PATIENCE;
        while self.beats() < beats {
            assert!(Tick::now() < give_up_at, "{} of {beats}", self.beats());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Starts a daemon that beats every second there.
fn beating(installation: &Installation, url: &str, authorities: Option<&str>) -> Daemon {
    let mut command = installation.command(["serve"]);
    command.env("NIGHTRUN__HEARTBEAT__URL", url).env("NIGHTRUN__HEARTBEAT__EVERY_SECONDS", "1");
    command.envs(authorities.map(|file| ("SSL_CERT_FILE", file)));
    Installation::spawned(&mut command)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_beats_while_the_daemon_works_and_not_otherwise() {
    let mut broker = Mosquitto::start(&[]);
    let installation = Installation::at(&broker);
    let receiver = Receiver::start(3).await;
    let url = format!("http://127.0.0.1:{}/{SECRET}", receiver.port);
    let daemon = beating(&installation, &url, None);
    // What is not taken is said once, and tried again; nobody goes where the answer points.
    daemon.logged("the heartbeat is taken again").await;
    assert_eq!(daemon.times_logged("the heartbeat is not taken").len(), 1);
    assert_eq!(daemon.times_logged("it answers 302 Found").len(), 1);
    assert_eq!(receiver.elsewhere.load(Ordering::SeqCst), 0);
    receiver.until(2).await;

    broker.stop();
    installation.until_ready_is(503).await;
    // One may be on its way.
    let so_far = receiver.beats() + 1;
    let blind = |page: &Page| page.get("nightrun_blind_seconds_total{contract=\"default\"}");
    let at_first = blind(&Page::of(&installation)).expect("it is there");
    let four_seconds = |page: &Page| blind(page).is_some_and(|now| now > at_first + 4.0);
    until(&installation, "four blind seconds", four_seconds).await;
    assert!(receiver.beats() <= so_far, "{} after {so_far}", receiver.beats());

    broker.start_again();
    receiver.until(so_far + 2).await;
    assert!(!daemon.log().contains(SECRET), "the log holds the address");
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_beats_over_tls_and_trusts_whom_the_machine_trusts() {
    let installation = Installation::embedded();
    let folder = installation.folder.path();
    let authority = Authority::new(folder, "authority");
    let pair = authority.certify("server", "localhost");
    let certificates = tls::certificates(&pair.certificate).expect("certificates");
    let key = tls::private_key(&pair.key).expect("a key");
    let acceptor = TlsAcceptor::from(tls::server(certificates, key).expect("TLS"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let url = format!("https://localhost:{port}/{SECRET}");

    let stranger = Authority::new(folder, "stranger").certificate().display().to_string();
    let daemon = beating(&installation, &url, Some(&stranger));
    let refused = within("a connection", listener.accept()).await.expect("a socket").0;
    assert!(acceptor.accept(refused).await.is_err(), "an authority that it does not trust");
    daemon.logged("it cannot be reached: invalid peer certificate: UnknownIssuer").await;
    assert!(!daemon.log().contains(SECRET), "the log holds the address");
    daemon.terminate().await;

    let known = authority.certificate().display().to_string();
    let daemon = beating(&installation, &url, Some(&known));
    let stream = within("a connection", listener.accept()).await.expect("a socket").0;
    let mut stream = within("TLS", acceptor.accept(stream)).await.expect("it trusts");
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(within("the request", stream.read_u8()).await.expect("a byte"));
    }
    let request = String::from_utf8(request).expect("text");
    assert!(request.starts_with(&format!("GET /{SECRET} HTTP/1.1\r\n")), "{request}");
    assert!(request.contains("user-agent: nightrun/"), "{request}");
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("sent");
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_answers_keeps_nobody_waiting() {
    let installation = Installation::embedded();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let daemon = beating(&installation, &format!("http://127.0.0.1:{port}/"), None);
    let _held = within("a beat", listener.accept()).await.expect("a socket");
    let mut phone = installation.sender().await;
    phone
        .say(
            "default/carer/amy",
            &json!({
                "event_id": "68656172-0000-4000-8000-000000000001", "type": "check_in",
                "client_ref": "C-1", "occurred_at": "2026-01-01T00:00:00Z",
            }),
        )
        .await;
    daemon.terminate().await;
}
