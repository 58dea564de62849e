//! What the brokers hand to the writer: messages together with their acknowledgements, in order.
//!
//! An acknowledgement is sent by the writer when the transaction that records the message has
//! committed, and never before (R7).

use crate::clock::Moment;
use crate::domain::instant::Instant;
use crate::mqtt::SlotNumber;

/// A message from a broker.
pub struct Message {
    /// The topic under which it was published.
    pub topic: String,
    /// The bytes.
    pub payload: Vec<u8>,
    /// When the daemon took it from the broker.
    pub received_at: Instant,
    /// How it came.
    pub came: Came,
    /// What tells the broker that the message is safe.
    pub ack: Ack,
}

/// How a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// It was said just now.
    Said,
    /// The broker had retained it.
    Retained,
    /// Somebody handed it in: no phone was heard.
    HandedIn,
}

/// What tells the broker, or the phone itself, that a message is safe. Dropping it without
/// [`Ack::send`] leaves the message unacknowledged: it comes again.
pub struct Ack(Box<dyn FnOnce() + Send + Sync>);

impl Ack {
    /// An acknowledgement that does this when it is sent. `send` must not block.
    pub fn new(send: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Box::new(send))
    }

    /// Acknowledges. Call it after the commit.
    pub fn send(self) {
        (self.0)();
    }
}

/// What a broker connection tells the writer. The order is the order of the connection.
pub enum Inbound {
    /// A message to be recorded.
    Message(Message),
    /// There is a session with the broker, or again one.
    Connected {
        /// Whose it is.
        slot: SlotNumber,
        /// Whether the broker had kept it, and with it what came in between.
        kept: bool,
    },
    /// Everything that reached the broker for this session by then has been handed on (R25). It is
    /// said again and again while all is well.
    CaughtUp {
        /// Whose it is.
        slot: SlotNumber,
        /// By when; none if the connection cannot tell, and will not.
        as_of: Option<Moment>,
    },
    /// The session with the broker is lost: from now on silence proves nothing (R25).
    Lost {
        /// Whose it was.
        slot: SlotNumber,
    },
}
