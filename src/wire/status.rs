//! Whether a telecare unit or a daemon is online: retained, with a last will that says offline.

use serde::{Deserialize, Serialize};

use super::json::{self, Fields};
use super::payload::PAYLOAD_MAX_BYTES;
use super::text;
use crate::domain::instant::Instant;

/// What a telecare unit, or its last will, says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DeviceStatus {
    /// It is connected.
    Online,
    /// It is not.
    Offline,
}

/// Why a payload is no device's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a device's status is {{\"state\":\"online\"}} or {{\"state\":\"offline\"}}")]
pub struct BadStatus;

impl DeviceStatus {
    /// Reads a device's status. Fields that version 1 does not know are ignored.
    pub fn decode(payload: &[u8]) -> Result<Self, BadStatus> {
        if payload.len() > PAYLOAD_MAX_BYTES {
            return Err(BadStatus);
        }
        let fields = Fields::read(payload).map_err(|_| BadStatus)?;
        match fields.get("state").and_then(json::text).as_deref() {
            Some("online") => Ok(Self::Online),
            Some("offline") => Ok(Self::Offline),
            _ => Err(BadStatus),
        }
    }
}

/// What a daemon, or its last will, says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DaemonStatus {
    /// It hears the broker and commits.
    Online {
        /// Since when.
        #[serde(with = "text::instant")]
        since: Instant,
    },
    /// It does not, or has gone.
    Offline,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::instant::{from_micros, parse_instant};

    #[test]
    fn what_devices_say() {
        for (payload, says) in [
            (&br#"{"state":"online"}"#[..], Ok(DeviceStatus::Online)),
            (br#" { "battery" : 1e999, "state" : "offline" } "#, Ok(DeviceStatus::Offline)),
            (br#"{"state":"Online"}"#, Err(BadStatus)),
            (br#"{"state":null}"#, Err(BadStatus)),
            (br"{}", Err(BadStatus)),
            (b"offline", Err(BadStatus)),
            (b"", Err(BadStatus)),
        ] {
            assert_eq!(DeviceStatus::decode(payload), says, "{payload:?}");
        }
        let long = format!(r#"{{"state":"online","x":"{}"}}"#, "x".repeat(PAYLOAD_MAX_BYTES));
        assert_eq!(DeviceStatus::decode(long.as_bytes()), Err(BadStatus));
    }

    #[test]
    fn what_a_daemon_says() {
        let since = parse_instant("2019-02-04T02:00:00Z").unwrap();
        for (status, text) in [
            (
                DaemonStatus::Online { since },
                r#"{"state":"online","since":"2019-02-04T02:00:00Z"}"#,
            ),
            (DaemonStatus::Offline, r#"{"state":"offline"}"#),
        ] {
            assert_eq!(serde_json::to_string(&status).unwrap(), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            device in prop_oneof![Just(DeviceStatus::Online), Just(DeviceStatus::Offline)],
            daemon in prop_oneof![
                Just(DaemonStatus::Offline),
                (0..4_000_000_000_000_000_i64)
                    .prop_map(|m| DaemonStatus::Online { since: from_micros(m).unwrap() }),
            ],
        ) {
            let bytes = serde_json::to_vec(&device).unwrap();
            prop_assert_eq!(DeviceStatus::decode(&bytes), Ok(device));
            let bytes = serde_json::to_vec(&daemon).unwrap();
            prop_assert_eq!(serde_json::from_slice::<DaemonStatus>(&bytes).unwrap(), daemon);
        }
    }
}
