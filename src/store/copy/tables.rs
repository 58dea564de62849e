//! What is copied: the tables, their columns and keys as the databases say them, and their rows.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row as _, TypeInfo as _, ValueRef as _};

use super::CopyError;
use crate::store::evidence::hex;
use crate::store::sql::{Statement, composed, sql};
use crate::store::{Db, StoreError, lines};

/// All tables, each after those to which it refers.
pub const TABLES: [&str; 21] = [
    "import",
    "import_night",
    "planned_visit",
    "register_row",
    "event",
    "rejected",
    "rejected_night",
    "night",
    "sender",
    "alert",
    "notification",
    "recipient",
    "outbox",
    "daemon",
    "ledger",
    "correction",
    "act",
    "handed_in",
    "token",
    "session",
    "access",
];

/// Rows that are read at once. One may be as long as a batch of receipts.
const PAGE: usize = 500;

/// A table, as both databases have it.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub name: &'static str,
    /// Those of the file; PostgreSQL has them too.
    columns: Vec<String>,
    /// Where among the columns the primary key is, in its order.
    key: Vec<usize>,
}

/// One value of a row.
#[derive(Debug, Clone)]
enum Cell {
    Null,
    Number(i64),
    Text(String),
    Bytes(Vec<u8>),
    /// Of a type that nightrun never writes.
    Other,
}

/// A row.
#[derive(Debug)]
pub(super) struct Cells(Vec<Cell>);

/// The key of a row.
#[derive(Debug, Clone)]
pub(super) struct Key(Vec<Cell>);

macro_rules! cells_from {
    ($row:ty, $number:literal, $bytes:literal) => {
        impl FromRow<'_, $row> for Cells {
            fn from_row(row: &$row) -> Result<Self, sqlx::Error> {
                let cell = |index: usize| {
                    let value = row.try_get_raw(index)?;
                    let of_type = value.type_info();
                    Ok(match of_type.name() {
                        _ if value.is_null() => Cell::Null,
                        $number => Cell::Number(row.try_get(index)?),
                        "TEXT" => Cell::Text(row.try_get(index)?),
                        $bytes => Cell::Bytes(row.try_get(index)?),
                        _ => Cell::Other,
                    })
                };
                (0..row.len()).map(cell).collect::<Result<_, sqlx::Error>>().map(Self)
            }
        }
    };
}

cells_from!(SqliteRow, "INTEGER", "BLOB");
cells_from!(PgRow, "INT8", "BYTEA");

impl Table {
    /// What both databases have under that name.
    pub async fn find(
        name: &'static str,
        source: &mut Db,
        target: &mut Db,
    ) -> Result<Self, CopyError> {
        let columns: Vec<(String, i64)> =
            sql("SELECT name, pk FROM pragma_table_info($1) ORDER BY cid")
                .bind(name)
                .fetch_all(source)
                .await?;
        let kept: Vec<(String,)> = sql("SELECT column_name::text FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = $1")
        .bind(name)
        .fetch_all(target)
        .await?;
        if let Some((column, _)) =
            columns.iter().find(|(column, _)| kept.iter().all(|(other,)| other != column))
        {
            return Err(CopyError::NoPlace(format!("{name}.{column}")));
        }
        let mut key: Vec<usize> = (0..columns.len()).filter(|&at| columns[at].1 > 0).collect();
        key.sort_by_key(|&at| columns[at].1);
        let columns = columns.into_iter().map(|(column, _)| format!("\"{column}\"")).collect();
        Ok(Self { name, columns, key })
    }

    /// What begins to write its rows.
    pub fn begin_copy(&self) -> String {
        format!("COPY \"{}\" ({}) FROM STDIN", self.name, self.columns.join(", "))
    }

    /// How many rows it has there.
    pub async fn count(&self, db: &mut Db) -> Result<u64, StoreError> {
        let count = composed(format!("SELECT count(*) FROM \"{}\"", self.name));
        let (count,): (i64,) = count.fetch_one(db).await?;
        Ok(count.unsigned_abs())
    }

    /// The next rows after that key, in the order of their keys.
    pub async fn page(&self, db: &mut Db, after: Option<&Key>) -> Result<Vec<Cells>, StoreError> {
        let key = self.key_columns();
        let mut page = format!("SELECT {} FROM \"{}\"", self.columns.join(", "), self.name);
        if after.is_some() {
            let values: Vec<String> = (1..=self.key.len()).map(|n| format!("${n}")).collect();
            let _ = write!(page, " WHERE ({key}) > ({})", values.join(", "));
        }
        let _ = write!(page, " ORDER BY {key} LIMIT {PAGE}");
        let page = composed(page);
        let page = after.into_iter().flat_map(|key| &key.0).fold(page, bind);
        page.fetch_all(db).await
    }

    /// The greatest key there.
    pub async fn greatest(&self, db: &mut Db) -> Result<Option<Key>, StoreError> {
        let key = self.key_columns();
        let last_first = key.replace(", ", " DESC, ");
        let greatest = composed(format!(
            "SELECT {key} FROM \"{}\" ORDER BY {last_first} DESC LIMIT 1",
            self.name
        ));
        let found: Option<Cells> = greatest.fetch_optional(db).await?;
        Ok(found.map(|cells| Key(cells.0)))
    }

    pub fn key_of(&self, row: &Cells) -> Key {
        Key(self.key.iter().map(|&at| row.0[at].clone()).collect())
    }

    /// Adds a row as one line, as PostgreSQL reads it. No two rows have the same line.
    pub fn write(&self, row: &Cells, line: &mut Vec<u8>) -> Result<(), CopyError> {
        for (at, cell) in row.0.iter().enumerate() {
            if at > 0 {
                line.push(b'\t');
            }
            match cell {
                Cell::Null => line.extend(lines::NULL),
                Cell::Number(number) => lines::write_number(*number, line),
                Cell::Text(text) if text.contains('\0') => {
                    return Err(self.odd(row, at, "the character U+0000"));
                }
                Cell::Text(text) => lines::write_text(text, line),
                Cell::Bytes(bytes) => {
                    line.extend(b"\\\\x");
                    line.extend(hex(bytes).bytes());
                }
                Cell::Other => return Err(self.odd(row, at, "a value of another type")),
            }
        }
        line.push(b'\n');
        Ok(())
    }

    fn odd(&self, row: &Cells, at: usize, what: &'static str) -> CopyError {
        let key = self.key_of(row).0;
        let key = key.iter().map(|cell| match cell {
            Cell::Number(number) => number.to_string(),
            Cell::Text(text) => format!("{text:?}"),
            Cell::Null | Cell::Bytes(_) | Cell::Other => "?".to_owned(),
        });
        let key = key.collect::<Vec<_>>().join(", ");
        let column = &self.columns[at];
        CopyError::Odd { table: self.name, key, column: column.replace('"', ""), what }
    }

    fn key_columns(&self) -> String {
        let key: Vec<&str> = self.key.iter().map(|&at| self.columns[at].as_str()).collect();
        key.join(", ")
    }

    /// How many rows it has there, and what they are.
    pub async fn digest(&self, db: &mut Db) -> Result<Summary, CopyError> {
        let (mut rows, mut sha256, mut line) = (0, Sha256::new(), Vec::new());
        let mut after = None;
        loop {
            let page = self.page(db, after.as_ref()).await?;
            let Some(last) = page.last() else { break };
            after = Some(self.key_of(last));
            for row in &page {
                line.clear();
                self.write(row, &mut line)?;
                sha256.update(&line);
                rows += 1;
            }
        }
        Ok(Summary { rows, sha256: hex(&sha256.finalize()) })
    }
}

/// The rows of a table, counted and hashed in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// How many.
    pub rows: u64,
    /// The hash of all of them, hexadecimal.
    pub sha256: String,
}

fn bind(statement: Statement, cell: &Cell) -> Statement {
    match cell {
        Cell::Number(number) => statement.bind(*number),
        Cell::Text(text) => statement.bind(text),
        Cell::Bytes(bytes) => statement.bind(bytes.as_slice()),
        Cell::Null | Cell::Other => statement.bind(None::<i64>),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::store::{Database, Store};

    #[tokio::test]
    async fn every_table_is_copied_after_those_to_which_it_refers() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Database::file(&folder.path().join("nightrun.db"))).await.unwrap();
        let mut db = store.read().await.unwrap();
        let there: Vec<(String,)> = sql("SELECT name FROM sqlite_master WHERE type = 'table' \
             AND name <> '_sqlx_migrations' AND name NOT LIKE 'sqlite_%'")
        .fetch_all(&mut db)
        .await
        .unwrap();
        let there: BTreeSet<String> = there.into_iter().map(|(name,)| name).collect();
        assert_eq!(there, TABLES.into_iter().map(String::from).collect());
        for (at, name) in TABLES.into_iter().enumerate() {
            let refers: Vec<(String,)> = sql("SELECT \"table\" FROM pragma_foreign_key_list($1)")
                .bind(name)
                .fetch_all(&mut db)
                .await
                .unwrap();
            assert!(refers.iter().all(|(to,)| TABLES[..at].contains(&to.as_str())), "{name}");
            let keys: Vec<(i64,)> = sql("SELECT pk FROM pragma_table_info($1) WHERE pk > 0")
                .bind(name)
                .fetch_all(&mut db)
                .await
                .unwrap();
            assert!(!keys.is_empty(), "{name} has no key");
        }
    }
}
