//! E-mails, to a server that is nothing of ours.

use serde_json::Value;

use crate::desk::{AT_ONCE, Program, plan, start, until, visit};
use crate::support::certificates::Authority;
use crate::support::daemon::{Installation, quiet_port};
use crate::support::engine::{Engine, on_both_engines};

/// Who is told by e-mail, of `late` only.
fn recipient(name: &str) -> String {
    format!(
        "[[recipient]]\nname = \"{name}\"\nkinds = [\"late\"]\nchannel = \"smtp\"\n\
         address = \"{name}@example.org\"\n"
    )
}

fn head<'a>(mail: &'a Value, name: &str) -> Vec<&'a str> {
    let head = mail["head"].as_array().expect("a head");
    let named = head.iter().filter(|line| line[0] == name);
    named.map(|line| line[1].as_str().expect("text")).collect()
}

on_both_engines!(a_mailbox_that_is_refused_is_an_alert_and_the_others_are_told);
async fn a_mailbox_that_is_refused_is_an_alert_and_the_others_are_told(engine: Engine) {
    let installation = Installation::embedded().on(engine);
    let authority = Authority::new(installation.folder.path(), "authority");
    let pair = authority.certify("mail", "127.0.0.1");
    let port = quiet_port().to_string();
    let arguments = [
        "--port".as_ref(),
        port.as_ref(),
        "--cert".as_ref(),
        pair.certificate.as_os_str(),
        "--key".as_ref(),
        pair.key.as_os_str(),
    ];
    let mut server = Program::start("mail.py", arguments).await;
    let sections = [
        AT_ONCE,
        &format!("ca_file = \"{}\"\n", authority.certificate().display()),
        &format!(
            "[smtp]\nserver = \"127.0.0.1:{port}\"\nfrom = \"nightrun <night@example.org>\"\n"
        ),
        "username = \"nightrun\"\npassword = \"hunter2\"\n",
        &recipient("ann"),
        &recipient("refused"),
        &recipient("ben"),
    ];
    let installation = installation.with_sections(sections.concat());
    let (daemon, _phone) = start(&installation).await;
    plan(&installation, &[visit("A", "run-1", 40)]);
    let mut to = Vec::new();
    for _ in 0..2 {
        let mail = server.next().await;
        assert_eq!(mail["from"], "night@example.org");
        assert_eq!(head(&mail, "From"), ["nightrun <night@example.org>"]);
        let subject = head(&mail, "Subject");
        assert_eq!(subject.len(), 1);
        assert!(subject[0].starts_with("Coordinator: speak to client client-A by "), "{subject:?}");
        assert!(subject[0].ends_with(": visit A of run run-1 is late"), "{subject:?}");
        assert_eq!(head(&mail, "Auto-Submitted"), ["auto-generated"]);
        let text = mail["text"].as_str().expect("text");
        assert!(text.starts_with("To do: speak to client client-A by "), "{text}");
        let html = mail["html"].as_str().expect("text");
        assert!(html.contains("<li>visit A, client client-A: planned for "), "{html}");
        let whom = mail["to"][0].as_str().expect("text").to_owned();
        // A repeat would have the same name.
        let recipient = whom.split('@').next().expect("a name");
        let id = format!("SELECT id FROM notification WHERE recipient = '{recipient}'");
        let id = installation.texts(&id).await.remove(0);
        assert_eq!(head(&mail, "Message-ID"), [format!("<{id}@example.org>")]);
        to.push(whom);
    }
    to.sort();
    assert_eq!(to, ["ann@example.org", "ben@example.org"]);
    let failed = "recipient = 'refused' AND state = 'failed' AND heard = 0";
    until(&installation, "notification", failed, 1).await;
    until(&installation, "alert", "kind = 'notification_failed' AND resolved_at IS NULL", 1).await;
    until(&installation, "notification", "state = 'sent'", 2).await;
    // Whoever reads the log does not learn addresses.
    assert!(!daemon.log().contains("@example.org"), "{}", daemon.log());
    daemon.terminate().await;
}
