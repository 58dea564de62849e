//! The sections, key by key.

use super::*;

const BROKER_URL: &str = "write \"embedded\", \"mqtt://host\" or \"mqtt://host:port\"";

#[test]
fn brokers() {
    for (url, host, port) in [
        ("mqtt://broker.example", "broker.example", 1883),
        ("mqtt://broker.example:1884/", "broker.example", 1884),
        ("mqtt://192.0.2.1", "192.0.2.1", 1883),
        ("mqtt://[2001:db8::1]", "2001:db8::1", 1883),
        ("mqtt://[::1]:1884", "::1", 1884),
    ] {
        match good("", &[("NIGHTRUN__BROKER__URL", url)]).broker.kind {
            BrokerKind::External { host: got, port: got_port, username: None, password: None } => {
                assert_eq!((got.as_str(), got_port), (host, port), "{url}");
            }
            other => panic!("{url}: {other:?}"),
        }
    }
    for url in [
        "",
        "broker.example",
        "mqtt://",
        "mqtt://a b",
        "mqtt://a:0",
        "mqtt://a:x",
        "mqtt://a:+1",
        "mqtt://a:",
        "mqtt://a:65536",
        "mqtt://a/b",
        "mqtt://::1",
        "mqtt://[::1",
        "mqtt://[::1]1",
    ] {
        let said = mistakes("", &[("NIGHTRUN__BROKER__URL", url)]);
        assert_eq!(said, [format!("environment: NIGHTRUN__BROKER__URL is {url:?}: {BROKER_URL}")]);
    }
    check(&[
        (
            "[broker]\nurl = 'mqtts://h'\n",
            &[],
            &["FILE: broker.url: this version speaks mqtt:// only, without TLS"],
        ),
        (
            "[broker]\nurl = 'mqtt://me:hunter2@h'\n",
            &[],
            &[
                "FILE: broker.url: a URL holds no user: write broker.username, and broker.password or broker.password_file",
            ],
        ),
        (
            "[broker]\nlisten = '0.0.0.0:1883'\n",
            &[],
            &[
                "FILE: broker.listen is \"0.0.0.0:1883\": the embedded broker has neither users nor TLS in this version, so it must stay on a loopback address: write \"127.0.0.1:1883\", or run a broker of its own and name it in broker.url",
            ],
        ),
        (
            "[broker]\nlisten = 'localhost'\nclient_id = 'a/b'\n",
            &[("NIGHTRUN__HTTP__LISTEN", "")],
            &[
                "environment: NIGHTRUN__HTTP__LISTEN is \"\": write an address and a port, as \"127.0.0.1:8080\" or \"[::1]:8080\"",
                "FILE: broker.listen is \"localhost\": write an address and a port, as \"127.0.0.1:8080\" or \"[::1]:8080\"",
                "FILE: broker.client_id is \"a/b\": a reference is 1 to 64 of A-Z a-z 0-9 . _ -",
            ],
        ),
        (
            "[broker]\nlisten = '127.0.0.1:8080'\n",
            &[],
            &[
                "built-in configuration: http.listen is \"127.0.0.1:8080\": the embedded broker listens there: write another port",
            ],
        ),
        (
            "[broker]\nusername = 'me'\n",
            &[],
            &[
                "FILE: broker.username: the embedded broker has no users in this version: leave this out, or name another broker in broker.url",
            ],
        ),
    ]);
}

const ELSEWHERE: (&str, &str) = ("NIGHTRUN__BROKER__URL", "mqtt://h");

#[test]
fn passwords() {
    let (directory, path) = file("hunter2 \r\n");
    let path = path.to_str().unwrap();
    for (name, value, password) in [
        ("NIGHTRUN__BROKER__PASSWORD", "hunter2", "hunter2"),
        ("NIGHTRUN__BROKER__PASSWORD_FILE", path, "hunter2 "),
    ] {
        let settings = good("[broker]\nusername = 'me'\n", &[ELSEWHERE, (name, value)]);
        let shown = format!("{settings:?}{}", explain(&settings));
        assert!(!shown.contains("hunter2"), "{shown}");
        match settings.broker.kind {
            BrokerKind::External { username: Some(me), password: Some(secret), .. } => {
                assert_eq!((me.as_str(), secret.expose()), ("me", password));
            }
            other => panic!("{other:?}"),
        }
    }
    let directory = directory.path().to_str().unwrap();
    std::fs::write(path, "\n").unwrap();
    let said = mistakes(
        "[broker]\nusername = 'me'\n",
        &[ELSEWHERE, ("NIGHTRUN__BROKER__PASSWORD_FILE", path)],
    );
    assert_eq!(said, ["environment: NIGHTRUN__BROKER__PASSWORD_FILE: the password is empty"]);
    let said = mistakes(
        "[broker]\nusername = 'me'\n",
        &[ELSEWHERE, ("NIGHTRUN__BROKER__PASSWORD_FILE", &format!("{directory}/none"))],
    );
    assert_eq!(
        said,
        [format!(
            "environment: NIGHTRUN__BROKER__PASSWORD_FILE is \"{directory}/none\": \
         the file cannot be read: No such file or directory (os error 2)"
        )]
    );
    check(&[
        (
            "[broker]\npassword = 'hunter2'\n",
            &[ELSEWHERE],
            &["FILE: broker.password: a password needs broker.username too"],
        ),
        (
            "[broker]\nusername = 'me'\npassword = 2222\n",
            &[ELSEWHERE],
            &["FILE: broker.password: write text in quotes"],
        ),
        (
            "[broker]\nusername = 'me'\npassword = 'hunter2'\n",
            &[ELSEWHERE, ("NIGHTRUN__BROKER__PASSWORD_FILE", "/dev/null")],
            &[
                "environment: NIGHTRUN__BROKER__PASSWORD_FILE: the password is empty",
                "environment: NIGHTRUN__BROKER__PASSWORD_FILE: the password is also given by broker.password (FILE): leave one of the two out",
            ],
        ),
        (
            "[broker]\npassword = ''\n",
            &[("NIGHTRUN__BROKER__USERNAME", ""), ELSEWHERE],
            &[
                "environment: NIGHTRUN__BROKER__USERNAME is \"\": write 1 to 256 characters, not only blanks and no control characters",
                "FILE: broker.password: the password is empty",
            ],
        ),
    ]);
}

#[test]
fn databases() {
    for (url, path) in [
        ("sqlite:a.db", "a.db"),
        ("sqlite:/var/lib/nightrun/n.db", "/var/lib/nightrun/n.db"),
        ("sqlite://a.db", "a.db"),
        ("sqlite:///var/n.db", "/var/n.db"),
    ] {
        let settings = good("", &[("NIGHTRUN__DATABASE__URL", url)]);
        assert_eq!(settings.database.path, Path::new(path), "{url}");
    }
    let path = "write \"sqlite:\" and the path of a file, without options";
    for (url, mistake) in [
        (
            "postgres://me:hunter2@h/n",
            ": this version stores in SQLite only: write \"sqlite:\" and the path of a file",
        ),
        (
            "sqlite::memory:",
            " is \"sqlite::memory:\": what is only in memory is lost: write a file's path",
        ),
        ("sqlite:", &format!(" is \"sqlite:\": {path}")),
        ("sqlite:a.db?mode=ro", &format!(" is \"sqlite:a.db?mode=ro\": {path}")),
        ("a.db", &format!(" is \"a.db\": {path}")),
        ("mysql://me:hunter2@h", &format!(": {path}")),
    ] {
        let said = mistakes("", &[("NIGHTRUN__DATABASE__URL", url)]);
        assert_eq!(said, [format!("environment: NIGHTRUN__DATABASE__URL{mistake}")]);
    }
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
