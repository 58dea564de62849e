//! The broker inside, with TLS and users.

use crate::attacks::{Night, attack, checks_in};
use crate::clients::{Door, Phone, User};
use crate::support::certificates::Authority;
use crate::support::daemon::{Installation, quiet_port};

/// An installation whose broker has TLS and users, and the authority of its certificate.
pub fn installation() -> (Installation, Door, Authority) {
    let (port, tls_port) = (quiet_port(), quiet_port());
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let broker = format!(
        "listen = \"127.0.0.1:{port}\"\ntls_listen = \"127.0.0.1:{tls_port}\"\ntls_cert_file = \
         \"{}\"\ntls_key_file = \"{}\"\nusers_file = \"{}\"",
        at("broker.crt"),
        at("broker.key"),
        at("users"),
    );
    let authority = Authority::new(folder.path(), "authority");
    authority.certify("broker", "localhost");
    let door = Door { port: tls_port, authority: authority.certificate() };
    (Installation::with(folder, port, &broker), door, authority)
}

/// Adds a user, as an operator does.
pub fn add(installation: &Installation, name: &'static str) -> User {
    let password = installation.run(["user", "add", name]).succeeded().trim_end().to_owned();
    User { name, password }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_inside_is_attacked() {
    let (installation, door, authority) = installation();
    let night = Night {
        door: door.clone(),
        installation: &installation,
        says_no: true,
        amy: add(&installation, "default/carer/amy"),
        eve: add(&installation, "default/carer/eve"),
        unit: add(&installation, "default/device/unit"),
        board: add(&installation, "board"),
    };
    let daemon = installation.start().await;
    attack(&night).await;

    // What it says to those who may come in, but not so.
    let will = ["--will", "nightrun/v1/default/alert/late"];
    for (client_id, options, codes) in [
        ("default/carer/eve", &[][..], [2, 133]),
        ("default~carer~amy", &[], [2, 133]),
        ("", &[], [2, 133]),
        ("nightrun", &[], [5, 135]),
        ("nightrun-publish", &[], [5, 135]),
        ("default~carer~eve", &will, [5, 135]),
    ] {
        for (version, code) in ["3.1.1", "5"].into_iter().zip(codes) {
            let options = [options, &["--version", version]].concat();
            let mut phone = door.listen_with(&night.eve, client_id, &[], &options);
            assert_eq!(phone.connected().await, code, "{client_id} {version}");
        }
    }

    // Without TLS, on this machine: the same people, and nobody else.
    let mut plain = Phone::start(installation.port, None, &["--id", "default~carer~amy"]);
    assert_eq!(plain.connected().await, 4);
    let Night { amy, eve, .. } = &night;
    let (id, topic) = (amy.client_id(), amy.topic("receipt"));
    let arguments = ["--id", &id, "--user", amy.name, "--password", &amy.password, topic.as_str()];
    let mut plain = Phone::start(installation.port, None, &arguments);
    assert_eq!(plain.subscribed().await, [1]);
    checks_in(&mut plain, amy, "C-4").await;

    // Who is removed is thrown out, and does not come back; the others stay.
    let mut eves_phone = door.listen(eve, &[&eve.topic("receipt")]);
    assert_eq!(eves_phone.subscribed().await, [1]);
    installation.run(["user", "remove", eve.name]).succeeded();
    eves_phone.disconnected().await;
    assert_eq!(door.listen(eve, &[]).connected().await, 4);
    checks_in(&mut plain, amy, "C-5").await;

    // A certificate by another authority, from the next connection on.
    let other = Authority::new(installation.folder.path(), "other");
    other.certify("broker", "localhost");
    let renewed = Door { authority: other.certificate(), ..door.clone() };
    daemon.logged_times("the certificate of the embedded broker was read", 2).await;
    assert_eq!(renewed.listen(amy, &[]).connected().await, 0);
    let refused = door.publish(amy, &amy.topic("event"), "spoof");
    assert!(!refused.status.success());
    drop(authority);

    let log = daemon.log();
    for (said, times) in [
        ("a user published where it may not", 1),
        ("a user was refused: its client id", 1),
        ("a user was refused: it may have no will", 1),
        // For each of its two.
        ("somebody came with the daemon's own client id", 2),
    ] {
        assert_eq!(log.matches(said).count(), times, "{said}: {log}");
    }
    assert!(!log.contains("receipts and alerts wait"), "{log}");
    daemon.terminate().await;
}
