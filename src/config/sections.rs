//! Reading the sections, each into its settings.

use std::net::SocketAddr;

use tracing::Level;

use super::layers::{Merged, read_file};
use super::mistakes::Notes;
use super::read::{Entry, Table};
use super::{
    BrokerKind, CalendarSettings, HttpSettings, LogFormat, LogSettings, Settings, broker,
    contracts, heartbeat, notify,
};
use crate::store::Database;
use crate::wire::bank_holidays;

/// Longest password for PostgreSQL, in bytes.
const PASSWORD_MAX_BYTES: usize = 1_000;

/// Reads everything. `None` if there is a mistake, which is noted.
pub(super) fn read(merged: &Merged, has_file: bool, notes: &mut Notes) -> Option<Settings> {
    let section = |name| Table::section(name, &merged.values);
    let database = database(&section("database"), notes);
    let http = section("http");
    let http_listen = http.read("listen", notes, Entry::socket);
    let tokens = tokens(&http, http_listen, has_file, notes);
    let behind_tls = http.read("behind_tls", notes, Entry::boolean);
    let broker = broker::read(&section("broker"), notes);
    if let (Some(http_listen), Some(BrokerKind::Embedded { listen, tls, .. })) =
        (http_listen, broker.as_ref().map(|broker| &broker.kind))
        && (http_listen == *listen || tls.as_ref().is_some_and(|tls| http_listen == tls.listen))
        && http_listen.port() != 0
    {
        notes.take(http.optional("listen").map_or(Ok(()), |entry| {
            Err(entry.wrong("the embedded broker listens there: write another port"))
        }));
    }
    if let (Some(Database::File(_)), Some(group)) =
        (&database, section("broker").optional("shared_group"))
    {
        notes.add(group.mistake(
            "a SQLite file has one daemon: leave this out, or name a PostgreSQL database in \
             database.url",
        ));
    }
    let heartbeat = heartbeat::read(&section("heartbeat"), notes);
    let log = log(&section("log"), notes);
    let calendar = calendar(&section("calendar"), notes);
    // Contracts are read even if the bank holidays could not be, so that all mistakes are said.
    let holidays = calendar.as_ref().map(|calendar| calendar.bank_holidays.clone());
    let holidays = holidays.unwrap_or_default();
    let standard = contracts::standard(merged, &holidays, notes);
    let mut contracts = contracts::read(merged, &holidays, notes);
    let notify = notify::read(merged, contracts.as_mut(), notes);
    Some(Settings {
        database: database?,
        broker: broker?,
        http: HttpSettings {
            listen: http_listen?,
            asks_for_tokens: tokens?,
            behind_tls: behind_tls?,
        },
        heartbeat: heartbeat.ok()?,
        log: log?,
        calendar: calendar?,
        notify: notify?,
        contracts: contracts?,
        standard: standard?,
    })
}

fn database(table: &Table<'_>, notes: &mut Notes) -> Option<Database> {
    let database =
        table.read("url", notes, |entry| entry.text()?.parse().map_err(|bad| entry.wrong(bad)));
    let password = broker::password(table, PASSWORD_MAX_BYTES, notes);
    if let (Some(Database::File(_)), Some(entry)) =
        (&database, table.optional("password").or_else(|| table.optional("password_file")))
    {
        notes.add(entry.mistake("a SQLite file has no password: leave it out"));
    }
    let (database, password): (Database, _) = (database?, password.ok()?);
    Some(match password {
        Some(password) => database.with_password(password.expose()),
        None => database,
    })
}

/// Whether who comes over HTTP needs a token: not on an address of this machine alone, if nobody has
/// configured anything or has said so.
fn tokens(
    http: &Table<'_>,
    listen: Option<SocketAddr>,
    has_file: bool,
    notes: &mut Notes,
) -> Option<bool> {
    let said = http.read_optional("tokens", notes, |entry| {
        entry.one_of(&[("required", true), ("none", false)])
    });
    let is_loopback = listen?.ip().is_loopback();
    let asks = said.ok()?.unwrap_or(has_file || !is_loopback);
    if let (false, false, Some(entry)) = (asks, is_loopback, http.optional("tokens")) {
        notes.add(entry.mistake(
            "everybody who reaches that address would see all clients: write \"required\", or let \
             http.listen be a loopback address",
        ));
        return None;
    }
    Some(asks)
}

fn log(log: &Table<'_>, notes: &mut Notes) -> Option<LogSettings> {
    let level = log.read("level", notes, |entry| {
        entry.one_of(&[
            ("error", Level::ERROR),
            ("warn", Level::WARN),
            ("info", Level::INFO),
            ("debug", Level::DEBUG),
            ("trace", Level::TRACE),
        ])
    });
    let format = log.read("format", notes, |entry| {
        entry.one_of(&[("text", LogFormat::Text), ("json", LogFormat::Json)])
    });
    Some(LogSettings { level: level?, format: format? })
}

fn calendar(calendar: &Table<'_>, notes: &mut Notes) -> Option<CalendarSettings> {
    let mut bank_holidays = bank_holidays::published();
    let newer = calendar.read_optional("bank_holidays_file", notes, |entry| {
        let path = entry.path()?;
        let text = read_file(&path).map_err(|why| entry.wrong(why))?;
        let dates = bank_holidays::read(&text).map_err(|bad| entry.wrong(bad))?;
        Ok((path, dates))
    });
    let bank_holidays_file = newer.ok()?.map(|(path, dates)| {
        bank_holidays.publish(dates);
        path
    });
    Some(CalendarSettings { bank_holidays_file, bank_holidays })
}
