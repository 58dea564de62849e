//! Plan and registers by HTTP: the same files as from the command line, all of it or nothing.

use std::io::{BufReader, Seek, Write};

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::StatusCode;
use axum::{Json, Router};
use clap::ValueEnum as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_stream::StreamExt as _;

use super::super::AppState;
use super::super::auth::Visitor;
use super::super::doors::Doors;
use super::super::problem::Problem;
use super::Named;
use crate::clock;
use crate::domain::role::Deed;
use crate::import::take::{Kind, TakeError, take};

/// How the paths begin.
pub const PREFIX: &str = "/api/v1/import/";
/// The largest file: some two million visits.
const FILE_MAX_BYTES: u64 = 512 * 1024 * 1024;
/// The longest that one may take to come.
const FILE_WITHIN: std::time::Duration = std::time::Duration::from_mins(10);

/// Its routes; they bound what they take by themselves.
pub fn routes(app: &AppState) -> Router<AppState> {
    doors(Doors::new(app.clone())).into_router().layer(DefaultBodyLimit::disable())
}

/// Adds its routes.
#[must_use]
pub fn doors(doors: Doors) -> Doors {
    doors.post("/api/v1/import/{kind}", Deed::Import, import)
}

/// How a file is taken.
#[derive(Debug, Deserialize)]
pub struct How {
    #[serde(default)]
    dry_run: bool,
}

async fn import(
    State(app): State<AppState>,
    visitor: Visitor,
    Named(kind): Named<String>,
    how: Result<Query<How>, axum::extract::rejection::QueryRejection>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let kind = Kind::from_str(&kind, false).map_err(|_| {
        Problem::not_found("kind: visits, clients, carers, devices, tags or suspensions")
    })?;
    let Query(How { dry_run }) = how.map_err(|_| Problem::unusable("dry_run is true or false"))?;
    // Rows of other contracts are bad rows.
    let contracts = app.contracts.within(&visitor.contracts);
    let file = tokio::time::timeout(FILE_WITHIN, receive(body));
    let file = file.await.map_err(|_| {
        Problem::new(StatusCode::REQUEST_TIMEOUT, "the file did not come: send it again")
    })??;
    let input = Box::new(BufReader::with_capacity(1 << 16, file));
    let taken = take(input, kind, &app.store, &contracts, dry_run, clock::now()).await;
    let (findings, counts) = match taken {
        Ok(taken) => taken,
        Err(TakeError::Store(failed)) => return Err(failed.into()),
        Err(TakeError::Overtaken) => {
            return Err(Problem::new(StatusCode::CONFLICT, TakeError::Overtaken.to_string()));
        }
        Err(other) => return Err(Problem::unusable(other.to_string())),
    };
    let row = |line: u64, column: &Option<String>, text: &str| json!({"line": line, "column": column, "reason": text});
    let Some(counts) = counts else {
        let bad = findings.bad.first().iter().map(|bad| row(bad.line, &bad.column, &bad.reason));
        let more = findings.bad.more();
        let detail =
            "nothing was imported, because rows are bad: put them right, and send it again";
        let bad = json!({"rows": bad.collect::<Vec<_>>(), "more": more});
        return Err(Problem::unusable(detail).with("bad", bad));
    };
    app.changes.look();
    let warnings = findings.warnings.first().iter();
    let warnings: Vec<Value> = warnings.map(|one| row(one.line, &one.column, &one.text)).collect();
    Ok(Json(json!({
        "imported": counts.changed,
        "unchanged": counts.unchanged,
        "dry_run": dry_run,
        "warnings": warnings,
    })))
}

/// Keeps what is sent in a file that is gone when it is closed.
async fn receive(body: Body) -> Result<std::fs::File, Problem> {
    let full = |_| {
        let detail = "there is no room for the file: make room where temporary files are";
        Problem::new(StatusCode::INSUFFICIENT_STORAGE, detail)
    };
    let mut file = temporary().map_err(full)?;
    let (mut parts, mut bytes) = (body.into_data_stream(), 0);
    while let Some(part) = parts.next().await {
        let part = part.map_err(|_| Problem::unusable("the file broke off: send it again"))?;
        bytes += u64::try_from(part.len()).unwrap_or(u64::MAX);
        if bytes > FILE_MAX_BYTES {
            let detail = format!("a file may have {FILE_MAX_BYTES} bytes: send it in parts");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        file.write_all(&part).map_err(full)?;
    }
    file.rewind().map_err(full)?;
    Ok(file)
}

fn temporary() -> std::io::Result<std::fs::File> {
    let path = std::env::temp_dir().join(format!("nightrun-{}", uuid::Uuid::new_v4()));
    let mut options = std::fs::File::options();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}
