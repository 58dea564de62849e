//! What a configuration means, for people: what `nightrun check` says. Never shows a secret.

use std::fmt::Write;

use super::{
    Addressee, BrokerKind, Channel, HeartbeatSettings, LogFormat, Security, Settings, Smtp,
};
use crate::domain::calendar::DatedBy;
use crate::domain::policy::{Contract, Policy, Unit};
use crate::domain::recipient::Audience;

/// How wide the names at the left are.
const NAME_WIDTH: usize = 12;

/// Says what the settings mean, in lines that end in a newline.
#[must_use]
pub fn explain(settings: &Settings) -> String {
    let mut text = String::new();
    let mut say = |name: &str, what: &str| {
        // Writing to a string does not fail.
        _ = writeln!(text, "{name:NAME_WIDTH$}{what}");
    };
    let kind = if settings.database.path().is_some() { "the SQLite file" } else { "the database" };
    say("Database", &format!("{kind} {}", settings.database));
    for (index, line) in broker(settings).iter().enumerate() {
        say(if index == 0 { "Broker" } else { "" }, line);
    }
    if settings.broker.shared_group.is_some() {
        say("", "it shares what phones and units say with other daemons of its group");
    }
    let who = if settings.http.asks_for_tokens {
        "for those who have a token"
    } else {
        "for everybody on this machine, without a token"
    };
    say("HTTP", &format!("night board and API on {}, {who}", settings.http.listen));
    if let Some(HeartbeatSettings { url, every, .. }) = &settings.heartbeat {
        let host = url.host_str().unwrap_or_default();
        let scheme = url.scheme();
        let every = every.as_secs();
        say("Heartbeat", &format!("every {every} s to {scheme}://{host}, while the daemon works"));
    }
    let level = settings.log.level.as_str().to_lowercase();
    let format = match settings.log.format {
        LogFormat::Text => "as text",
        LogFormat::Json => "as JSON, one object on each line",
    };
    say("Log", &format!("{level} and graver, {format}"));
    match &settings.calendar.bank_holidays_file {
        None => say("Holidays", "the bank holidays of England and Wales that are built in"),
        Some(file) => {
            let file = file.display();
            say("Holidays", "the bank holidays of England and Wales that are built in;");
            say("", &format!("for the years that it holds, those of {file}"));
        }
    }
    for (index, line) in told(settings).iter().enumerate() {
        say(if index == 0 { "Told" } else { "" }, line);
    }
    for contract in settings.contracts.iter() {
        text.push('\n');
        explain_contract(contract, settings.contracts.configured, &mut text);
    }
    text
}

fn broker(settings: &Settings) -> Vec<String> {
    let id = &settings.broker.client_id;
    match &settings.broker.kind {
        BrokerKind::Embedded { listen, tls, users_file } => {
            let mut lines = vec![format!("embedded, on mqtt://{listen}, where the daemon is {id}")];
            if let Some(tls) = tls {
                let certificate = tls.cert_file.display();
                lines.push(format!("and on mqtts://{}, with {certificate}", tls.listen));
            }
            lines.push(match users_file {
                Some(file) => format!("who is let in stands in {}", file.display()),
                None => "without users and without TLS: whoever is on this machine can speak to it"
                    .to_owned(),
            });
            lines
        }
        BrokerKind::External { host, port, username, password, tls } => {
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            let user = match (username, password) {
                (None, _) => "without a user name".to_owned(),
                (Some(user), None) => format!("as user {user}, without a password"),
                (Some(user), Some(_)) => format!("as user {user}, with a password"),
            };
            let Some(tls) = tls else {
                return vec![
                    format!("mqtt://{host}:{port}, where the daemon is {id}, {user}"),
                    "without TLS: whoever is on the way between can read and change everything"
                        .to_owned(),
                ];
            };
            let by = tls.ca_file.as_ref().map_or_else(
                || "an authority that this machine trusts".to_owned(),
                |file| format!("an authority in {}", file.display()),
            );
            let mut lines = vec![
                format!("mqtts://{host}:{port}, where the daemon is {id}, {user}"),
                format!("its certificate must be for that name, by {by}"),
            ];
            if let Some(file) = &tls.client_cert_file {
                lines.push(format!("the daemon shows the certificate {}", file.display()));
            }
            lines
        }
    }
}

/// Who is told of alerts, and by what way. Addresses are somebody's, and stay unsaid.
fn told(settings: &Settings) -> Vec<String> {
    let notify = &settings.notify;
    if notify.addressees.is_empty() {
        return vec!["nobody but who listens to alerts over MQTT".to_owned()];
    }
    let mut lines = Vec::new();
    for Addressee { recipient, contracts, channel } in notify.addressees.values() {
        let way = match channel {
            Channel::Webhook { url, .. } => format!("a webhook at {}", url.host().unwrap_or("-")),
            Channel::Email(_) => "e-mail".to_owned(),
            Channel::GovukSms(_) => "text message through GOV.UK Notify".to_owned(),
            Channel::GovukEmail(_) => "e-mail through GOV.UK Notify".to_owned(),
        };
        let name = &recipient.name;
        if recipient.by_escalation {
            lines.push(format!("{name}, by {way}, of what escalates"));
            continue;
        }
        let what = match &recipient.kinds {
            Some(kinds) => kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", "),
            None if recipient.audience == Audience::Council => "what a council is told".to_owned(),
            None => "all alerts".to_owned(),
        };
        let least = recipient.least_severity;
        let of = contracts.iter().flatten().map(ToString::to_string).collect::<Vec<_>>();
        let of = if of.is_empty() { String::new() } else { format!(" of {}", of.join(", ")) };
        lines.push(format!("{name}, by {way}, of {what}{of}, if {least} or graver"));
        if !recipient.escalate_to.is_empty() {
            let (next, after) =
                (recipient.escalate_to.join(", then "), recipient.escalate_after.num_minutes());
            lines.push(format!("  and while nobody acknowledges: {next}, {after} minutes apart"));
        }
    }
    if let Some(Smtp { host, port, security, .. }) = &notify.smtp {
        let how = match security {
            Security::StartTls => "with STARTTLS",
            Security::Tls => "with TLS",
            Security::None => "without TLS, on this machine",
        };
        lines.push(format!("e-mails go to {host}:{port}, {how}"));
    }
    let hours = notify.give_up_after.num_hours();
    lines.push(format!("what cannot be told for {hours} hours is given up, and is an alert"));
    lines
}

fn explain_contract(contract: &Contract, configured: bool, text: &mut String) {
    let unasked = if configured { "" } else { " (none is configured; these are the defaults)" };
    _ = writeln!(text, "Contract {}, in {}{unasked}", contract.id, contract.zone);
    let mut before: Vec<String> = Vec::new();
    for policy in contract.policies() {
        let sentences = sentences(policy);
        match policy.effective_from {
            None => {}
            Some(from) if sentences == before => {
                _ = writeln!(text, "  from the night of {from} on: the same");
            }
            Some(from) => _ = writeln!(text, "  from the night of {from} on, what changes:"),
        }
        let indent = if policy.effective_from.is_none() { "  " } else { "    " };
        for sentence in sentences.iter().filter(|sentence| !before.contains(sentence)) {
            _ = writeln!(text, "{indent}{sentence}");
        }
        before = sentences;
    }
}

/// The policy in sentences, each about one thing.
fn sentences(policy: &Policy) -> Vec<String> {
    let minutes = |length: chrono::TimeDelta| match length.num_minutes() {
        1 => "1 minute".to_owned(),
        count => format!("{count} minutes"),
    };
    let hours = |length: chrono::TimeDelta| match length.num_hours() {
        1 => "1 hour".to_owned(),
        hours => format!("{hours} hours"),
    };
    let dated_by = match policy.dated_by {
        DatedBy::Night => "the date of its night",
        DatedBy::Start => "the local date of its planned start",
    };
    let unit = match policy.unit {
        Unit::Visit => "visits",
        Unit::Hour => "hours",
    };
    vec![
        format!(
            "Service is given from {} to {}.",
            policy.service_hours.from.format("%H:%M"),
            policy.service_hours.to.format("%H:%M")
        ),
        format!(
            "A start is within tolerance up to {} before or after the planned one.",
            minutes(policy.tolerance)
        ),
        format!(
            "A visit is late if it starts more than {} after the planned start.",
            minutes(policy.late)
        ),
        format!(
            "A time-specific visit is late if it starts more than {} after the planned start.",
            minutes(policy.time_specific_late)
        ),
        format!(
            "A visit to which nobody came is missed at its planned end, or {} after its planned start \
             if that is later; sooner if the client's next visit or the end of service comes sooner.",
            minutes(policy.missed_after)
        ),
        format!(
            "An attendance that names no visit is taken for one that is at most {} away.",
            minutes(policy.match_window)
        ),
        format!(
            "A carer still inside {} after the planned end is looked for.",
            minutes(policy.overdue_checkout)
        ),
        format!(
            "A telecare unit that has said nothing for {} is offline.",
            hours(policy.device_silent_after)
        ),
        format!(
            "At a client's home means within {} m of it, unless the client has a fence_m.",
            policy.fence_m
        ),
        format!(
            "Weeks start on {}; return periods of four weeks are counted from {}.",
            weekday(policy.week_starts_on),
            policy.periods_from
        ),
        format!("A visit counts on {dated_by}."),
        format!("Quantities are {unit}."),
        format!(
            "Unplanned visits are returned as {}, {}.",
            policy.unplanned_service, policy.unplanned_service_level
        ),
    ]
}

fn weekday(day: chrono::Weekday) -> &'static str {
    match day {
        chrono::Weekday::Mon => "Monday",
        chrono::Weekday::Tue => "Tuesday",
        chrono::Weekday::Wed => "Wednesday",
        chrono::Weekday::Thu => "Thursday",
        chrono::Weekday::Fri => "Friday",
        chrono::Weekday::Sat => "Saturday",
        chrono::Weekday::Sun => "Sunday",
    }
}
