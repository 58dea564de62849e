//! `[broker]`: what belongs together, and what does not.

use rcgen::{CertificateParams, KeyPair};

use super::*;

const BROKER_URL: &str =
    "write \"embedded\", \"mqtt://host:port\" or, with TLS, \"mqtts://host:port\"";

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
            BrokerKind::External {
                host: got,
                port: got_port,
                username: None,
                password: None,
                tls: None,
            } => {
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
        "ssl://h",
        "mqtts://",
        "mqtts://a..b",
    ] {
        let said = mistakes("", &[("NIGHTRUN__BROKER__URL", url)]);
        assert_eq!(said, [format!("environment: NIGHTRUN__BROKER__URL is {url:?}: {BROKER_URL}")]);
    }
    check(&[
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
                "FILE: broker.listen is \"0.0.0.0:1883\": without TLS everyone on the way could read passwords and events, so this must be a loopback address: write \"127.0.0.1:1883\", and set broker.tls_listen for phones elsewhere",
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
                "FILE: broker.username: the daemon needs this for a broker elsewhere only: leave it out, or name that broker in broker.url",
            ],
        ),
    ]);
}

#[test]
fn groups_that_share() {
    let database = ("NIGHTRUN__DATABASE__URL", "postgres://me@h/n");
    let group = |name| ("NIGHTRUN__BROKER__SHARED_GROUP", name);
    let settings = good("", &[database, ELSEWHERE, group("a_B-9")]);
    assert_eq!(settings.broker.shared_group.as_deref(), Some("a_B-9"));
    let shown = explain(&settings);
    assert!(shown.contains("shares what phones and units say") && !shown.contains("a_B-9"));
    assert_eq!(good("", &[database, ELSEWHERE]).broker.shared_group, None);
    let key = "environment: NIGHTRUN__BROKER__SHARED_GROUP";
    let letters = "a group is called by 1 to 64 letters, digits, _ and -";
    let too_long = "a".repeat(65);
    for name in ["", "a/b", "a+", "a#", "ü", &too_long] {
        let said = mistakes("", &[database, ELSEWHERE, group(name)]);
        assert_eq!(said, [format!("{key}: {letters}")], "{name}");
    }
    assert_eq!(
        mistakes("", &[group("g")]),
        [
            format!(
                "{key}: only daemons at one broker elsewhere share: leave this out, or name that \
                 broker in broker.url"
            ),
            format!(
                "{key}: a SQLite file has one daemon: leave this out, or name a PostgreSQL \
                 database in database.url"
            ),
        ]
    );
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

/// A folder with a certificate and its key, and what is said about a file of it.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        for name in ["one", "two"] {
            let key = KeyPair::generate().unwrap();
            let certificate =
                CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
            this.write(&format!("{name}.crt"), &certificate.pem());
            this.write(&format!("{name}.key"), &key.serialize_pem());
        }
        this.write("users", "");
        this
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    /// Text in which `P/` stands for the folder.
    fn toml(&self, text: &str) -> String {
        text.replace("P/", &format!("{}/", self.0.path().display()))
    }

    #[track_caller]
    fn check(&self, toml: &str, wanted: &[&str]) {
        let said = mistakes(&self.toml(toml), &[]);
        let folder = format!("{}/", self.0.path().display());
        let said: Vec<_> = said.iter().map(|line| line.replace(&folder, "P/")).collect();
        assert_eq!(said, wanted, "{toml}");
    }
}

const INSIDE_TLS: &str = "[broker]\ntls_listen = '0.0.0.0:8883'\ntls_cert_file = 'P/one.crt'\n\
    tls_key_file = 'P/one.key'\nusers_file = 'P/users'\n";

#[test]
fn tls_inside() {
    let files = Files::new();
    let settings = good(&files.toml(INSIDE_TLS), &[]);
    match &settings.broker.kind {
        BrokerKind::Embedded { tls: Some(tls), users_file: Some(_), .. } => {
            assert_eq!(tls.listen.to_string(), "0.0.0.0:8883");
        }
        other => panic!("{other:?}"),
    }
    assert!(explain(&settings).contains("and on mqtts://0.0.0.0:8883, with "));
    // Whoever is to be there is added to the file before it is there.
    good("[broker]\nusers_file = '/nonexistent/users'\n", &[]);
    files.write("bad", "amy\n");
    files.check(
        "[broker]\ntls_listen = '0.0.0.0:8883'\n",
        &[
            "FILE: broker.tls_listen: TLS needs broker.tls_cert_file and broker.tls_key_file as well",
            "FILE: broker.tls_listen: TLS does not say who speaks, so this needs broker.users_file as well",
        ],
    );
    files.check(
        "[broker]\nlisten = '[::1]:8883'\ntls_listen = '[::1]:8883'\ntls_cert_file = 'P/users'\n\
         users_file = 'P/bad'\n",
        &[
            "FILE: broker.tls_listen is \"[::1]:8883\": broker.listen is there already: write another port",
            "FILE: broker.tls_cert_file is \"P/users\": the file holds no certificate: it must be PEM, with a line BEGIN CERTIFICATE",
            "FILE: broker.tls_cert_file: this needs broker.tls_key_file as well",
            "FILE: broker.users_file is \"P/bad\": line 1: write the name of a user, a colon, and what `nightrun user add` makes",
        ],
    );
    files.check(
        "[broker]\ntls_cert_file = 'P/one.crt'\ntls_key_file = 'P/two.key'\n",
        &[
            "FILE: broker.tls_key_file is \"P/two.key\": the key and the certificate cannot be used together: keys may not be consistent: KeyMismatch",
            "FILE: broker.tls_cert_file: set broker.tls_listen as well, or nothing listens with TLS",
        ],
    );
    files.check(
        &format!("{INSIDE_TLS}url = 'mqtt://h'\nca_file = 'P/one.crt'\n"),
        &[
            "FILE: broker.tls_listen: this is for the embedded broker only: leave it out, or write \"embedded\" in broker.url",
            "FILE: broker.tls_cert_file: this is for the embedded broker only: leave it out, or write \"embedded\" in broker.url",
            "FILE: broker.tls_key_file: this is for the embedded broker only: leave it out, or write \"embedded\" in broker.url",
            "FILE: broker.users_file: this is for the embedded broker only: leave it out, or write \"embedded\" in broker.url",
            "FILE: broker.ca_file: this is for TLS: write \"mqtts://\" in broker.url, or leave it out",
        ],
    );
}

#[test]
fn tls_elsewhere() {
    let files = Files::new();
    for (url, port) in [("mqtts://h", 8883), ("mqtts://[::1]:1", 1)] {
        let toml = format!("[broker]\nurl = '{url}'\nca_file = 'P/one.crt'\n");
        match good(&files.toml(&toml), &[]).broker.kind {
            BrokerKind::External { port: got, tls: Some(_), .. } => assert_eq!(got, port),
            other => panic!("{other:?}"),
        }
    }
    let with_certificate = "[broker]\nurl = 'mqtts://h'\nca_file = 'P/one.crt'\n\
        client_cert_file = 'P/two.crt'\nclient_key_file = 'P/two.key'\n";
    let said = explain(&good(&files.toml(with_certificate), &[]));
    assert!(said.contains("mqtts://h:8883") && said.contains("two.crt"), "{said}");
    files.check(
        "[broker]\nurl = 'mqtts://h'\nca_file = 'P/none'\nclient_key_file = 'P/one.crt'\n",
        &[
            "FILE: broker.ca_file is \"P/none\": the file cannot be read: No such file or directory (os error 2)",
            "FILE: broker.client_key_file is \"P/one.crt\": the file holds no private key: it must be PEM, with a line BEGIN PRIVATE KEY, and without a passphrase",
            "FILE: broker.client_key_file: this needs broker.client_cert_file as well",
        ],
    );
    files.check(
        "[broker]\nurl = 'mqtts://h'\nca_file = 'P/one.key'\nclient_cert_file = 'P/one.crt'\n\
         client_key_file = 'P/two.key'\n",
        &[
            "FILE: broker.ca_file is \"P/one.key\": the file holds no certificate: it must be PEM, with a line BEGIN CERTIFICATE",
            "FILE: broker.client_key_file is \"P/two.key\": the key and the certificate cannot be used together: keys may not be consistent: KeyMismatch",
        ],
    );
    files.check(
        "[broker]\nclient_cert_file = 'P/one.crt'\n",
        &[
            "FILE: broker.client_cert_file: the daemon needs this for a broker elsewhere only: leave it out, or name that broker in broker.url",
        ],
    );
}
