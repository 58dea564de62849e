//! What the machine itself can do at the most: its disk, Mosquitto alone, each database alone. No
//! program that stores events durably through them is faster. See benches/README.md.

mod support;

use std::fs::File;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use nightrun::clock;
use support::ceiling;
use support::database::Engine;
use support::load::{Phones, Played, Progress, Rules, count};
use support::mqtt;
use support::night::{Layout, Night};
use support::reader::Reader;
use support::report::{Common, Report, millis, percentile};
use support::rig::{Rig, Way, folder};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Measures what the machine can do at the most.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Events to be published, and to be stored.
    #[arg(long, default_value_t = 100_000)]
    events: u32,
    /// Connections from which they are published.
    #[arg(long, default_value_t = 200)]
    phones: u32,
    /// Events that each connection may have sent that have no PUBACK.
    #[arg(long, default_value_t = 10)]
    window: usize,
    /// How long blocks are written to the disk.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

/// Messages that the broker may send to the subscriber ahead of its acknowledgements.
const AHEAD_MAX: u16 = 1_000;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    support::run(all(arguments))
}

async fn all(mut arguments: Arguments) -> anyhow::Result<()> {
    if arguments.common.quick {
        (arguments.events, arguments.seconds) = (5_000, 1);
    }
    let mut report = Report::begin("limits", &arguments.common);
    let below = &arguments.common.folder;
    let layout = Layout {
        events: arguments.events,
        carers: 2,
        per_client: 1,
        later: false,
        now: clock::now(),
        salt: 1,
    };
    let night = Night::new(layout);
    report.line(format!(
        "{} events; {} connections, each up to {} events ahead of its PUBACKs",
        night.events(),
        arguments.phones,
        arguments.window
    ));
    report.line("");
    report
        .line("what                                                 a second    p50 ms    p99 ms");
    let (rate, latencies) = disk(below, Duration::from_secs(arguments.seconds))?;
    report.line(line("disk: append 4 KiB, fdatasync", rate, latencies));
    let (played, _) = mosquitto(&arguments, &night, false).await?;
    report.line(line("Mosquitto, QoS 1, no subscriber (PUBACK)", played.rate(), played.latencies));
    let (played, read_in) = mosquitto(&arguments, &night, true).await?;
    let delivered = f64::from(night.events()) / read_in.as_secs_f64();
    report.line(line("Mosquitto, QoS 1, one subscriber (delivered)", delivered, played.latencies));
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let rig = Rig::new(engine, Way::Embedded, below).await?;
        let events = night.said().map(|said| (said.topic, said.payload));
        let took = ceiling::store_alone(engine, &rig.database.url, events).await?;
        let stored = rig.database.number(ceiling::ROWS).await?;
        ensure!(stored == i64::from(night.events()), "{stored} rows are stored");
        let rate = f64::from(night.events()) / took.as_secs_f64();
        let version = rig.database.version().await?;
        report.line(line(&format!("{version}, batches of 500"), rate, Vec::new()));
    }
    report.end()
}

fn line(what: &str, rate: f64, mut latencies: Vec<u32>) -> String {
    latencies.sort_unstable();
    let at = |percent| match latencies.len() {
        0 => String::new(),
        _ => format!("{:.2}", millis(percentile(&latencies, percent))),
    };
    format!("{what:<48} {rate:>12.0} {:>9} {:>9}", at(50), at(99))
}

/// Appends blocks, each on the disk before the next.
fn disk(below: &Path, during: Duration) -> anyhow::Result<(f64, Vec<u32>)> {
    let folder = folder(below)?;
    let mut file = File::create(folder.path().join("blocks"))?;
    let mut latencies = Vec::new();
    let began = Instant::now();
    while began.elapsed() < during {
        let wrote = Instant::now();
        file.write_all(&[b'x'; 4096])?;
        file.sync_data()?;
        latencies.push(u32::try_from(wrote.elapsed().as_micros())?);
    }
    Ok((count(latencies.len()) / began.elapsed().as_secs_f64(), latencies))
}

/// Publishes all events to a Mosquitto of its own, which may have a subscriber; what the publishers
/// saw, and how long the subscriber read.
async fn mosquitto(
    arguments: &Arguments,
    night: &Night,
    read: bool,
) -> anyhow::Result<(Played, Duration)> {
    let rig = Rig::new(Engine::Sqlite, Way::Mosquitto, &arguments.common.folder).await?;
    let rules = Rules {
        port: rig.port,
        unanswered_max: usize::MAX,
        unacknowledged_max: arguments.window,
        receipts: false,
        ..Rules::default()
    };
    let events = usize::try_from(night.events())?;
    let reads = if read { Some(subscriber(rig.port, events).await?) } else { None };
    let phones = Phones::connect(night.scripts(arguments.phones), rules).await?;
    let played = phones.play(&Arc::new(Progress::default())).await?;
    ensure!(played.latencies.len() == events, "events without a PUBACK");
    let read_in = match reads {
        Some(reads) => timeout(Duration::from_mins(1), reads)
            .await
            .context("events are not delivered")???,
        None => Duration::ZERO,
    };
    Ok((played, read_in))
}

/// Subscribes; the task ends when so many messages have been read, and says how long that took from
/// the first.
async fn subscriber(
    port: u16,
    messages: usize,
) -> anyhow::Result<JoinHandle<anyhow::Result<Duration>>> {
    let mut hello = Vec::new();
    mqtt::connect_reader(&mut hello, "subscriber", AHEAD_MAX, "nightrun/v1/+/carer/+/event");
    let mut reader = Reader::begin(port, hello).await?;
    Ok(tokio::spawn(async move {
        let (mut began, mut read) = (None, 0);
        let all = reader.read(|_| {
            began.get_or_insert_with(Instant::now);
            read += 1;
            Ok(if read == messages { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        });
        all.await?;
        Ok(began.context("nothing was read")?.elapsed())
    }))
}
