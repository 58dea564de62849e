//! Tokens: how they are made and told apart. A token is `nr_`, its name, `_`, and a secret; only a hash
//! of the secret is kept.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::domain::instant::Instant;
use crate::domain::refs::ContractId;
use crate::domain::role::Role;
use crate::store::evidence::hex;
use crate::store::tokens::{Session, Token};
use crate::store::{Db, StoreError, tokens};

/// How a token begins, so that those who look for lost secrets find it.
const PREFIX: &str = "nr_";
/// Digits of a token's name.
const ID_DIGITS: usize = 12;

/// Who a token is for.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Whose it is.
    pub name: String,
    /// What it lets do.
    pub role: Role,
    /// For which contract; `None`: all.
    pub contract: Option<ContractId>,
    /// From when on it does not count.
    pub expires_at: Option<Instant>,
}

/// So much chance that nobody guesses it: 244 bits.
fn secret() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret))
}

/// Makes a token. It is shown once: what is kept does not say it.
///
/// # Errors
/// When the database fails.
pub async fn create(db: &mut Db, grant: Grant, now: Instant) -> Result<String, StoreError> {
    let Grant { name, role, contract, expires_at } = grant;
    let (mut id, secret) = (Uuid::new_v4().simple().to_string(), secret());
    id.truncate(ID_DIGITS);
    let shown = format!("{PREFIX}{id}_{secret}");
    let (created_at, revoked_at) = (now, None);
    let token = Token { id, name, role, contract, created_at, expires_at, revoked_at };
    tokens::add(db, &token, &hash(&secret)).await?;
    Ok(shown)
}

/// Whose token it is, if it is one that counts at `now`.
///
/// # Errors
/// When the database fails.
pub async fn check(db: &mut Db, shown: &str, now: Instant) -> Result<Option<Token>, StoreError> {
    let parts = shown.trim().strip_prefix(PREFIX).and_then(|rest| rest.split_once('_'));
    let Some((id, secret)) = parts else { return Ok(None) };
    let found = tokens::find(db, id, &hash(secret)).await?;
    Ok(found.filter(|token| token.counts(now)))
}

/// What a browser is given when somebody signs in.
#[derive(Debug)]
pub struct Opened {
    /// The name of the session: whoever has it, is signed in.
    pub name: String,
}

/// Begins a session; those that were not used since `unused_since` are forgotten.
///
/// # Errors
/// When the database fails.
pub async fn sign_in(
    db: &mut Db,
    token: &Token,
    now: Instant,
    unused_since: Instant,
) -> Result<Opened, StoreError> {
    let name = secret();
    tokens::begin_session(db, &hash(&name), token, &secret(), now, unused_since).await?;
    Ok(Opened { name })
}

/// The session of that name, if its token counts at `now`.
///
/// # Errors
/// When the database fails.
pub async fn session(db: &mut Db, name: &str, now: Instant) -> Result<Option<Session>, StoreError> {
    let found = tokens::session(db, &hash(name)).await?;
    Ok(found.filter(|session| session.token.counts(now)))
}

/// Notes that a session was used.
///
/// # Errors
/// When the database fails.
pub async fn seen(db: &mut Db, name: &str, now: Instant) -> Result<(), StoreError> {
    tokens::seen(db, &hash(name), now).await
}

/// Ends a session.
///
/// # Errors
/// When the database fails.
pub async fn sign_out(db: &mut Db, name: &str) -> Result<(), StoreError> {
    tokens::end_session(db, &hash(name)).await
}
