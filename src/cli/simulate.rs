//! `nightrun simulate`: a night from a seed, played against a running daemon, and what became of
//! it compared with the truth.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use chrono::{TimeDelta, Timelike};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{Instant as Tick, sleep};

use super::say;
use crate::clock;
use crate::config::{BrokerKind, Contracts, Secret, Settings};
use crate::domain::instant::{Instant, format_seconds, parse_instant};
use crate::domain::policy::Contract;
use crate::domain::refs::ContractId;
use crate::mqtt::BrokerSession;
use crate::simulate::ear::Ear;
use crate::simulate::link::Link;
use crate::simulate::night::{self, Night, Shape};
use crate::simulate::phones::{self, Played};
use crate::simulate::script::Fault;
use crate::simulate::stage;
use crate::simulate::truth::Truth;
use crate::simulate::verify::{self, Heard, Verdict};
use crate::store::{Store, audit, plan};

/// Differences that are listed.
const LISTED_MAX: usize = 20;
/// How long a listener waits for what has been published.
const HEARD_WITHIN: Duration = Duration::from_secs(10);

/// What `nightrun simulate` takes.
#[derive(Args)]
pub struct Arguments {
    /// The seed: the same one makes the same night.
    #[arg(long)]
    seed: u64,
    /// How many visits.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=500_000))]
    visits: u32,
    /// Most events in a second, of all phones, as 50 or 50/s; without it as fast as they go.
    #[arg(long, value_name = "N/s", value_parser = rate)]
    rate: Option<u32>,
    /// Misbehaviours of phones, separated by commas: all, none, late, duplicates, disorder, clocks,
    /// disconnects.
    #[arg(long, default_value = "all", value_parser = faults)]
    faults: Faults,
    /// The broker, if not the configured one: `mqtt://host` or `mqtt://host:port`.
    #[arg(long, value_name = "URL")]
    pub(super) broker: Option<String>,
    /// The contract; without it, the first.
    #[arg(long)]
    contract: Option<ContractId>,
    /// The moment around which the night is laid; without it, that of an earlier run of the seed in
    /// this database, or else now.
    #[arg(long, value_name = "INSTANT", value_parser = parse_instant)]
    at: Option<Instant>,
    /// Most connections; each carries several phones.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=900))]
    connections: u16,
    /// Give up when for so many seconds nothing has come.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    give_up_after: u64,
    /// Then compare receipts, visit log, Schedule 3 and alerts with the truth.
    #[arg(long)]
    verify: bool,
    /// Compare only, and play nothing: after an earlier run with the same seed, visits and faults.
    #[arg(long, conflicts_with = "verify")]
    verify_only: bool,
}

type Faults = BTreeSet<Fault>;

fn rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    let number = number.parse().ok().filter(|number| (1..=100_000).contains(number));
    number.ok_or_else(|| "write a number from 1 to 100000, as 50 or 50/s".to_owned())
}

fn faults(text: &str) -> Result<Faults, String> {
    match text {
        "all" => return Ok(Fault::value_variants().iter().copied().collect()),
        "none" | "" => return Ok(Faults::new()),
        _ => {}
    }
    text.split(',').map(|word| Fault::from_str(word.trim(), false)).collect()
}

/// Plays and compares.
///
/// # Errors
/// When some event got no receipt, or something is not as the truth has it.
pub async fn run(arguments: &Arguments, settings: &Settings) -> anyhow::Result<()> {
    let contract = contract(arguments, settings)?;
    let store = Store::open_existing(&settings.database).await?;
    let simulated = simulate(arguments, settings, &contract, &store).await;
    store.close().await;
    simulated
}

fn contract(arguments: &Arguments, settings: &Settings) -> anyhow::Result<Arc<Contract>> {
    let contract = match &arguments.contract {
        Some(id) => settings.contracts.get(id),
        None => settings.contracts.iter().next(),
    };
    contract.cloned().context("the configuration has no such contract: see nightrun check")
}

async fn simulate(
    arguments: &Arguments,
    settings: &Settings,
    contract: &Arc<Contract>,
    store: &Store,
) -> anyhow::Result<()> {
    let earlier = earlier(arguments.seed, contract, store).await?;
    let shape = Shape {
        seed: arguments.seed,
        visits: usize::try_from(arguments.visits)?,
        faults: arguments.faults.clone(),
        anchor: anchor(arguments, earlier)?,
    };
    let night = Arc::new(night::night(&shape, contract)?);
    say(format!(
        "seed {}: {} visits, {} events, around --at {}",
        shape.seed,
        night.visits.len(),
        night.events.len(),
        format_seconds(shape.anchor),
    ))?;
    if arguments.verify_only {
        return judge(
            (arguments, &settings.contracts),
            contract,
            store,
            &night,
            Heard::default(),
            None,
        )
        .await;
    }

    let broker = broker(settings);
    let name = format!("{}coordinator", night.prefix);
    let ear = if arguments.verify {
        Ear::open(&broker, &name, &format!("nightrun/v1/{}/alert/+", contract.id)).await
    } else {
        None
    };
    if arguments.verify && ear.is_none() {
        say("nobody may listen to alerts at this broker: those of the database are compared")?;
    }
    let mut tx = store.read().await?;
    let before = audit::received(&mut tx, &contract.id, &night.prefix).await?;
    let alerts = audit::alerts(&mut tx, &contract.id, &night.prefix).await?;
    drop(tx);
    stage::import(store, &settings.contracts, &night, earlier.is_some()).await?;
    reach(&broker, contract, &night.prefix).await?;

    let options = phones::Options {
        broker,
        connections: arguments.connections.into(),
        rate: arguments.rate,
        give_up_after: Duration::from_secs(arguments.give_up_after),
        seed: arguments.seed,
        faults: arguments.faults.clone(),
    };
    let played = phones::play(&night, options, bar(night.events.len())).await;
    say(summary(&played))?;
    if played.given_up {
        bail!("{}", missing(&night, &played));
    }
    if !arguments.verify {
        return Ok(());
    }
    let heard = Heard {
        played: Some(&played),
        redelivers: matches!(settings.broker.kind, BrokerKind::External { .. }),
        before: before.into_iter().map(|(id, _)| id).collect(),
        alerts_before: alerts.iter().map(|a| (a.message.alert_id, a.message.state)).collect(),
        listened: None,
    };
    judge((arguments, &settings.contracts), contract, store, &night, heard, ear.as_ref()).await
}

/// The moment around which an earlier run of the seed was laid, if there was one.
async fn earlier(seed: u64, contract: &Contract, store: &Store) -> anyhow::Result<Option<Instant>> {
    let (landmark, after) = night::landmark(seed)?;
    let key = (contract.id.clone(), landmark);
    let mut tx = store.read().await?;
    let history = plan::of_refs(&mut tx, &BTreeSet::from([key.clone()])).await?;
    let row = history.get(&key).and_then(|versions| plan::in_force(versions));
    Ok(row.map(|(_, row)| row.visit.start - after))
}

/// The moment around which the night is laid.
fn anchor(arguments: &Arguments, earlier: Option<Instant>) -> anyhow::Result<Instant> {
    match (arguments.at, earlier) {
        (Some(at), Some(earlier)) if at != earlier => bail!(
            "seed {} was played in this database around {}: leave --at out, or take another seed",
            arguments.seed,
            format_seconds(earlier)
        ),
        (_, Some(at)) => Ok(at),
        (Some(at), None) => Ok(at.with_nanosecond(0).unwrap_or(at)),
        (None, None) if arguments.verify_only => bail!(
            "seed {} was never played in this database: leave --verify-only out",
            arguments.seed
        ),
        (None, None) => {
            // The plan is there before the first carer of this moment comes.
            let lead = TimeDelta::seconds(1 + i64::from(arguments.visits) / 5_000);
            let at = clock::now() + lead;
            Ok(at.with_nanosecond(0).unwrap_or(at))
        }
    }
}

fn broker(settings: &Settings) -> BrokerSession {
    let (host, port, username, password, tls) = match &settings.broker.kind {
        BrokerKind::Embedded { listen, .. } => {
            (listen.ip().to_string(), listen.port(), None, None, None)
        }
        BrokerKind::External { host, port, username, password, tls } => {
            let password = password.as_ref().map(|password| Secret::expose(password).to_owned());
            let tls = tls.as_ref().map(|tls| Arc::clone(&tls.config));
            (host.clone(), *port, username.clone(), password, tls)
        }
    };
    BrokerSession {
        host,
        port,
        username,
        password,
        client_id: String::new(),
        instance: settings.broker.client_id.clone(),
        tls,
    }
}

/// Fails at once where nobody lets the phones in, before anything is waited for.
async fn reach(broker: &BrokerSession, contract: &Contract, prefix: &str) -> anyhow::Result<()> {
    let topic = format!("nightrun/v1/{}/carer/{prefix}first/receipt", contract.id);
    let reached = Link::open(broker, &format!("{prefix}first"), &[topic]).await;
    reached.map(drop).map_err(|why| {
        anyhow!(
            "no phones can be played at {}:{}: {why:#}. Start the daemon first, with this \
             configuration. If its broker has users, the configured one must be allowed to speak \
             for every carer, which the broker inside allows nobody: play without broker.users_file",
            broker.host,
            broker.port
        )
    })
}

fn bar(events: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos} of {len} receipts, {per_sec}");
    let bar = ProgressBar::new(u64::try_from(events).unwrap_or(u64::MAX));
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn summary(played: &Played) -> String {
    let events = played.known.iter().filter(|known| known.sent > 0).count();
    let sent: u64 = played.known.iter().map(|known| u64::from(known.sent)).sum();
    let receipts = played.known.iter().filter(|known| !known.receipts.is_empty()).count();
    let mut took: Vec<Duration> = played.known.iter().filter_map(|known| known.took).collect();
    took.sort();
    let milliseconds = |of_hundred: usize| {
        took.get((took.len().saturating_sub(1)) * of_hundred / 100).map_or(0, Duration::as_millis)
    };
    let seconds = played.took.as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "it is shown with no decimals")]
    let rate = sent as f64 / seconds.max(0.001);
    format!(
        "{events} events sent {sent} times, {receipts} receipts, {} reconnects, {seconds:.1} s, \
         {rate:.0}/s, receipt after {} ms (p50), {} ms (p99)",
        played.reconnects,
        milliseconds(50),
        milliseconds(99),
    )
}

/// Which events have no receipt.
fn missing(night: &Night, played: &Played) -> String {
    let without = |index: &usize| played.known[*index].receipts.is_empty();
    let missing: Vec<usize> = (0..night.events.len()).filter(without).collect();
    let mut text = format!(
        "given up: {} events have no receipt. Does the daemon run, with this configuration?",
        missing.len()
    );
    for &index in missing.iter().take(LISTED_MAX) {
        let (event, known) = (&night.events[index], &played.known[index]);
        let id = event.payload.event_id;
        let _ = write!(text, "\nevent {id} of {}: sent {} times", event.carer, known.sent);
    }
    text
}

/// Waits until the daemon has done everything, and compares.
async fn judge(
    (arguments, contracts): (&Arguments, &Contracts),
    contract: &Arc<Contract>,
    store: &Store,
    night: &Night,
    mut heard: Heard<'_>,
    ear: Option<&Ear>,
) -> anyhow::Result<()> {
    stage::settled(store, night, Duration::from_secs(arguments.give_up_after)).await?;
    let found = stage::find(store, contracts, contract, night).await?;
    if let Some(ear) = ear {
        let began = Tick::now();
        loop {
            heard.listened = Some(ear.listened());
            if verify::has_heard(&found, &heard) || began.elapsed() > HEARD_WITHIN {
                break;
            }
            sleep(stage::ASK_EVERY).await;
        }
    }
    let truth = Truth { night, contract, received: &found.received, now: clock::now() };
    let verdict = verify::verify(&truth, &found, &heard)?;
    let Verdict { visits, receipts, alerts, rows, differences } = &verdict;
    if differences.is_empty() {
        let receipts = if heard.played.is_some() { *receipts } else { found.received.len() };
        return say(format!(
            "verified: {visits} visits, {receipts} receipts, {alerts} alerts, {rows} Schedule 3 rows"
        ));
    }
    let mut text = format!("{} differences", differences.len());
    for difference in differences.iter().take(LISTED_MAX) {
        let _ = write!(text, "\n{difference}");
    }
    if differences.len() > LISTED_MAX {
        let _ = write!(text, "\nand {} more", differences.len() - LISTED_MAX);
    }
    bail!(text)
}
