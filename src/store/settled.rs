//! What a client's night came to, once nothing about it is open any more: kept beside the night, so
//! that a return for many clients need not judge all evidence anew.
//!
//! It is written whenever the night is assessed, and holds only while nothing about the night is due:
//! whatever may change a night has it looked at, and so makes this void. The ledger compares it with
//! the evidence.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::evidence::hex;
use super::sql::{either, sql};
use super::{Db, StoreError, at, night_text};
use crate::domain::calendar::Night;
use crate::domain::instant::{Instant, micros};
use crate::domain::policy::Contract;
use crate::domain::quantity::Quantity;
use crate::domain::refs::{ClientRef, ContractId};
use crate::domain::schedule3::Counted;
use crate::domain::visit::Status;

/// A change of the rules in the program, after which what was settled before is judged anew.
const EDITION: &str = "1";
/// How far before a night bank holidays may decide about it.
const HOLIDAYS_FROM: TimeDelta = TimeDelta::days(32);

/// By what the visits of a night are judged besides the evidence: as long as it is the same, so is
/// what was settled.
#[must_use]
pub fn judged_by(contract: &Contract, night: Night) -> String {
    let holidays = (night - HOLIDAYS_FROM).iter_days().take_while(|date| *date <= night);
    let holidays: Vec<Night> = holidays.filter(|date| contract.holidays.contains(*date)).collect();
    let says = (EDITION, contract.zone, contract.policy(night), holidays);
    let mut name = hex(&Sha256::digest(format!("{says:?}")));
    name.truncate(16);
    name
}

/// A client's night as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    night: Night,
    /// When it was assessed, in microseconds.
    as_of: i64,
    judged_by: String,
    visits: Vec<KeptVisit>,
}

/// A night about which something is open, or of which nothing is kept.
#[derive(Serialize, Deserialize)]
struct Open {
    night: Night,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Found {
    Kept(Kept),
    Open(Open),
}

#[derive(Serialize, Deserialize)]
struct KeptVisit {
    visit: String,
    service: String,
    level: String,
    /// In microseconds.
    start: i64,
    status: Status,
    /// In parts of a unit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    planned: Option<i64>,
    /// How many came, and how many were needed.
    carers: (u8, u8),
    /// In microseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    call: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    typed: Vec<String>,
}

/// A client's night as it is kept: `None` if one of its visits is not final. `judged_by` is
/// [`judged_by`] of its contract and night.
#[must_use]
pub fn to_keep(
    night: Night,
    judged_by: &str,
    visits: impl IntoIterator<Item = Counted>,
    as_of: Instant,
) -> Option<String> {
    let keep = |visit: Counted| {
        let planned = visit.planned.map(|planned| i64::try_from(planned.parts())).transpose();
        visit.status.is_final().then_some(KeptVisit {
            visit: visit.visit_ref.to_string(),
            service: visit.service,
            level: visit.service_level,
            start: visit.start.timestamp_micros(),
            status: visit.status,
            planned: planned.ok()?,
            carers: (visit.present, visit.carers_required),
            call: visit.call.map(micros),
            reason: visit.reason,
            typed: visit.typed,
        })
    };
    let visits = visits.into_iter().map(keep).collect::<Option<_>>()?;
    let (as_of, judged_by) = (as_of.timestamp_micros(), judged_by.to_owned());
    serde_json::to_string(&Kept { night, as_of, judged_by, visits }).ok()
}

impl Kept {
    /// Whether it holds still.
    fn holds(&self, is_current: &mut impl FnMut(Night, &str) -> bool, now: Instant) -> bool {
        self.as_of <= now.timestamp_micros() && is_current(self.night, &self.judged_by)
    }

    fn read(self, client: &ClientRef) -> Result<Vec<Counted>, StoreError> {
        self.visits.into_iter().map(|visit| visit.read(client, self.night)).collect()
    }
}

impl KeptVisit {
    fn read(self, client: &ClientRef, night: Night) -> Result<Counted, StoreError> {
        Ok(Counted {
            visit_ref: self.visit.parse()?,
            client: client.clone(),
            night,
            service: self.service,
            service_level: self.level,
            start: at(self.start),
            status: self.status,
            planned: self.planned.map(|parts| Quantity::from_parts(parts.into())),
            present: self.carers.0,
            carers_required: self.carers.1,
            call: self.call.map(TimeDelta::microseconds),
            reason: self.reason,
            typed: self.typed,
        })
    }
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Foreign(error.to_string()))
}

/// What counts of the visits of each client's night, where that is kept and holds.
///
/// # Errors
/// When the database fails, or what is kept cannot be read.
pub async fn of_night(
    db: &mut Db,
    contract: &Contract,
    night: Night,
    now: Instant,
) -> Result<BTreeMap<ClientRef, Vec<Counted>>, StoreError> {
    let found: Vec<(String, String)> = sql("SELECT client_ref, settled FROM night \
         WHERE contract = $1 AND night = $2 AND due_at IS NULL AND settled IS NOT NULL")
    .bind(contract.id.as_str())
    .bind(night_text(night))
    .fetch_all(db)
    .await?;
    let current = judged_by(contract, night);
    let mut settled = BTreeMap::new();
    for (client, text) in found {
        let (client, kept): (ClientRef, Kept) = (client.parse()?, parse(&text)?);
        if kept.holds(&mut |_, by| by == current, now) {
            let visits = kept.read(&client)?;
            settled.insert(client, visits);
        }
    }
    Ok(settled)
}

/// The nights of a client, as they are kept.
pub struct Nights {
    client: ClientRef,
    text: String,
}

/// The nights of the next clients after `after`, both ends included, as far as they are known.
///
/// # Errors
/// When the database fails.
pub async fn of_clients(
    db: &mut Db,
    contract: &ContractId,
    (from, to): (Night, Night),
    after: Option<&ClientRef>,
    most: i64,
) -> Result<Vec<Nights>, StoreError> {
    // From client to client by the key, so that other nights cost nothing.
    macro_rules! nights {
        ($gather:literal) => {
            concat!(
                "WITH RECURSIVE c (client_ref) AS ( \
                 SELECT MIN(client_ref) FROM night WHERE contract = $1 AND client_ref > $2 \
                 UNION ALL SELECT (SELECT MIN(n.client_ref) FROM night n WHERE n.contract = $1 \
                 AND n.client_ref > c.client_ref) FROM c WHERE c.client_ref IS NOT NULL) \
                 SELECT c.client_ref, (SELECT ",
                $gather,
                "(CASE WHEN n.due_at IS NULL AND n.settled IS NOT NULL THEN n.settled \
                 ELSE '{\"night\":\"' || n.night || '\"}' END, ',') FROM night n \
                 WHERE n.contract = $1 AND n.client_ref = c.client_ref \
                 AND n.night BETWEEN $3 AND $4) FROM c WHERE c.client_ref IS NOT NULL LIMIT $5"
            )
        };
    }
    let found: Vec<(String, Option<String>)> =
        either(nights!("group_concat"), nights!("string_agg"))
            .bind(contract.as_str())
            .bind(after.map_or("", ClientRef::as_str))
            .bind(night_text(from))
            .bind(night_text(to))
            .bind(most)
            .fetch_all(db)
            .await?;
    found
        .into_iter()
        .map(|(client, text)| {
            let text = text.unwrap_or_default();
            Ok(Nights { client: client.parse()?, text: format!("[{text}]") })
        })
        .collect()
}

impl Nights {
    /// The client.
    #[must_use]
    pub fn client(&self) -> &ClientRef {
        &self.client
    }

    /// What counts of the visits of these nights, and the nights that have to be judged by their
    /// evidence. `is_current` tells whether that is what [`judged_by`] says of a night.
    ///
    /// # Errors
    /// When what is kept cannot be read.
    pub fn read(
        &self,
        mut is_current: impl FnMut(Night, &str) -> bool,
        now: Instant,
    ) -> Result<(Vec<Counted>, Vec<Night>), StoreError> {
        let found: Vec<Found> = parse(&self.text)?;
        let (mut visits, mut open) = (Vec::new(), Vec::new());
        for night in found {
            match night {
                Found::Kept(kept) if kept.holds(&mut is_current, now) => {
                    visits.extend(kept.read(&self.client)?);
                }
                Found::Kept(Kept { night, .. }) | Found::Open(Open { night }) => open.push(night),
            }
        }
        Ok((visits, open))
    }
}
