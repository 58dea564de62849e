//! A database with the clock in the test's hand: what time and silence alone say.

use chrono::TimeDelta;
use nightrun::apply;
use nightrun::blindness::BlindWatch;
use nightrun::config::{Contracts, load};
use nightrun::domain::alert::Sight;
use nightrun::domain::event::Sender;
use nightrun::domain::instant::{Instant, parse_instant};
use nightrun::domain::plan::PlannedVisit;
use nightrun::import::Import;
use nightrun::ingest;
use nightrun::message::{Ack, Came, Message};
use nightrun::senders::{self, Heard};
use nightrun::sight::Sights;
use nightrun::store::Store;
use nightrun::store::senders::SenderKey;
use nightrun::watch::{self, PlanWatch};
use nightrun::wire::alert::AlertMessage;

use crate::support::engine::{Database, Engine};

pub struct House {
    store: Store,
    pub contracts: Contracts,
    database: Database,
    _folder: tempfile::TempDir,
}

/// 22:00 on a winter's night, the zone of the default contract being London's.
pub fn ten_at_night() -> Instant {
    parse_instant("2019-02-04T22:00:00Z").unwrap()
}

pub fn minutes(count: i64) -> TimeDelta {
    TimeDelta::minutes(count)
}

pub fn device() -> SenderKey {
    ("default".parse().unwrap(), Sender::Device("D-1".parse().unwrap()))
}

pub fn phone() -> SenderKey {
    ("default".parse().unwrap(), Sender::Carer("w1".parse().unwrap()))
}

impl House {
    pub async fn on(engine: Engine) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::new(engine, folder.path());
        let store = database.open().await;
        let contracts = load(None, []).unwrap().contracts;
        Self { store, contracts, database, _folder: folder }
    }

    pub async fn hear(&self, at: Instant, say: impl FnOnce(&mut Heard)) {
        let mut heard = Heard::default();
        say(&mut heard);
        let mut tx = self.store.write().await.unwrap();
        senders::save(&mut tx, &self.contracts, heard, at).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub async fn watch(&self, now: Instant, sight: Sight) {
        let mut tx = self.store.write().await.unwrap();
        senders::watch(&mut tx, &self.contracts, now, sight).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub async fn watch_plans(&self, plans: &mut PlanWatch, now: Instant) {
        if plans.is_due(&self.contracts, now) {
            let mut tx = self.store.write().await.unwrap();
            plans.look(&mut tx, &self.contracts, now).await.unwrap();
            tx.commit().await.unwrap();
        }
    }

    /// Imports a visit of one carer at a client of its own.
    pub async fn import(&self, name: &str, run: Option<&str>, start: Instant, now: Instant) {
        self.import_for(1, name, run, start, now).await;
    }

    /// Imports a visit of so many carers. Its client is called after what its name has before a dot.
    pub async fn import_for(
        &self,
        carers_required: u8,
        name: &str,
        run: Option<&str>,
        start: Instant,
        now: Instant,
    ) {
        let visit = PlannedVisit {
            contract: "default".parse().unwrap(),
            visit_ref: name.parse().unwrap(),
            service: "S".to_owned(),
            service_level: "L".to_owned(),
            client_ref: format!("C-{}", name.split('.').next().unwrap()).parse().unwrap(),
            run: run.map(|run| run.parse().unwrap()),
            start,
            end: start + minutes(30),
            carers_required,
            carers: Vec::new(),
            time_specific: false,
            quantity: None,
            cancellation: None,
        };
        let mut import =
            Import::begin(&self.store, &self.contracts, "visits", false, now).await.unwrap();
        assert!(import.visits(vec![(2, visit)]).await.unwrap().is_empty());
        assert_eq!(import.finish().await.unwrap().unwrap().changed, 1);
        // An import is committed when it is; here it was then.
        let then = format!("UPDATE import SET committed_at = {}", now.timestamp_micros());
        self.database.try_execute(&then).await.unwrap();
    }

    /// Draws the consequences of imports.
    pub async fn apply(&self, now: Instant) {
        let mut more = true;
        while more {
            let mut tx = self.store.write().await.unwrap();
            more = apply::step(&mut tx, &self.contracts, now).await.unwrap();
            tx.commit().await.unwrap();
        }
    }

    /// The machine's clock is put back to then.
    pub async fn put_back(&self, now: Instant) {
        let mut tx = self.store.write().await.unwrap();
        watch::all_again(&mut tx, now).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Looks at everything that is due, as the writer does.
    pub async fn look(&self, sights: &mut Sights, blind: &mut BlindWatch, now: Instant) {
        let mut tx = self.store.write().await.unwrap();
        watch::client_nights(&mut tx, &self.contracts, now, sights).await.unwrap();
        blind.look(&mut tx, &self.contracts, sights, now).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// A carer checks in at a visit.
    pub async fn check_in(&self, sights: &mut Sights, visit: &str, at: Instant) {
        let event = serde_json::json!({
            "event_id": uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, visit.as_bytes()).to_string(),
            "type": "check_in", "visit_ref": visit, "occurred_at": at.to_rfc3339(),
        });
        let message = Message {
            topic: "nightrun/v1/default/carer/w1/event".to_owned(),
            payload: event.to_string().into_bytes(),
            received_at: at,
            came: Came::Said,
            ack: Ack::new(|| {}),
        };
        let mut tx = self.store.write().await.unwrap();
        let tally = ingest::record(&mut tx, &self.contracts, &[message], sights).await.unwrap();
        sights.hear_phones(&tally.heard, at);
        tx.commit().await.unwrap();
    }

    /// What has been said to others since the last time, receipts left out.
    pub async fn said(&self) -> Vec<AlertMessage> {
        let said = self.database.texts("DELETE FROM outbox RETURNING messages").await;
        let messages = said
            .iter()
            .flat_map(|messages| serde_json::from_str::<Vec<(String, String)>>(messages).unwrap());
        messages.filter_map(|(_, payload)| serde_json::from_str(&payload).ok()).collect()
    }
}
