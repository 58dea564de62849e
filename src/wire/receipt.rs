//! The receipt that every event gets: what the daemon did with it, sent after the commit (R7).

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::payload::Decoded;
use super::rejection::{RejectCode, Rejection};
use super::text;
use crate::domain::instant::Instant;
use crate::domain::refs::{EventId, VisitRef};

use crate::domain::words::words;

words! {
    /// What the daemon did with the message.
    ReceiptStatus {
        /// It is committed.
        Accepted = "accepted",
        /// It was committed before (R6).
        Duplicate = "duplicate",
        /// It cannot be used, and is kept as such.
        Rejected = "rejected",
    }
}

words! {
    /// What kind of visit the event belongs to.
    VisitWord {
        /// One that the plan has.
        Planned = "planned",
        /// One that the plan has not (R11).
        Unplanned = "unplanned",
        /// None, until a coordinator says which (R12).
        Unplaced = "unplaced",
    }
}

/// Which visit an event belongs to, as far as is known when the receipt is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placed {
    /// One that the plan has.
    Planned(VisitRef),
    /// One that the plan has not.
    Unplanned(VisitRef),
    /// None yet.
    Unplaced,
}

impl Placed {
    fn parts(self) -> (Option<VisitRef>, Option<VisitWord>) {
        match self {
            Self::Planned(visit) => (Some(visit), Some(VisitWord::Planned)),
            Self::Unplanned(visit) => (Some(visit), Some(VisitWord::Unplanned)),
            Self::Unplaced => (None, Some(VisitWord::Unplaced)),
        }
    }
}

/// A receipt. All its keys are always there, null where there is nothing to say, save
/// `payload_sha256`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The event's id; null if it could not be read.
    #[serde(with = "text::optional")]
    pub event_id: Option<EventId>,
    /// What the daemon did.
    pub status: ReceiptStatus,
    /// When the daemon took the message from the broker; of a duplicate, when it took the first.
    #[serde(with = "text::instant")]
    pub received_at: Instant,
    /// The visit, if one is known.
    #[serde(with = "text::optional")]
    pub visit_ref: Option<VisitRef>,
    /// What kind of visit; null for a rejection.
    pub visit: Option<VisitWord>,
    /// Paths of the optional fields that were dropped for their bad values.
    pub dropped: Vec<String>,
    /// Why it was rejected, as a word.
    pub code: Option<RejectCode>,
    /// Why it was rejected, as a sentence.
    pub detail: Option<String>,
    /// Lower-case hex of the payload's SHA-256, by which a sender knows its message when the event's
    /// id could not be read; else absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_sha256: Option<String>,
}

impl Receipt {
    /// The event is committed.
    #[must_use]
    pub fn accepted(message: &Decoded, placed: Placed) -> Self {
        Self::kept(ReceiptStatus::Accepted, message, message.event.received_at, placed)
    }

    /// The event had been committed before; `first_received_at` is when that message came.
    #[must_use]
    pub fn duplicate(message: &Decoded, first_received_at: Instant, placed: Placed) -> Self {
        Self::kept(ReceiptStatus::Duplicate, message, first_received_at, placed)
    }

    fn kept(status: ReceiptStatus, message: &Decoded, at: Instant, placed: Placed) -> Self {
        let (visit_ref, visit) = placed.parts();
        Self {
            event_id: Some(message.event.event_id),
            status,
            received_at: at,
            visit_ref,
            visit,
            dropped: message.dropped.clone(),
            code: None,
            detail: None,
            payload_sha256: None,
        }
    }

    /// The message cannot be used. `payload` is the whole of it, as it came.
    #[must_use]
    pub fn rejected(rejection: &Rejection, payload: &[u8], received_at: Instant) -> Self {
        Self {
            event_id: rejection.event_id,
            status: ReceiptStatus::Rejected,
            received_at,
            visit_ref: None,
            visit: None,
            dropped: Vec::new(),
            code: Some(rejection.code),
            detail: Some(rejection.detail.clone()),
            payload_sha256: rejection.event_id.is_none().then(|| hex(&Sha256::digest(payload))),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use proptest::option;
    use proptest::prelude::*;
    use proptest::sample::select;
    use serde_json::json;

    use super::*;
    use crate::domain::instant::{from_micros, parse_instant};
    use crate::wire::payload::decode;

    const TOPIC: &str = "nightrun/v1/thurrock/carer/C-7/event";
    const ID: &str = "6e6f7468-0000-4000-8000-000000000001";

    fn at(text: &str) -> Instant {
        parse_instant(text).unwrap()
    }

    fn message() -> Decoded {
        let payload = json!({
            "event_id": ID, "type": "check_in", "occurred_at": "2019-02-04T02:00:00Z", "seq": 0,
        });
        decode(TOPIC, payload.to_string().as_bytes(), at("2019-02-04T02:00:01.5Z"), |_| true)
            .unwrap()
    }

    fn check(receipt: &Receipt, is: &serde_json::Value) {
        assert_eq!(serde_json::to_value(receipt).unwrap(), *is);
        assert_eq!(serde_json::from_str::<Receipt>(&is.to_string()).unwrap(), *receipt);
    }

    #[test]
    fn receipts_of_events_that_are_kept() {
        check(
            &Receipt::accepted(&message(), Placed::Planned("V-1".parse().unwrap())),
            &json!({
                "event_id": ID, "status": "accepted", "received_at": "2019-02-04T02:00:01.500Z",
                "visit_ref": "V-1", "visit": "planned", "dropped": ["seq"],
                "code": null, "detail": null,
            }),
        );
        check(
            &Receipt::duplicate(&message(), at("2019-02-04T01:00:00Z"), Placed::Unplaced),
            &json!({
                "event_id": ID, "status": "duplicate", "received_at": "2019-02-04T01:00:00Z",
                "visit_ref": null, "visit": "unplaced", "dropped": ["seq"],
                "code": null, "detail": null,
            }),
        );
    }

    #[test]
    fn receipts_of_rejections() {
        let received_at = at("2019-02-04T02:00:01Z");
        let rejection = decode(TOPIC, b"abc", received_at, |_| true).unwrap_err();
        check(
            &Receipt::rejected(&rejection, b"abc", received_at),
            &json!({
                "event_id": null, "status": "rejected", "received_at": "2019-02-04T02:00:01Z",
                "visit_ref": null, "visit": null, "dropped": [],
                "code": "bad_json", "detail": "not JSON: line 1 column 1",
                "payload_sha256":
                    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            }),
        );
        let reused = message().reused();
        check(
            &Receipt::rejected(&reused, b"{}", received_at),
            &json!({
                "event_id": ID, "status": "rejected", "received_at": "2019-02-04T02:00:01Z",
                "visit_ref": null, "visit": null, "dropped": [],
                "code": "event_id_reused", "detail": reused.detail,
            }),
        );
    }

    fn instant() -> impl Strategy<Value = Instant> {
        (0..4_000_000_000_000_000_i64).prop_map(|micros| from_micros(micros).unwrap())
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            id: Option<u128>,
            status in select(ReceiptStatus::ALL),
            received_at in instant(),
            visit_ref in option::of("[A-Za-z0-9._-]{1,64}"),
            visit in option::of(select(VisitWord::ALL)),
            dropped: Vec<String>,
            code in option::of(select(RejectCode::ALL)),
            (detail, payload_sha256) in any::<(Option<String>, Option<String>)>(),
        ) {
            let event_id = id.map(|id| EventId(uuid::Uuid::from_u128(id)));
            let visit_ref = visit_ref.map(|text| text.parse().unwrap());
            let receipt = Receipt {
                event_id, status, received_at, visit_ref, visit, dropped, code, detail,
                payload_sha256,
            };
            let bytes = serde_json::to_vec(&receipt).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Receipt>(&bytes).unwrap(), receipt);
        }
    }
}
