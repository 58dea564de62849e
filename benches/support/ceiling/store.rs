//! One table, a unique id and one index, and synchronous commits: what storing events costs at the
//! least, in either database.

use std::collections::HashSet;

use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, PgConnection, SqliteConnection};

use super::Arrived;
use crate::support::database::Engine;

/// The one connection that writes.
pub enum Store {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

const TABLE: &str = "CREATE TABLE event (event_id TEXT NOT NULL UNIQUE, client_ref TEXT NOT NULL, \
                     topic TEXT NOT NULL, payload TEXT NOT NULL, received_at BIGINT NOT NULL)";
const INDEX: &str = "CREATE INDEX event_client ON event (client_ref)";

impl Store {
    pub async fn open(engine: Engine, url: &str) -> anyhow::Result<Self> {
        match engine {
            Engine::Sqlite => {
                let options: SqliteConnectOptions = url.parse()?;
                let mut database = options
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full)
                    .row_buffer_size(1_024)
                    .connect()
                    .await?;
                sqlx::query(TABLE).execute(&mut database).await?;
                sqlx::query(INDEX).execute(&mut database).await?;
                Ok(Self::Sqlite(database))
            }
            Engine::Postgres => {
                let mut database = PgConnection::connect(url).await?;
                sqlx::query(TABLE).execute(&mut database).await?;
                sqlx::query(INDEX).execute(&mut database).await?;
                Ok(Self::Postgres(database))
            }
        }
    }

    /// Stores what is new, in a transaction that is on the disk when this returns; the ids of that.
    pub async fn insert(&mut self, events: &[Arrived]) -> anyhow::Result<HashSet<String>> {
        let new: Vec<String> = match self {
            Self::Sqlite(database) => insert_sqlite(database, events).await?,
            Self::Postgres(database) => insert_postgres(database, events).await?,
        };
        Ok(new.into_iter().collect())
    }
}

async fn insert_sqlite(
    database: &mut SqliteConnection,
    events: &[Arrived],
) -> sqlx::Result<Vec<String>> {
    let rows: Vec<_> = events
        .iter()
        .map(|event| {
            json!([event.event_id, event.client_ref, event.topic, event.payload, event.received_at])
        })
        .collect();
    sqlx::query_scalar(
        "INSERT INTO event (event_id, client_ref, topic, payload, received_at) \
         SELECT value->>0, value->>1, value->>2, value->>3, value->>4 FROM json_each($1) WHERE true \
         ON CONFLICT DO NOTHING RETURNING event_id",
    )
    .bind(serde_json::Value::from(rows).to_string())
    .fetch_all(database)
    .await
}

async fn insert_postgres(
    database: &mut PgConnection,
    events: &[Arrived],
) -> sqlx::Result<Vec<String>> {
    let column = |value: fn(&Arrived) -> &str| events.iter().map(value).collect::<Vec<_>>();
    let received_at: Vec<i64> = events.iter().map(|event| event.received_at).collect();
    sqlx::query_scalar(
        "INSERT INTO event (event_id, client_ref, topic, payload, received_at) \
         SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) \
         ON CONFLICT DO NOTHING RETURNING event_id",
    )
    .bind(column(|event| &event.event_id))
    .bind(column(|event| &event.client_ref))
    .bind(column(|event| &event.topic))
    .bind(column(|event| &event.payload))
    .bind(received_at)
    .fetch_all(database)
    .await
}
