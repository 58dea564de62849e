//! A session with a real broker, and who takes what it hands on.

use nightrun::message::{Inbound, Message};
use nightrun::mqtt::{self, BrokerSession, Seat};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::within;

/// A running session; dropping it is like the end of the process.
pub struct Session {
    pub inbound: mpsc::Receiver<Inbound>,
    pub stop: watch::Sender<bool>,
    pub task: JoinHandle<()>,
}

impl Session {
    pub fn start(settings: BrokerSession) -> Self {
        Self::start_in(settings, Seat::alone())
    }

    pub fn start_in(settings: BrokerSession, seat: Seat) -> Self {
        let (sender, inbound) = mpsc::channel(16);
        let (stop, shutdown) = watch::channel(false);
        let task = tokio::spawn(async move { mqtt::run(&settings, seat, sender, shutdown).await });
        Self { inbound, stop, task }
    }

    /// Ends it without a word, as a kill would.
    pub async fn abort(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// Stops it in order; what it handed on after the stop.
    pub async fn stop(mut self) -> Vec<Message> {
        self.stop.send_replace(true);
        let mut handed_on = Vec::new();
        while let Some(inbound) = within("the session's end", self.inbound.recv()).await {
            if let Inbound::Message(message) = inbound {
                handed_on.push(message);
            }
        }
        self.task.await.expect("no panic");
        handed_on
    }
}
