//! People and their programs over HTTP: who may do what, and what comes of it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod acting;
mod intruders;
mod reading;
mod roles;

use support::daemon::Installation;
use support::http::{Answer, Request, request};

/// Who asks, with a token of theirs.
struct Someone {
    port: u16,
    token: String,
}

impl Someone {
    /// Somebody who has just got a token of that role, with these other options.
    pub(crate) fn new(installation: &Installation, role: &str, options: &[&str]) -> Self {
        let name = format!("{role} on duty");
        let create = ["token", "create", "--role", role, "--name", &name];
        let shown = installation.run(create.into_iter().chain(options.iter().copied())).succeeded();
        Self { port: installation.http, token: shown.trim().to_owned() }
    }

    /// Somebody without a token.
    pub(crate) fn unknown(installation: &Installation) -> Self {
        Self { port: installation.http, token: String::new() }
    }

    pub(crate) fn request(&self, method: &'static str, path: &str) -> Request {
        request(self.port, method, path).token(&self.token)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.request("GET", path).answer()
    }

    pub(crate) fn post(&self, path: &str, body: &serde_json::Value) -> Answer {
        self.request("POST", path).json(body).answer()
    }
}
