//! Text messages and e-mails by GOV.UK Notify, for which a program stands in that checks tokens.

use serde_json::json;

use crate::desk::{AT_ONCE, Program, plan, start, until, visit};
use crate::support::daemon::{Installation, quiet_port};

const SERVICE: &str = "26785a09-ab16-4eb0-8407-a37497a57506";
const SECRET: &str = "3d844edf-8d35-48ac-975b-e847b4f122b0";
const SMS: &str = "6e6f7468-0000-4000-8000-000000000001";
const EMAIL: &str = "6e6f7468-0000-4000-8000-000000000002";

async fn stand_in(port: &str) -> Program {
    let arguments = ["--port", port, "--service", SERVICE, "--secret", SECRET];
    Program::start("govuk.py", arguments).await
}

fn sections(port: &str, secret: &str, recipients: &[(&str, &str)]) -> String {
    let of_all = recipients.iter().map(|(name, address)| {
        format!(
            "[[recipient]]\nname = \"{name}\"\nkinds = [\"late\"]\nchannel = \"govuk_notify\"\n\
             address = \"{address}\"\n"
        )
    });
    format!(
        "{AT_ONCE}[govuk_notify]\nurl = \"http://127.0.0.1:{port}\"\n\
         key = \"night-service-{SERVICE}-{secret}\"\nsms_template = \"{SMS}\"\n\
         email_template = \"{EMAIL}\"\n{}",
        of_all.collect::<String>()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn text_messages_and_emails_are_asked_for_with_a_token() {
    let port = quiet_port().to_string();
    let mut notify = stand_in(&port).await;
    let recipients = [("phone", "+44 7700 900123"), ("mail", "night@example.org")];
    let installation = Installation::embedded().with_sections(sections(&port, SECRET, &recipients));
    let (daemon, _phone) = start(&installation).await;
    plan(&installation, &[visit("A", "run-1", 40), visit("B", "run-1", 40)]);
    let mut asked = [notify.next().await, notify.next().await];
    asked.sort_by_key(|asked| asked["path"].to_string());
    let [email, sms] = asked;
    assert_eq!((&email["status"], &sms["status"]), (&json!(201), &json!(201)), "{email} {sms}");
    assert_eq!(sms["path"], "/v2/notifications/sms");
    assert_eq!(sms["body"]["phone_number"], "+447700900123");
    assert_eq!(sms["body"]["template_id"], SMS);
    let message = sms["body"]["personalisation"]["message"].as_str().expect("text");
    assert!(message.ends_with(": 2 visits of run run-1 are late: A, B"), "{message}");
    assert_eq!(email["path"], "/v2/notifications/email");
    assert_eq!(email["body"]["email_address"], "night@example.org");
    assert_eq!(email["body"]["template_id"], EMAIL);
    let parts = &email["body"]["personalisation"];
    assert!(parts["subject"].as_str().expect("text").starts_with("Coordinator: "), "{parts}");
    assert!(parts["message"].as_str().expect("text").contains("- visit B, client client-B"));
    until(&installation, "notification", "state = 'sent'", 4).await;
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_by_another_key_is_refused() {
    let port = quiet_port().to_string();
    let mut notify = stand_in(&port).await;
    let another = SECRET.replace('3', "4");
    let sections = sections(&port, &another, &[("phone", "+447700900123")]);
    let installation = Installation::embedded().with_sections(sections);
    let (daemon, _phone) = start(&installation).await;
    plan(&installation, &[visit("A", "run-1", 40)]);
    assert_eq!(notify.next().await["status"], 403);
    let trouble = "state = 'waiting' AND heard = 0 AND trouble = 'it answers 403 Forbidden'";
    until(&installation, "notification", trouble, 1).await;
    daemon.terminate().await;
}
