//! A night from a seed: whose homes, which visits, and what the phones say about them.
//!
//! Pure: the same seed, size, faults and anchor make the same night, to the last event id, so that
//! playing it again says nothing new.

mod events;
mod layout;

use std::collections::{BTreeSet, HashMap};
use std::str::FromStr;

use anyhow::{Context, bail};
use chrono::TimeDelta;

use super::script::{By, Fault, Script, When};
use super::scripts::TO_COME;
use crate::domain::event::Sender;
use crate::domain::instant::Instant;
use crate::domain::plan::{
    CarerRow, ClientRow, DeviceRow, Employment, LatLon, PlannedVisit, TagRow,
};
use crate::domain::policy::Contract;
use crate::domain::refs::{CarerRef, ClientRef, ContractId, VisitRef};
use crate::store::registers::RegisterRow;
use crate::wire::event_payload::EventPayload;

/// How a night is to be.
#[derive(Debug, Clone)]
pub struct Shape {
    /// The seed.
    pub seed: u64,
    /// How many visits, those that no plan knows of included.
    pub visits: usize,
    /// Which misbehaviours.
    pub faults: BTreeSet<Fault>,
    /// The moment around which it is laid.
    pub anchor: Instant,
}

/// A night.
#[derive(Debug)]
pub struct Night {
    /// How all its references begin.
    pub prefix: String,
    /// The contract.
    pub contract: ContractId,
    /// Its visits.
    pub visits: Vec<Visit>,
    /// What the phones and units say.
    pub events: Vec<Event>,
    /// The events of each carer.
    pub by_carer: HashMap<CarerRef, Vec<usize>>,
    /// When the last of it has happened, and the last deadline that must be met has passed.
    pub over_at: Instant,
}

/// A visit of the night.
#[derive(Debug)]
pub struct Visit {
    /// What happens.
    pub script: &'static Script,
    /// Whose home.
    pub client: ClientRef,
    /// Where that is.
    pub home: LatLon,
    /// The row of the plan.
    pub plan: Option<PlannedVisit>,
    /// The planned start or, without a plan, that from which the script counts.
    pub start: Instant,
    /// Its events, by their place in [`Night::events`], one for each deed.
    pub events: Vec<usize>,
    carers: [CarerRef; 3],
    number: usize,
}

/// An event of the night.
#[derive(Debug)]
pub struct Event {
    /// Its visit, by its place in [`Night::visits`].
    pub visit: usize,
    /// Who sends it.
    pub sender: Sender,
    /// Who came or went.
    pub carer: CarerRef,
    /// What is sent, `sent_at` left out.
    pub payload: EventPayload,
    /// Not sent before that.
    pub send_from: Instant,
    /// The event whose receipt it waits for.
    pub after: Option<usize>,
}

/// The reference of the visit by which a night of that seed is known in the database, and how long
/// after the anchor it is planned.
///
/// # Errors
/// Never: the reference is well formed.
pub fn landmark(seed: u64) -> anyhow::Result<(VisitRef, TimeDelta)> {
    let When::Ahead(hours) = TO_COME.when else { bail!("the first visit is still to come") };
    Ok((named(&format!("{}V-{:06}", prefix(seed), 1))?, TimeDelta::hours(hours)))
}

/// How the references of that seed begin.
#[must_use]
pub fn prefix(seed: u64) -> String {
    format!("S{seed}-")
}

fn named<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    text: &str,
) -> anyhow::Result<T> {
    text.parse().with_context(|| format!("the reference {text:?}"))
}

/// Makes the night.
///
/// # Errors
/// When the contract's policy is not the one for which the scripts are written.
pub fn night(shape: &Shape, contract: &Contract) -> anyhow::Result<Night> {
    layout::Maker::new(shape, contract)?.make()
}

fn tag(client: &ClientRef) -> String {
    format!("{client}-tag")
}

fn unit(client: &ClientRef) -> String {
    format!("{client}-unit")
}

impl Night {
    /// The rows of the plan.
    pub fn plan(&self) -> impl Iterator<Item = &PlannedVisit> {
        self.visits.iter().filter_map(|visit| visit.plan.as_ref())
    }

    /// The rows of each register: its word, and the rows.
    ///
    /// # Errors
    /// Never: the references are well formed.
    pub fn registers(&self) -> anyhow::Result<[(&'static str, Vec<RegisterRow>); 4]> {
        let contract = || self.contract.clone();
        let mut rows =
            [("clients", vec![]), ("carers", vec![]), ("devices", vec![]), ("tags", vec![])];
        let (mut clients, mut carers) = (BTreeSet::new(), BTreeSet::new());
        for visit in &self.visits {
            if clients.insert(&visit.client) {
                rows[0].1.push(RegisterRow::Client(ClientRow {
                    contract: contract(),
                    client_ref: visit.client.clone(),
                    home: Some(visit.home),
                    fence_m: Some(150.0),
                    display_name: None,
                    phone: None,
                    from: None,
                }));
            }
            for carer in &visit.carers[..2] {
                if carers.insert(carer) {
                    rows[1].1.push(RegisterRow::Carer(CarerRow {
                        contract: contract(),
                        carer_ref: carer.clone(),
                        employment: Employment::Permanent,
                        display_name: None,
                    }));
                }
            }
            let uses = |by| visit.script.deeds.iter().any(|deed| deed.by == by);
            if uses(By::Unit) {
                rows[2].1.push(RegisterRow::Device(DeviceRow {
                    contract: contract(),
                    device_ref: named(&unit(&visit.client))?,
                    client_ref: visit.client.clone(),
                    from: None,
                }));
            }
            if uses(By::Tag) {
                rows[3].1.push(RegisterRow::Tag(TagRow {
                    contract: contract(),
                    tag: named(&tag(&visit.client))?,
                    client_ref: visit.client.clone(),
                    from: None,
                }));
            }
        }
        Ok(rows)
    }
}
