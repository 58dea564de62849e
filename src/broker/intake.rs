//! Where the embedded broker hands evidence to the writer, before it acknowledges it.
//!
//! The broker calls this for each message, one at a time for each client, and goes on with that
//! client when it returns. So nothing here may wait without a bound: a client that has gone is
//! noticed only afterwards.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use mqtt5::QoS;
use mqtt5::broker::router::MessageRouter;
use mqtt5::broker::{
    BrokerEventHandler, ClientConnectEvent, ClientDisconnectEvent, ClientPublishEvent,
    PublishAction,
};
use mqtt5::packet::publish::PublishPacket;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::access::{Access, Refusal};
use super::{COMMIT_SECONDS_MAX, lock};
use crate::clock;
use crate::message::{Ack, Came, Inbound, Message};
use crate::mqtt::INTAKE;
use crate::wire::topic::DEVICE_STATUS_FILTER;

/// What the broker does in the name of this daemon.
pub(super) struct Intake {
    /// The writer's channel, until the intake closes.
    inbound: Mutex<Option<mpsc::Sender<Inbound>>>,
    access: Arc<Access>,
    router: OnceLock<Arc<MessageRouter>>,
    wills: Mutex<Wills>,
}

/// The wills of each client's connections, oldest first. The broker does not show a will to its
/// hooks when it publishes it, and a device's last word is a will.
type Wills = HashMap<Arc<str>, VecDeque<Option<Will>>>;

/// A topic of ours, and what is to be said under it.
type Will = (String, Vec<u8>);

/// What became of a message that was handed to the writer.
enum Committed {
    Yes,
    /// The daemon stops.
    Closed,
    /// The writer gave it up, or took too long.
    No,
}

type Hook<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Intake {
    pub(super) fn new(inbound: mpsc::Sender<Inbound>, access: Arc<Access>) -> Self {
        Self {
            inbound: Mutex::new(Some(inbound)),
            access,
            router: OnceLock::new(),
            wills: Mutex::new(Wills::new()),
        }
    }

    /// Learns to disconnect the clients of this broker.
    pub(super) fn serves(&self, router: Arc<MessageRouter>) {
        // It is called once.
        let _ = self.router.set(router);
    }

    pub(super) fn close(&self) {
        *lock(&self.inbound) = None;
    }

    /// Hands a message on and, if the client asked for it, waits until it is committed.
    async fn hand_on(&self, topic: &str, payload: Vec<u8>, wait: bool) -> Committed {
        let Some(inbound) = lock(&self.inbound).clone() else {
            return Committed::Closed;
        };
        let (ack, committed) = if wait {
            let (sender, committed) = oneshot::channel();
            let acknowledge = move || {
                // An error means that the wait is over, and the client sends again.
                let _ = sender.send(());
            };
            (Ack::new(acknowledge), Some(committed))
        } else {
            (Ack::new(|| {}), None)
        };
        let topic = topic.to_owned();
        let handed_on = async move {
            let room = inbound.reserve().await.ok()?;
            // Received now, and not while it waited: the writer relies on the order.
            let received_at = clock::now();
            let message = Message { topic, payload, received_at, came: Came::Said, ack };
            room.send(Inbound::Message(message));
            drop(inbound);
            match committed {
                Some(committed) => committed.await.ok(),
                None => Some(()),
            }
        };
        match timeout(Duration::from_secs(COMMIT_SECONDS_MAX), handed_on).await {
            Ok(Some(())) => Committed::Yes,
            Ok(None) | Err(_) if lock(&self.inbound).is_none() => Committed::Closed,
            Ok(None) | Err(_) => Committed::No,
        }
    }

    async fn disconnect(&self, client_id: &str) {
        if let Some(router) = self.router.get() {
            router.disconnect_client(client_id).await;
        }
    }

    async fn publish(&self, event: ClientPublishEvent) -> PublishAction {
        let user = event.user_id.as_deref();
        if !self.access.may_publish(user, &event.topic) {
            self.access.report(user.unwrap_or_default(), Refusal::Publish);
            self.disconnect(&event.client_id).await;
            return unacknowledged();
        }
        if !INTAKE.iter().any(|filter| rumqttc::matches(&event.topic, filter)) {
            return PublishAction::Continue;
        }
        let wait = event.qos != QoS::AtMostOnce;
        match self.hand_on(&event.topic, event.payload.into(), wait).await {
            // Evidence is for the daemon alone; the state of a device may be retained for others.
            Committed::Yes if event.topic.ends_with("/event") => PublishAction::Handled,
            Committed::Yes => PublishAction::Continue,
            Committed::Closed => unacknowledged(),
            Committed::No => {
                tracing::error!(
                    "a message was not committed; its sender is disconnected, to send it again"
                );
                self.disconnect(&event.client_id).await;
                unacknowledged()
            }
        }
    }

    fn connected(&self, event: ClientConnectEvent) {
        let will = event
            .will_topic
            .filter(|topic| rumqttc::matches(topic, DEVICE_STATUS_FILTER))
            .map(|topic| (topic.to_string(), event.will_payload.unwrap_or_default().into()));
        lock(&self.wills).entry(event.client_id).or_default().push_back(will);
    }

    /// The will that a connection leaves. None if the client is back already: then the device is
    /// not offline.
    fn left(&self, event: &ClientDisconnectEvent) -> Option<Will> {
        let mut wills = lock(&self.wills);
        let connections = wills.get_mut(&event.client_id)?;
        let will = connections.pop_front().flatten();
        if connections.is_empty() {
            wills.remove(&event.client_id);
            return will.filter(|_| event.unexpected);
        }
        None
    }
}

impl BrokerEventHandler for Intake {
    fn on_client_publish(&self, event: ClientPublishEvent) -> Hook<'_, PublishAction> {
        Box::pin(self.publish(event))
    }

    fn on_client_connect(&self, event: ClientConnectEvent) -> Hook<'_, ()> {
        let client_id = Arc::clone(&event.client_id);
        // It may have been removed while it came in.
        let known = self.access.is_known(event.user_id.as_deref());
        self.connected(event);
        Box::pin(async move {
            if !known {
                self.disconnect(&client_id).await;
            }
        })
    }

    fn on_client_disconnect(&self, event: ClientDisconnectEvent) -> Hook<'_, ()> {
        let will = self.left(&event);
        Box::pin(async move {
            if let Some((topic, payload)) = will {
                self.hand_on(&topic, payload, false).await;
            }
        })
    }
}

/// What makes the broker send no PUBACK: it takes the message for one with QoS 0. (A refusal would
/// do so as well, but the broker words refusals as MQTT 5 does, which breaks clients of 3.1.1.)
fn unacknowledged() -> PublishAction {
    PublishAction::Transform(PublishPacket::new("nightrun/unacknowledged", "", QoS::AtMostOnce))
}
