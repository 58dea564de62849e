//! E-mails: to a server that takes them, with TLS or on this machine.
//!
//! Each has the same Message-ID at each try, so that mail programs drop repeats; and what is said in
//! its head is one line, encoded by the library.

use std::path::Path;

use anyhow::Context as _;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use super::SEND_WITHIN;
use super::letter::Letter;
use super::outcome::Outcome;
use crate::config::{Security, Smtp};
use crate::report::notification::Words;

/// The server says that there is no such mailbox, or that it may not be written to.
const NO_MAILBOX: [u16; 4] = [550, 551, 553, 556];
/// The server stops.
const STOPPING: u16 = 421;

/// The server.
pub(super) struct Server {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Server {
    pub(super) fn new(smtp: &Smtp, ca_file: Option<&Path>) -> anyhow::Result<Self> {
        let tls = || -> anyhow::Result<TlsParameters> {
            let mut tls = TlsParameters::builder(smtp.host.clone());
            if let Some(path) = ca_file {
                tls = tls.certificate_store(CertificateStore::None);
                let pem = std::fs::read(path).context("notify.ca_file cannot be read")?;
                tls = tls.add_root_certificate(Certificate::from_pem(&pem)?);
            }
            Ok(tls.build()?)
        };
        let tls = match smtp.security {
            Security::StartTls => Tls::Required(tls()?),
            Security::Tls => Tls::Wrapper(tls()?),
            Security::None => Tls::None,
        };
        let mut transport =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(smtp.host.as_str())
                .port(smtp.port)
                .tls(tls)
                .timeout(Some(SEND_WITHIN));
        if let Some((name, password)) = &smtp.user {
            let password = password.expose().to_owned();
            transport = transport.credentials(Credentials::new(name.clone(), password));
        }
        Ok(Self { transport: transport.build(), from: smtp.from.clone() })
    }

    pub(super) async fn send(&self, to: &Address, letter: &Letter, words: &Words) -> Outcome {
        let text = MultiPart::alternative_plain_html(words.text.clone(), words.html.clone());
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to.clone()))
            .subject(words.subject.clone())
            .message_id(Some(format!("<{}@{}>", letter.id, self.from.email.domain())))
            .header(Automatic)
            .multipart(text);
        let message = match message {
            Ok(message) => message,
            Err(failed) => return Outcome::refused(format!("the e-mail cannot be made: {failed}")),
        };
        match self.transport.send(message).await {
            Ok(_) => Outcome::Sent,
            Err(failed) => of_error(&failed),
        }
    }
}

fn of_error(failed: &lettre::transport::smtp::Error) -> Outcome {
    let Some(code) = failed.status() else {
        // Of this kind the library tells by its words only.
        let no_connection = failed.to_string().starts_with("Connection error");
        return if failed.is_tls() || failed.is_client() {
            Outcome::unreached("the mail server and the daemon do not agree about TLS or the login")
        } else if no_connection {
            Outcome::unreached("no connection to the mail server")
        } else {
            // It may have been taken before that.
            Outcome::lost("the connection to the mail server broke")
        };
    };
    // What else the server says may hold the address.
    let why = format!("the mail server answers {code}");
    match code.to_string().parse() {
        Ok(STOPPING) => Outcome::unreached(why),
        Ok(code) if NO_MAILBOX.contains(&code) => Outcome::Never(why),
        _ => Outcome::refused(why),
    }
}

/// Nobody answers to it, and no holiday message either.
#[derive(Clone)]
struct Automatic;

impl Header for Automatic {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use lettre::message::Mailbox;

    use super::*;
    use crate::domain::instant::parse_instant;
    use crate::domain::recipient::Occasion;

    #[tokio::test]
    async fn who_cannot_be_reached_has_heard_nothing() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let from = Mailbox::new(None, "a@example.org".parse().unwrap());
        let (host, security) = ("127.0.0.1".to_owned(), Security::None);
        let server = Server::new(&Smtp { host, port, security, user: None, from }, None).unwrap();
        let letter = Letter {
            id: "n".to_owned(),
            recipient: "desk".to_owned(),
            occasion: Occasion::Opened,
            written_at: parse_instant("2019-02-04T02:00:00Z").unwrap(),
            tries: 0,
            failures: 0,
            notifications: Vec::new(),
            unheard: Vec::new(),
            alerts: Vec::new(),
        };
        let text = || "text".to_owned();
        let words = Words { subject: text(), brief: text(), text: text(), html: text() };
        let outcome = server.send(&"b@example.org".parse().unwrap(), &letter, &words).await;
        assert_eq!(outcome, Outcome::unreached("no connection to the mail server"));
    }
}
