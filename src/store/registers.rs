//! The registers with their history: of two rows with the same reference and date, the one of the
//! later import is in force.

use std::collections::{BTreeSet, HashMap};

use chrono::NaiveDate;
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::FromRow;

use super::cases::{CaseKey, read_keys};
use super::sql::sql;
use super::{Db, StoreError, at, night_text, rows};
use crate::domain::calendar::Night;
use crate::domain::grid;
use crate::domain::plan::{CarerRow, ClientRow, DeviceRow, LatLon, Suspension, TagRow};
use crate::domain::refs::{CarerRef, ClientRef, ContractId};
use crate::domain::register::Registers;
use crate::domain::words::words;

words! {
    /// Which register a row is of.
    RegisterKind {
        /// Clients, with where they live.
        Client = "client",
        /// Carers.
        Carer = "carer",
        /// Telecare units.
        Device = "device",
        /// Chips and codes.
        Tag = "tag",
        /// Suspensions of clients.
        Suspension = "suspension",
    }
}

/// A row of a register.
#[derive(Debug, Clone, PartialEq)]
pub enum RegisterRow {
    /// A client.
    Client(ClientRow),
    /// A carer.
    Carer(CarerRow),
    /// A telecare unit.
    Device(DeviceRow),
    /// A chip or code.
    Tag(TagRow),
    /// A suspension.
    Suspension(Suspension),
}

impl RegisterRow {
    /// Which register it is of.
    #[must_use]
    pub fn kind(&self) -> RegisterKind {
        match self {
            Self::Client(_) => RegisterKind::Client,
            Self::Carer(_) => RegisterKind::Carer,
            Self::Device(_) => RegisterKind::Device,
            Self::Tag(_) => RegisterKind::Tag,
            Self::Suspension(_) => RegisterKind::Suspension,
        }
    }

    /// Its contract, its reference, and as of when it holds; empty: always has.
    fn key(&self) -> (&ContractId, &str, String) {
        let date = |from: Option<NaiveDate>| from.map(|from| from.to_string()).unwrap_or_default();
        match self {
            Self::Client(row) => (&row.contract, row.client_ref.as_str(), date(row.from)),
            Self::Carer(row) => (&row.contract, row.carer_ref.as_str(), String::new()),
            Self::Device(row) => (&row.contract, row.device_ref.as_str(), date(row.from)),
            Self::Tag(row) => (&row.contract, row.tag.as_str(), date(row.from)),
            Self::Suspension(row) => {
                let from = row.from.timestamp_micros().to_string();
                (&row.contract, row.client_ref.as_str(), from)
            }
        }
    }

    /// The cell of the grid in which a client's home is.
    fn cell(&self) -> Option<i64> {
        match self {
            Self::Client(row) => Some(grid::cell(row.home?, row.fence_m)),
            _ => None,
        }
    }

    fn content(&self) -> Value {
        match self {
            Self::Client(row) => json!({
                "lat": row.home.map(|home| home.lat),
                "lon": row.home.map(|home| home.lon),
                "fence_m": row.fence_m,
                "display_name": row.display_name,
                "phone": row.phone,
            }),
            Self::Carer(row) => json!({
                "employment": row.employment,
                "display_name": row.display_name,
            }),
            Self::Device(row) => json!({"client_ref": row.client_ref.as_str()}),
            Self::Tag(row) => json!({"client_ref": row.client_ref.as_str()}),
            Self::Suspension(row) => json!({
                "to": row.to.map(|to| to.timestamp_micros()),
                "notified_at": row.notified_at.timestamp_micros(),
                "reason": row.reason,
            }),
        }
    }
}

#[derive(FromRow, Deserialize)]
struct StoredRow {
    seq: i64,
    id: i64,
    contract: String,
    kind: String,
    #[sqlx(rename = "ref")]
    reference: String,
    held_from: String,
    content: String,
}

/// What of the registers is wanted: the contract, the register, the reference.
pub type Wanted = BTreeSet<(ContractId, RegisterKind, String)>;

/// The wanted rows, in the registers of their contracts.
///
/// # Errors
/// When the database fails.
pub async fn load(
    db: &mut Db,
    wanted: &Wanted,
) -> Result<HashMap<ContractId, Registers>, StoreError> {
    let mut registers: HashMap<ContractId, Registers> = HashMap::new();
    if wanted.is_empty() {
        return Ok(registers);
    }
    let keys = wanted.iter().map(|(contract, kind, reference)| {
        row! { contract: contract.as_str(), kind: kind.as_str(), r#ref: reference }
    });
    let mut found: Vec<StoredRow> = packed!(
        "i.seq, r.id, r.contract, r.kind, r.ref, r.held_from, r.content",
        "FROM jsonb_each($1) k CROSS JOIN register_row r CROSS JOIN import i \
         WHERE r.contract = k.value->>'contract' AND r.kind = k.value->>'kind' \
         AND r.ref = k.value->>'ref' AND i.id = r.import_id AND i.seq IS NOT NULL"
    )
    .bind(rows(keys))
    .fetch_packed(db)
    .await?;
    found.sort_unstable_by_key(|row| (row.seq, row.id));
    for row in found {
        let contract: ContractId = row.contract.parse()?;
        put(registers.entry(contract.clone()).or_default(), contract, &row)?;
    }
    Ok(registers)
}

/// The client nights for which there was ever a visit planned at a home in one of these ranges of cells.
///
/// # Errors
/// When the database fails.
pub async fn near(
    db: &mut Db,
    ranges: &BTreeSet<(ContractId, Night, (i64, i64))>,
) -> Result<BTreeSet<CaseKey>, StoreError> {
    let keys = ranges.iter().map(|(contract, night, (from, to))| {
        row! { contract: contract.as_str(), night: night, from: from, to: to }
    });
    let found = packed!(
        "p.contract, p.night, p.client_ref",
        "FROM jsonb_each($1) k CROSS JOIN register_row r CROSS JOIN planned_visit p \
         WHERE r.contract = k.value->>'contract' \
         AND r.cell >= CAST(k.value->>'from' AS BIGINT) \
         AND r.cell <= CAST(k.value->>'to' AS BIGINT) AND p.contract = r.contract \
         AND p.night = k.value->>'night' AND p.client_ref = r.ref"
    )
    .bind(rows(keys))
    .fetch_packed(db)
    .await?;
    read_keys(found)
}

/// The registers of a contract, whole.
///
/// # Errors
/// When the database fails.
pub async fn load_all(db: &mut Db, contract: &ContractId) -> Result<Registers, StoreError> {
    let mut registers = Registers::default();
    let found: Vec<StoredRow> = sql(
        "SELECT i.seq, r.id, r.contract, r.kind, r.ref, r.held_from, r.content FROM register_row r \
         JOIN import i ON i.id = r.import_id WHERE r.contract = $1 AND i.seq IS NOT NULL \
         ORDER BY i.seq, r.id",
    )
    .bind(contract.as_str())
    .fetch_all(db)
    .await?;
    for row in found {
        put(&mut registers, contract.clone(), &row)?;
    }
    Ok(registers)
}

/// What people are called, and how clients are rung: for coordinators' eyes only.
#[derive(Debug, Clone, Default)]
pub struct Names {
    clients: HashMap<String, (Option<String>, Option<String>)>,
    carers: HashMap<String, String>,
}

impl Names {
    /// Enters what a client is called, and the telephone number.
    pub fn put_client(&mut self, client: &str, name: Option<String>, phone: Option<String>) {
        self.clients.insert(client.to_owned(), (name, phone));
    }

    /// Enters what a carer is called.
    pub fn put_carer(&mut self, carer: &str, name: String) {
        self.carers.insert(carer.to_owned(), name);
    }

    /// What the client is called.
    #[must_use]
    pub fn client(&self, client: &ClientRef) -> Option<&str> {
        self.clients.get(client.as_str())?.0.as_deref()
    }

    /// The client's telephone number.
    #[must_use]
    pub fn phone(&self, client: &ClientRef) -> Option<&str> {
        self.clients.get(client.as_str())?.1.as_deref()
    }

    /// What the carer is called.
    #[must_use]
    pub fn carer(&self, carer: &CarerRef) -> Option<&str> {
        self.carers.get(carer.as_str()).map(String::as_str)
    }
}

/// What the clients and carers of a contract are called on that date.
///
/// # Errors
/// When the database fails.
pub async fn names(
    db: &mut Db,
    contract: &ContractId,
    date: NaiveDate,
) -> Result<Names, StoreError> {
    let found: Vec<(String, String, String)> = sql(
        "SELECT r.kind, r.ref, r.content FROM register_row r JOIN import i ON i.id = r.import_id \
         WHERE r.contract = $1 AND r.kind IN ('client', 'carer') AND i.seq IS NOT NULL \
         AND r.held_from <= $2 ORDER BY r.held_from, i.seq, r.id",
    )
    .bind(contract.as_str())
    .bind(night_text(date))
    .fetch_all(db)
    .await?;
    let mut names = Names::default();
    for (kind, reference, content) in found {
        let content: Value = serde_json::from_str(&content)
            .map_err(|_| StoreError::Foreign(format!("a row of the {kind} register")))?;
        let text = |key: &str| content[key].as_str().map(str::to_owned);
        if kind == RegisterKind::Client.as_str() {
            names.put_client(&reference, text("display_name"), text("phone"));
        } else if let Some(name) = text("display_name") {
            names.put_carer(&reference, name);
        }
    }
    Ok(names)
}

fn put(registers: &mut Registers, contract: ContractId, row: &StoredRow) -> Result<(), StoreError> {
    let foreign = || StoreError::Foreign(format!("a row of the {} register", row.kind));
    let content: Value = serde_json::from_str(&row.content).map_err(|_| foreign())?;
    let from = match row.held_from.as_str() {
        "" => None,
        date if row.kind != RegisterKind::Suspension.as_str() => {
            Some(date.parse().map_err(|_| foreign())?)
        }
        _ => None,
    };
    let number = |key: &str| content[key].as_f64();
    let client = || content["client_ref"].as_str().unwrap_or_default().parse();
    match row.kind.parse().map_err(|_| foreign())? {
        RegisterKind::Client => registers.put_client(&ClientRow {
            contract,
            client_ref: row.reference.parse()?,
            home: number("lat").zip(number("lon")).map(|(lat, lon)| LatLon { lat, lon }),
            fence_m: number("fence_m"),
            display_name: None,
            phone: None,
            from,
        }),
        RegisterKind::Carer => {}
        RegisterKind::Device => registers.put_device(DeviceRow {
            contract,
            device_ref: row.reference.parse()?,
            client_ref: client()?,
            from,
        }),
        RegisterKind::Tag => registers.put_tag(TagRow {
            contract,
            tag: row.reference.parse()?,
            client_ref: client()?,
            from,
        }),
        RegisterKind::Suspension => registers.put_suspension(Suspension {
            contract,
            client_ref: row.reference.parse()?,
            from: at(row.held_from.parse().map_err(|_| foreign())?),
            to: content["to"].as_i64().map(at),
            notified_at: at(content["notified_at"].as_i64().ok_or_else(foreign)?),
            reason: content["reason"].as_str().unwrap_or_default().to_owned(),
        }),
    }
    Ok(())
}

/// Appends rows to an import that is not in force yet, save those that say what is in force
/// already. Returns how many were appended.
///
/// # Errors
/// When the database fails.
pub async fn stage(db: &mut Db, import: i64, staged: &[RegisterRow]) -> Result<u64, StoreError> {
    let values = staged.iter().map(|row| {
        let (contract, reference, held_from) = row.key();
        row! {
            contract: contract.as_str(),
            kind: row.kind().as_str(),
            r#ref: reference,
            from: held_from,
            content: row.content().to_string(),
            cell: row.cell(),
        }
    });
    let done =
        sql("INSERT INTO register_row (import_id, contract, kind, ref, held_from, content, cell) \
         SELECT $2, n.value->>'contract', n.value->>'kind', n.value->>'ref', n.value->>'from', \
         n.value->>'content', CAST(n.value->>'cell' AS BIGINT) FROM jsonb_each($1) n WHERE COALESCE((SELECT r.content \
         FROM register_row r JOIN import i ON i.id = r.import_id \
         WHERE r.contract = n.value->>'contract' AND r.kind = n.value->>'kind' \
         AND r.ref = n.value->>'ref' AND r.held_from = n.value->>'from' AND i.seq IS NOT NULL \
         ORDER BY i.seq DESC LIMIT 1), '') <> n.value->>'content'")
        .bind(rows(values))
        .bind(import)
        .execute(db)
        .await?;
    Ok(done)
}
