//! One connection to the broker, with a clean session, from CONNECT to its first error.

use std::time::Duration;

use anyhow::{Context, bail};
use rumqttc::{
    AsyncClient, Event, Outgoing, Packet, PublishOptions, QoS, SubscribeFilter, SubscribeReasonCode,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::mqtt::BrokerSession;

/// Events that one connection has sent without an acknowledgement by the broker.
const IN_FLIGHT_MAX: u16 = 64;
/// The longest that connecting and subscribing may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);
/// Topics in one SUBSCRIBE.
const FILTERS_AT_ONCE: usize = 50;

/// What comes over a connection.
#[derive(Debug)]
pub enum Heard {
    /// A message.
    Message(Vec<u8>),
    /// What was published next got this number.
    Numbered(u16),
    /// The broker has that number.
    Taken(u16),
}

/// A connection that lives. Dropping it breaks it, without a word.
pub struct Link {
    client: AsyncClient,
    packets: mpsc::UnboundedReceiver<Event>,
    poller: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.poller.abort();
    }
}

impl Link {
    /// Connects under that name and subscribes to these topics.
    ///
    /// # Errors
    /// When the broker is away or silent, or refuses a topic.
    pub async fn open(
        broker: &BrokerSession,
        name: &str,
        filters: &[String],
    ) -> anyhow::Result<Self> {
        let opening = Self::opening(broker, name, filters);
        timeout(CONNECT_WITHIN, opening).await.context("the broker is silent")?
    }

    async fn opening(
        broker: &BrokerSession,
        name: &str,
        filters: &[String],
    ) -> anyhow::Result<Self> {
        let mut options = broker.options(name);
        options.set_clean_start(true);
        options.set_outgoing_inflight_upper_limit(IN_FLIGHT_MAX);
        // Unbounded in form only: nothing is published over the window.
        let (client, mut eventloop) = AsyncClient::builder(options).unbounded().try_build()?;
        let (heard, packets) = mpsc::unbounded_channel();
        let poller = tokio::spawn(async move {
            while let Ok(event) = eventloop.poll().await {
                if heard.send(event).is_err() {
                    return;
                }
            }
        });
        let mut link = Self { client, packets, poller };
        while !matches!(link.packet().await?, Packet::ConnAck(_)) {}
        for chunk in filters.chunks(FILTERS_AT_ONCE) {
            let chunk = chunk.iter().map(|path| SubscribeFilter::new(path, QoS::AtLeastOnce));
            link.client.subscribe_many(chunk).await?;
        }
        let mut answered = 0;
        while answered < filters.len() {
            if let Packet::SubAck(suback) = link.packet().await? {
                for code in &suback.return_codes {
                    if !matches!(code, SubscribeReasonCode::Success(_)) {
                        bail!("the broker refuses {name} a topic: {code:?}");
                    }
                }
                answered += suback.return_codes.len();
            }
        }
        Ok(link)
    }

    /// Publishes; what becomes of it is [`Link::heard`].
    ///
    /// # Errors
    /// When the connection has ended.
    pub fn publish(&self, topic: &str, payload: Vec<u8>) -> anyhow::Result<()> {
        Ok(self.client.try_publish(topic, payload, PublishOptions::at_least_once())?)
    }

    async fn packet(&mut self) -> anyhow::Result<Packet> {
        loop {
            if let Event::Incoming(packet) =
                self.packets.recv().await.context("the broker is away")?
            {
                return Ok(packet);
            }
        }
    }

    /// The next thing that comes; `None`: the connection has ended.
    pub async fn heard(&mut self) -> Option<Heard> {
        loop {
            match self.packets.recv().await? {
                Event::Incoming(Packet::Publish(publish)) => {
                    return Some(Heard::Message(publish.payload.to_vec()));
                }
                Event::Incoming(Packet::PubAck(puback)) => return Some(Heard::Taken(puback.pkid)),
                Event::Outgoing(Outgoing::Publish(number)) => {
                    return Some(Heard::Numbered(number));
                }
                _ => {}
            }
        }
    }
}
