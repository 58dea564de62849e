//! Somebody who listens to the contract's alerts while the night is played.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;
use tokio::time::sleep;
use uuid::Uuid;

use super::link::{Heard, Link};
use crate::backoff::Backoff;
use crate::mqtt::BrokerSession;
use crate::wire::alert::AlertMessage;

/// What was heard.
#[derive(Debug, Default, Clone)]
pub struct Listened {
    /// The messages about each alert, in order; what came twice is there once.
    pub alerts: BTreeMap<Uuid, Vec<AlertMessage>>,
    /// Whether it heard all the time: only then must it have heard everything.
    pub without_a_break: bool,
}

/// A listener. Dropping it ends it.
pub struct Ear {
    listened: Arc<Mutex<Listened>>,
    task: JoinHandle<()>,
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Ear {
    /// Listens to that topic filter. `None`: the broker is away or does not allow it; then the
    /// database alone is asked.
    pub async fn open(broker: &BrokerSession, name: &str, filter: &str) -> Option<Self> {
        let filters = [filter.to_owned()];
        let mut link = Link::open(broker, name, &filters).await.ok()?;
        let listened = Listened { without_a_break: true, ..Listened::default() };
        let listened = Arc::new(Mutex::new(listened));
        let (writes, broker, name) = (Arc::clone(&listened), broker.clone(), name.to_owned());
        let task = tokio::spawn(async move {
            let mut backoff = Backoff::default();
            loop {
                while let Some(heard) = link.heard().await {
                    if let Heard::Message(payload) = heard {
                        note(&writes, &payload);
                    }
                }
                writes.lock().unwrap_or_else(PoisonError::into_inner).without_a_break = false;
                link = loop {
                    sleep(backoff.next_pause()).await;
                    if let Ok(link) = Link::open(&broker, &name, &filters).await {
                        backoff.reset();
                        break link;
                    }
                };
            }
        });
        Some(Self { listened, task })
    }

    /// What has been heard so far.
    #[must_use]
    pub fn listened(&self) -> Listened {
        self.listened.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn note(listened: &Mutex<Listened>, payload: &[u8]) {
    let Ok(alert) = serde_json::from_slice::<AlertMessage>(payload) else { return };
    let mut listened = listened.lock().unwrap_or_else(PoisonError::into_inner);
    let said = listened.alerts.entry(alert.alert_id).or_default();
    if !said.contains(&alert) {
        said.push(alert);
    }
}
