//! Somebody who hears what is published, with a session of its own, and comes back when cut off.

use std::sync::Arc;
use std::time::Duration;

use nightrun::clock;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::support::daemon::PATIENCE;
use crate::support::people::Heard;

/// Hears what is under a topic. Dropping it leaves the broker.
pub struct Ear {
    heard: Arc<watch::Sender<Vec<Heard>>>,
    task: JoinHandle<()>,
}

impl Ear {
    /// Listens to every alert, and returns when it has subscribed.
    pub async fn to_alerts(port: u16) -> Self {
        let heard = Arc::new(watch::Sender::new(Vec::new()));
        let (subscribed, mut ready) = watch::channel(false);
        let task = tokio::spawn(listen(port, Arc::clone(&heard), subscribed));
        timeout(PATIENCE, ready.wait_for(|ready| *ready))
            .await
            .expect("it subscribes")
            .expect("it runs");
        Self { heard, task }
    }

    /// Everything that was heard so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.borrow().clone()
    }

    /// Waits until so many messages have been heard.
    pub async fn has_heard(&self, number: usize) {
        let mut news = self.heard.subscribe();
        let heard = timeout(PATIENCE, news.wait_for(|heard| heard.len() >= number)).await;
        assert!(heard.is_ok(), "waited in vain for {number}: {:#?}", self.heard());
    }

    /// Waits until this has been heard of a visit: its first message of that kind and state.
    pub async fn until(&self, visit: &str, kind: &str, state: &str) -> Heard {
        let is = |(_, alert): &&Heard| {
            alert["visit_ref"] == visit && alert["kind"] == kind && alert["state"] == state
        };
        let mut news = self.heard.subscribe();
        let found =
            timeout(PATIENCE, news.wait_for(|heard| heard.iter().any(|one| is(&one)))).await;
        let Ok(Ok(heard)) = found else {
            panic!("waited in vain for {kind} {state} of {visit}: {:#?}", self.heard());
        };
        heard.iter().find(is).expect("just found").clone()
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(port: u16, heard: Arc<watch::Sender<Vec<Heard>>>, subscribed: watch::Sender<bool>) {
    loop {
        let mut options = MqttOptions::new("coordinator", ("127.0.0.1", port));
        options.set_clean_start(!*subscribed.borrow());
        options.set_session_expiry_interval(Some(u32::MAX));
        options
            .set_broker_session_resume_policy(rumqttc::BrokerSessionResumePolicy::AllowBrokerOnly);
        let (client, mut eventloop) = AsyncClient::builder(options).unbounded().build();
        while let Ok(event) = eventloop.poll().await {
            match event {
                Event::Incoming(Packet::Publish(publish)) => {
                    let alert: Value = serde_json::from_slice(&publish.payload).expect("JSON");
                    heard.send_modify(|heard| heard.push((clock::now(), alert)));
                }
                Event::Incoming(Packet::ConnAck(connack)) if !connack.session_present => {
                    let all = "nightrun/v1/+/alert/#";
                    // It fails if the connection has just ended; the next one subscribes.
                    let _ = client.try_subscribe(all, QoS::AtLeastOnce);
                }
                Event::Incoming(Packet::SubAck(_)) => {
                    subscribed.send_replace(true);
                }
                _ => {}
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}
