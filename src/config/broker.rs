//! Reading `[broker]`: either the broker inside, or another one; and what belongs to the other of the
//! two is a mistake.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::{PrivateKeyDer, ServerName};

use super::mistakes::{Mistake, Notes};
use super::read::{Entry, Noted, Table};
use super::{BrokerKind, BrokerSettings, ClientTls, ListenTls, Secret};
use crate::domain::refs::{BadReference, is_reference};
use crate::tls::{self, Certificates, TlsError};
use crate::users::Users;

/// The port of MQTT without TLS.
const MQTT_PORT: u16 = 1883;
/// The port of MQTT with TLS.
const MQTTS_PORT: u16 = 8883;
/// Longest user name, in characters.
const USERNAME_MAX_CHARS: usize = 256;
/// Longest password that MQTT can carry, in bytes.
const PASSWORD_MAX_BYTES: usize = 65_535;
/// Longest host name that DNS knows, in bytes.
const HOST_MAX_BYTES: usize = 253;

/// Longest name of a group that shares, in bytes.
const SHARED_GROUP_MAX_BYTES: usize = 64;

/// The keys that are for a broker elsewhere.
const ELSEWHERE: [&str; 6] =
    ["username", "password", "password_file", "ca_file", "client_cert_file", "client_key_file"];
/// Those of them that are for TLS.
const ELSEWHERE_TLS: [&str; 3] = ["ca_file", "client_cert_file", "client_key_file"];
/// The keys that are for the embedded broker, beside `listen`, which has a default.
const INSIDE: [&str; 4] = ["tls_listen", "tls_cert_file", "tls_key_file", "users_file"];

/// What `broker.url` says.
enum BrokerUrl {
    Embedded,
    External { host: String, port: u16, tls: bool },
}

/// Reads the section. `None` if there is a mistake, which is noted.
pub(super) fn read(broker: &Table<'_>, notes: &mut Notes) -> Option<BrokerSettings> {
    let url = broker.read("url", notes, broker_url);
    let listen = broker.read("listen", notes, loopback);
    let client_id = broker.read("client_id", notes, |entry| match entry.text()? {
        id if is_reference(id) => Ok(id.to_owned()),
        _ => Err(entry.wrong(BadReference)),
    });
    let kind =
        match url? {
            BrokerUrl::Embedded => {
                misplaced(
                    broker,
                    &ELSEWHERE,
                    "the daemon needs this for a broker elsewhere only: leave it out, or name that \
                 broker in broker.url",
                    notes,
                );
                inside(broker, listen, notes)
            }
            BrokerUrl::External { host, port, tls } => {
                misplaced(
                    broker,
                    &INSIDE,
                    "this is for the embedded broker only: leave it out, or write \"embedded\" in \
                 broker.url",
                    notes,
                );
                let user = user(broker, notes);
                let tls = elsewhere_tls(broker, tls, notes);
                listen.and(user.zip(tls.ok())).map(|((username, password), tls)| {
                    BrokerKind::External { host, port, username, password, tls }
                })
            }
        };
    let shared_group = broker.read_optional("shared_group", notes, |entry| {
        let group = entry.text()?;
        let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        if !(1..=SHARED_GROUP_MAX_BYTES).contains(&group.len()) || !group.bytes().all(letter) {
            // It is not shown: whoever knows it can take messages away.
            return Err(entry.mistake("a group is called by 1 to 64 letters, digits, _ and -"));
        }
        Ok(group.to_owned())
    });
    if let (Some(BrokerKind::Embedded { .. }), Some(group)) =
        (&kind, broker.optional("shared_group"))
    {
        notes.add(group.mistake(
            "only daemons at one broker elsewhere share: leave this out, or name that broker in \
             broker.url",
        ));
    }
    let shared_group = shared_group.ok()?;
    Some(BrokerSettings { client_id: client_id?, shared_group, kind: kind? })
}

fn misplaced(broker: &Table<'_>, keys: &[&str], why: &str, notes: &mut Notes) {
    for entry in keys.iter().filter_map(|key| broker.optional(key)) {
        notes.add(entry.mistake(why));
    }
}

fn inside(broker: &Table<'_>, listen: Option<SocketAddr>, notes: &mut Notes) -> Option<BrokerKind> {
    let tls_listen = broker.read_optional("tls_listen", notes, |entry| match entry.socket()? {
        address if Some(address) == listen && address.port() != 0 => {
            Err(entry.wrong("broker.listen is there already: write another port"))
        }
        address => Ok(address),
    });
    let pair = pair(broker, ["tls_cert_file", "tls_key_file"], notes, |certificates, key| {
        tls::server(certificates, key)
    });
    let users_file = broker.read_optional("users_file", notes, |entry| {
        let path = entry.path()?;
        Users::read_if_there(&path).map_err(|error| entry.wrong(error))?;
        Ok(path)
    });
    match (broker.optional("tls_listen"), broker.optional("tls_cert_file")) {
        (Some(listen), None) if broker.optional("tls_key_file").is_none() => notes
            .add(listen.mistake("TLS needs broker.tls_cert_file and broker.tls_key_file as well")),
        (None, Some(certificate)) => notes
            .add(certificate.mistake("set broker.tls_listen as well, or nothing listens with TLS")),
        _ => {}
    }
    if let (Some(listen), None) = (broker.optional("tls_listen"), broker.optional("users_file")) {
        notes.add(
            listen.mistake("TLS does not say who speaks, so this needs broker.users_file as well"),
        );
    }
    let tls = match (tls_listen.ok()?, pair.ok()?) {
        (Some(listen), Some(Pair { cert_file, key_file, .. })) => {
            Some(ListenTls { listen, cert_file, key_file })
        }
        _ => None,
    };
    Some(BrokerKind::Embedded { listen: listen?, tls, users_file: users_file.ok()? })
}

/// Who the daemon is at a broker elsewhere.
fn user(broker: &Table<'_>, notes: &mut Notes) -> Option<(Option<String>, Option<Secret>)> {
    let username =
        broker.read_optional("username", notes, |entry| entry.text_up_to(USERNAME_MAX_CHARS));
    let password = password(broker, PASSWORD_MAX_BYTES, notes);
    match ["username", "password", "password_file"].map(|key| broker.optional(key)) {
        [None, Some(password), None] | [None, None, Some(password)] => {
            notes.add(password.mistake("a password needs broker.username too"));
        }
        _ => {}
    }
    Some((username.ok()?, password.ok()?))
}

/// A password, or that in a file.
pub(super) fn password(
    table: &Table<'_>,
    max_bytes: usize,
    notes: &mut Notes,
) -> Result<Option<Secret>, Noted> {
    secret(table, "password", max_bytes, notes)
}

/// A secret that is called so, or that in the file of that name.
pub(super) fn secret(
    table: &Table<'_>,
    what: &str,
    max_bytes: usize,
    notes: &mut Notes,
) -> Result<Option<Secret>, Noted> {
    table.text_or_file([what, &format!("{what}_file")], notes, |entry, text| {
        fits(entry, what, text, max_bytes)
    })
}

/// How the daemon speaks TLS with a broker elsewhere, if it does.
fn elsewhere_tls(
    broker: &Table<'_>,
    tls: bool,
    notes: &mut Notes,
) -> Result<Option<ClientTls>, Noted> {
    if !tls {
        let why = "this is for TLS: write \"mqtts://\" in broker.url, or leave it out";
        misplaced(broker, &ELSEWHERE_TLS, why, notes);
        return Ok(None);
    }
    let trusted = trusted(broker, notes);
    let own = pair(broker, ["client_cert_file", "client_key_file"], notes, |certificates, key| {
        // Without trust there is a mistake already.
        let trusted = trusted.as_ref().map(|(_, all)| all.clone());
        tls::client(trusted.unwrap_or_else(RootCertStore::empty), Some((certificates, key)))
    });
    let (ca_file, trusted) = trusted.ok_or(Noted)?;
    if let Some(Pair { cert_file, made: config, .. }) = own? {
        return Ok(Some(ClientTls { ca_file, client_cert_file: Some(cert_file), config }));
    }
    let config = broker.read("url", notes, |entry| {
        tls::client(trusted, None).map_err(|error| entry.mistake(error))
    });
    let config = config.ok_or(Noted)?;
    Ok(Some(ClientTls { ca_file, client_cert_file: None, config }))
}

/// The authorities whom the daemon trusts, and the file in which they are, if they are in one.
fn trusted(broker: &Table<'_>, notes: &mut Notes) -> Option<(Option<PathBuf>, RootCertStore)> {
    if broker.optional("ca_file").is_none() {
        return broker.read("url", notes, |entry| {
            let trusted = tls::trust_of_the_machine().map(|trusted| (None, trusted));
            trusted
                .map_err(|error| entry.mistake(format_args!("{error}: set broker.ca_file as well")))
        });
    }
    let trust = |path: &Path| tls::certificates(path).and_then(tls::trust);
    let (path, trusted) = file(broker, "ca_file", notes, trust).ok().flatten()?;
    Some((Some(path), trusted))
}

/// A certificate and its key, and what is made of them.
struct Pair<T> {
    cert_file: PathBuf,
    key_file: PathBuf,
    made: T,
}

/// Reads both or neither.
fn pair<T>(
    broker: &Table<'_>,
    keys: [&str; 2],
    notes: &mut Notes,
    make: impl FnOnce(Certificates, PrivateKeyDer<'static>) -> Result<T, TlsError>,
) -> Result<Option<Pair<T>>, Noted> {
    let certificates = file(broker, keys[0], notes, tls::certificates);
    let key = file(broker, keys[1], notes, tls::private_key);
    let entry = match keys.map(|key| broker.optional(key)) {
        [Some(alone), None] => return Err(needs(&alone, keys[1], notes)),
        [None, Some(alone)] => return Err(needs(&alone, keys[0], notes)),
        [None, None] => return Ok(None),
        [Some(_), Some(entry)] => entry,
    };
    let (Some((cert_file, certificates)), Some((key_file, key))) = (certificates?, key?) else {
        return Ok(None);
    };
    let made = make(certificates, key).map_err(|error| entry.wrong(error));
    let made = notes.take(made).ok_or(Noted)?;
    Ok(Some(Pair { cert_file, key_file, made }))
}

fn needs(alone: &Entry<'_>, other: &str, notes: &mut Notes) -> Noted {
    notes.add(alone.mistake(format_args!("this needs broker.{other} as well")));
    Noted
}

fn file<T>(
    broker: &Table<'_>,
    key: &str,
    notes: &mut Notes,
    read: impl FnOnce(&Path) -> Result<T, TlsError>,
) -> Result<Option<(PathBuf, T)>, Noted> {
    broker.read_optional(key, notes, |entry| {
        let path = entry.path()?;
        let read = read(&path).map_err(|error| entry.wrong(error))?;
        Ok((path, read))
    })
}

fn fits(entry: &Entry<'_>, what: &str, text: &str, max_bytes: usize) -> Result<Secret, Mistake> {
    if text.is_empty() {
        return Err(entry.mistake(format_args!("the {what} is empty")));
    }
    if text.len() > max_bytes {
        let long = format_args!("the {what} is longer than {max_bytes} bytes, the most there is");
        return Err(entry.mistake(long));
    }
    Ok(Secret(text.to_owned()))
}

fn loopback(entry: &Entry<'_>) -> Result<SocketAddr, Mistake> {
    let listen = entry.socket()?;
    if listen.ip().is_loopback() {
        Ok(listen)
    } else {
        Err(entry.wrong(
            "without TLS everyone on the way could read passwords and events, so this must be a \
             loopback address: write \"127.0.0.1:1883\", and set broker.tls_listen for phones \
             elsewhere",
        ))
    }
}

fn broker_url(entry: &Entry<'_>) -> Result<BrokerUrl, Mistake> {
    let url = entry.text()?;
    if url == "embedded" {
        return Ok(BrokerUrl::Embedded);
    }
    if url.contains('@') {
        return Err(entry.mistake(
            "a URL holds no user: write broker.username, and broker.password or \
             broker.password_file",
        ));
    }
    let read = match (url.strip_prefix("mqtt://"), url.strip_prefix("mqtts://")) {
        (Some(place), _) => external(place, false),
        (None, Some(place)) => external(place, true),
        (None, None) => None,
    };
    read.ok_or_else(|| {
        entry.wrong("write \"embedded\", \"mqtt://host:port\" or, with TLS, \"mqtts://host:port\"")
    })
}

fn external(place: &str, tls: bool) -> Option<BrokerUrl> {
    let place = place.strip_suffix('/').unwrap_or(place);
    let (host, port) = host_and_port(place, if tls { MQTTS_PORT } else { MQTT_PORT })?;
    // What no certificate could be for.
    if tls {
        ServerName::try_from(host.as_str()).ok()?;
    }
    Some(BrokerUrl::External { host, port, tls })
}

pub(super) fn host_and_port(place: &str, default: u16) -> Option<(String, u16)> {
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
        None => default,
    };
    (port != 0).then(|| (host.to_owned(), port))
}
