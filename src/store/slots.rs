//! Whose the slots are: the sessions that the broker keeps for the daemons of one database (only in
//! PostgreSQL, for a SQLite file has one daemon).
//!
//! Whoever changes a row names what it saw in it: of two who take the same slot, one does.

use sqlx::FromRow;

use super::sql::sql;
use super::{Db, StoreError, at, outbox};
use crate::domain::instant::Instant;
use crate::mqtt::SlotNumber;
use crate::slots::observer::Slot;

/// A slot, and how far it has been heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSlot {
    /// Whose it is.
    pub slot: Slot,
    /// Up to when everything that the broker had for it is committed, by the database's clock; none
    /// if it never had anything.
    pub heard_to: Option<Instant>,
    /// What was due before then is unconfirmed.
    pub sure_from: Instant,
}

#[derive(FromRow)]
struct SlotRow {
    number: i64,
    holder: String,
    beat: i64,
    shared_group: String,
    hears_units: i64,
    heard_to: Option<i64>,
    sure_from: i64,
    now: i64,
}

impl SlotRow {
    fn read(self) -> Result<StoredSlot, StoreError> {
        let number = SlotNumber::try_from(self.number);
        let slot = Slot {
            number: number.map_err(|_| StoreError::Foreign("the number of a slot".to_owned()))?,
            holder: self.holder,
            beat: self.beat,
            group: self.shared_group,
            hears_units: self.hears_units != 0,
        };
        Ok(StoredSlot { slot, heard_to: self.heard_to.map(at), sure_from: at(self.sure_from) })
    }
}

/// The name under which the database knows a holder.
#[must_use]
pub fn application_name(holder: &str) -> String {
    format!("nightrun {holder}")
}

/// The commit of this transaction waits for the disk. Those of beats do not: after a crash of the
/// database, a beat more or less is the same.
///
/// # Errors
/// When the database fails.
pub async fn make_it_last(db: &mut Db) -> Result<(), StoreError> {
    sql("SELECT set_config('synchronous_commit', 'on', true)").execute(db).await?;
    Ok(())
}

/// The database's clock.
///
/// # Errors
/// When the database fails.
pub async fn clock(db: &mut Db) -> Result<Instant, StoreError> {
    let clock = sql("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)");
    let (now,): (i64,) = clock.fetch_one(db).await?;
    Ok(at(now))
}

/// All slots there are, and the database's clock.
///
/// # Errors
/// When the database fails.
pub async fn all(db: &mut Db) -> Result<(Instant, Vec<StoredSlot>), StoreError> {
    let found: Vec<SlotRow> = sql("SELECT s.*, \
         CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT) AS now \
         FROM slot s ORDER BY number")
    .fetch_all(db)
    .await?;
    let now = match found.first() {
        Some(row) => at(row.now),
        None => clock(db).await?,
    };
    let found: Result<_, StoreError> = found.into_iter().map(SlotRow::read).collect();
    Ok((now, found?))
}

/// Writes down that its holder works, and how far it has heard; both only ever grow.
///
/// # Errors
/// When the database fails.
pub async fn beat(
    db: &mut Db,
    (number, holder): (SlotNumber, &str),
    heard_to: Option<Instant>,
    sure_from: Instant,
) -> Result<(), StoreError> {
    sql("UPDATE slot SET beat = beat + 1, heard_to = greatest(heard_to, $3), \
         sure_from = greatest(sure_from, $4) WHERE number = $1 AND holder = $2")
    .bind(i64::from(number))
    .bind(holder)
    .bind(heard_to.map(|at| at.timestamp_micros()))
    .bind(sure_from.timestamp_micros())
    .execute(db)
    .await?;
    Ok(())
}

/// Writes down that the holder of these slots works, which it adopts.
///
/// # Errors
/// When the database fails.
pub async fn beat_for_adopted(
    db: &mut Db,
    (own, holder): (SlotNumber, &str),
) -> Result<(), StoreError> {
    sql("UPDATE slot SET beat = beat + 1 WHERE number <> $1 AND holder = $2")
        .bind(i64::from(own))
        .bind(holder)
        .execute(db)
        .await?;
    Ok(())
}

/// What the broker has for the slot is not waited for any longer.
///
/// # Errors
/// When the database fails.
pub async fn give_up(db: &mut Db, (number, holder): (SlotNumber, &str)) -> Result<(), StoreError> {
    let now = clock(db).await?;
    sql("UPDATE slot SET heard_to = $3, sure_from = $3 WHERE number = $1 AND holder = $2")
        .bind(i64::from(number))
        .bind(holder)
        .bind(now.timestamp_micros())
        .execute(db)
        .await?;
    Ok(())
}

/// Makes a slot, unless there is one of that number.
///
/// # Errors
/// When the database fails.
pub async fn make(
    db: &mut Db,
    (number, holder): (SlotNumber, &str),
    group: &str,
) -> Result<bool, StoreError> {
    let now = clock(db).await?;
    // Who is the first has heard nothing of what was before; who joins others has missed nothing.
    let made = sql("INSERT INTO slot (number, holder, shared_group, sure_from) \
         SELECT $1, $2, $3, CASE WHEN EXISTS (SELECT 1 FROM slot) THEN 0 ELSE $4 END \
         ON CONFLICT DO NOTHING")
    .bind(i64::from(number))
    .bind(holder)
    .bind(group)
    .bind(now.timestamp_micros())
    .execute(db)
    .await?;
    Ok(made > 0)
}

/// Takes a slot as it was seen, if it still is so. Whoever had it is cut off from the database first:
/// one that hangs holds what it was about to change, and everybody would wait for it.
///
/// # Errors
/// When the database fails.
pub async fn take(db: &mut Db, seen: &Slot, holder: &str) -> Result<bool, StoreError> {
    if !seen.holder.is_empty() && seen.holder != holder {
        sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE usename = current_user AND application_name = $1 AND EXISTS \
             (SELECT 1 FROM slot WHERE number = $2 AND holder = $3 AND beat = $4)")
        .bind(application_name(&seen.holder))
        .bind(i64::from(seen.number))
        .bind(&seen.holder)
        .bind(seen.beat)
        .execute(db)
        .await?;
    }
    let taken = sql("UPDATE slot SET holder = $4, beat = beat + 1 \
         WHERE number = $1 AND holder = $2 AND beat = $3")
    .bind(i64::from(seen.number))
    .bind(&seen.holder)
    .bind(seen.beat)
    .bind(holder)
    .execute(db)
    .await?;
    Ok(taken > 0)
}

/// The broker is about to have something for the slot: deadlines wait for it from now on.
///
/// # Errors
/// When the database fails.
pub async fn open(db: &mut Db, (number, holder): (SlotNumber, &str)) -> Result<(), StoreError> {
    let now = clock(db).await?;
    sql("UPDATE slot SET heard_to = $3 WHERE number = $1 AND holder = $2 AND heard_to IS NULL")
        .bind(i64::from(number))
        .bind(holder)
        .bind(now.timestamp_micros())
        .execute(db)
        .await?;
    Ok(())
}

/// The slot hears how units are, unless another does.
///
/// # Errors
/// When the database fails, or another slot does so at the same moment.
pub async fn hear_units(
    db: &mut Db,
    (number, holder): (SlotNumber, &str),
) -> Result<(), StoreError> {
    sql("UPDATE slot SET hears_units = 1 WHERE number = $1 AND holder = $2 \
         AND NOT EXISTS (SELECT 1 FROM slot WHERE hears_units = 1)")
    .bind(i64::from(number))
    .bind(holder)
    .execute(db)
    .await?;
    Ok(())
}

/// Leaves the slot to whoever comes.
///
/// # Errors
/// When the database fails.
pub async fn free(db: &mut Db, (number, holder): (SlotNumber, &str)) -> Result<(), StoreError> {
    sql("UPDATE slot SET holder = '' WHERE number = $1 AND holder = $2")
        .bind(i64::from(number))
        .bind(holder)
        .execute(db)
        .await?;
    Ok(())
}

/// The broker has nothing for the slot any more, and no session: there is no such slot. What its
/// daemon still had to publish is the heir's, who is as sure as that slot was.
///
/// # Errors
/// When the database fails.
pub async fn retire(
    db: &mut Db,
    (number, holder): (SlotNumber, &str),
    name: &str,
    (heir, sure_from): (SlotNumber, Instant),
) -> Result<(), StoreError> {
    let gone = sql("DELETE FROM slot WHERE number = $1 AND holder = $2")
        .bind(i64::from(number))
        .bind(holder)
        .execute(db)
        .await?;
    if gone > 0 {
        outbox::inherit(db, number, heir).await?;
        // The next of that number has had no session yet.
        sql("DELETE FROM daemon WHERE instance = $1").bind(name).execute(db).await?;
        sql("UPDATE slot SET sure_from = greatest(sure_from, $2) WHERE number = $1")
            .bind(i64::from(heir))
            .bind(sure_from.timestamp_micros())
            .execute(db)
            .await?;
    }
    Ok(())
}
