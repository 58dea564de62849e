//! The sections, key by key.

use super::*;

#[test]
fn databases() {
    for (url, path) in [
        ("sqlite:a.db", "a.db"),
        ("sqlite:/var/lib/nightrun/n.db", "/var/lib/nightrun/n.db"),
        ("sqlite://a.db", "a.db"),
        ("sqlite:///var/n.db", "/var/n.db"),
    ] {
        let settings = good("", &[("NIGHTRUN__DATABASE__URL", url)]);
        assert_eq!(settings.database.path(), Some(Path::new(path)), "{url}");
    }
    let path = "write \"sqlite:\" and the path of a file, without options";
    let either = "write \"sqlite:\" and the path of a file, or \"postgres://user@host/name\"";
    for (url, mistake) in [
        ("postgres://me:hunter2@h:port/n", ": write \"postgres://user@host/name\""),
        (
            "postgres://me:hunter2@h",
            ": write the name of the database too: \"postgres://user@host/name\"",
        ),
        (
            "sqlite::memory:",
            " is \"sqlite::memory:\": what is only in memory is lost: write a file's path",
        ),
        ("sqlite:", &format!(" is \"sqlite:\": {path}")),
        ("sqlite:a.db?mode=ro", &format!(" is \"sqlite:a.db?mode=ro\": {path}")),
        ("a.db", &format!(" is \"a.db\": {either}")),
        ("mysql://me:hunter2@h", &format!(": {either}")),
    ] {
        let said = mistakes("", &[("NIGHTRUN__DATABASE__URL", url)]);
        assert_eq!(said, [format!("environment: NIGHTRUN__DATABASE__URL{mistake}")]);
    }
}

#[test]
fn postgres_is_named_without_its_password() {
    let (_directory, path) = file("hunter2\n");
    let file = path.to_str().unwrap();
    let (url, name) = ("NIGHTRUN__DATABASE__URL", "n of PostgreSQL at h:5433");
    for environment in [
        vec![(url, "postgres://me:hunter2@h:5433/n")],
        vec![(url, "postgresql://me@h:5433/n"), ("NIGHTRUN__DATABASE__PASSWORD", "hunter2")],
        vec![(url, "postgres://me@h:5433/n"), ("NIGHTRUN__DATABASE__PASSWORD_FILE", file)],
    ] {
        let settings = good("", &environment);
        assert_eq!(settings.database.to_string(), name);
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
    let password = ("NIGHTRUN__DATABASE__PASSWORD", "hunter2");
    assert_eq!(
        mistakes("", &[password]),
        ["environment: NIGHTRUN__DATABASE__PASSWORD: a SQLite file has no password: leave it out"]
    );
}

#[test]
fn bank_holidays_from_a_file() {
    let (_directory, path) = file(r#"{"england-and-wales": {"events": [{"date": "2029-12-24"}]}}"#);
    let newer = ("NIGHTRUN__CALENDAR__BANK_HOLIDAYS_FILE", path.to_str().unwrap());
    let settings = good("[[contract]]\nid = 'north'\n", &[newer]);
    let other = settings.default_contract("other".parse().unwrap());
    assert_eq!(other.id.as_str(), "other");
    for contract in settings.contracts.iter().map(|contract| &**contract).chain([&other]) {
        for (day, holiday) in [("2029-12-24", true), ("2029-12-25", false), ("2028-12-25", true)] {
            assert_eq!(contract.holidays.contains(day.parse().unwrap()), holiday, "{day}");
        }
    }
    std::fs::write(&path, "{}").unwrap();
    assert_eq!(
        mistakes("", &[newer]),
        [format!(
            "environment: {} is {:?}: not in the format of https://www.gov.uk/bank-holidays.json: \
         missing field `england-and-wales` at line 1 column 2",
            newer.0, newer.1
        )]
    );
}

#[test]
fn the_heartbeat_never_shows_its_address() {
    let (_directory, path) = file("https://hc-ping.example/hunter2\r\n");
    let in_file = path.to_str().unwrap();
    let (url, url_file) = ("NIGHTRUN__HEARTBEAT__URL", "NIGHTRUN__HEARTBEAT__URL_FILE");
    assert!(good("", &[]).heartbeat.is_none());
    for environment in [(url, "https://hc-ping.example/hunter2"), (url_file, in_file)] {
        let settings = good("[heartbeat]\nevery_seconds = 10\n", &[environment]);
        let heartbeat = settings.heartbeat.as_ref().unwrap();
        assert_eq!(heartbeat.url.as_str(), "https://hc-ping.example/hunter2");
        assert_eq!(heartbeat.every.as_secs(), 10);
        let said = explain(&settings);
        assert!(said.contains("every 10 s to https://hc-ping.example, while the daemon works"));
        assert!(!format!("{settings:?}{said}").contains("hunter2"));
    }
    let right = "write an address as \"https://host/path\", or \"http://host/path\"";
    for wrong in ["hunter2", "ftp://h/hunter2", "https://", ""] {
        let said = mistakes("", &[(url, wrong)]);
        assert_eq!(said, [format!("environment: {url}: {right}")]);
    }
    let both = "the url is also given by NIGHTRUN__HEARTBEAT__URL (environment): leave one of the \
                two out";
    assert_eq!(
        mistakes("[heartbeat]\nevery_seconds = 0\n", &[(url, "http://h/"), (url_file, in_file)]),
        [
            format!("environment: {url_file}: {both}"),
            "FILE: heartbeat.every_seconds is 0: write a whole number of seconds from 1 to 3600, \
             without quotes"
                .to_owned(),
        ]
    );
}
