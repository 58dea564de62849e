//! What people are called, from the registers of clients and carers.

use chrono::NaiveDate;
use serde_json::Value;

use super::registers::RegisterKind;
use super::sql::sql;
use super::{Db, StoreError};
use crate::domain::names::Names;
use crate::domain::refs::ContractId;

/// What the clients and carers of a contract are called on that date.
///
/// # Errors
/// When the database fails.
pub async fn on(db: &mut Db, contract: &ContractId, date: NaiveDate) -> Result<Names, StoreError> {
    let found: Vec<(String, String, String)> = sql(
        "SELECT r.kind, r.ref, r.content FROM register_row r JOIN import i ON i.id = r.import_id \
             WHERE r.contract = $1 AND r.kind IN ('client', 'carer') AND r.held_from <= $2 \
             AND i.seq IS NOT NULL ORDER BY r.held_from, i.seq, r.id",
    )
    .bind(contract.as_str())
    .bind(date.to_string())
    .fetch_all(db)
    .await?;
    let mut names = Names::default();
    for (kind, reference, content) in found {
        let content: Value = serde_json::from_str(&content)
            .map_err(|_| StoreError::Foreign(format!("a row of the {kind} register")))?;
        let text = |key: &str| content[key].as_str().map(str::to_owned);
        if kind == RegisterKind::Client.as_str() {
            names.put_client(reference.parse()?, text("display_name"), text("phone"));
        } else {
            names.put_carer(reference.parse()?, text("display_name"));
        }
    }
    Ok(names)
}
