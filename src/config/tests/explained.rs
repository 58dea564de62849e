//! What a person reads about a configuration.

use super::*;

const POLICY: &str = "  \
  Service is given from 23:00 to 07:00.
  A start is within tolerance up to 15 minutes before or after the planned one.
  A visit is late if it starts more than 30 minutes after the planned start.
  A time-specific visit is late if it starts more than 15 minutes after the planned start.
  A visit to which nobody came is missed at its planned end, or 60 minutes after its planned start \
  if that is later; sooner if the client's next visit or the end of service comes sooner.
  An attendance that names no visit is taken for one that is at most 120 minutes away.
  A carer still inside 60 minutes after the planned end is looked for.
  A telecare unit that has said nothing for 24 hours is offline.
  At a client's home means within 150 m of it, unless the client has a fence_m.
  Weeks start on Monday; return periods of four weeks are counted from 2019-01-28.
  A visit counts on the date of its night.
  Quantities are visits.
  Unplanned visits are returned as Out of Hours, Emergency.
";

#[test]
fn the_defaults_explained() {
    let text = "\
Database    the SQLite file nightrun.db
Broker      embedded, on mqtt://127.0.0.1:1883, where the daemon is nightrun
            without users and without TLS: whoever is on this machine can speak to it
HTTP        night board and API on 127.0.0.1:8080, for everybody on this machine, without a token
Log         info and graver, as text
Holidays    the bank holidays of England and Wales that are built in
Told        nobody but who listens to alerts over MQTT

Contract default, in Europe/London (none is configured; these are the defaults)
";
    assert_eq!(explain(&load(None, []).unwrap()), format!("{text}{POLICY}"));
}

#[test]
fn everything_set_explained() {
    let (_directory, list) = file(r#"{"england-and-wales": {"events": [{"date": "2029-12-24"}]}}"#);
    let list = list.to_str().unwrap();
    let toml = r#"
        [broker]
        url = "mqtt://[2001:db8::1]"
        username = "me"
        password = "hunter2"
        [log]
        level = "warn"
        format = "json"
        [smtp]
        server = "mail.example.org"
        from = "night@example.org"
        [govuk_notify]
        key = "night-6e6f7468-0000-4000-8000-000000000001-6e6f7468-0000-4000-8000-000000000002"
        sms_template = "6e6f7468-0000-4000-8000-000000000003"
        url = "http://127.0.0.1:1"
        [[recipient]]
        name = "desk"
        kinds = ["missed", "late"]
        least_severity = "high"
        channel = "webhook"
        address = "http://127.0.0.1:8000/hook"
        secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        escalate_to = ["manager"]
        escalate_after_minutes = 5
        [[recipient]]
        name = "manager"
        channel = "govuk_notify"
        address = "+44 7700 900123"
        [[recipient]]
        name = "council"
        contracts = ["north"]
        audience = "council"
        channel = "smtp"
        address = "out-of-hours@example.org"
        [[contract]]
        id = "north"
        [[contract]]
        id = "north"
        effective_from = 2026-04-01
        late_minutes = 20
        unit = "hour"
        [[contract]]
        id = "north"
        effective_from = 2027-04-01
        late_minutes = 20
        unit = "hour"
    "#;
    let before = format!(
        "\
Database    the SQLite file nightrun.db
Broker      mqtt://[2001:db8::1]:1883, where the daemon is nightrun, as user me, with a password
            without TLS: whoever is on the way between can read and change everything
HTTP        night board and API on 127.0.0.1:8080, for those who have a token
Log         warn and graver, as JSON, one object on each line
Holidays    the bank holidays of England and Wales that are built in;
            for the years that it holds, those of {list}
Told        council, by e-mail, of what a council is told of north, if warning or graver
            desk, by a webhook at 127.0.0.1, of late, missed, if high or graver
              and while nobody acknowledges: manager, 5 minutes apart
            manager, by text message through GOV.UK Notify, of what escalates
            e-mails go to mail.example.org:587, with STARTTLS
            what cannot be told for 24 hours is given up, and is an alert

Contract north, in Europe/London
"
    );
    let after = "  \
  from the night of 2026-04-01 on, what changes:
    A visit is late if it starts more than 20 minutes after the planned start.
    Quantities are hours.
  from the night of 2027-04-01 on: the same
";
    let settings = good(toml, &[("NIGHTRUN__CALENDAR__BANK_HOLIDAYS_FILE", list)]);
    assert_eq!(explain(&settings), format!("{before}{POLICY}{after}"));
    for secret in ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "000000000002", "hunter2"] {
        assert!(!format!("{settings:?}").contains(secret), "{secret}");
    }
}
