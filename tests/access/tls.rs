//! The daemon at a broker with TLS: what goes wrong names its key, and what goes right goes on.

use std::net::TcpListener;

use crate::attacks::checks_in;
use crate::clients::{Door, User};
use crate::support::certificates::Authority;
use crate::support::daemon::{Installation, by_line};
use crate::support::{Mosquitto, free_port};

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_and_a_broker_with_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_owned();
    let at = |name: &str| path.join(name).display().to_string();
    let authority = Authority::new(folder.path(), "authority");
    let stranger = Authority::new(folder.path(), "stranger");
    authority.certify("client", "nightrun");
    stranger.certify("strange", "nightrun");
    authority.certify_until("broker", "localhost", 2020);
    let mut phones = 0;
    let mut broker = Mosquitto::start_with(|directory, port| {
        phones = free_port();
        let tls = |port: u16| {
            format!(
                "listener {port}\ncertfile {}\nkeyfile {}\n",
                at("broker.crt"),
                at("broker.key")
            )
        };
        format!(
            "user root\nlog_dest stderr\nallow_anonymous true\npersistence true\n\
             persistence_location {}/\n{}cafile {}\nrequire_certificate true\n{}",
            directory.display(),
            tls(port),
            at("authority.crt"),
            tls(phones),
        )
    });
    let port = broker.port;
    let plain = TcpListener::bind("127.0.0.1:0").expect("a port");
    let config = |host: &str, keys: &[(&str, &str)]| {
        let files = keys.iter().map(|(key, file)| format!("{key} = \"{}\"", at(file)));
        by_line([format!("url = \"mqtts://{host}\"")].into_iter().chain(files))
    };
    let good = [
        ("ca_file", "authority.crt"),
        ("client_cert_file", "client.crt"),
        ("client_key_file", "client.key"),
    ];
    let here = format!("localhost:{port}");

    let mut installation = Installation::with(folder, port, &config(&here, &good));
    let daemon = installation.spawn();
    daemon.logged("the broker's certificate has expired").await;
    authority.certify("broker", "localhost");
    broker.restart();
    // It has gone on trying.
    daemon.ready().await;
    let door = Door { port: phones, authority: authority.certificate() };
    let amy = User { name: "default/carer/amy", password: String::new() };
    let mut phone = door.listen(&amy, &[&amy.topic("receipt")]);
    assert_eq!(phone.subscribed().await, [1]);
    checks_in(&mut phone, &amy, "C-1").await;
    daemon.terminate().await;

    let elsewhere = format!("127.0.0.1:{port}");
    let silent = format!("localhost:{}", plain.local_addr().expect("its address").port());
    let strange =
        [good[0], ("client_cert_file", "strange.crt"), ("client_key_file", "strange.key")];
    for (host, keys, said) in [
        (&here, &[("ca_file", "stranger.crt")][..], "set broker.ca_file to"),
        (&here, &good[..1], "set broker.client_cert_file"),
        (&here, &strange[..], "check broker.client_cert_file"),
        (&elsewhere, &good[..], "is not for the host in broker.url"),
        (&silent, &good[..], "broker.url"),
    ] {
        installation = installation.with_broker(&config(host, keys));
        let daemon = installation.spawn();
        if host == &silent {
            // Something that does not speak TLS.
            let (stream, _) = plain.accept().expect("a connection");
            drop(stream);
        }
        daemon.logged(said).await;
        daemon.terminate().await;
    }
}
