//! Reading `[[recipient]]`: who is told of which alerts, and where they are.

use std::collections::{BTreeMap, BTreeSet};

use ::config::ValueKind;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use hyper::Uri;
use lettre::Address;

use super::broker::secret;
use super::keys::{RECIPIENT, RECIPIENT_KEYS};
use super::layers::{BUILT_IN_ORIGIN, Merged};
use super::mistakes::{Mistake, Notes};
use super::notify::{SECRET_MAX_BYTES, url};
use super::read::{Entry, Table};
use super::{Addressee, Channel, Secret};
use crate::domain::alert::{AlertKind, Severity};
use crate::domain::recipient::{Audience, Recipient};
use crate::domain::refs::{BadReference, is_reference};

/// Most recipients.
const RECIPIENTS_MAX: usize = 200;
/// Most of them to which one's alerts escalate.
const ESCALATE_MAX: usize = 10;
/// How the secret of a webhook begins, by Standard Webhooks.
const SECRET_PREFIX: &str = "whsec_";
/// How long it is, in bytes, by Standard Webhooks.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Reads all of them, by their names. `None` if there is a mistake, which is noted.
pub(super) fn read(merged: &Merged, notes: &mut Notes) -> Option<BTreeMap<String, Addressee>> {
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
    let mut found = Vec::new();
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
        found.push((addressee(&table, notes), table));
    }
    let names: BTreeSet<String> =
        found.iter().filter_map(|(one, _)| Some(one.as_ref()?.recipient.name.clone())).collect();
    let councils: BTreeSet<String> = found
        .iter()
        .filter_map(|(one, _)| one.as_ref())
        .filter(|one| one.recipient.audience == Audience::Council)
        .map(|one| one.recipient.name.clone())
        .collect();
    let mut by_escalation = BTreeSet::new();
    for (one, table) in &found {
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
    for (one, table) in found {
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
        (Way::Webhook, Some(secret)) => {
            let (channel, key) = (channel?, signing_key(secret.expose()));
            if let (Channel::Webhook { url, .. }, Some(key)) = (channel, key) {
                return Some(Channel::Webhook { url, key });
            }
            notes.add(table.mistake(format_args!(
                "the secret is not one of Standard Webhooks: write \"{SECRET_PREFIX}\" and {} to {} \
                 random bytes in Base64",
                SECRET_BYTES.start(),
                SECRET_BYTES.end()
            )));
            None
        }
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
