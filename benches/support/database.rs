//! The databases that a bench makes, and what it asks of them afterwards.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use tokio::time::sleep;

use super::servers::{Postgres, START_WITHIN};

/// Which database there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        })
    }
}

/// A server that listens already may still be starting.
async fn first_connection(url: &str) -> anyhow::Result<PgConnection> {
    let give_up_at = Instant::now() + START_WITHIN;
    loop {
        match PgConnection::connect(url).await {
            Ok(connection) => return Ok(connection),
            Err(_) if Instant::now() < give_up_at => sleep(Duration::from_millis(50)).await,
            Err(failed) => return Err(failed.into()),
        }
    }
}

/// A fresh database. The server of its own ends with it.
pub struct Database {
    pub url: String,
    server: Option<Postgres>,
}

impl Database {
    /// Makes one in this folder.
    pub async fn fresh(engine: Engine, folder: &Path) -> anyhow::Result<Self> {
        match engine {
            Engine::Sqlite => {
                let url = format!("sqlite:{}", folder.join("bench.db").display());
                Ok(Self { url, server: None })
            }
            Engine::Postgres => {
                let server = Postgres::start(folder)?;
                let mut maker = first_connection(&server.url("postgres")).await?;
                sqlx::query("CREATE DATABASE bench").execute(&mut maker).await?;
                Ok(Self { url: server.url("bench"), server: Some(server) })
            }
        }
    }

    /// The server that it is in, if it is in one.
    pub fn server(&self) -> Option<&Postgres> {
        self.server.as_ref()
    }

    /// Does something, while nobody uses it, with the file or folder that it is in.
    pub async fn at_rest(
        &mut self,
        deed: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match &mut self.server {
            Some(server) => {
                server.stopped(deed)?;
                first_connection(&self.url).await?.close().await?;
                Ok(())
            }
            None => deed(Path::new(self.url.trim_start_matches("sqlite:"))),
        }
    }

    /// The one number that a statement returns.
    pub async fn number(&self, statement: &str) -> anyhow::Result<i64> {
        let failed = || format!("the database does not answer: {statement}");
        let statement_safe = AssertSqlSafe(statement.to_owned());
        if self.url.starts_with("sqlite:") {
            let url = format!("{}?mode=ro", self.url);
            let mut database = SqliteConnection::connect(&url).await.with_context(failed)?;
            let asked = sqlx::query_scalar(statement_safe).fetch_one(&mut database);
            return asked.await.with_context(failed);
        }
        let mut database = PgConnection::connect(&self.url).await.with_context(failed)?;
        sqlx::query_scalar(statement_safe).fetch_one(&mut database).await.with_context(failed)
    }

    /// The version of the engine, in its own words.
    pub async fn version(&self) -> anyhow::Result<String> {
        if self.url.starts_with("sqlite:") {
            let mut database = SqliteConnection::connect("sqlite::memory:").await?;
            let version = sqlx::query_scalar::<_, String>("SELECT sqlite_version()");
            return Ok(format!("SQLite {}", version.fetch_one(&mut database).await?));
        }
        let mut database = PgConnection::connect(&self.url).await?;
        let version = sqlx::query_scalar::<_, String>("SHOW server_version");
        Ok(format!("PostgreSQL {}", version.fetch_one(&mut database).await?))
    }
}
