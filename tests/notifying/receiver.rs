//! A webhook's other end, which answers as the test says.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant as Tick};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::daemon::{PATIENCE, quiet_port};

/// How it answers.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    Status(u16),
    /// The status, and `Retry-After` so many seconds.
    After(u16, u32),
    Never,
}

/// What it was told.
#[derive(Debug, Clone)]
pub struct Told {
    pub path: String,
    pub id: String,
    pub timestamp: String,
    pub signature: String,
    pub body: String,
}

impl Told {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// The visits of its alerts, in its order.
    pub fn visits(&self) -> Vec<String> {
        let json = self.json();
        let alerts = json["data"]["alerts"].as_array().expect("alerts").clone();
        let visits = alerts.iter().filter_map(|alert| alert["visit_ref"].as_str());
        visits.map(str::to_owned).collect()
    }

    /// Whom it tells what: the last part of its path, why, which kind, which visits.
    pub fn says(&self) -> String {
        let json = self.json();
        let kind = json["data"]["alerts"][0]["kind"].as_str().expect("text").to_owned();
        let occasion = json["type"].as_str().expect("text").replace("alert.", "");
        let visits = self.visits().join("+");
        format!("{} {occasion} {kind} {visits}", self.path.trim_start_matches('/'))
    }
}

#[derive(Clone)]
struct Shared {
    told: Arc<Mutex<Vec<Told>>>,
    answer: Arc<Mutex<Answer>>,
}

/// The receiver. It listens while it is up.
pub struct Receiver {
    pub port: u16,
    shared: Shared,
    task: Option<JoinHandle<()>>,
}

impl Receiver {
    /// One that does not listen yet, and will be content with everything.
    pub fn down() -> Self {
        let answer = Arc::new(Mutex::new(Answer::Status(204)));
        let shared = Shared { told: Arc::default(), answer };
        Self { port: quiet_port(), shared, task: None }
    }

    pub async fn up() -> Self {
        let mut this = Self::down();
        this.go_up().await;
        this
    }

    pub async fn go_up(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.expect("its port");
        let router = Router::new().fallback(take).with_state(self.shared.clone());
        self.task = Some(tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves");
        }));
    }

    pub fn answers(&self, answer: Answer) {
        *self.shared.answer.lock().expect("no panic") = answer;
    }

    /// A recipient at this path, with these lines as well.
    pub fn recipient(&self, name: &str, lines: &str) -> String {
        let port = self.port;
        format!(
            "[[recipient]]\nname = \"{name}\"\nchannel = \"webhook\"\n\
             address = \"http://127.0.0.1:{port}/{name}\"\nsecret = \"whsec_{KEY}\"\n{lines}\n"
        )
    }

    pub fn told(&self) -> Vec<Told> {
        self.shared.told.lock().expect("no panic").clone()
    }

    /// Waits until it was told so often; what it was told.
    pub async fn until_told(&self, times: usize) -> Vec<Told> {
        let give_up_at = Tick::now() + PATIENCE;
        loop {
            let told = self.told();
            if told.len() >= times {
                return told;
            }
            assert!(Tick::now() < give_up_at, "told {} times, not {times}: {told:#?}", told.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until it was told this (see [`Told::says`]).
    pub async fn until_says(&self, says: &str) -> Told {
        let give_up_at = Tick::now() + PATIENCE;
        loop {
            let told = self.told();
            if let Some(found) = told.iter().find(|told| told.says() == says) {
                return found.clone();
            }
            let all: Vec<_> = told.iter().map(Told::says).collect();
            assert!(Tick::now() < give_up_at, "{says:?} was not told, but {all:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// With what it expects to be signed.
pub const KEY: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

async fn take(
    State(shared): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    let header = |name: &str| headers[name].to_str().expect("text").to_owned();
    shared.told.lock().expect("no panic").push(Told {
        path: uri.path().to_owned(),
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        body,
    });
    let answer = *shared.answer.lock().expect("no panic");
    let status = |code| StatusCode::from_u16(code).expect("a status");
    match answer {
        Answer::Status(code) => status(code).into_response(),
        Answer::After(code, seconds) => {
            (status(code), [(header::RETRY_AFTER, seconds.to_string())]).into_response()
        }
        Answer::Never => std::future::pending().await,
    }
}
