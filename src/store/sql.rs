//! Statements that both engines take, and how they are run on either.
//!
//! A statement is one text wherever the engines agree; where they do not, both stand side by side.
//! Sets of rows go in as one JSON array, read by `jsonb_each($1)` and `value->>'name'`: SQLite has
//! them, PostgreSQL gets a function of that name.

use std::pin::Pin;

use serde::de::DeserializeOwned;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, FromRow, Postgres, SqlSafeStr, SqlStr, Sqlite, Transaction};
use tokio::time::Instant as Tick;

use super::StoreError;
use super::alerts::Raised;
use crate::mqtt::SlotNumber;

/// A transaction.
pub struct Db {
    pub(super) tx: Tx,
    /// The alerts that it raises.
    raised: Vec<Raised>,
}

/// A transaction of an engine.
pub(super) enum Tx {
    /// In a SQLite file.
    Sqlite(Transaction<'static, Sqlite>),
    /// In PostgreSQL.
    Postgres {
        /// The transaction itself.
        tx: Transaction<'static, Postgres>,
        /// Whether it may write. Others may write at the same time.
        writes: bool,
        /// The slot in whose name it writes.
        slot: SlotNumber,
    },
}

impl From<Tx> for Db {
    fn from(tx: Tx) -> Self {
        Self { tx, raised: Vec::new() }
    }
}

impl Db {
    /// Takes note of an alert that is raised, for who counts them after the commit.
    pub fn raises(&mut self, raised: Raised) {
        self.raised.push(raised);
    }

    /// The alerts that were raised so far.
    #[must_use]
    pub fn raised(&self) -> &[Raised] {
        &self.raised
    }

    /// Makes what was written last.
    ///
    /// # Errors
    /// When the database fails; then it may, or may not, have been made to last.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self.tx {
            Tx::Sqlite(tx) => tx.commit().await?,
            Tx::Postgres { tx, .. } => tx.commit().await?,
        }
        Ok(())
    }

    /// The slot in whose name it writes.
    pub(super) fn slot(&self) -> SlotNumber {
        match &self.tx {
            Tx::Sqlite(_) => 0,
            Tx::Postgres { slot, .. } => *slot,
        }
    }

    /// Whether others may write at the same time, so that what is read to be changed must be held.
    pub(super) fn must_hold(&self) -> bool {
        matches!(self.tx, Tx::Postgres { writes: true, .. })
    }
}

/// A row that either engine can give.
pub trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{}

/// What a statement comes to. Boxed, so that what runs it is compiled once, and not into each caller.
type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Rows of either engine.
enum Rows {
    Sqlite(Vec<SqliteRow>),
    Postgres(Vec<PgRow>),
}

impl Rows {
    fn read<T: Row>(self) -> Result<Vec<T>, StoreError> {
        let rows: Result<Vec<T>, sqlx::Error> = match self {
            Self::Sqlite(rows) => rows.iter().map(T::from_row).collect(),
            Self::Postgres(rows) => rows.iter().map(T::from_row).collect(),
        };
        Ok(rows?)
    }
}

/// A value of a statement.
pub enum Value {
    /// Text.
    Text(Option<String>),
    /// A number.
    Number(Option<i64>),
    /// Bytes.
    Bytes(Vec<u8>),
}

macro_rules! values {
    ($($from:ty: $value:ident => $to:expr;)*) => {
        $(impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $to
            }
        })*
    };
}

values! {
    &str: text => Self::Text(Some(text.to_owned()));
    String: text => Self::Text(Some(text));
    &String: text => Self::Text(Some(text.clone()));
    Option<String>: text => Self::Text(text);
    i64: number => Self::Number(Some(number));
    Option<i64>: number => Self::Number(number);
    &[u8]: bytes => Self::Bytes(bytes.to_vec());
}

/// Says in the log how long a statement took: which one is slow, a level of `trace` tells.
struct Timed(Option<(Tick, SqlStr)>);

impl Timed {
    fn new(text: &SqlStr) -> Self {
        Self(tracing::enabled!(tracing::Level::TRACE).then(|| (Tick::now(), text.clone())))
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        if let Some((began, text)) = &self.0 {
            tracing::trace!(micros = began.elapsed().as_micros(), "{}", text.as_str());
        }
    }
}

/// A statement, and its values.
#[must_use]
pub struct Statement {
    sqlite: SqlStr,
    postgres: SqlStr,
    values: Vec<Value>,
}

/// A statement that both engines take.
pub fn sql(text: &'static str) -> Statement {
    either(text, text)
}

/// A statement in the words of each engine.
pub fn either(sqlite: &'static str, postgres: &'static str) -> Statement {
    let (sqlite, postgres) = (sqlite.into_sql_str(), postgres.into_sql_str());
    Statement { sqlite, postgres, values: Vec::new() }
}

/// A statement about a table that is only known when it runs.
pub(super) fn composed(text: String) -> Statement {
    let text = AssertSqlSafe(text).into_sql_str();
    Statement { sqlite: text.clone(), postgres: text, values: Vec::new() }
}

impl Statement {
    /// The next value: `$1`, `$2`, ...
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    fn arguments<A: Arguments>(values: Vec<Value>) -> Result<A, StoreError>
    where
        Option<String>: for<'q> sqlx::Encode<'q, A::Database> + sqlx::Type<A::Database>,
        Option<i64>: for<'q> sqlx::Encode<'q, A::Database> + sqlx::Type<A::Database>,
        Vec<u8>: for<'q> sqlx::Encode<'q, A::Database> + sqlx::Type<A::Database>,
    {
        let mut arguments = A::default();
        for value in values {
            match value {
                Value::Text(text) => arguments.add(text),
                Value::Number(number) => arguments.add(number),
                Value::Bytes(bytes) => arguments.add(bytes),
            }
            .map_err(sqlx::Error::Encode)?;
        }
        Ok(arguments)
    }

    /// Runs it, and returns how many rows it wrote.
    ///
    /// # Errors
    /// When the database fails.
    pub fn execute(self, db: &mut Db) -> Answer<'_, u64> {
        Box::pin(async move {
            let _timed = Timed::new(&self.sqlite);
            Ok(match &mut db.tx {
                Tx::Sqlite(tx) => {
                    let arguments: SqliteArguments = Self::arguments(self.values)?;
                    let query = sqlx::query_with(self.sqlite, arguments);
                    query.execute(&mut **tx).await?.rows_affected()
                }
                Tx::Postgres { tx, .. } => {
                    let arguments: PgArguments = Self::arguments(self.values)?;
                    let query = sqlx::query_with(self.postgres, arguments);
                    query.execute(&mut **tx).await?.rows_affected()
                }
            })
        })
    }

    /// All rows, as the engine gives them.
    fn rows(self, db: &mut Db) -> Answer<'_, Rows> {
        Box::pin(async move {
            let _timed = Timed::new(&self.sqlite);
            Ok(match &mut db.tx {
                Tx::Sqlite(tx) => {
                    let arguments: SqliteArguments = Self::arguments(self.values)?;
                    let query = sqlx::query_with(self.sqlite, arguments);
                    Rows::Sqlite(query.fetch_all(&mut **tx).await?)
                }
                Tx::Postgres { tx, .. } => {
                    let arguments: PgArguments = Self::arguments(self.values)?;
                    let query = sqlx::query_with(self.postgres, arguments);
                    Rows::Postgres(query.fetch_all(&mut **tx).await?)
                }
            })
        })
    }

    /// All rows.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn fetch_all<T: Row>(self, db: &mut Db) -> Result<Vec<T>, StoreError> {
        self.rows(db).await?.read()
    }

    /// All rows of a statement that is `packed!`: from SQLite they come as one text, for there to hand
    /// over a value costs more than the value. So they are to be few: those of a batch.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn fetch_packed<T: Row + DeserializeOwned>(
        self,
        db: &mut Db,
    ) -> Result<Vec<T>, StoreError> {
        if let Tx::Postgres { .. } = db.tx {
            return self.fetch_all(db).await;
        }
        let (text,): (String,) = self.fetch_one(db).await?;
        serde_json::from_str(&text).map_err(|error| StoreError::Foreign(error.to_string()))
    }

    /// The first row, if there is one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn fetch_optional<T: Row>(self, db: &mut Db) -> Result<Option<T>, StoreError> {
        Ok(self.fetch_all(db).await?.into_iter().next())
    }

    /// The first row, which there is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn fetch_one<T: Row>(self, db: &mut Db) -> Result<T, StoreError> {
        self.fetch_optional(db).await?.ok_or(StoreError::Failed(sqlx::Error::RowNotFound))
    }
}
