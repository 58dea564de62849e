//! What is wrong with a connection, in words that say what to do.

use std::fmt;
use std::io;
use std::time::Duration;

use rumqttc::{
    ConnectReturnCode, ConnectionError, DisconnectReasonCode, StateError, SubscribeReasonCode,
};
use rustls::{AlertDescription, CertificateError};

use crate::backoff::Backoff;

/// Why a connection ended that was to go on.
pub(crate) enum Trouble {
    /// Another client connected with this client id.
    TakenOver,
    /// The broker does not let the daemon in.
    NotAllowedIn(ConnectReturnCode),
    /// The broker does not let the daemon read these topics.
    NotAllowedToRead(Vec<String>),
    /// The daemon and the broker do not trust each other; the text says what to change.
    NoTrust(String),
    /// Anything else; it passes by itself, or the text says what is wrong.
    Broken(String),
}

/// The least pause after another client took this one's identifier: two daemons that take turns
/// must not do so many times a second.
const TAKEN_OVER_PAUSE: Duration = Duration::from_secs(10);

impl Trouble {
    /// How long to wait before the next attempt.
    pub(crate) fn pause(&self, backoff: &mut Backoff) -> Duration {
        match self {
            Self::TakenOver => Backoff::long_pause(TAKEN_OVER_PAUSE),
            _ => backoff.next_pause(),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TakenOver => f.write_str(
                "another client connected with this client id, so two daemons may be using it; \
                 stop one, or give it a broker.client_id of its own",
            ),
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
            Self::Broken(reason) => write!(
                f,
                "{reason}; check that the broker runs and that broker.url names it, this goes on \
                 trying"
            ),
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
            "the broker's certificate has expired; renew it, as nothing in broker.ca_file can help \
             ({error})"
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
