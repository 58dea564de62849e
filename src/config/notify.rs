//! Reading `[notify]`, `[smtp]` and `[govuk_notify]`: by what ways recipients are told (R24). What a way
//! needs and is not set, and what is set for nothing, is a mistake.

use std::collections::BTreeMap;
use std::net::IpAddr;

use chrono::TimeDelta;
use hyper::Uri;
use lettre::message::Mailbox;
use uuid::Uuid;

use super::broker::{host_and_port, secret};
use super::keys::RECIPIENT;
use super::layers::{BUILT_IN_ORIGIN, Merged};
use super::mistakes::{Mistake, Notes};
use super::read::{Entry, Table};
use super::{
    Addressee, Channel, Contracts, GovukKey, GovukNotify, NotifySettings, Secret, Security, Smtp,
    recipients,
};
use crate::domain::recipient::Recipients;
use crate::domain::refs::ContractId;
use crate::tls;

/// Longest user name, password or key, in bytes.
pub(super) const SECRET_MAX_BYTES: usize = 1_000;
/// Longest user name or address, in characters.
const TEXT_MAX_CHARS: usize = 256;

/// Reads all of it, and lets the contracts know who is told. `None` if there is a mistake, which is
/// noted.
pub(super) fn read(
    merged: &Merged,
    contracts: Option<&mut Contracts>,
    notes: &mut Notes,
) -> Option<NotifySettings> {
    let section = |name| Table::section(name, &merged.values);
    let notify = section("notify");
    let group_within = notify
        .read("group_within_seconds", notes, |entry| entry.whole("seconds", &(0..=60)))
        .map(TimeDelta::seconds);
    let give_up_after = notify
        .read("give_up_after_hours", notes, |entry| entry.whole("hours", &(1..=168)))
        .map(TimeDelta::hours);
    let most_per_minute =
        notify.read("most_per_minute", notes, |entry| entry.whole("notifications", &(1..=600)));
    let ca_file = notify.read_optional("ca_file", notes, |entry| {
        let path = entry.path()?;
        let trusted = tls::certificates(&path).and_then(tls::trust);
        Ok((path, trusted.map_err(|error| entry.wrong(error))?))
    });
    let smtp = smtp(&section("smtp"), notes);
    let govuk_notify = govuk_notify(&section("govuk_notify"), notes);
    let addressees = recipients::read(merged, notes);
    if let (Some(addressees), Ok(smtp), Ok(govuk)) = (&addressees, &smtp, &govuk_notify) {
        ways(merged, addressees, smtp.as_ref(), govuk.as_ref(), contracts.as_deref(), notes);
    }
    let (addressees, ca_file) = (addressees?, ca_file.ok()?);
    let (smtp, govuk_notify) = (smtp.ok()?, govuk_notify.ok()?);
    let (ca_file, trusted) = ca_file.unzip();
    let is_secure = |url: &Uri| url.scheme_str() == Some("https");
    let webhook = addressees.values().any(|one| match &one.channel {
        Channel::Webhook { url, .. } => is_secure(url),
        _ => false,
    });
    let tls = if webhook || govuk_notify.as_ref().is_some_and(|govuk| is_secure(&govuk.url)) {
        let trusted = trusted.map_or_else(tls::trust_of_the_machine, Ok);
        let tls = trusted
            .and_then(|trusted| tls::client(trusted, None))
            .map_err(|error| notify.mistake(format_args!("https: {error}: set notify.ca_file")));
        Some(notes.take(tls)?)
    } else {
        None
    };
    let settings = NotifySettings {
        addressees,
        group_within: group_within?,
        give_up_after: give_up_after?,
        spacing: TimeDelta::milliseconds(60_000 / most_per_minute?),
        ca_file,
        tls,
        smtp,
        govuk_notify,
    };
    if let Some(contracts) = contracts {
        contracts.tell(|contract| settings.recipients(contract));
    }
    Some(settings)
}

impl NotifySettings {
    /// Those who are told of a contract's alerts.
    fn recipients(&self, contract: &ContractId) -> Recipients {
        let of_contract = |one: &&Addressee| {
            one.contracts.as_ref().is_none_or(|contracts| contracts.contains(contract))
        };
        let all = self.addressees.values().filter(of_contract);
        Recipients {
            all: all.map(|one| one.recipient.clone()).collect(),
            group_within: self.group_within,
            give_up_after: self.give_up_after,
        }
    }
}

/// There was a mistake in a section that may be left out altogether, and it is noted.
struct Wrong;

/// Notes a mistake about the first of these keys that is set.
fn at(table: &Table<'_>, keys: &[&str], what: &str, notes: &mut Notes) -> Wrong {
    let entry = keys.iter().find_map(|key| table.optional(key));
    notes.add(entry.map_or_else(|| table.mistake(what), |entry| entry.mistake(what)));
    Wrong
}

fn smtp(table: &Table<'_>, notes: &mut Notes) -> Result<Option<Smtp>, Wrong> {
    let mistake = |_| Wrong;
    let security = table
        .read("security", notes, |entry| {
            entry.one_of(&[
                ("starttls", Security::StartTls),
                ("tls", Security::Tls),
                ("none", Security::None),
            ])
        })
        .ok_or(Wrong)?;
    let server = table.read_optional("server", notes, |entry| {
        let (host, port) = host_and_port(entry.text()?, security.port())
            .ok_or_else(|| entry.wrong("write the server's name, as \"smtp.example.org:587\""))?;
        if security == Security::None && !is_loopback(&host) {
            return Err(entry.wrong(
                "without TLS everyone on the way could read it, so this must be a loopback \
                 address: write smtp.security = \"starttls\" or \"tls\"",
            ));
        }
        Ok((host, port))
    });
    let from = table.read_optional("from", notes, |entry| {
        entry.text()?.parse::<Mailbox>().map_err(|_| {
            entry.mistake("write an e-mail address, as \"nightrun <night@example.org>\"")
        })
    });
    let username = table.read_optional("username", notes, |entry| entry.text_up_to(TEXT_MAX_CHARS));
    let password = secret(table, "password", SECRET_MAX_BYTES, notes);
    let (server, from) = (server.map_err(mistake)?, from.map_err(mistake)?);
    let (username, password) = (username.map_err(mistake)?, password.map_err(mistake)?);
    let user = match (username, password) {
        (Some(username), Some(password)) => Some((username, password)),
        (None, None) => None,
        (Some(_), None) => {
            let what = "this needs smtp.password or smtp.password_file as well";
            return Err(at(table, &["username"], what, notes));
        }
        (None, Some(_)) => {
            let what = "a password needs smtp.username too";
            return Err(at(table, &["password", "password_file"], what, notes));
        }
    };
    match (server, from) {
        (Some((host, port)), Some(from)) => Ok(Some(Smtp { host, port, security, user, from })),
        (None, None) if user.is_none() => Ok(None),
        (None, _) => Err(at(table, &["from", "username"], "this needs smtp.server as well", notes)),
        (Some(_), None) => Err(at(table, &["server"], "this needs smtp.from as well", notes)),
    }
}

fn govuk_notify(table: &Table<'_>, notes: &mut Notes) -> Result<Option<GovukNotify>, Wrong> {
    let mistake = |_| Wrong;
    let url = table.read("url", notes, |entry| {
        let url = url(entry)?;
        let is_bare = url.path() == "/" && url.query().is_none();
        is_bare.then_some(url).ok_or_else(|| entry.wrong("write no path"))
    });
    let key = secret(table, "key", SECRET_MAX_BYTES, notes).map_err(mistake);
    let key = key.and_then(|key| match key.map(|key| govuk_key(key.expose())) {
        Some(None) => {
            let what = "this is no key of GOV.UK Notify: write it whole, as it was shown when it was \
                        made";
            Err(at(table, &["key", "key_file"], what, notes))
        }
        Some(key) => Ok(key),
        None => Ok(None),
    });
    let template = |entry: &Entry<'_>| {
        Uuid::parse_str(entry.text()?).map_err(|_| entry.wrong("write the template's id, a UUID"))
    };
    let sms_template = table.read_optional("sms_template", notes, template).map_err(mistake);
    let email_template = table.read_optional("email_template", notes, template).map_err(mistake);
    let (url, key) = (url.ok_or(Wrong)?, key?);
    let (sms_template, email_template) = (sms_template?, email_template?);
    let Some(key) = key else {
        if sms_template.or(email_template).is_some() {
            let what = "this needs govuk_notify.key or govuk_notify.key_file as well";
            return Err(at(table, &["sms_template", "email_template"], what, notes));
        }
        return Ok(None);
    };
    Ok(Some(GovukNotify { url, key, sms_template, email_template }))
}

/// A key's last two parts are UUIDs: the service's id, and the secret. Before them is its name.
fn govuk_key(key: &str) -> Option<GovukKey> {
    const UUID_CHARS: usize = 36;
    let key = key.trim();
    let secret_from = key.len().checked_sub(UUID_CHARS)?;
    let service_from = secret_from.checked_sub(UUID_CHARS + 1)?;
    let (service, secret) = (key.get(service_from..secret_from - 1)?, key.get(secret_from..)?);
    Uuid::parse_str(service).ok()?;
    Uuid::parse_str(secret).ok()?;
    Some(GovukKey { service: service.to_owned(), secret: Secret::new(secret) })
}

/// Where a web server is: with TLS, or on this machine.
pub(super) fn url(entry: &Entry<'_>) -> Result<Uri, Mistake> {
    let right = "write \"https://\" and where it is; \"http://\" is for a loopback address only";
    let url: Uri = entry.text()?.parse().map_err(|_| entry.mistake(right))?;
    let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else {
        return Err(entry.mistake(right));
    };
    if authority.as_str().contains('@') {
        return Err(entry.mistake("a URL holds no user or password here"));
    }
    let host = url.host().unwrap_or_default();
    let is_safe = scheme == "https" || (scheme == "http" && is_loopback(host));
    if is_safe && !host.is_empty() { Ok(url) } else { Err(entry.mistake(right)) }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What each way needs, is there, and the contracts that are named are.
fn ways(
    merged: &Merged,
    addressees: &BTreeMap<String, Addressee>,
    smtp: Option<&Smtp>,
    govuk: Option<&GovukNotify>,
    contracts: Option<&Contracts>,
    notes: &mut Notes,
) {
    let origin = merged.values.get(RECIPIENT).and_then(|list| list.origin());
    let mut wrong = |name: &str, what: &str| {
        let origin = origin.unwrap_or(BUILT_IN_ORIGIN);
        notes.add(Mistake::new(origin, format_args!("recipient \"{name}\": {what}")));
    };
    for (name, one) in addressees {
        match &one.channel {
            Channel::Email(_) if smtp.is_none() => {
                wrong(name, "e-mail needs [smtp] server and from");
            }
            Channel::GovukSms(_) if govuk.is_none_or(|govuk| govuk.sms_template.is_none()) => {
                wrong(name, "this needs [govuk_notify] key and sms_template");
            }
            Channel::GovukEmail(_) if govuk.is_none_or(|govuk| govuk.email_template.is_none()) => {
                wrong(name, "this needs [govuk_notify] key and email_template");
            }
            _ => {}
        }
        for contract in one.contracts.iter().flatten() {
            if contracts.is_some_and(|contracts| contracts.get(contract).is_none()) {
                wrong(name, &format!("there is no contract \"{contract}\""));
            }
        }
    }
}
