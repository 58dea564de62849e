//! What several daemons on one database hold, so that each decides by what the others have written.
//!
//! In a SQLite file one transaction writes at a time, and nothing needs to be held. In PostgreSQL
//! rows are held by `FOR UPDATE`, in sorted order; what has no row yet, and what is no row, is held
//! by its name. Everything is held until the transaction ends.

use super::sql::{Statement, sql};
use super::{Db, StoreError};

/// The space of nightrun's names among the advisory locks of a database: "nr".
const SPACE: i64 = 0x6e72;

/// What is held as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whole {
    /// The plan and registers in force, and where events were placed by them.
    Plan = 1,
    /// The alerts that are about no visit.
    Contracts = 2,
    /// The consequences of imports.
    Imports = 3,
}

impl Whole {
    /// Holds it together with others who do so.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn share(self, db: &mut Db) -> Result<(), StoreError> {
        if db.must_hold() {
            self.named("SELECT pg_advisory_xact_lock_shared($1::int, $2::int)").execute(db).await?;
        }
        Ok(())
    }

    /// Holds it alone: whoever had it has finished, and whoever wants it waits.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take(self, db: &mut Db) -> Result<(), StoreError> {
        if db.must_hold() {
            self.named("SELECT pg_advisory_xact_lock($1::int, $2::int)").execute(db).await?;
        }
        Ok(())
    }

    /// Holds it alone, if nobody else does.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn try_take(self, db: &mut Db) -> Result<bool, StoreError> {
        if !db.must_hold() {
            return Ok(true);
        }
        let hold = self.named("SELECT pg_try_advisory_xact_lock($1::int, $2::int)");
        let (held,): (bool,) = hold.fetch_one(db).await?;
        Ok(held)
    }

    fn named(self, hold: &'static str) -> Statement {
        sql(hold).bind(SPACE).bind(self as i64)
    }
}

/// Holds what is called so and has no row yet. `names` is a JSON array of texts.
///
/// # Errors
/// When the database fails.
pub(super) async fn names(db: &mut Db, names: String) -> Result<(), StoreError> {
    if db.must_hold() {
        // In one order, so that two who hold several do not wait for each other.
        sql("SELECT pg_advisory_xact_lock(n.name) FROM (SELECT DISTINCT \
             hashtextextended(value #>> '{}', 0) AS name FROM jsonb_each($1) ORDER BY 1) n")
        .bind(names)
        .execute(db)
        .await?;
    }
    Ok(())
}
