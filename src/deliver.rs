//! The deliverer: takes what is in the outbox to the publisher, in order.
//!
//! A row leaves the outbox when the writer learns that the broker has all its messages; until then
//! they are handed on once, and after a restart again. After a start, alerts wait until those who listen to
//! them have had time to come back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant as Tick, sleep, timeout};
use tracing::error;

use crate::clock;
use crate::mqtt::SlotNumber;
use crate::publish::Outgoing;
use crate::store::outbox::Kind;
use crate::store::{Store, StoreError, outbox};
use crate::writer::Outbox;

/// How often the outbox is looked at if nobody says that there is something new: another program may
/// have put it there.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often messages are looked for that had been put off.
const PUT_OFF_EVERY: Duration = Duration::from_secs(10);
/// The pause after the database has failed.
const FAILED_FOR: Duration = Duration::from_secs(1);

/// Hands on the messages of a slot, alerts before receipts and `alerts_after` the start, until `shutdown`
/// is true and nothing is left to hand on, or the publisher has gone.
pub async fn run(
    store: Store,
    shared: Arc<Outbox>,
    slot: SlotNumber,
    outgoing: mpsc::Sender<Outgoing>,
    alerts_after: Duration,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut after = After::default();
    let alerts_from = Tick::now() + alerts_after;
    let mut alerts_wait = true;
    let mut from_start_at = alerts_from;
    loop {
        if Tick::now() >= from_start_at || shared.begins_again() {
            (after, from_start_at) = (After::default(), Tick::now() + PUT_OFF_EVERY);
            alerts_wait = Tick::now() < alerts_from;
        }
        // What is settled meanwhile is still among what is read.
        let in_hand = shared.rows_in_hand();
        match take(&store, slot, &mut after).await {
            Ok(rows) if rows.is_empty() && *shutdown.borrow() => return,
            Ok(rows) if rows.is_empty() => {
                let news = timeout(LOOK_EVERY, shared.news.notified());
                tokio::select! {
                    _ = news => {}
                    _ = shutdown.changed() => {}
                }
            }
            Ok(rows) => {
                for row in rows {
                    if alerts_wait && row.kind == Kind::Alert {
                        continue;
                    }
                    if in_hand.contains(&row.id) || !shared.hand_out(&row) {
                        continue;
                    }
                    for (place, (topic, payload)) in row.messages.into_iter().enumerate() {
                        let id = (row.id, place);
                        let payload = payload.into_bytes();
                        let message = Outgoing { id, topic, payload, retain: false };
                        if outgoing.send(message).await.is_err() {
                            return;
                        }
                    }
                }
            }
            Err(failed) => {
                error!("cannot read what is to be published: {failed}");
                if *shutdown.borrow() {
                    return;
                }
                sleep(FAILED_FOR).await;
            }
        }
    }
}

/// The rows that were handed on last.
#[derive(Default)]
struct After {
    alert: i64,
    receipt: i64,
}

/// The next rows. However many receipts wait, an alert does not wait for them.
async fn take(
    store: &Store,
    slot: SlotNumber,
    after: &mut After,
) -> Result<Vec<outbox::ToPublish>, StoreError> {
    let mut tx = store.read().await?;
    let now = clock::now();
    for (kind, after) in [(Kind::Alert, &mut after.alert), (Kind::Receipt, &mut after.receipt)] {
        let rows = outbox::take(&mut tx, slot, kind, *after, now).await?;
        if let Some(last) = rows.last() {
            *after = last.id;
            return Ok(rows);
        }
    }
    Ok(Vec::new())
}
