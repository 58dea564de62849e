//! Tokens and sessions: who may do what. Of both only hashes are kept.

use sqlx::FromRow;

use super::sql::sql;
use super::{Db, StoreError, at, read_word};
use crate::domain::instant::Instant;
use crate::domain::refs::ContractId;
use crate::domain::role::Role;

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// By what it is known.
    pub id: String,
    /// Whose it is.
    pub name: String,
    /// What it lets do.
    pub role: Role,
    /// For which contract; `None`: all.
    pub contract: Option<ContractId>,
    /// When it was made.
    pub created_at: Instant,
    /// From when on it does not count.
    pub expires_at: Option<Instant>,
    /// When it was revoked.
    pub revoked_at: Option<Instant>,
}

impl Token {
    /// Whether it counts at `now`.
    #[must_use]
    pub fn counts(&self, now: Instant) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }
}

#[derive(FromRow)]
struct TokenRow {
    id: String,
    name: String,
    role: String,
    contract: String,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
}

impl TokenRow {
    fn read(self) -> Result<Token, StoreError> {
        Ok(Token {
            id: self.id,
            name: self.name,
            role: read_word(&self.role)?,
            contract: match self.contract.as_str() {
                "" => None,
                contract => Some(contract.parse()?),
            },
            created_at: at(self.created_at),
            expires_at: self.expires_at.map(at),
            revoked_at: self.revoked_at.map(at),
        })
    }
}

macro_rules! tokens {
    ($rest:literal) => {
        sql(concat!(
            "SELECT t.id, t.name, t.role, t.contract, t.created_at, t.expires_at, t.revoked_at \
             FROM token t ",
            $rest
        ))
    };
}

/// Keeps a new token.
///
/// # Errors
/// When the database fails.
pub async fn add(db: &mut Db, token: &Token, hash: &str) -> Result<(), StoreError> {
    sql("INSERT INTO token (id, name, role, contract, hash, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)")
    .bind(&token.id)
    .bind(&token.name)
    .bind(token.role.as_str())
    .bind(token.contract.as_ref().map_or("", ContractId::as_str))
    .bind(hash)
    .bind(token.created_at.timestamp_micros())
    .bind(token.expires_at.map(|at| at.timestamp_micros()))
    .execute(db)
    .await?;
    Ok(())
}

/// All tokens, the oldest first.
///
/// # Errors
/// When the database fails.
pub async fn all(db: &mut Db) -> Result<Vec<Token>, StoreError> {
    let found: Vec<TokenRow> = tokens!("ORDER BY t.created_at, t.id").fetch_all(db).await?;
    found.into_iter().map(TokenRow::read).collect()
}

/// The token of that id, if its secret has that hash.
///
/// # Errors
/// When the database fails.
pub async fn find(db: &mut Db, id: &str, hash: &str) -> Result<Option<Token>, StoreError> {
    let found: Option<TokenRow> =
        tokens!("WHERE t.id = $1 AND t.hash = $2").bind(id).bind(hash).fetch_optional(db).await?;
    found.map(TokenRow::read).transpose()
}

/// Revokes the tokens of that id or name that are not revoked yet, and ends their sessions. Returns how
/// many.
///
/// # Errors
/// When the database fails.
pub async fn revoke(db: &mut Db, id_or_name: &str, now: Instant) -> Result<u64, StoreError> {
    sql("DELETE FROM session WHERE token_id IN (SELECT id FROM token WHERE id = $1 OR name = $1)")
        .bind(id_or_name)
        .execute(db)
        .await?;
    sql("UPDATE token SET revoked_at = $2 WHERE (id = $1 OR name = $1) AND revoked_at IS NULL")
        .bind(id_or_name)
        .bind(now.timestamp_micros())
        .execute(db)
        .await
}

/// A session in a browser.
#[derive(Debug, Clone)]
pub struct Session {
    /// Whose.
    pub token: Token,
    /// What its forms must say.
    pub csrf: String,
    /// When it began.
    pub created_at: Instant,
    /// When it was used last, to the minute.
    pub seen_at: Instant,
}

/// Begins a session, and forgets those that were not used since `unused_since`.
///
/// # Errors
/// When the database fails.
pub async fn begin_session(
    db: &mut Db,
    hash: &str,
    token: &Token,
    csrf: &str,
    now: Instant,
    unused_since: Instant,
) -> Result<(), StoreError> {
    sql("DELETE FROM session WHERE seen_at < $1")
        .bind(unused_since.timestamp_micros())
        .execute(db)
        .await?;
    sql("INSERT INTO session (hash, token_id, csrf, created_at, seen_at) \
         VALUES ($1, $2, $3, $4, $4)")
    .bind(hash)
    .bind(&token.id)
    .bind(csrf)
    .bind(now.timestamp_micros())
    .execute(db)
    .await?;
    Ok(())
}

/// The session whose name has that hash.
///
/// # Errors
/// When the database fails.
pub async fn session(db: &mut Db, hash: &str) -> Result<Option<Session>, StoreError> {
    let found: Option<(String, i64, i64)> =
        sql("SELECT csrf, created_at, seen_at FROM session WHERE hash = $1")
            .bind(hash)
            .fetch_optional(db)
            .await?;
    let Some((csrf, created_at, seen_at)) = found else { return Ok(None) };
    let token: TokenRow = tokens!("JOIN session s ON s.token_id = t.id WHERE s.hash = $1")
        .bind(hash)
        .fetch_one(db)
        .await?;
    let (created_at, seen_at) = (at(created_at), at(seen_at));
    Ok(Some(Session { token: token.read()?, csrf, created_at, seen_at }))
}

/// Notes that a session was used.
///
/// # Errors
/// When the database fails.
pub async fn seen(db: &mut Db, hash: &str, now: Instant) -> Result<(), StoreError> {
    sql("UPDATE session SET seen_at = $2 WHERE hash = $1")
        .bind(hash)
        .bind(now.timestamp_micros())
        .execute(db)
        .await?;
    Ok(())
}

/// Ends a session.
///
/// # Errors
/// When the database fails.
pub async fn end_session(db: &mut Db, hash: &str) -> Result<(), StoreError> {
    sql("DELETE FROM session WHERE hash = $1").bind(hash).execute(db).await?;
    Ok(())
}
