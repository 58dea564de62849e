//! Reading `[notify]`, `[smtp]`, `[govuk_notify]` and `[[recipient]]`: who is told of alerts, and by
//! what way (R24). What one way needs and is not set, and what is set for nothing, is a mistake.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ::config::ValueKind;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use hyper::Uri;
use lettre::Address;
use lettre::message::Mailbox;
use uuid::Uuid;

use super::broker::{host_and_port, secret};
use super::keys::{RECIPIENT, RECIPIENT_KEYS};
use super::layers::{BUILT_IN_ORIGIN, Merged};
use super::mistakes::{Mistake, Notes};
use super::read::{Entry, Table};
use super::{
    Addressee, Channel, Contracts, GovukKey, GovukNotify, NotifySettings, Secret, Security, Smtp,
};
use crate::domain::alert::{AlertKind, Severity};
use crate::domain::recipient::{Audience, Recipient, Recipients};
use crate::domain::refs::{BadReference, ContractId, is_reference};
use crate::tls;

/// Most recipients.
const RECIPIENTS_MAX: usize = 200;
/// Most of them to which one's alerts escalate.
const ESCALATE_MAX: usize = 10;
/// Longest user name, password or key, in bytes.
const SECRET_MAX_BYTES: usize = 1_000;
/// Longest user name or address, in characters.
const TEXT_MAX_CHARS: usize = 256;
/// How the secret of a webhook begins, by Standard Webhooks.
const SECRET_PREFIX: &str = "whsec_";
/// How long it is, in bytes, by Standard Webhooks.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

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
    let addressees = addressees(merged, notes);
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
fn url(entry: &Entry<'_>) -> Result<Uri, Mistake> {
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

fn addressees(merged: &Merged, notes: &mut Notes) -> Option<BTreeMap<String, Addressee>> {
    let list = merged.values.get(RECIPIENT);
    let origin = list.and_then(|list| list.origin()).unwrap_or(BUILT_IN_ORIGIN);
    let tables = match list.map(|list| &list.kind) {
        Some(ValueKind::Array(tables)) => tables.as_slice(),
        _ => &[],
    };
    if tables.len() > RECIPIENTS_MAX {
        notes.add(Mistake::new(
            origin,
            format_args!("there are {} recipients: at most {RECIPIENTS_MAX}", tables.len()),
        ));
        return None;
    }
    let mut read = Vec::new();
    for (table, number) in tables.iter().zip(1..) {
        let ValueKind::Table(values) = &table.kind else { continue };
        let name = match values.get("name").map(|name| &name.kind) {
            Some(ValueKind::String(name)) if is_reference(name) => format!(" ({name:?})"),
            _ => String::new(),
        };
        let table = Table {
            name: format!("[[recipient]] {number}{name}"),
            separator: ": ",
            origin,
            values: Some(values),
            defaults: None,
        };
        super::contracts::unknown_keys(&table, values, &RECIPIENT_KEYS, notes);
        read.push((addressee(&table, notes), table));
    }
    let names: BTreeSet<String> =
        read.iter().filter_map(|(one, _)| Some(one.as_ref()?.recipient.name.clone())).collect();
    let councils: BTreeSet<String> = read
        .iter()
        .filter_map(|(one, _)| one.as_ref())
        .filter(|one| one.recipient.audience == Audience::Council)
        .map(|one| one.recipient.name.clone())
        .collect();
    let mut by_escalation = BTreeSet::new();
    for (one, table) in &read {
        for next in one.iter().flat_map(|one| &one.recipient.escalate_to) {
            let wrong = if !names.contains(next) {
                "there is no recipient of that name"
            } else if councils.contains(next) {
                "a council is told what the rules say, and not in place of others"
            } else {
                by_escalation.insert(next.clone());
                continue;
            };
            notes.add(table.mistake(format_args!("escalate_to names {next:?}: {wrong}")));
        }
    }
    let mut addressees = BTreeMap::new();
    let mut whole = true;
    for (one, table) in read {
        let Some(mut one) = one else {
            whole = false;
            continue;
        };
        let name = one.recipient.name.clone();
        if by_escalation.contains(&name) {
            one.recipient.by_escalation = true;
            for key in ["contracts", "kinds", "least_severity", "escalate_to"] {
                if let Some(entry) = table.optional(key) {
                    notes.add(entry.mistake(
                        "somebody escalates to this recipient, which is then told of that and of \
                         nothing else: leave this out, or write another [[recipient]]",
                    ));
                }
            }
        }
        if addressees.insert(name, one).is_some() {
            notes.add(table.mistake("another recipient has this name"));
        }
    }
    whole.then_some(addressees)
}

fn addressee(table: &Table<'_>, notes: &mut Notes) -> Option<Addressee> {
    let name = table.read("name", notes, |entry| match entry.text()? {
        name if is_reference(name) => Ok(name.to_owned()),
        _ => Err(entry.wrong(BadReference)),
    });
    let contracts = table.read_optional("contracts", notes, |entry| {
        let list = entry.list("write contracts as [\"north\", \"south\"]", |id| id.parse().ok())?;
        Ok(BTreeSet::from_iter(list))
    });
    let audience = table.read_optional("audience", notes, |entry| {
        entry.one_of(&[("coordinator", Audience::Coordinator), ("council", Audience::Council)])
    });
    let kinds = table.read_optional("kinds", notes, |entry| {
        let list = entry
            .list("write kinds as [\"late\", \"missed\"] (see docs/rules.md)", |kind| {
                kind.parse::<AlertKind>().ok()
            })?;
        Ok(BTreeSet::from_iter(list))
    });
    let least_severity = table.read_optional("least_severity", notes, |entry| {
        entry.one_of(&[
            ("info", Severity::Info),
            ("warning", Severity::Warning),
            ("high", Severity::High),
            ("critical", Severity::Critical),
        ])
    });
    let escalate_to = table.read_optional("escalate_to", notes, |entry| {
        let names = entry.list("write names as [\"manager\", \"director\"]", |name| {
            is_reference(name).then(|| name.to_owned())
        })?;
        if names.len() > ESCALATE_MAX {
            return Err(entry.mistake(format_args!("at most {ESCALATE_MAX} names")));
        }
        Ok(names)
    });
    let escalate_after = table.read_optional("escalate_after_minutes", notes, |entry| {
        entry.whole("minutes", &(1..=720)).map(TimeDelta::minutes)
    });
    let channel = channel(table, notes);
    let audience = audience.ok()?.unwrap_or(Audience::Coordinator);
    let (kinds, escalate_to) = (kinds.ok()?, escalate_to.ok()?.unwrap_or_default());
    if audience == Audience::Council {
        let never = kinds.iter().flatten().find(|kind| !kind.is_for_council());
        if let Some(kind) = never {
            notes.add(
                table.mistake(format_args!(
                    "kinds names {kind}, of which a council is not told (R21)"
                )),
            );
        }
        if !escalate_to.is_empty() {
            notes.add(table.mistake(
                "a council acknowledges nothing: leave escalate_to out, or write audience = \
                 \"coordinator\"",
            ));
        }
    }
    let recipient = Recipient {
        name: name?,
        audience,
        kinds,
        least_severity: least_severity.ok()?.unwrap_or(Severity::Warning),
        escalate_to,
        escalate_after: escalate_after.ok()?.unwrap_or(TimeDelta::minutes(10)),
        by_escalation: false,
    };
    Some(Addressee { recipient, contracts: contracts.ok()?, channel: channel? })
}

#[derive(Clone, Copy)]
enum Way {
    Webhook,
    Smtp,
    GovukNotify,
    Mqtt,
}

fn channel(table: &Table<'_>, notes: &mut Notes) -> Option<Channel> {
    let way = table.read("channel", notes, |entry| {
        match entry.one_of(&[
            ("webhook", Way::Webhook),
            ("smtp", Way::Smtp),
            ("govuk_notify", Way::GovukNotify),
            ("mqtt", Way::Mqtt),
        ])? {
            Way::Mqtt => Err(entry.wrong(
                "alerts are published over MQTT whoever listens: leave this recipient out, and \
                 subscribe to nightrun/v1/CONTRACT/alert/#",
            )),
            way => Ok(way),
        }
    });
    let secret = secret(table, "secret", SECRET_MAX_BYTES, notes).ok();
    let way = way?;
    let address = |notes: &mut Notes| match way {
        Way::Webhook => table.read("address", notes, url).map(Channel::url),
        Way::Smtp => table.read("address", notes, email).map(Channel::Email),
        Way::GovukNotify => table.read("address", notes, |entry| match entry.text()? {
            text if text.contains('@') => email(entry).map(Channel::GovukEmail),
            _ => telephone(entry).map(Channel::GovukSms),
        }),
        Way::Mqtt => None,
    };
    let channel = address(notes);
    match (way, secret?) {
        (Way::Webhook, Some(secret)) => match (channel?, signing_key(secret.expose())) {
            (Channel::Webhook { url, .. }, Some(key)) => Some(Channel::Webhook { url, key }),
            _ => {
                notes.add(table.mistake(format_args!(
                    "the secret is not one of Standard Webhooks: write \"{SECRET_PREFIX}\" and {} \
                     to {} random bytes in Base64",
                    SECRET_BYTES.start(),
                    SECRET_BYTES.end()
                )));
                None
            }
        },
        (Way::Webhook, None) => {
            notes.add(
                table.mistake("a webhook needs secret or secret_file, with which it is signed"),
            );
            None
        }
        (_, Some(_)) => {
            notes.add(table.mistake("only a webhook has a secret: leave it out"));
            None
        }
        (_, None) => channel,
    }
}

impl Channel {
    /// A webhook whose key is still to be read.
    fn url(url: Uri) -> Self {
        Self::Webhook { url, key: Secret::new("") }
    }
}

/// The key behind a webhook's secret; it stays in Base64.
fn signing_key(secret: &str) -> Option<Secret> {
    let encoded = secret.strip_prefix(SECRET_PREFIX)?;
    let key = STANDARD.decode(encoded).ok()?;
    SECRET_BYTES.contains(&key.len()).then(|| Secret::new(encoded))
}

fn email(entry: &Entry<'_>) -> Result<Address, Mistake> {
    // The address is somebody's, and so it is not shown.
    entry.text()?.parse().map_err(|_| entry.mistake("write one e-mail address"))
}

fn telephone(entry: &Entry<'_>) -> Result<String, Mistake> {
    let text = entry.text()?;
    let digits = text.strip_prefix('+').unwrap_or(text).replace(' ', "");
    let is_number =
        (7..=15).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
    if is_number {
        Ok(text.replace(' ', ""))
    } else {
        Err(entry.mistake("write a telephone number as \"+447700900123\", or an e-mail address"))
    }
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
                wrong(name, "e-mail needs [smtp] server and from")
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
