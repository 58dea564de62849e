//! Reading the sections, each into its settings.

use std::net::{Ipv6Addr, SocketAddr};

use tracing::Level;

use super::layers::{Merged, read_file};
use super::mistakes::{Mistake, Notes};
use super::read::{Entry, Table};
use super::{
    BrokerKind, BrokerSettings, CalendarSettings, DatabaseSettings, HttpSettings, LogFormat,
    LogSettings, Secret, Settings, contracts,
};
use crate::domain::refs::{BadReference, is_reference};
use crate::wire::bank_holidays;

/// The port of MQTT without TLS.
const MQTT_PORT: u16 = 1883;
/// Longest user name, in characters.
const USERNAME_MAX_CHARS: usize = 256;
/// Longest password that MQTT can carry, in bytes.
const PASSWORD_MAX_BYTES: usize = 65_535;
/// Longest host name that DNS knows, in bytes.
const HOST_MAX_BYTES: usize = 253;

/// Reads everything. `None` if there is a mistake, which is noted.
pub(super) fn read(merged: &Merged, notes: &mut Notes) -> Option<Settings> {
    let section = |name| Table::section(name, &merged.values);
    let database = section("database").read("url", notes, database);
    let http = section("http");
    let http_listen = http.read("listen", notes, Entry::socket);
    let broker = broker(&section("broker"), notes);
    if let (Some(http_listen), Some(BrokerKind::Embedded { listen })) =
        (http_listen, broker.as_ref().map(|broker| &broker.kind))
        && http_listen == *listen
        && listen.port() != 0
    {
        notes.take(http.optional("listen").map_or(Ok(()), |entry| {
            Err(entry.wrong("the embedded broker listens there: write another port"))
        }));
    }
    let log = log(&section("log"), notes);
    let calendar = calendar(&section("calendar"), notes);
    // Contracts are read even if the bank holidays could not be, so that all mistakes are said.
    let holidays = calendar.as_ref().map(|calendar| calendar.bank_holidays.clone());
    let holidays = holidays.unwrap_or_default();
    let standard = contracts::standard(merged, &holidays, notes);
    let contracts = contracts::read(merged, &holidays, notes);
    Some(Settings {
        database: database?,
        broker: broker?,
        http: HttpSettings { listen: http_listen? },
        log: log?,
        calendar: calendar?,
        contracts: contracts?,
        standard: standard?,
    })
}

fn database(entry: &Entry<'_>) -> Result<DatabaseSettings, Mistake> {
    let url = entry.text()?;
    if url.starts_with("postgres:") || url.starts_with("postgresql:") {
        return Err(entry.mistake(
            "this version stores in SQLite only: write \"sqlite:\" and the path of a file",
        ));
    }
    let path = url.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path));
    match path {
        Some(":memory:") => Err(entry.wrong("what is only in memory is lost: write a file's path")),
        Some(path) if !path.is_empty() && !path.contains(['?', '\0']) => {
            Ok(DatabaseSettings { path: path.into() })
        }
        _ => Err(entry.wrong("write \"sqlite:\" and the path of a file, without options")),
    }
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

/// What `broker.url` says.
enum BrokerUrl {
    Embedded,
    External { host: String, port: u16 },
}

fn broker(broker: &Table<'_>, notes: &mut Notes) -> Option<BrokerSettings> {
    let url = broker.read("url", notes, broker_url);
    let listen = broker.read("listen", notes, loopback);
    let client_id = broker.read("client_id", notes, |entry| match entry.text()? {
        id if is_reference(id) => Ok(id.to_owned()),
        _ => Err(entry.wrong(BadReference)),
    });
    let username =
        broker.read_optional("username", notes, |entry| entry.text_up_to(USERNAME_MAX_CHARS));
    let password = broker.read_optional("password", notes, |entry| secret(entry, entry.text()?));
    let password_from_file = broker.read_optional("password_file", notes, |entry| {
        let text = read_file(&entry.path()?).map_err(|why| entry.wrong(why))?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        secret(entry, line.strip_suffix('\r').unwrap_or(line))
    });

    let keys = ["username", "password", "password_file"].map(|key| broker.optional(key));
    if matches!(url, Some(BrokerUrl::Embedded)) {
        for entry in keys.iter().flatten() {
            notes.add(entry.mistake(
                "the embedded broker has no users in this version: leave this out, \
                 or name another broker in broker.url",
            ));
        }
    } else {
        match keys {
            [_, Some(password), Some(file)] => notes.add(file.mistake(format_args!(
                "the password is also given by {} ({}): leave one of the two out",
                password.name(),
                password.origin
            ))),
            [None, Some(password), None] | [None, None, Some(password)] => {
                notes.add(password.mistake("a password needs broker.username too"));
            }
            _ => {}
        }
    }
    let (username, password) = (username.ok()?, password.ok()?.or(password_from_file.ok()?));
    let kind = match url? {
        BrokerUrl::Embedded => BrokerKind::Embedded { listen: listen? },
        BrokerUrl::External { host, port } => {
            listen?;
            BrokerKind::External { host, port, username, password }
        }
    };
    Some(BrokerSettings { client_id: client_id?, kind })
}

fn secret(entry: &Entry<'_>, text: &str) -> Result<Secret, Mistake> {
    match text.len() {
        0 => Err(entry.mistake("the password is empty")),
        1..=PASSWORD_MAX_BYTES => Ok(Secret(text.to_owned())),
        _ => Err(entry.mistake(format_args!(
            "the password is longer than {PASSWORD_MAX_BYTES} bytes, the most that MQTT carries"
        ))),
    }
}

fn loopback(entry: &Entry<'_>) -> Result<SocketAddr, Mistake> {
    let listen = entry.socket()?;
    if listen.ip().is_loopback() {
        Ok(listen)
    } else {
        Err(entry.wrong(
            "the embedded broker has neither users nor TLS in this version, so it must stay on a \
             loopback address: write \"127.0.0.1:1883\", or run a broker of its own and name it \
             in broker.url",
        ))
    }
}

fn broker_url(entry: &Entry<'_>) -> Result<BrokerUrl, Mistake> {
    let url = entry.text()?;
    if url == "embedded" {
        return Ok(BrokerUrl::Embedded);
    }
    if url.starts_with("mqtts:") || url.starts_with("ssl:") {
        return Err(entry.mistake("this version speaks mqtt:// only, without TLS"));
    }
    if url.contains('@') {
        return Err(entry.mistake(
            "a URL holds no user: write broker.username, and broker.password or \
             broker.password_file",
        ));
    }
    let place = url.strip_prefix("mqtt://").map(|place| place.strip_suffix('/').unwrap_or(place));
    place.and_then(host_and_port).map_or_else(
        || Err(entry.wrong("write \"embedded\", \"mqtt://host\" or \"mqtt://host:port\"")),
        |(host, port)| Ok(BrokerUrl::External { host, port }),
    )
}

fn host_and_port(place: &str) -> Option<(String, u16)> {
    let (host, port) = if let Some(bracketed) = place.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
    } else {
        let (host, port) =
            place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port)));
        let letters = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let named = (1..=HOST_MAX_BYTES).contains(&host.len()) && host.bytes().all(letters);
        (named.then_some(host)?, port)
    };
    let port = match port {
        // `parse` alone would take "+1883" too.
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port.parse().ok()?,
        Some(_) => return None,
        None => MQTT_PORT,
    };
    (port != 0).then(|| (host.to_owned(), port))
}
