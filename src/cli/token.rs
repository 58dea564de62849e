//! `nightrun token`: who may do what over HTTP.

use anyhow::{Context, bail};
use chrono::NaiveDate;
use clap::{Args, Subcommand};

use super::say;
use crate::clock;
use crate::config::Settings;
use crate::domain::calendar::{next_day, read_local};
use crate::domain::correction::BY_MAX_CHARS;
use crate::domain::refs::ContractId;
use crate::domain::role::Role;
use crate::store::{Store, tokens};
use crate::tokens::{Grant, create};

/// What `nightrun token` does.
#[derive(Subcommand)]
pub enum Command {
    /// Makes a token, and shows it: once.
    Create(Create),
    /// Lists the tokens that were made; not the secrets.
    List,
    /// Revokes a token, or all of that name, and ends their sessions.
    Revoke(Revoke),
}

/// Who a token is for.
#[derive(Args)]
pub struct Create {
    /// What it lets do.
    #[arg(long, value_parser = role)]
    role: Role,
    /// For that contract only; the council's needs one.
    #[arg(long)]
    contract: Option<ContractId>,
    /// The last day on which it counts.
    #[arg(long, value_name = "DATE")]
    expires: Option<NaiveDate>,
    /// Whose it is: the name under which what is done with it is recorded.
    #[arg(long)]
    name: String,
}

/// Which token.
#[derive(Args)]
pub struct Revoke {
    /// Its id, as it is listed.
    id: Option<String>,
    /// Whose it is.
    #[arg(long, conflicts_with = "id")]
    name: Option<String>,
}

fn role(word: &str) -> Result<Role, String> {
    word.parse().map_err(|_| "write coordinator, planner, finance or council".to_owned())
}

/// Does it.
///
/// # Errors
/// When what is asked for cannot be, or the database cannot be used.
pub async fn run(command: &Command, settings: &Settings) -> anyhow::Result<()> {
    let store = Store::open(&settings.database).await?;
    let done = match command {
        Command::Create(wanted) => make(&store, settings, wanted).await,
        Command::List => list(&store).await,
        Command::Revoke(Revoke { id, name }) => {
            let which = id.as_ref().or(name.as_ref());
            revoke(&store, which.context("say which: its id, or --name")?).await
        }
    };
    store.close().await;
    done
}

async fn make(store: &Store, settings: &Settings, wanted: &Create) -> anyhow::Result<()> {
    let name = wanted.name.trim();
    if name.is_empty() || name.chars().count() > BY_MAX_CHARS || name.chars().any(char::is_control)
    {
        bail!("--name: write 1 to {BY_MAX_CHARS} characters");
    }
    if let Some(contract) = &wanted.contract
        && settings.contracts.get(contract).is_none()
    {
        bail!("the configuration has no contract {contract}: see nightrun check");
    }
    if wanted.role == Role::Council && wanted.contract.is_none() {
        bail!("a council sees its own contract only: say which, with --contract");
    }
    let now = clock::now();
    let zone = |id: &ContractId| settings.contracts.get(id).map(|contract| contract.zone);
    let zone = wanted.contract.as_ref().and_then(zone);
    let zone = zone.or_else(|| settings.contracts.iter().next().map(|contract| contract.zone));
    let expires_at = wanted.expires.map(|last| {
        let midnight = next_day(last).and_time(chrono::NaiveTime::MIN);
        read_local(zone.unwrap_or(chrono_tz::Tz::UTC), midnight).instant()
    });
    if expires_at.is_some_and(|at| at <= now) {
        bail!("--expires: that day is over");
    }
    let grant = Grant {
        name: name.to_owned(),
        role: wanted.role,
        contract: wanted.contract.clone(),
        expires_at,
    };
    let mut tx = store.write().await?;
    let shown = create(&mut tx, grant, now).await?;
    tx.commit().await?;
    eprintln!("This is shown once. Keep it where secrets are kept:");
    say(shown)
}

async fn list(store: &Store) -> anyhow::Result<()> {
    let (all, now) = (tokens::all(&mut store.read().await?).await?, clock::now());
    say(format!(
        "{:<12}  {:<11}  {:<16}  {:<10}  {:<10}  name",
        "id", "role", "contract", "made", "until"
    ))?;
    for token in all {
        let day = |at: crate::domain::instant::Instant| at.date_naive().to_string();
        let until = match (token.revoked_at, token.expires_at) {
            (Some(_), _) => "revoked".to_owned(),
            (None, Some(at)) if at <= now => "expired".to_owned(),
            (None, Some(at)) => day(at),
            (None, None) => "-".to_owned(),
        };
        let contract = token.contract.as_ref().map_or("all", ContractId::as_str);
        say(format!(
            "{:<12}  {:<11}  {contract:<16}  {:<10}  {until:<10}  {}",
            token.id,
            token.role.as_str(),
            day(token.created_at),
            token.name,
        ))?;
    }
    Ok(())
}

async fn revoke(store: &Store, which: &str) -> anyhow::Result<()> {
    let mut tx = store.write().await?;
    let revoked = tokens::revoke(&mut tx, which, clock::now()).await?;
    tx.commit().await?;
    match revoked {
        0 => bail!("there is no token {which} that counts: see nightrun token list"),
        1 => say("1 token revoked"),
        more => say(format!("{more} tokens revoked")),
    }
}
