//! Reading `[heartbeat]`: who is told, over HTTP, that the daemon works.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use rustls::{ClientConfig, RootCertStore};

use super::HeartbeatSettings;
use super::mistakes::{Mistake, Notes};
use super::read::{Entry, Noted, Table};
use crate::tls;

/// How often it may be said.
const SECONDS: RangeInclusive<i64> = 1..=3_600;
/// Longest address, in bytes.
const URL_MAX_BYTES: usize = 2_000;

/// Reads the section, which says nothing if it names nobody.
pub(super) fn read(
    table: &Table<'_>,
    notes: &mut Notes,
) -> Result<Option<HeartbeatSettings>, Noted> {
    let url = table.text_or_file(["url", "url_file"], notes, address);
    let every = table.read("every_seconds", notes, |entry| entry.seconds(&SECONDS));
    let (Some((url, tls)), every) = (url?, every.ok_or(Noted)?) else { return Ok(None) };
    Ok(Some(HeartbeatSettings { url, every: Duration::from_secs(every), tls }))
}

/// The address, and how TLS is spoken there. What is wrong never repeats it: it may hold a secret.
fn address(entry: &Entry<'_>, text: &str) -> Result<(Url, Arc<ClientConfig>), Mistake> {
    let url = Url::parse(text).ok().filter(|url| {
        text.len() <= URL_MAX_BYTES && matches!(url.scheme(), "http" | "https") && url.has_host()
    });
    let url = url.ok_or_else(|| {
        entry.mistake("write an address as \"https://host/path\", or \"http://host/path\"")
    })?;
    let trusted = match tls::trust_of_the_machine() {
        Ok(trusted) => trusted,
        Err(_) if url.scheme() == "http" => RootCertStore::empty(),
        Err(error) => return Err(entry.mistake(error)),
    };
    let tls = tls::client(trusted, None).map_err(|error| entry.mistake(error))?;
    Ok((url, tls))
}
