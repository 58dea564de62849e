//! Lets a new event loop resume the session that the broker kept.
//!
//! The client library refuses to subscribe or to publish with QoS 1 in a session that the broker
//! resumed and of which the client has no state of its own: it cannot know which packet
//! identifiers are in use. This session knows: none. It publishes with QoS 1 and never 2, and a
//! broker forgets a QoS 1 publish with its PUBACK, so a fresh connection begins with nothing
//! outstanding. That is what this store says; it keeps nothing.

use std::pin::Pin;

use rumqttc::{
    PersistedAckMode, PersistedSession, SessionStore, SessionStoreError, SessionStoreKey,
};

type Stored<'a, T> = Pin<Box<dyn Future<Output = Result<T, SessionStoreError>> + Send + 'a>>;

/// A store that always holds a session without anything outstanding.
#[derive(Debug)]
pub(super) struct NothingOutstanding {
    /// The limit that the options of the connection state; the library compares the two.
    pub(super) outgoing_inflight_max: u16,
}

impl SessionStore for NothingOutstanding {
    fn load<'a>(&'a self, key: &'a SessionStoreKey) -> Stored<'a, Option<PersistedSession>> {
        let session = PersistedSession {
            format_version: 1,
            client_id: key.client_id().to_owned(),
            clean_start: false,
            session_expiry_interval: Some(u32::MAX),
            outgoing_inflight_upper_limit: Some(self.outgoing_inflight_max),
            ack_mode: PersistedAckMode::Manual,
            last_pkid: 0,
            last_puback: 0,
            replay: Vec::new(),
            incoming_qos2: Vec::new(),
        };
        Box::pin(std::future::ready(Ok(Some(session))))
    }

    fn save<'a>(
        &'a self,
        _key: &'a SessionStoreKey,
        _session: &'a PersistedSession,
    ) -> Stored<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn clear<'a>(&'a self, _key: &'a SessionStoreKey) -> Stored<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}
