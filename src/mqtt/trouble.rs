//! What is wrong with a connection, in words that say what to do.

use std::fmt;
use std::io;
use std::mem::{Discriminant, discriminant};
use std::time::Duration;

use rumqttc::{
    ConnectReturnCode, ConnectionError, DisconnectReasonCode, StateError, SubscribeReasonCode,
};
use rustls::{AlertDescription, CertificateError};
use tokio::time::Instant as Tick;

use crate::backoff::Backoff;

/// Why a connection ended that was to go on.
pub(crate) enum Trouble {
    /// Another client connected with this client id.
    TakenOver,
    /// The broker closed the connection without a word.
    Closed,
    /// The broker does not let the daemon in.
    NotAllowedIn(ConnectReturnCode),
    /// The broker does not let the daemon read these topics.
    NotAllowedToRead(Vec<String>),
    /// The daemon and the broker do not trust each other; the text says what to change.
    NoTrust(String),
    /// Anything else; it passes by itself, or the text says what is wrong.
    Broken(String),
}

/// What helps when nothing better is known.
const TRY_AGAIN: &str =
    "check that the broker runs and that broker.url names it, this goes on trying";
/// A connection that the broker closes within this has ended early.
const EARLY: Duration = Duration::from_mins(1);
/// So many early ends in a row are another client's doing.
const EARLY_MAX: u32 = 3;
/// How often the log speaks of that.
const SAY_TAKEN_OVER_EVERY: Duration = Duration::from_mins(10);
/// The least pause after another client took this one's identifier: two daemons that take turns
/// must not do so many times a second.
const TAKEN_OVER_PAUSE: Duration = Duration::from_secs(10);

impl Trouble {
    /// What it is, whatever the words.
    pub(crate) fn kind(&self) -> Discriminant<Self> {
        match self {
            Self::Closed => discriminant(&Self::Broken(String::new())),
            other => discriminant(other),
        }
    }

    /// How long to wait before the next attempt.
    pub(crate) fn pause(&self, backoff: &mut Backoff) -> Duration {
        match self {
            Self::TakenOver => Backoff::long_pause(TAKEN_OVER_PAUSE),
            _ => backoff.next_pause(),
        }
    }
}

/// Sees that another client takes the connection over. Not every broker says so: some just close it,
/// and soon again when it is made anew, which they let happen at the first attempt.
#[derive(Debug, Default)]
pub(crate) struct Rivalry {
    connected_at: Option<Tick>,
    early_ends: u32,
    said_at: Option<Tick>,
}

impl Rivalry {
    /// The broker has let the daemon in.
    pub(crate) fn connected(&mut self) {
        self.connected_at = Some(Tick::now());
    }

    /// What is behind the end of the connection.
    pub(crate) fn ended(&mut self, trouble: Trouble) -> Trouble {
        let Some(connected_at) = self.connected_at.take() else {
            self.early_ends = 0;
            return trouble;
        };
        if connected_at.elapsed() >= EARLY {
            self.early_ends = 0;
        }
        if !matches!(trouble, Trouble::Closed) {
            return trouble;
        }
        self.early_ends += 1;
        if self.early_ends >= EARLY_MAX { Trouble::TakenOver } else { trouble }
    }

    /// Whether the log has spoken of it lately; if not, it does now.
    pub(crate) fn was_said(&mut self, trouble: &Trouble) -> bool {
        if !matches!(trouble, Trouble::TakenOver) {
            return false;
        }
        let said = self.said_at.is_some_and(|at| at.elapsed() < SAY_TAKEN_OVER_EVERY);
        if !said {
            self.said_at = Some(Tick::now());
        }
        said
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TakenOver => f.write_str(
                "another client connects with this client id, so two daemons may be using it; \
                 stop one, or give it a broker.client_id of its own",
            ),
            Self::Closed => write!(f, "the broker closed the connection; {TRY_AGAIN}"),
            Self::NotAllowedIn(code) => write!(
                f,
                "the broker refused the connection ({code:?}); check broker.username, \
                 broker.password and broker.client_id against the broker's users"
            ),
            Self::NotAllowedToRead(topics) => write!(
                f,
                "the broker refused the subscription to {}; its access rules must allow this user \
                 to read there",
                topics.join(", ")
            ),
            Self::NoTrust(reason) => f.write_str(reason),
            Self::Broken(reason) => write!(f, "{reason}; {TRY_AGAIN}"),
        }
    }
}

impl From<ConnectionError> for Trouble {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::ConnectionRefused(
                code @ (ConnectReturnCode::BadUserNamePassword
                | ConnectReturnCode::NotAuthorized
                | ConnectReturnCode::ClientIdentifierNotValid
                | ConnectReturnCode::BadClientId
                | ConnectReturnCode::Banned),
            ) => Self::NotAllowedIn(code),
            ConnectionError::MqttState(StateError::ServerDisconnect {
                reason_code: DisconnectReasonCode::SessionTakenOver,
                ..
            }) => Self::TakenOver,
            ConnectionError::MqttState(StateError::ConnectionAborted) => Self::Closed,
            ConnectionError::Tls(rumqttc::TlsError::Io(error))
                if error.kind() == io::ErrorKind::UnexpectedEof =>
            {
                Self::NoTrust(
                    "the broker ended the TLS handshake without a word; check that the port in \
                     broker.url is the one on which it speaks TLS"
                        .to_owned(),
                )
            }
            other => match tls_error(&other) {
                Some(error) => Self::NoTrust(of_tls(error)),
                None => Self::Broken(other.to_string()),
            },
        }
    }
}

/// What TLS had to say about it, which is hidden within other errors.
fn tls_error(error: &ConnectionError) -> Option<&rustls::Error> {
    let io = match error {
        ConnectionError::Tls(rumqttc::TlsError::TLS(error)) => return Some(error),
        ConnectionError::Tls(rumqttc::TlsError::Io(io))
        | ConnectionError::Io(io)
        | ConnectionError::MqttState(
            StateError::Io(io) | StateError::Deserialization(rumqttc::Error::Io(io)),
        ) => io,
        _ => return None,
    };
    io.get_ref()?.downcast_ref()
}

/// The trouble with TLS, and the key to change.
fn of_tls(error: &rustls::Error) -> String {
    use CertificateError as Bad;
    match error {
        rustls::Error::InvalidCertificate(Bad::UnknownIssuer) => {
            "the broker's certificate is by an authority that the daemon does not trust; set \
             broker.ca_file to that authority's certificate"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(
            Bad::NotValidForName | Bad::NotValidForNameContext { .. },
        ) => format!(
            "the broker's certificate is not for the host in broker.url; write the name that it is \
             for, or give the broker another one ({error})"
        ),
        rustls::Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => format!(
            "the broker's certificate has expired; have it renewed at the broker that broker.url \
             names, or set this machine's clock ({error})"
        ),
        rustls::Error::InvalidCertificate(_) => format!(
            "the broker's certificate is of no use; renew it, or check broker.ca_file ({error})"
        ),
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure,
        ) => format!(
            "the broker wants a certificate of the daemon, or another TLS than the daemon speaks; \
             set broker.client_cert_file and broker.client_key_file ({error})"
        ),
        rustls::Error::AlertReceived(_) => format!(
            "the broker does not take the daemon's certificate or its TLS; check \
             broker.client_cert_file ({error})"
        ),
        rustls::Error::InvalidMessage(_) => format!(
            "what answers does not speak TLS; check that the port in broker.url is the one on \
             which the broker does ({error})"
        ),
        other => format!("TLS failed ({other}); check broker.url and broker.ca_file"),
    }
}

/// The topics of a subscription that were refused.
pub(super) fn refused(filters: &[String], codes: &[SubscribeReasonCode]) -> Vec<String> {
    filters
        .iter()
        .zip(codes)
        .filter(|(_, code)| !matches!(code, SubscribeReasonCode::Success(_)))
        .map(|(filter, _)| filter.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rumqttc::QoS;

    #[test]
    fn a_refused_subscription_names_the_topic_and_the_remedy() {
        let filters = ["a/+/event".to_owned(), "b/+/status".to_owned()];
        let codes =
            [SubscribeReasonCode::Success(QoS::AtLeastOnce), SubscribeReasonCode::NotAuthorized];
        let topics = refused(&filters, &codes);
        assert_eq!(topics, ["b/+/status"]);
        assert_eq!(
            Trouble::NotAllowedToRead(topics).to_string(),
            "the broker refused the subscription to b/+/status; its access rules must allow this \
             user to read there"
        );
    }

    #[test]
    fn connections_that_are_closed_early_again_and_again_are_taken_over() {
        let mut rivalry = Rivalry::default();
        let lasting = |rivalry: &mut Rivalry, seconds| {
            rivalry.connected_at = Tick::now().checked_sub(Duration::from_secs(seconds));
            matches!(rivalry.ended(Trouble::Closed), Trouble::TakenOver)
        };
        assert!(!lasting(&mut rivalry, 3));
        assert!(!lasting(&mut rivalry, 59));
        assert!(lasting(&mut rivalry, 1));
        assert!(lasting(&mut rivalry, 59));
        assert!(!lasting(&mut rivalry, 60), "that was a whole connection");
        assert!(!lasting(&mut rivalry, 1));
        assert!(matches!(rivalry.ended(Trouble::Closed), Trouble::Closed), "not let in at all");
        assert!(!lasting(&mut rivalry, 1), "the broker was away");
        let broken = rivalry.ended(Trouble::Broken(String::new()));
        assert!(!rivalry.was_said(&broken) && !rivalry.was_said(&broken));
        assert!(!rivalry.was_said(&Trouble::TakenOver) && rivalry.was_said(&Trouble::TakenOver));
    }

    #[test]
    fn a_taken_session_names_the_client_id_and_a_refused_user_its_keys() {
        let taken = ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code: DisconnectReasonCode::SessionTakenOver,
            reason_string: None,
        });
        let cases = [
            (taken, "broker.client_id"),
            (
                ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized),
                "broker.password",
            ),
            (ConnectionError::ConnectionRefused(ConnectReturnCode::ServerBusy), "broker.url"),
            (ConnectionError::RequestsDone, "broker.url"),
        ];
        for (error, key) in cases {
            let text = Trouble::from(error).to_string();
            assert!(text.contains(key), "{text}");
        }
    }

    #[test]
    fn an_error_of_tls_names_its_key_wherever_it_comes() {
        let required = || {
            let error = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
            io::Error::new(io::ErrorKind::InvalidData, error)
        };
        for error in [
            ConnectionError::Io(required()),
            ConnectionError::MqttState(StateError::Io(required())),
            ConnectionError::MqttState(StateError::Deserialization(required().into())),
            ConnectionError::Tls(rumqttc::TlsError::Io(required())),
        ] {
            let text = Trouble::from(error).to_string();
            assert!(text.contains("broker.client_cert_file"), "{text}");
        }
    }
}
