//! The way of receipts and alerts to the embedded broker: handed to its router, without a connection.
//!
//! What the router has taken is as good as acknowledged by another broker: it is delivered, or kept
//! for a client that is away or slow, in memory.

use std::sync::Arc;

use mqtt5::QoS;
use mqtt5::broker::router::MessageRouter;
use mqtt5::packet::publish::PublishPacket;
use tokio::sync::mpsc;

use crate::publish::{Outcome, Outgoing};

/// Hands on what comes from `outgoing` and reports to `outcomes`, until nobody is left who could send
/// or hear.
pub async fn run(
    router: Arc<MessageRouter>,
    mut outgoing: mpsc::Receiver<Outgoing>,
    outcomes: mpsc::Sender<Outcome>,
) {
    while let Some(Outgoing { id, topic, payload, retain }) = outgoing.recv().await {
        let packet = PublishPacket::new(topic, payload, QoS::AtLeastOnce).with_retain(retain);
        router.route_message(&packet, None).await;
        if outcomes.send(Outcome::Published(id)).await.is_err() {
            return;
        }
    }
}
