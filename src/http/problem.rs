//! What is answered when something is not done: RFC 9457 problem details, in words that say what to do.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::acts::ActError;
use crate::store::StoreError;

/// Why something is not done.
#[derive(Debug)]
pub struct Problem {
    /// The status code.
    pub status: StatusCode,
    /// What is wrong, and what to do.
    pub detail: String,
    /// More about it, beside the usual members.
    more: Option<(&'static str, Value)>,
    /// When to try again, in seconds.
    retry_after: Option<u64>,
}

impl Problem {
    /// One with that status.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), more: None, retry_after: None }
    }

    /// There is no such thing, or it is not for those who ask: which, is not said.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no such {what}"))
    }

    /// What was sent cannot be used.
    pub fn unusable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// The same, with more about it under that name.
    #[must_use]
    pub fn with(self, name: &'static str, more: Value) -> Self {
        Self { more: Some((name, more)), ..self }
    }

    /// The same, to be tried again after so many seconds.
    #[must_use]
    pub fn again_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// As JSON.
    #[must_use]
    pub fn body(&self) -> Value {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason(),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some((name, more)) = &self.more {
            body[*name] = more.clone();
        }
        body
    }
}

/// What a problem says, beside the answer: a page says it in its own way.
#[derive(Debug, Clone)]
pub struct Said(pub String);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (self.status, kind, self.body().to_string()).into_response();
        response.extensions_mut().insert(Said(self.detail));
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"nightrun\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(failed: StoreError) -> Self {
        // What the database says is for who runs it.
        tracing::error!("a request was not answered: {failed}");
        let detail = "the database does not answer: try again; the log says more";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).again_after(5)
    }
}

impl From<ActError> for Problem {
    fn from(not_done: ActError) -> Self {
        let status = match not_done {
            ActError::Store(failed) => return failed.into(),
            ActError::NotFound(what) => return Self::not_found(what),
            ActError::Over | ActError::NobodySpokenTo | ActError::EndsByItself => {
                StatusCode::CONFLICT
            }
            ActError::Unusable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            ActError::Unanswered => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, not_done.to_string())
    }
}
