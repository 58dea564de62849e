//! `[[contract]]`, table by table.

use super::*;
use crate::domain::calendar::DatedBy;
use crate::domain::policy::Unit;

#[test]
fn contracts_with_versions() {
    let settings = good(
        r#"
        [[contract]]
        id = "south"
        effective_from = 2026-04-01
        late_minutes = 20
        [[contract]]
        id = "north"
        time_zone = "Europe/Dublin"
        service_hours = { from = 22:00:00 }
        fence_m = 62.5
        week_starts_on = "sunday"
        periods_from = 2019-01-27
        dated_by = "start"
        unit = "hour"
        unplanned_service = "Night, e\u0301te"
        [[contract]]
        id = "south"
        late_minutes = 25
        tolerance_minutes = 25
        [[contract]]
        id = "south"
        effective_from = "2025-04-01"
        "#,
        &[],
    );
    assert!(settings.contracts.configured);
    let ids: Vec<_> = settings.contracts.iter().map(|contract| contract.id.as_str()).collect();
    assert_eq!(ids, ["north", "south"]);

    let north = settings.contracts.get(&"north".parse().unwrap()).unwrap();
    let policy = north.policies().next().unwrap();
    assert_eq!(north.zone, chrono_tz::Europe::Dublin);
    assert_eq!(policy.service_hours.from, "22:00:00".parse().unwrap());
    assert_eq!(policy.service_hours.to, "07:00:00".parse().unwrap());
    assert!((policy.fence_m - 62.5).abs() < f64::EPSILON);
    assert_eq!((policy.dated_by, policy.unit), (DatedBy::Start, Unit::Hour));

    let south = settings.contracts.get(&"south".parse().unwrap()).unwrap();
    for (night, tolerance, late) in [
        ("2025-03-31", 25, 25),
        // A later version takes what it leaves out from the defaults, not from the one before.
        ("2025-04-01", 15, 30),
        ("2026-03-31", 15, 30),
        ("2026-04-01", 15, 20),
    ] {
        let policy = south.policy(night.parse().unwrap());
        let got = (policy.tolerance.num_minutes(), policy.late.num_minutes());
        assert_eq!(got, (tolerance, late), "{night}");
    }
    assert!(settings.contracts.get(&"default".parse().unwrap()).is_none());
}

/// One contract with that line in it gives that mistake.
#[track_caller]
fn check_line(cases: &[(&str, &str)]) {
    for (line, mistake) in cases {
        let wanted = format!("FILE: [[contract]] 1: {mistake}");
        assert_eq!(mistakes(&format!("[[contract]]\n{line}\n"), &[]), [wanted], "{line}");
    }
}

#[test]
fn numbers() {
    let minutes = "write a whole number of minutes from 0 to 720, without quotes";
    let metres = "write a number of metres from 1 to 100000";
    for key in [
        "time_specific_late_minutes",
        "missed_after_minutes",
        "match_window_minutes",
        "overdue_checkout_minutes",
        "late_minutes",
        "tolerance_minutes",
    ] {
        for value in ["-1", "721", "1.5", "\"15\"", "true", "9223372036854775807"] {
            check_line(&[(&format!("{key} = {value}"), &format!("{key} is {value}: {minutes}"))]);
        }
    }
    let hours = "write a whole number of hours from 1 to 720, without quotes";
    for value in ["0", "721", "1.5", "\"24\""] {
        let mistake = format!("device_silent_after_hours is {value}: {hours}");
        check_line(&[(&format!("device_silent_after_hours = {value}"), &mistake)]);
    }
    for value in ["0", "0.5", "100001", "inf", "\"150\"", "-150"] {
        check_line(&[(&format!("fence_m = {value}"), &format!("fence_m is {value}: {metres}"))]);
    }
    check_line(&[("fence_m = nan", &format!("fence_m is NaN: {metres}"))]);
    for line in [
        "late_minutes = 720",
        "device_silent_after_hours = 1",
        "tolerance_minutes = 0",
        "tolerance_minutes = 30",
        "fence_m = 1",
        "fence_m = 100_000",
    ] {
        good(&format!("[[contract]]\n{line}\n"), &[]);
    }
    let both = |tolerance, late| {
        format!(
            "tolerance_minutes is {tolerance} and late_minutes {late}: \
             what is late cannot be within tolerance"
        )
    };
    check_line(&[
        ("tolerance_minutes = 31", &both(31, 30)),
        ("late_minutes = 14", &both(15, 14)),
        ("late_minutes = 20\ntolerance_minutes = 21", &both(21, 20)),
    ]);
}

#[test]
fn words() {
    let days = "write \"monday\", \"tuesday\", \"wednesday\", \"thursday\", \"friday\", \
                \"saturday\" or \"sunday\"";
    let zone = "write the IANA name of a time zone, as \"Europe/London\"";
    let text = "write 1 to 100 characters, not only blanks and no control characters";
    let long = "x".repeat(101);
    check_line(&[
        ("week_starts_on = 'Mon'", &format!("week_starts_on is \"Mon\": {days}")),
        ("week_starts_on = 1", "week_starts_on is 1: write text in quotes"),
        ("dated_by = 'day'", "dated_by is \"day\": write \"night\" or \"start\""),
        ("unit = 'hours'", "unit is \"hours\": write \"visit\" or \"hour\""),
        (
            "time_zone = 'europe/london'",
            &format!("time_zone is \"europe/london\": {zone}: did you mean Europe/London?"),
        ),
        ("time_zone = '+01:00'", &format!("time_zone is \"+01:00\": {zone}")),
        ("id = 'a b'", "id is \"a b\": a reference is 1 to 64 of A-Z a-z 0-9 . _ -"),
        ("id = 7", "id is 7: write text in quotes"),
        ("unplanned_service = ''", &format!("unplanned_service is \"\": {text}")),
        ("unplanned_service = ' '", &format!("unplanned_service is \" \": {text}")),
        ("unplanned_service = \"a\\nb\"", &format!("unplanned_service is \"a\\nb\": {text}")),
        (
            &format!("unplanned_service_level = '{long}'"),
            &format!("unplanned_service_level is \"{}\"...: {text}", &long[..60]),
        ),
    ]);
    good(&format!("[[contract]]\nunplanned_service = '{}'\n", "é".repeat(100)), &[]);
}

#[test]
fn dates_and_times() {
    let date = "write a date as \"2019-01-28\"";
    for value in ["2019-1-28", "2019- 1-28", "2019-02-30", "28/01/2019", "", "1969-01-06"] {
        check_line(&[(
            &format!("periods_from = '{value}'"),
            &format!("periods_from is \"{value}\": {date}"),
        )]);
    }
    check_line(&[
        (
            "periods_from = 2019-01-28T00:00:00Z",
            &format!("periods_from is \"2019-01-28T00:00:00Z\": {date}"),
        ),
        (
            "periods_from = '2019-01-30'",
            "periods_from is 2019-01-30, a Wednesday, but weeks start on Monday: \
             write the first day of a week, as \"2019-01-28\"",
        ),
        (
            "week_starts_on = 'sunday'",
            "periods_from is 2019-01-28, a Monday, but weeks start on Sunday: \
             write the first day of a week, as \"2019-01-27\"",
        ),
        (
            "service_hours = '23:00-07:00'",
            "service_hours is \"23:00-07:00\": write { from = \"23:00\", to = \"07:00\" }",
        ),
    ]);
    for value in ["24:00", "7:00", " 7:00", "23:00:30", "23:59:60", "2300", ""] {
        check_line(&[(
            &format!("service_hours = {{ from = '{value}' }}"),
            &format!("service_hours.from is \"{value}\": write a time of day as \"23:00\""),
        )]);
    }
    check_line(&[
        (
            "service_hours = { from = '07:00', to = '23:00' }",
            "service_hours: from 07:00 to 23:00 is no night: \
             service begins before it ends, counted from noon to noon",
        ),
        (
            "service_hours = { from = '07:00' }",
            "service_hours: from 07:00 to 07:00 is no night: \
             service begins before it ends, counted from noon to noon",
        ),
    ]);
}

#[test]
fn versions_that_do_not_go_together() {
    check(&[
        (
            "[[contract]]\n[[contract]]\nid = 'default'\n",
            &[],
            &["FILE: contract \"default\": [[contract]] 1 and 2 have no effective_from: \
               only the version that is in force from the beginning has none"],
        ),
        (
            "[[contract]]\neffective_from = 2026-04-01\n",
            &[],
            &["FILE: contract \"default\": no [[contract]] is in force from the beginning: \
               leave effective_from out of the first version"],
        ),
        (
            "[[contract]]\nid = 'n'\n[[contract]]\nid = 'n'\neffective_from = 2026-04-01\n\
             time_zone = 'Europe/Dublin'\n[[contract]]\nid = 'n'\neffective_from = '2026-04-01'\n",
            &[],
            &[
                "FILE: contract \"n\": [[contract]] 2 and 3 have the same effective_from, \
                 2026-04-01: one version is in force at a time",
                "FILE: contract \"n\": its versions have different time zones, Europe/Dublin and \
                 Europe/London: write the same time_zone in each, \
                 for a contract keeps its zone for ever",
            ],
        ),
    ]);
}

#[test]
fn all_mistakes_are_said_at_once() {
    check(&[(
        "[log]\nlevel = 'loud'\ncolour = true\n[[contract]]\nid = 'n'\nunit = 'day'\n\
         late_minutes = '30'\n[[contract]]\nid = 's'\nfence_m = 0\neffective_from = 'now'\n",
        &[("NIGHTRUN__DATABASE__URL", "n.db"), ("NIGHTRUN__X", "1")],
        &[
            "FILE: log has no key \"colour\"",
            "environment: NIGHTRUN__X sets nothing",
            "environment: NIGHTRUN__DATABASE__URL is \"n.db\": \
             write \"sqlite:\" and the path of a file, or \"postgres://user@host/name\"",
            "FILE: log.level is \"loud\": \
             write \"error\", \"warn\", \"info\", \"debug\" or \"trace\"",
            "FILE: [[contract]] 1 (\"n\"): late_minutes is \"30\": \
             write a whole number of minutes from 0 to 720, without quotes",
            "FILE: [[contract]] 1 (\"n\"): unit is \"day\": write \"visit\" or \"hour\"",
            "FILE: [[contract]] 2 (\"s\"): effective_from is \"now\": \
             write a date as \"2019-01-28\"",
            "FILE: [[contract]] 2 (\"s\"): fence_m is 0: \
             write a number of metres from 1 to 100000",
        ],
    )]);
}
