//! Weeks that are stored already: all SQL that makes them, by sets, in either database.
//!
//! Each client has a visit in each night, which one carer made. The rows are what nightrun itself
//! would have written; the registers come in by its own import.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use chrono::{Datelike, NaiveDate, NaiveTime, TimeDelta};
use nightrun::domain::instant::from_micros;
use nightrun::domain::policy::Contract;
use nightrun::domain::quantity::Quantity;
use nightrun::domain::schedule3::Counted;
use nightrun::domain::visit::Status;
use nightrun::store::settled::{self, JudgedBy};
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, SqliteConnection};

use super::daemon::Installation;
use super::history::History;
use super::report::Common;
use super::rig::Rig;

/// Clients of an archive, unless its events are too few for so many.
const CLIENTS: u32 = 100_000;

/// An archive.
#[derive(Debug, Clone, Copy)]
pub struct Archive {
    history: History,
    /// 23:00 of the first night, in microseconds.
    first: i64,
}

impl Archive {
    /// One of about so many events, which ends some days before now.
    fn of(events: u32, installation: &Installation) -> Self {
        let clients = CLIENTS.min(events / 2).max(1);
        Self::weeks(clients, events / 2 / clients, installation)
    }

    /// Nightrun for a rig, whose database holds an archive of about so many events. One that an
    /// earlier bench has kept is copied.
    pub async fn under(
        rig: &mut Rig,
        events: u32,
        common: &Common,
    ) -> anyhow::Result<(Installation, Self)> {
        let name = format!("{}-{events}-{}", rig.engine, env!("CARGO_PKG_VERSION"));
        let kept = common.archives.as_ref().filter(|_| events > 0).map(|folder| folder.join(name));
        if let Some(kept) = &kept
            && let Ok(offset) = std::fs::read_to_string(kept.join("offset"))
        {
            let installation = Installation::ahead(rig, offset.parse()?)?;
            ensure!(installation.is_early(), "{} is too old: delete it", kept.display());
            rig.database.at_rest(|place| copy(&kept.join("database"), place)).await?;
            let archive = Self::of(events, &installation);
            return Ok((installation, archive));
        }
        let installation = Installation::new(rig)?;
        let archive = Self::of(events, &installation);
        archive.fill(&installation, rig).await?;
        if let Some(kept) = kept {
            std::fs::create_dir_all(&kept)?;
            rig.database.at_rest(|place| copy(place, &kept.join("database"))).await?;
            let offset = installation.ahead_of_utc().num_hours().to_string();
            std::fs::write(kept.join("offset"), offset)?;
        }
        Ok((installation, archive))
    }

    /// One of so many nights, which ends with the last Sunday that is over.
    pub fn weeks(clients: u32, nights: u32, installation: &Installation) -> Self {
        let yesterday = installation.tonight() - TimeDelta::days(1);
        let since_sunday = i64::from(yesterday.weekday().num_days_from_sunday());
        let from = yesterday - TimeDelta::days(since_sunday + i64::from(nights) - 1);
        let evening = from.and_time(NaiveTime::MIN).and_utc() + TimeDelta::hours(23);
        let first = (evening - installation.ahead_of_utc()).timestamp_micros();
        Self { history: History { clients, nights, from }, first }
    }

    pub fn events(&self) -> u64 {
        self.history.events()
    }

    /// The first day of so many weeks at its end.
    pub fn last_weeks(&self, weeks: i64) -> NaiveDate {
        self.history.from + TimeDelta::days(i64::from(self.history.nights))
            - TimeDelta::weeks(weeks)
    }

    /// Fills the rig's database, before the daemon runs.
    pub async fn fill(&self, installation: &Installation, rig: &Rig) -> anyhow::Result<()> {
        if self.events() == 0 {
            return Ok(());
        }
        let clients = rig.path("archive-clients.csv");
        self.history.write_clients(&clients)?;
        installation.import("clients", &clients)?;
        let mut daemon = installation.start()?;
        installation.until_ready(&mut daemon)?;
        installation.until_applied(rig).await?;
        daemon.stop()?;
        let contract = installation.contract()?;
        match rig.database.url.strip_prefix("sqlite:") {
            Some(path) => self.fill_sqlite(path.as_ref(), &contract).await,
            None => self.fill_postgres(&rig.database.url, &contract).await,
        }
    }

    async fn fill_sqlite(&self, path: &Path, contract: &Contract) -> anyhow::Result<()> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            // An archive need not survive anything; it is folded in before the daemon begins.
            .synchronous(SqliteSynchronous::Off)
            .pragma("cache_size", "-2000000")
            .busy_timeout(Duration::from_secs(10));
        let mut database: SqliteConnection = options.connect().await?;
        for statement in self.statements(&SQLITE, contract)? {
            sqlx::query(AssertSqlSafe(statement)).execute(&mut database).await?;
        }
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut database).await?;
        database.close().await?;
        Ok(())
    }

    async fn fill_postgres(&self, url: &str, contract: &Contract) -> anyhow::Result<()> {
        let mut database = PgConnection::connect(url).await?;
        sqlx::query("SET synchronous_commit = off").execute(&mut database).await?;
        for statement in self.statements(&POSTGRES, contract)? {
            sqlx::query(AssertSqlSafe(statement)).execute(&mut database).await?;
        }
        // What autovacuum would have done in all these weeks.
        sqlx::query("VACUUM ANALYZE").execute(&mut database).await?;
        sqlx::query("CHECKPOINT").execute(&mut database).await?;
        Ok(())
    }

    fn statements(&self, dialect: &Dialect, contract: &Contract) -> anyhow::Result<Vec<String>> {
        let mut all = vec![import(self.first)];
        for night in 0..self.history.nights {
            let of_night = OfNight {
                night,
                date: self.history.from + TimeDelta::days(night.into()),
                evening: self.first + i64::from(night) * 86_400_000_000,
                clients: self.history.clients,
                dialect,
            };
            let nights = of_night.nights(contract)?;
            all.extend([of_night.plan(), of_night.events(), nights, of_night.page()]);
        }
        all.push(self.senders());
        Ok(all)
    }

    fn senders(&self) -> String {
        let History { clients, nights, .. } = self.history;
        let carers = clients.div_ceil(12);
        let (said, heard) = (nights * 24, self.first + i64::from(nights) * 86_400_000_000);
        format!(
            "{NUMBERS} WHERE i + 1 < {carers}) \
             INSERT INTO sender (contract, kind, ref, complete_to, heard_at) \
             SELECT 'default', 'carer', 'a' || i, {said}, {heard} FROM n"
        )
    }
}

/// Puts a file or a folder in the place of another, with its owners.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    for command in
        [Command::new("rm").arg("-rf").arg(to), Command::new("cp").arg("-a").args([from, to])]
    {
        ensure!(command.status()?.success(), "{} is not copied", from.display());
    }
    // What follows is not to wait for the disk.
    ensure!(Command::new("sync").status()?.success(), "no sync");
    Ok(())
}

/// The numbers from 0, up to a bound that follows.
const NUMBERS: &str =
    "WITH RECURSIVE n (i) AS (SELECT CAST(0 AS BIGINT) UNION ALL SELECT i + 1 FROM n";

/// What the two databases say differently.
struct Dialect {
    /// A random UUID, as text.
    uuid: &'static str,
    /// 64 random hexadecimal digits.
    hash: &'static str,
    /// The instant `at`, in microseconds, as RFC 3339.
    instant: &'static str,
}

const SQLITE: Dialect = Dialect {
    uuid: "lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' \
           || substr(hex(randomblob(2)), 2) || '-8' || substr(hex(randomblob(2)), 2) || '-' \
           || hex(randomblob(6)))",
    hash: "lower(hex(randomblob(32)))",
    instant: "strftime('%Y-%m-%dT%H:%M:%SZ', at / 1000000, 'unixepoch')",
};

const POSTGRES: Dialect = Dialect {
    uuid: "gen_random_uuid()::text",
    hash: "replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '')",
    instant: "to_char(to_timestamp(at / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')",
};

/// An import that has been applied, for the plan of all nights.
fn import(at: i64) -> String {
    format!(
        "INSERT INTO import (kind, started_at, seq, committed_at, applied_at) \
         SELECT 'visits', {at}, MAX(seq) + 1, {at}, {at} FROM import"
    )
}

/// The rows of one night.
struct OfNight<'a> {
    night: u32,
    date: NaiveDate,
    /// 23:00, in microseconds.
    evening: i64,
    clients: u32,
    dialect: &'a Dialect,
}

impl OfNight<'_> {
    /// When the visit at client `i` begins.
    fn start(&self) -> String {
        format!("({} + (i % 12 * 35 + 5) * 60000000)", self.evening)
    }

    fn plan(&self) -> String {
        let Self { night, date, clients, .. } = self;
        let start = self.start();
        format!(
            "{NUMBERS} WHERE i + 1 < {clients}) \
             INSERT INTO planned_visit (import_id, contract, visit_ref, client_ref, night, service, \
             service_level, run, start_at, end_at, carers_required, carers, time_specific) \
             SELECT (SELECT MAX(id) FROM import), 'default', 'A-{night}-' || i, 'A-' || i, '{date}', \
             'Out of Hours', 'Planned', 'R-' || (i / 12), {start}, {start} + 1800000000, 1, '', 0 FROM n"
        )
    }

    fn events(&self) -> String {
        let Self { night, date, clients, dialect: Dialect { uuid, hash, instant }, .. } = self;
        let start = self.start();
        // The ids are made once and for all before they are used twice.
        format!(
            "{NUMBERS} WHERE i + 1 < {clients}), said AS MATERIALIZED ( \
                 SELECT i, kind, {uuid} AS id, {start} + leaves * 1500000000 + 1000000 * (i % 60) AS at, \
                 ({night} * 12 + i % 12) * 2 + 1 + leaves AS seq FROM n \
                 CROSS JOIN (SELECT 'check_in' AS kind, 0 AS leaves \
                 UNION ALL SELECT 'check_out', 1) AS deeds) \
             INSERT INTO event (contract, event_id, content, topic, payload, received_at, \
             effective_at, carer_ref, night, client_ref, placed_by) \
             SELECT 'default', id, {hash}, 'nightrun/v1/default/carer/a' || (i / 12) || '/event', \
             '{{\"event_id\":\"' || id || '\",\"type\":\"' || kind || '\",\"occurred_at\":\"' || {instant} \
             || '\",\"client_ref\":\"A-' || i || '\",\"visit_ref\":\"A-{night}-' || i \
             || '\",\"method\":\"gps\",\"position\":{{\"lat\":' || (50.0 + 0.004 * (i / 1200)) \
             || ',\"lon\":' || (-4.0 + 0.007 * (i % 1200)) || ',\"accuracy_m\":12}},\"sent_at\":\"' \
             || {instant} || '\",\"seq\":' || seq || '}}', \
             at + 2000000, at, 'a' || (i / 12), '{date}', 'A-' || i, 'client' FROM said"
        )
    }

    fn nights(&self, contract: &Contract) -> anyhow::Result<String> {
        let Self { night, date, evening, clients, .. } = self;
        // As nightrun keeps the night of the first client, put into SQL.
        let visit = Counted {
            visit_ref: format!("A-{night}-0").parse()?,
            client: "A-0".parse()?,
            night: *date,
            service: "Out of Hours".to_owned(),
            service_level: "Planned".to_owned(),
            start: from_micros(*evening).context("an instant")?,
            status: Status::Delivered,
            planned: Some(Quantity::ONE),
            present: 1,
            carers_required: 1,
            call: Some(TimeDelta::microseconds(1_500_000_000)),
            reason: None,
            typed: Vec::new(),
        };
        let morning = from_micros(evening + 36_000_000_000).context("an instant")?;
        let mut judged_by = JudgedBy::new(contract);
        let settled =
            settled::to_keep(*date, judged_by.of(*date), [visit], morning).context("settled")?;
        let named = format!("\"A-{night}-0\"");
        let begins = format!("\"start\":{evening}");
        ensure!(settled.contains(&named) && settled.contains(&begins), "{settled}");
        let settled = settled
            .replace(&named, &format!("\"A-{night}-' || i || '\""))
            .replace(&begins, &format!("\"start\":' || {} || '", self.start()));
        Ok(format!(
            "{NUMBERS} WHERE i + 1 < {clients}) \
             INSERT INTO night (contract, client_ref, night, settled) \
             SELECT 'default', 'A-' || i, '{date}', '{settled}' FROM n"
        ))
    }

    fn page(&self) -> String {
        let Self { date, clients, .. } = self;
        format!(
            "INSERT INTO ledger (contract, night, received, accepted) \
             VALUES ('default', '{date}', {clients} * 2, {clients} * 2)"
        )
    }
}
