//! What the brokers hand to the writer: messages together with their acknowledgements, in order.
//!
//! An acknowledgement is sent by the writer when the transaction that records the message has
//! committed, and never before (R7).

use crate::domain::instant::Instant;

/// A message from a broker.
pub struct Message {
    /// The topic under which it was published.
    pub topic: String,
    /// The bytes.
    pub payload: Vec<u8>,
    /// When the daemon took it from the broker.
    pub received_at: Instant,
    /// Whether it is what the broker had retained, and not something that was just said.
    pub retained: bool,
    /// What tells the broker that the message is safe.
    pub ack: Ack,
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
    /// Everything that the broker had kept for the daemon has been handed on (R25).
    CaughtUp,
    /// The session with the broker is lost: from now on silence proves nothing (R25).
    Lost,
}
