//! The example for Mosquitto, as it stands in `systemd/`.

use std::process::Command;

use crate::attacks::{Night, attack, check_in};
use crate::clients::{Door, Phone, User};
use crate::support::certificates::Authority;
use crate::support::daemon::Installation;
use crate::support::{Mosquitto, free_port};

const CONF: &str = include_str!("../../systemd/mosquitto.conf");
const ACL: &str = include_str!("../../systemd/mosquitto.acl");

/// The text, with something else in the place of what stands there once.
fn replaced(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(&format!("\n{from}")).count(), 1, "{from}");
    text.replacen(&format!("\n{from}"), &format!("\n{to}"), 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_is_attacked() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_owned();
    let at = |name: &str| path.join(name).display().to_string();
    let authority = Authority::new(folder.path(), "authority");
    authority.certify("server", "localhost");
    std::fs::write(at("nightrun.acl"), ACL).expect("a file");
    std::fs::write(at("nightrun.passwd"), "").expect("a file");
    let user = |name: &'static str| {
        let user = User { name, password: format!("{name}'s password") };
        let mut passwd = Command::new("mosquitto_passwd");
        passwd.args(["-b", &at("nightrun.passwd"), name, &user.password]);
        assert!(passwd.status().expect("mosquitto_passwd is installed").success());
        user
    };
    let daemons = user("nightrun");
    let [amy, eve, unit, board] =
        ["default/carer/amy", "default/carer/eve", "default/device/unit", "board"].map(user);
    let tls_port = free_port();
    let broker = Mosquitto::start_with(|directory, port| {
        let files = [
            ("certfile /etc/mosquitto/certs/", "server.crt"),
            ("keyfile /etc/mosquitto/certs/", "server.key"),
            ("password_file /etc/mosquitto/", "nightrun.passwd"),
            ("acl_file /etc/mosquitto/", "nightrun.acl"),
        ];
        let mut conf = replaced(CONF, "listener 1883", &format!("listener {port}"));
        conf = replaced(&conf, "listener 8883", &format!("listener {tls_port} 127.0.0.1"));
        for (from, file) in files {
            let (key, _) = from.split_once(' ').expect("a key");
            conf = replaced(&conf, &format!("{from}{file}"), &format!("{key} {}", at(file)));
        }
        // As Debian's own configuration, which includes the example.
        format!(
            "user root\nlog_dest stderr\npersistence true\npersistence_location {}/\n{conf}",
            directory.display()
        )
    });
    let installation = Installation::with(
        folder,
        broker.port,
        &format!(
            "url = \"mqtt://127.0.0.1:{}\"\nusername = \"nightrun\"\npassword = \"{}\"",
            broker.port, daemons.password
        ),
    );
    let door = Door { port: tls_port, authority: authority.certificate() };
    let night = Night { door, installation: &installation, says_no: false, amy, eve, unit, board };
    let daemon = installation.start().await;
    attack(&night).await;
    // What the broker says of itself is for the daemon.
    let (password, about) = (daemons.password.as_str(), "$SYS/broker/version");
    let arguments = ["--id", "other", "--user", "nightrun", "--password", password, about];
    let mut phone = Phone::start(broker.port, None, &arguments);
    assert_eq!(phone.subscribed().await, [1]);
    assert_eq!(phone.message().await.0, about);
    let log = daemon.log();
    assert!(!log.contains("no session with the broker") && !log.contains("wait:"), "{log}");
    daemon.terminate().await;

    // Nobody else has the daemon's queue, or empties it.
    let Night { door, amy, eve, .. } = &night;
    let (_, mut event) = check_in("C-9");
    event.as_object_mut().expect("an object").remove("carer_ref");
    assert!(door.publish(amy, &amy.topic("event"), &event.to_string()).status.success());
    let mut thief = door.listen_with(eve, "nightrun", &["nightrun/v1/+/carer/+/event"], &[]);
    assert_eq!(thief.subscribed().await, [1]);
    thief.kill();
    let before = installation.number("SELECT count(*) FROM event").await;
    let daemon = installation.start().await;
    let after = installation.number("SELECT count(*) FROM event").await;
    assert_eq!(after, before + 1);
    daemon.terminate().await;
}
