//! What a client's night came to, once nothing about it is open any more: kept beside the night, so
//! that a return for many clients need not judge all evidence anew.
//!
//! It is written whenever the night is assessed, and holds only while nothing about the night is due:
//! whatever may change a night has it looked at, and so makes this void. The ledger compares it with
//! the evidence.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::cases::CaseKey;
use super::evidence::hex;
use super::sql::{either, sql};
use super::{Db, StoreError, at, night_text, rows};
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

/// By what the visits of a contract's nights are judged besides the evidence: as long as it is the
/// same, so is what was settled.
pub struct JudgedBy<'a> {
    contract: &'a Contract,
    known: HashMap<Night, String>,
}

impl<'a> JudgedBy<'a> {
    /// For that contract.
    #[must_use]
    pub fn new(contract: &'a Contract) -> Self {
        Self { contract, known: HashMap::new() }
    }

    /// A name for what that night is judged by.
    pub fn of(&mut self, night: Night) -> &str {
        let contract = self.contract;
        self.known.entry(night).or_insert_with(|| {
            let dates = (night - HOLIDAYS_FROM).iter_days().take_while(|date| *date <= night);
            let holidays: Vec<_> = dates.filter(|date| contract.holidays.contains(*date)).collect();
            let says = (EDITION, contract.zone, contract.policy(night), holidays);
            let mut name = hex(&Sha256::digest(format!("{says:?}")));
            name.truncate(16);
            name
        })
    }
}

/// A client's night as it is kept. One of which nothing is kept was judged by nothing.
#[derive(Serialize, Deserialize)]
struct Kept {
    night: Night,
    /// When it was assessed, in microseconds.
    #[serde(default)]
    as_of: i64,
    #[serde(default)]
    judged_by: String,
    #[serde(default)]
    visits: Vec<KeptVisit>,
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

/// A client's night as it is kept: `None` if one of its visits is not final. `judged_by` is what
/// [`JudgedBy`] says of it.
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
    fn holds(&self, judged_by: &mut JudgedBy<'_>, now: Instant) -> bool {
        self.as_of <= now.timestamp_micros() && self.judged_by == judged_by.of(self.night)
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

/// What counts of the visits of client nights, where that is kept and holds. The nights are of the
/// contract given.
///
/// # Errors
/// When the database fails, or what is kept cannot be read.
pub async fn of_cases(
    db: &mut Db,
    contract: &Contract,
    keys: &BTreeSet<CaseKey>,
    now: Instant,
) -> Result<BTreeMap<CaseKey, Vec<Counted>>, StoreError> {
    let found: Vec<(String, String)> = sql("SELECT n.client_ref, n.settled \
         FROM jsonb_each($1) k CROSS JOIN night n WHERE n.contract = k.value->>'contract' \
         AND n.night = k.value->>'night' AND n.client_ref = k.value->>'client' \
         AND n.due_at IS NULL AND n.settled IS NOT NULL")
    .bind(rows(keys.iter().map(CaseKey::to_row)))
    .fetch_all(db)
    .await?;
    let (mut settled, mut judged_by) = (BTreeMap::new(), JudgedBy::new(contract));
    for (client, text) in found {
        let (client, kept): (ClientRef, Kept) = (client.parse()?, parse(&text)?);
        if kept.holds(&mut judged_by, now) {
            let night = kept.night;
            let visits = kept.read(&client)?;
            settled.insert(CaseKey { contract: contract.id.clone(), night, client }, visits);
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
    /// evidence.
    ///
    /// # Errors
    /// When what is kept cannot be read.
    pub fn read(
        &self,
        judged_by: &mut JudgedBy<'_>,
        now: Instant,
    ) -> Result<(Vec<Counted>, Vec<Night>), StoreError> {
        let found: Vec<Kept> = parse(&self.text)?;
        let (mut visits, mut open) = (Vec::new(), Vec::new());
        for night in found {
            if night.holds(judged_by, now) {
                visits.extend(night.read(&self.client)?);
            } else {
                open.push(night.night);
            }
        }
        Ok((visits, open))
    }
}
