//! Recipients, and the ways by which they are told.

use crate::domain::alert::{AlertKind, Severity};
use crate::domain::recipient::{Audience, Occasion};

use super::*;

const HOOK: &str = "[[recipient]]\nname = 'desk'\nchannel = 'webhook'\n\
                    address = 'https://example.org/'\n\
                    secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'\n";
const MAIL: &str = "[smtp]\nserver = '127.0.0.1:25'\nsecurity = 'none'\nfrom = 'a@example.org'\n";

/// Lines of a recipient who is told by e-mail.
fn by_mail(name: &str, lines: &str) -> String {
    format!(
        "[[recipient]]\nname = '{name}'\nchannel = 'smtp'\naddress = '{name}@example.org'\n{lines}\n"
    )
}

#[test]
fn nobody_is_told_by_default() {
    let settings = load(None, []).unwrap();
    assert!(settings.notify.addressees.is_empty());
    assert!(settings.contracts.iter().all(|contract| contract.recipients.all.is_empty()));
}

/// What a recipient leaves out is what the annotated file says, below each of its keys.
#[test]
fn what_a_recipient_leaves_out_is_what_the_file_says() {
    let least = format!("{MAIL}{}", by_mail("desk", ""));
    let key = |name: &str| {
        let line = |line: &&str| line.starts_with(&format!("#{name} = "));
        layers::BUILT_IN.lines().find(line).unwrap()[1..].to_owned()
    };
    let lines = ["audience", "least_severity", "escalate_after_minutes"].map(key).join("\n");
    let whole = format!("{MAIL}{}", by_mail("desk", &lines));
    let recipient = |toml: &str| good(toml, &[]).notify.addressees["desk"].recipient.clone();
    assert_eq!(recipient(&least), recipient(&whole));
    assert_eq!(recipient(&least).least_severity, Severity::Warning);
}

#[test]
fn each_contract_knows_who_is_told() {
    let toml = [
        MAIL,
        &by_mail("all", "escalate_to = ['boss']"),
        &by_mail("boss", ""),
        &by_mail("north-only", "contracts = ['north']\nkinds = ['late']\naudience = 'coordinator'"),
        &by_mail("council", "contracts = ['south']\naudience = 'council'"),
        "[[contract]]\nid = 'north'\n[[contract]]\nid = 'south'\n",
    ];
    let settings = good(&toml.concat(), &[("NIGHTRUN__NOTIFY__GROUP_WITHIN_SECONDS", "0")]);
    let now = crate::domain::instant::parse_instant("2019-02-04T02:00:00Z").unwrap();
    let told = |contract: &str, kind| {
        let contract = settings.contracts.get(&contract.parse().unwrap()).unwrap();
        let told = contract.recipients.told(kind, now).into_iter();
        let told = told.map(|told| match told.occasion {
            Occasion::Opened => told.recipient,
            _ => format!("+{}", told.recipient),
        });
        told.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(told("north", AlertKind::Late), "all +boss north-only");
    assert_eq!(told("north", AlertKind::Missed), "all +boss");
    assert_eq!(told("south", AlertKind::Late), "all +boss");
    assert_eq!(told("south", AlertKind::Missed), "all +boss council");
    assert_eq!(settings.notify.addressees["council"].recipient.audience, Audience::Council);
}

#[test]
fn mistakes_about_recipients() {
    let desk = |line: &str| format!("{MAIL}{}", by_mail("desk", line));
    let one = "FILE: [[recipient]] 1 (\"desk\")";
    for (toml, wanted) in [
        (desk("colour = 1"), format!("{one}: there is no key \"colour\"")),
        (desk("contracts = ['x']"), "FILE: recipient \"desk\": there is no contract \"x\"".to_owned()),
        (
            desk("kinds = ['latte']"),
            format!("{one}: kinds: write kinds as [\"late\", \"missed\"] (see docs/rules.md)"),
        ),
        (
            desk("audience = 'council'\nkinds = ['missed', 'late']"),
            format!("{one}: kinds names late, of which a council is not told (R21)"),
        ),
        (
            desk("escalate_to = ['boss']"),
            format!("{one}: escalate_to names \"boss\": there is no recipient of that name"),
        ),
        (
            desk("escalate_after_minutes = 0"),
            format!(
                "{one}: escalate_after_minutes is 0: write a whole number of minutes from 1 to 720"
            ),
        ),
        (
            desk("secret = 'x'"),
            format!("{one}: only a webhook has a secret: leave it out"),
        ),
        (
            by_mail("desk", ""),
            "FILE: recipient \"desk\": e-mail needs [smtp] server and from".to_owned(),
        ),
        (
            desk("").replace("desk@example.org", "desk"),
            format!("{one}: address: write one e-mail address"),
        ),
        (
            desk("").replace("channel = 'smtp'", "channel = 'mqtt'"),
            format!(
                "{one}: channel is \"mqtt\": alerts are published over MQTT whoever listens: leave \
                 this recipient out, and subscribe to nightrun/v1/CONTRACT/alert/#"
            ),
        ),
        (
            desk("") + &by_mail("desk", ""),
            "FILE: [[recipient]] 2 (\"desk\"): another recipient has this name".to_owned(),
        ),
        (
            desk("escalate_to = ['boss']") + &by_mail("boss", "kinds = ['late']"),
            "FILE: [[recipient]] 2 (\"boss\"): kinds: somebody escalates to this recipient, which is \
             then told of that and of nothing else: leave this out, or write another [[recipient]]"
                .to_owned(),
        ),
        (
            HOOK.replace("https://example.org/", "http://example.org/"),
            format!(
                "{one}: address: write \"https://\" and where it is; \"http://\" is for a loopback \
                 address only"
            ),
        ),
        (
            HOOK.replace("whsec_MfKQ", "MfKQ"),
            format!(
                "{one}: the secret is not one of Standard Webhooks: write \"whsec_\" and 24 to 64 \
                 random bytes in Base64"
            ),
        ),
        (
            HOOK.split("secret").next().unwrap().to_owned(),
            format!("{one}: a webhook needs secret or secret_file, with which it is signed"),
        ),
        (
            "[recipient]\nname = 'x'\n".to_owned(),
            "FILE: recipients are a list: begin each with [[recipient]], in two brackets".to_owned(),
        ),
    ] {
        assert_eq!(mistakes(&toml, &[]), [wanted], "{toml}");
    }
}

#[test]
fn mistakes_about_the_ways() {
    for (toml, wanted) in [
        (
            "[smtp]\nserver = 'mail.example.org'\nsecurity = 'none'\nfrom = 'a@example.org'\n",
            "FILE: smtp.server is \"mail.example.org\": without TLS everyone on the way could read it, \
             so this must be a loopback address: write smtp.security = \"starttls\" or \"tls\"",
        ),
        ("[smtp]\nserver = 'a'\n", "FILE: smtp.server: this needs smtp.from as well"),
        (
            "[smtp]\nfrom = 'a@example.org\\r\\nBcc: x'\n",
            "FILE: smtp.from: write an e-mail address, as \"nightrun <night@example.org>\"",
        ),
        (
            "[govuk_notify]\nkey = 'short'\n",
            "FILE: govuk_notify.key: this is no key of GOV.UK Notify: write it whole, as it was shown \
             when it was made",
        ),
        (
            "[notify]\nmost_per_minute = 0\n",
            "FILE: notify.most_per_minute is 0: write a whole number of notifications from 1 to 600",
        ),
    ] {
        assert_eq!(mistakes(toml, &[]), [wanted], "{toml}");
    }
}
