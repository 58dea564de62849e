//! What is wrong with a connection, in words that say what to do.

use std::fmt;
use std::time::Duration;

use rumqttc::{
    ConnectReturnCode, ConnectionError, DisconnectReasonCode, StateError, SubscribeReasonCode,
};

use crate::backoff::Backoff;

/// Why a connection ended that was to go on.
pub(crate) enum Trouble {
    /// Another client connected with this client id.
    TakenOver,
    /// The broker does not let the daemon in.
    NotAllowedIn(ConnectReturnCode),
    /// The broker does not let the daemon read these topics.
    NotAllowedToRead(Vec<String>),
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
            other => Self::Broken(other.to_string()),
        }
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
}
