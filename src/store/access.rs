//! The access log: who looked at which client's record, and who did what. Appended.

use super::sql::sql;
use super::{Db, StoreError, night_text};
use crate::domain::calendar::Night;
use crate::domain::instant::Instant;
use crate::domain::refs::{ClientRef, ContractId, VisitRef};
use crate::domain::role::Role;

/// That somebody looked at something, or did it.
#[derive(Debug, Clone)]
pub struct Access {
    /// When.
    pub at: Instant,
    /// Who.
    pub by: String,
    /// In what role.
    pub role: Role,
    /// What: the method and the route.
    pub what: String,
    /// The contract.
    pub contract: ContractId,
    /// Whose record, if one client's.
    pub client: Option<ClientRef>,
    /// Which visit, if one.
    pub visit: Option<VisitRef>,
    /// Which night, if a whole one.
    pub night: Option<Night>,
}

/// Appends to the log.
///
/// # Errors
/// When the database fails.
pub async fn add(db: &mut Db, access: &Access) -> Result<(), StoreError> {
    sql("INSERT INTO access (at, who, role, what, contract, client_ref, visit_ref, night) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
    .bind(access.at.timestamp_micros())
    .bind(&access.by)
    .bind(access.role.as_str())
    .bind(&access.what)
    .bind(access.contract.as_str())
    .bind(access.client.as_ref().map(|client| client.as_str().to_owned()))
    .bind(access.visit.as_ref().map(|visit| visit.as_str().to_owned()))
    .bind(access.night.map(night_text))
    .execute(db)
    .await?;
    Ok(())
}
