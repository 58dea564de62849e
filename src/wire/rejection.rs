//! Why a message cannot be used (R7): what is kept with its bytes, and told to its sender.

use crate::domain::event::Sender;
use crate::domain::refs::{ContractId, EventId};

use crate::domain::words::words;

words! {
    /// The reasons in the interface's words.
    RejectCode {
        /// Not UTF-8, not JSON, or not an object.
        BadJson = "bad_json",
        /// A field without which there is no event is missing or wrong.
        BadField = "bad_field",
        /// More bytes than a message may have.
        TooLarge = "too_large",
        /// The topic names no contract of this daemon.
        UnknownContract = "unknown_contract",
        /// The payload claims another sender than the topic, or the topic names none.
        WrongSender = "wrong_sender",
        /// The event id belongs to another event (R6).
        EventIdReused = "event_id_reused",
    }
}

/// A message that cannot be used, with as much as could be read of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Rejection {
    /// Why, as a word.
    pub code: RejectCode,
    /// Why, as a sentence that says what would be right. Never repeats what the message holds.
    pub detail: String,
    /// The event's id, if it could be read.
    pub event_id: Option<EventId>,
    /// The contract, if the topic gave a reference; it need not be one that the daemon knows.
    pub contract: Option<ContractId>,
    /// The sender, if the topic gave one.
    pub sender: Option<Sender>,
    /// The sender's number for it, if it could be read (R9).
    pub seq: Option<u64>,
}
