//! How events come to the ceiling: the broker inside, or a session with one elsewhere.

use std::future::ready;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use mqtt5::broker::config::{
    AuthConfig, BrokerConfig, RateLimitConfig, StorageBackend, StorageConfig,
};
use mqtt5::broker::router::MessageRouter;
use mqtt5::broker::{BrokerEventHandler, ClientPublishEvent, MqttBroker, PublishAction};
use rumqttc::{AckMode, AsyncClient, Event, Packet, QoS, SubscribeReasonCode};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::{AHEAD_MAX, Arrived, connected, options};

const FILTER: &str = "nightrun/v1/+/carer/+/event";

/// What the broker inside asks before it sends a PUBACK.
struct Hook(mpsc::Sender<Arrived>);

impl Hook {
    async fn store(&self, event: ClientPublishEvent) -> anyhow::Result<()> {
        let (sender, committed) = oneshot::channel();
        let acknowledge = move || {
            let _ = sender.send(());
        };
        let arrived = Arrived::read(event.topic.to_string(), &event.payload, acknowledge)?;
        self.0.send(arrived).await.ok().context("nobody stores")?;
        Ok(committed.await?)
    }
}

impl BrokerEventHandler for Hook {
    fn on_client_publish(
        &self,
        event: ClientPublishEvent,
    ) -> Pin<Box<dyn Future<Output = PublishAction> + Send + '_>> {
        if !event.topic.ends_with("/event") {
            return Box::pin(ready(PublishAction::Continue));
        }
        Box::pin(async move {
            // The bench notices that there is no receipt.
            let _ = self.store(event).await;
            PublishAction::Handled
        })
    }
}

/// Ends the broker when it is dropped.
pub struct Broker {
    router: Arc<MessageRouter>,
    task: AbortHandle,
}

impl Broker {
    pub fn router(&self) -> Arc<MessageRouter> {
        Arc::clone(&self.router)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts the broker inside, set as nightrun sets it.
pub async fn embedded(port: u16, events: mpsc::Sender<Arrived>) -> anyhow::Result<Broker> {
    let storage = StorageConfig::new()
        .with_backend(StorageBackend::Memory)
        .with_max_queued_messages_per_client(1_000)
        .with_max_queued_bytes_per_client(4 * 1024 * 1024);
    let mut auth = AuthConfig::new().with_allow_anonymous(true);
    auth.rate_limit = RateLimitConfig { enabled: false, ..RateLimitConfig::default() };
    let config = BrokerConfig::new()
        .with_bind_address(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .with_max_clients(1_000)
        .with_max_packet_size(1024 * 1024)
        .with_session_expiry(Duration::from_hours(24))
        .with_sys_topics_enabled(false)
        .with_storage(storage)
        .with_auth(auth)
        .with_event_handler(Arc::new(Hook(events)));
    let mut broker = MqttBroker::with_config(config).await?;
    let router = broker.router();
    let mut runs = broker.ready_receiver();
    let task = tokio::spawn(async move { broker.run().await });
    runs.wait_for(|runs| *runs).await.context("the broker inside does not start")?;
    Ok(Broker { router, task: task.abort_handle() })
}

/// Begins a session with another broker, and hands on what comes.
pub async fn session(port: u16, events: mpsc::Sender<Arrived>) -> anyhow::Result<()> {
    let mut options = options("ceiling", port);
    options.set_clean_start(true);
    options.set_receive_maximum(Some(AHEAD_MAX));
    options.set_ack_mode(AckMode::Manual);
    options.set_max_packet_size(Some(1024 * 1024));
    // Unbounded in form only: it holds acknowledgements, of no more than the broker sends ahead.
    let (client, mut eventloop) = AsyncClient::builder(options).unbounded().try_build()?;
    connected(&mut eventloop).await?;
    client.try_subscribe(FILTER, QoS::AtLeastOnce)?;
    loop {
        if let Event::Incoming(Packet::SubAck(suback)) = eventloop.poll().await? {
            let granted = SubscribeReasonCode::Success(QoS::AtLeastOnce);
            ensure!(suback.return_codes == [granted], "the broker refuses the subscription");
            break;
        }
    }
    tokio::spawn(async move {
        while let Ok(event) = eventloop.poll().await {
            if let Event::Incoming(Packet::Publish(publish)) = event {
                let ack = client.prepare_ack(&publish);
                let client = client.clone();
                let acknowledge = move || {
                    if let Some(ack) = ack {
                        let _ = client.try_manual_ack(ack);
                    }
                };
                let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                let Ok(arrived) = Arrived::read(topic, &publish.payload, acknowledge) else {
                    continue;
                };
                if events.send(arrived).await.is_err() {
                    return;
                }
            }
        }
    });
    Ok(())
}
