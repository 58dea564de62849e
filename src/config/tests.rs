//! Tables: what is written, and exactly what is said about it.

mod brokers;
mod contracts;
mod explained;
mod notify;
mod sections;

use std::collections::BTreeSet;

use ::config::{FileFormat, Format, ValueKind};
use tempfile::TempDir;

use super::*;
use crate::domain::policy::Policy;

/// A file with that text, and its directory, which lives as long as it is held.
fn file(text: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("night.toml");
    std::fs::write(&path, text).unwrap();
    (directory, path)
}

fn pairs(environment: &[(&str, &str)]) -> Vec<(String, String)> {
    environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn good(toml: &str, environment: &[(&str, &str)]) -> Settings {
    let (_directory, path) = file(toml);
    load(Some(&path), pairs(environment)).unwrap_or_else(|mistakes| panic!("{toml}\n{mistakes}"))
}

/// The mistakes, with `FILE` for the path of the file and `DIR` for its directory.
fn mistakes(toml: &str, environment: &[(&str, &str)]) -> Vec<String> {
    let (directory, path) = file(toml);
    let mistakes = load(Some(&path), pairs(environment)).err().map(|mistakes| mistakes.to_string());
    let said = mistakes.unwrap_or_default().replace(path.to_str().unwrap(), "FILE");
    said.replace(directory.path().to_str().unwrap(), "DIR").lines().map(str::to_owned).collect()
}

/// A file, an environment, and all that is said about them.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);

#[track_caller]
fn check(cases: &[Case<'_>]) {
    for (toml, environment, wanted) in cases {
        assert_eq!(&mistakes(toml, environment), wanted, "{toml}\n{environment:?}");
    }
}

#[test]
fn the_defaults() {
    let settings = load(None, []).unwrap();
    assert_eq!(settings.database.path(), Some(Path::new("nightrun.db")));
    assert_eq!(settings.broker.client_id, "nightrun");
    let BrokerKind::Embedded { listen, tls: None, users_file: None } = settings.broker.kind else {
        panic!("not embedded, or more")
    };
    assert_eq!(listen.to_string(), "127.0.0.1:1883");
    assert_eq!(settings.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.log.level, tracing::Level::INFO);
    assert_eq!(settings.log.format, LogFormat::Text);
    assert_eq!(settings.calendar.bank_holidays_file, None);
    assert!(!settings.contracts.configured);
    let contracts: Vec<_> = settings.contracts.iter().collect();
    assert_eq!(contracts.len(), 1);
    assert_eq!(contracts[0].id.as_str(), "default");
    assert_eq!(contracts[0].zone, chrono_tz::Europe::London);
    let policies: Vec<_> = contracts[0].policies().collect();
    assert_eq!(
        policies,
        [&Policy {
            effective_from: None,
            service_hours: crate::domain::calendar::ServiceHours {
                from: "23:00:00".parse().unwrap(),
                to: "07:00:00".parse().unwrap(),
            },
            tolerance: chrono::TimeDelta::minutes(15),
            late: chrono::TimeDelta::minutes(30),
            time_specific_late: chrono::TimeDelta::minutes(15),
            missed_after: chrono::TimeDelta::minutes(60),
            match_window: chrono::TimeDelta::minutes(120),
            overdue_checkout: chrono::TimeDelta::minutes(60),
            device_silent_after: chrono::TimeDelta::hours(24),
            fence_m: 150.0,
            week_starts_on: chrono::Weekday::Mon,
            dated_by: crate::domain::calendar::DatedBy::Night,
            periods_from: "2019-01-28".parse().unwrap(),
            unit: crate::domain::policy::Unit::Visit,
            unplanned_service: "Out of Hours".to_owned(),
            unplanned_service_level: "Emergency".to_owned(),
        }]
    );
}

/// The keys of a file, with the `#` in front of its optional keys removed.
fn keys_of(text: &str) -> BTreeSet<String> {
    fn walk(prefix: &str, kind: &ValueKind, keys: &mut BTreeSet<String>) {
        match kind {
            ValueKind::Table(table) => {
                for (name, value) in table {
                    let dot = if prefix.is_empty() { "" } else { "." };
                    walk(&format!("{prefix}{dot}{name}"), &value.kind, keys);
                }
            }
            ValueKind::Array(list) => {
                for value in list {
                    walk(prefix, &value.kind, keys);
                }
            }
            _ => _ = keys.insert(prefix.to_owned()),
        }
    }
    let optional = |line: &str| {
        let begins = |c: char| c.is_alphanumeric() || c == '[';
        let is_key = line.starts_with('#') && line[1..].starts_with(begins);
        if is_key { line[1..].to_owned() } else { line.to_owned() }
    };
    let text: Vec<_> = text.lines().map(optional).collect();
    let values = FileFormat::Toml.parse(None, &text.join("\n")).unwrap();
    let mut keys = BTreeSet::new();
    for (name, value) in &values {
        walk(name, &value.kind, &mut keys);
    }
    keys
}

#[test]
fn the_annotated_file_holds_exactly_the_keys_that_are_known() {
    let mut known = BTreeSet::new();
    for section in keys::SECTIONS {
        known.extend(section.keys.iter().map(|key| format!("{}.{key}", section.name)));
    }
    for key in keys::CONTRACT_KEYS.into_iter().filter(|key| *key != keys::SERVICE_HOURS) {
        known.insert(format!("contract.{key}"));
    }
    for key in keys::SERVICE_HOURS_KEYS {
        known.insert(format!("contract.service_hours.{key}"));
    }
    known.extend(keys::RECIPIENT_KEYS.map(|key| format!("recipient.{key}")));
    assert_eq!(keys_of(layers::BUILT_IN), known);
}

#[test]
fn every_key_of_the_annotated_file_has_a_comment_above() {
    let lines: Vec<_> = layers::BUILT_IN.lines().collect();
    for (above, line) in lines.iter().zip(&lines[1..]) {
        if line.trim_start_matches('#').starts_with(char::is_alphabetic) {
            let first = [
                "#password ",
                "#secret ",
                "#key ",
                "#url ",
                "#tls_cert_file",
                "#client_cert_file",
                "unplanned_service ",
            ];
            let follows_another = first.iter();
            let follows_another = follows_another.clone().any(|key| above.starts_with(key));
            assert!(above.starts_with("# ") || follows_another, "{line}");
        }
    }
}

#[test]
fn the_annotated_file_given_as_a_file_changes_nothing() {
    let (built_in, given) = (load(None, []).unwrap(), good(layers::BUILT_IN, &[]));
    assert!(given.contracts.configured);
    assert!(given.contracts.iter().eq(built_in.contracts.iter()));
    // Who has a file is asked for tokens, even on a loopback address.
    assert!(given.http.asks_for_tokens && !built_in.http.asks_for_tokens);
    let expected = explain(&built_in)
        .replace(" (none is configured; these are the defaults)", "")
        .replace("for everybody on this machine, without a token", "for those who have a token");
    assert_eq!(explain(&given), expected);
}

#[test]
fn the_environment_goes_before_the_file_and_the_file_before_the_defaults() {
    let toml = "[http]\nlisten = '127.0.0.1:1'\n[log]\nlevel = 'debug'\n";
    let settings = good(
        toml,
        &[("NIGHTRUN__HTTP__LISTEN", "[::1]:2"), ("NIGHTRUN_HOME", "/x"), ("PATH", "/bin")],
    );
    assert_eq!(settings.http.listen.to_string(), "[::1]:2");
    assert_eq!(settings.log.level, tracing::Level::DEBUG);
    assert_eq!(settings.log.format, LogFormat::Text);
}

#[test]
fn a_file_that_cannot_be_read_is_a_mistake_among_the_others() {
    let path = Path::new("/nonexistent/night.toml");
    let got = load(Some(path), pairs(&[("NIGHTRUN__LOG__LEVEL", "loud")])).unwrap_err();
    assert_eq!(
        got.to_string(),
        "/nonexistent/night.toml: the file cannot be read: No such file or directory (os error 2)\n\
         environment: NIGHTRUN__LOG__LEVEL is \"loud\": \
         write \"error\", \"warn\", \"info\", \"debug\" or \"trace\""
    );
    assert_eq!(got.iter().count(), 2);
}

#[test]
fn files_as_editors_write_them() {
    for toml in ["", "\u{feff}[log]\r\nlevel = \"info\"\r\n", "contract = []", "[broker]"] {
        assert!(!good(toml, &[]).contracts.configured, "{toml:?}");
    }
}

#[test]
fn syntax_errors_name_the_line_and_do_not_show_it() {
    check(&[
        (
            "[broker]\npassword = \"hunter2\n",
            &[],
            &["FILE: line 2, column 20: invalid basic string, expected `\"`"],
        ),
        (
            "[log]\nlevel = 'info'\nlevel = 'warn'\n",
            &[],
            &["FILE: line 3, column 1: duplicate key"],
        ),
    ]);
}

#[test]
fn unknown_keys_are_mistakes() {
    check(&[
        (
            "[brokr]\nurl = 'x'\n",
            &[],
            &["FILE: there is no section \"brokr\": did you mean [broker]?"],
        ),
        ("[x]\n", &[], &["FILE: there is no section \"x\""]),
        (
            "[[contracts]]\n",
            &[],
            &["FILE: there is no section \"contracts\": did you mean [[contract]]?"],
        ),
        (
            "[contract]\n",
            &[],
            &["FILE: contracts are a list: begin each with [[contract]], in two brackets"],
        ),
        (
            "contract = 3\n",
            &[],
            &["FILE: contracts are a list: begin each with [[contract]], in two brackets"],
        ),
        ("log = 'info'\n", &[], &["FILE: log is a section: write [log], and its keys below"]),
        (
            "level = 'info'\n",
            &[],
            &["FILE: \"level\" stands in no section: it belongs below [log]"],
        ),
        (
            "late_minutes = 3\n",
            &[],
            &["FILE: \"late_minutes\" stands in no section: it belongs below [[contract]]"],
        ),
        (
            "colour = 1\n",
            &[],
            &["FILE: \"colour\" stands in no section, and no section has such a key"],
        ),
        (
            "\"broker.url\" = 'embedded'\n",
            &[],
            &["FILE: \"broker.url\" stands in no section, and no section has such a key"],
        ),
        (
            "[log]\nlevle = 'info'\ncolour = true\n",
            &[],
            &[
                "FILE: log has no key \"colour\"",
                "FILE: log has no key \"levle\": did you mean level?",
            ],
        ),
        (
            "[[contract]]\ntimezone = 'Europe/London'\nservice_hours = { form = '22:00' }\n",
            &[],
            &[
                "FILE: [[contract]] 1: there is no key \"timezone\": did you mean time_zone?",
                "FILE: [[contract]] 1: service_hours: there is no key \"form\": did you mean from?",
            ],
        ),
        (
            "",
            &[
                ("NIGHTRUN__BROKER__PASWORD", "hunter2"),
                ("NIGHTRUN__broker__url", "embedded"),
                ("NIGHTRUN__CONTRACT__0__ID", "north"),
                ("NIGHTRUN__", ""),
            ],
            &[
                "environment: NIGHTRUN__ sets nothing",
                "environment: NIGHTRUN__BROKER__PASWORD sets nothing: did you mean NIGHTRUN__BROKER__PASSWORD?",
                "environment: NIGHTRUN__CONTRACT__0__ID sets nothing: contracts are not set in the environment; write [[contract]] in a file and name it with --config",
                "environment: NIGHTRUN__broker__url sets nothing: did you mean NIGHTRUN__BROKER__URL?",
            ],
        ),
    ]);
}
