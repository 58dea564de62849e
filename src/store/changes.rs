//! What has been written since one looked last: for those who watch.

use std::collections::BTreeSet;

use super::cases::{CaseKey, read_keys};
use super::sql::sql;
use super::{Db, StoreError};

/// How far somebody has looked.
#[derive(Debug, Clone, Default)]
pub struct Mark {
    event: i64,
    correction: i64,
    /// Events near the mark that were seen: others may be committed later, with smaller numbers.
    seen: BTreeSet<i64>,
}

/// How far below the greatest number one may still appear.
const LATECOMERS: i64 = 2_000;

impl Mark {
    /// Everything that there is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn now(db: &mut Db) -> Result<Self, StoreError> {
        let (event, correction): (i64, i64) =
            sql("SELECT (SELECT COALESCE(MAX(id), 0) FROM event), \
                 (SELECT COALESCE(MAX(id), 0) FROM correction)")
            .fetch_one(db)
            .await?;
        let mut mark = Self { event, correction, seen: BTreeSet::new() };
        mark.next(db, i64::MAX).await?;
        Ok(mark)
    }

    /// The client nights that have got an event or a decision since, and moves on. At most so many
    /// events are looked at.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn next(&mut self, db: &mut Db, most: i64) -> Result<BTreeSet<CaseKey>, StoreError> {
        let found: Vec<(i64, String, String, String)> =
            sql("SELECT e.id, e.contract, e.night, e.client_ref FROM event e WHERE e.id > $1 \
                 ORDER BY e.id LIMIT $2")
            .bind(self.event - LATECOMERS)
            .bind(most.saturating_add(LATECOMERS))
            .fetch_all(db)
            .await?;
        let new = found.into_iter().filter(|(id, ..)| self.seen.insert(*id));
        let new: Vec<_> = new.collect();
        let placed = new.iter().filter(|(_, _, _, client)| !client.is_empty());
        let keys = placed
            .map(|(_, contract, night, client)| (contract.clone(), night.clone(), client.clone()));
        let mut keys = read_keys(keys.collect())?;
        self.event = new.iter().map(|(id, ..)| *id).fold(self.event, i64::max);
        self.seen = self.seen.split_off(&(self.event - LATECOMERS));
        let decided: Vec<(i64, String, String, String)> =
            sql("SELECT c.id, p.contract, p.night, p.client_ref FROM correction c \
                 JOIN planned_visit p ON p.contract = c.contract AND p.visit_ref = c.visit_ref \
                 WHERE c.id > $1 ORDER BY c.id LIMIT $2")
            .bind(self.correction)
            .bind(most)
            .fetch_all(db)
            .await?;
        self.correction = decided.iter().map(|(id, ..)| *id).fold(self.correction, i64::max);
        let decided =
            decided.into_iter().map(|(_, contract, night, client)| (contract, night, client));
        keys.extend(read_keys(decided.collect())?);
        Ok(keys)
    }
}
