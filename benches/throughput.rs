//! Durable events per second, and how long a phone waits for its receipt; beside nightrun the ceiling
//! and what one would write instead. See benches/README.md.

mod support;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use clap::Parser;
use nightrun::clock;
use support::archive::Archive;
use support::ceiling;
use support::database::Engine;
use support::load::{Phones, Played, Progress, Rules};
use support::night::{Layout, Night};
use support::process::{Process, Usage, usage};
use support::report::{Common, Report, megabytes, millis, percentile};
use support::rig::{Rig, Way};

/// Measures how many events a second are stored and answered, and how soon.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Which database; both unless given.
    #[arg(long, value_enum)]
    database: Vec<Engine>,
    /// Which broker; both unless given.
    #[arg(long, value_enum)]
    broker: Vec<Way>,
    /// What is measured; nightrun and the ceiling unless given. The peer needs another broker.
    #[arg(long, value_enum)]
    program: Vec<Program>,
    /// How it is measured; both ways unless given.
    #[arg(long, value_enum)]
    mode: Vec<Mode>,
    /// Events of a flood.
    #[arg(long, default_value_t = 100_000)]
    events: u32,
    /// Connections from which they come.
    #[arg(long, default_value_t = 500)]
    phones: u32,
    /// Events that each connection may have sent that have no receipt.
    #[arg(long, default_value_t = 4)]
    window: usize,
    /// How many in a hundred events are sent twice.
    #[arg(long, default_value_t = 0)]
    repeated: u64,
    /// Events a second of the paced run.
    #[arg(long, default_value_t = 500)]
    pace: u32,
    /// How long the paced run lasts.
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// Events that nightrun's database holds already.
    #[arg(long, default_value_t = 0)]
    archive: u32,
    /// Wait after the end of a run, for those who look into a process.
    #[arg(long, hide = true)]
    hold: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Program {
    Nightrun,
    Ceiling,
    Peer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    Flood,
    Paced,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Nightrun => "nightrun",
            Self::Ceiling => "ceiling",
            Self::Peer => "peer",
        }
    }
}

fn main() -> anyhow::Result<()> {
    if std::env::args().nth(1).as_deref() == Some("ceiling") {
        return be_the_ceiling();
    }
    let arguments = Arguments::parse();
    support::run(all(arguments))
}

/// The process that is the ceiling. On one thread, besides SQLite's: it is faster so.
#[tokio::main(flavor = "current_thread")]
async fn be_the_ceiling() -> anyhow::Result<()> {
    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        options: ceiling::Options,
    }
    let arguments = Arguments::parse_from(std::env::args().skip(1));
    ceiling::run(arguments.options).await
}

fn or_both<T: Copy>(given: &[T], both: [T; 2]) -> Vec<T> {
    if given.is_empty() { both.to_vec() } else { given.to_vec() }
}

async fn all(mut arguments: Arguments) -> anyhow::Result<()> {
    if arguments.common.quick {
        (arguments.events, arguments.seconds) = (5_000, 3);
    }
    let mut report = Report::begin("throughput", &arguments.common);
    let Arguments { events, phones, window, repeated, pace, seconds, .. } = arguments;
    report.line(format!(
        "flood: {events} events, {phones} connections, each up to {window} events ahead of its \
         receipts, {repeated} % sent twice"
    ));
    if arguments.archive > 0 {
        report.line(format!("nightrun's database holds {} events already", arguments.archive));
    }
    report.line(format!("paced: {pace} events/s for {seconds} s, {phones} connections"));
    report
        .line("ms: from publish to receipt. cpu: seconds, of the program / of the load generator");
    report.line("");
    report.line(
        "mode   database broker    program       events/s    p50 ms    p99 ms    max ms   RSS MB  \
         peak MB          cpu",
    );
    for mode in or_both(&arguments.mode, [Mode::Flood, Mode::Paced]) {
        for engine in or_both(&arguments.database, [Engine::Sqlite, Engine::Postgres]) {
            for way in or_both(&arguments.broker, [Way::Embedded, Way::Mosquitto]) {
                let mut rates = Vec::new();
                for program in or_both(&arguments.program, [Program::Nightrun, Program::Ceiling]) {
                    if program == Program::Peer && way == Way::Embedded {
                        continue;
                    }
                    let run = run(&arguments, program, engine, way, mode).await?;
                    report.line(run.line(mode, engine, way, program));
                    rates.push((program, run.played.rate()));
                }
                if let (Mode::Flood, [(Program::Nightrun, own), (_, ceiling)]) = (mode, &rates[..])
                {
                    report.line(format!(
                        "{:>44} {:.0} % of the ceiling",
                        "",
                        own / ceiling * 100.0
                    ));
                }
            }
        }
    }
    report.end()
}

/// What a run has shown.
struct Run {
    played: Played,
    usage: Usage,
    /// Seconds on processors: of the program, of the servers, of the load generator.
    cpu: [f64; 3],
}

async fn run(
    arguments: &Arguments,
    program: Program,
    engine: Engine,
    way: Way,
    mode: Mode,
) -> anyhow::Result<Run> {
    let mut rig = Rig::new(engine, way, &arguments.common.folder).await?;
    let events = match mode {
        Mode::Flood => arguments.events,
        Mode::Paced => arguments.pace * arguments.seconds,
    };
    let layout =
        Layout { events, carers: 2, per_client: 1, later: true, now: clock::now(), salt: 1 };
    let night = Night::new(layout);
    let mut process = start(program, &mut rig, &night, arguments).await?;
    let archived = rig.database.number(ceiling::ROWS).await?;
    let rules = Rules {
        port: rig.port,
        unanswered_max: if mode == Mode::Flood { arguments.window } else { usize::MAX },
        pace: (mode == Mode::Paced).then_some(arguments.pace),
        repeated_percent: arguments.repeated,
        ..Rules::default()
    };
    let phones = Phones::connect(night.scripts(arguments.phones), rules).await?;
    let cpu = || -> anyhow::Result<[Duration; 3]> {
        Ok([process.usage()?.cpu, rig.servers_cpu()?, usage(std::process::id())?.cpu])
    };
    let before = cpu()?;
    let played = phones.play(&Arc::new(Progress::default())).await?;
    let after = cpu()?;
    let cpu = [0, 1, 2].map(|of| after[of].saturating_sub(before[of]).as_secs_f64());
    let usage = process.usage()?;
    let stored = rig.database.number(ceiling::ROWS).await? - archived;
    // Nothing may be lost, and nothing be there twice.
    let (events, answered) = (i64::from(night.events()), i64::try_from(played.events)?);
    ensure!(
        [stored, answered] == [events; 2],
        "{events} events, {answered} answered, {stored} stored"
    );
    ensure!(process.runs()?, "the program has ended");
    if arguments.hold {
        eprintln!("process {} holds; press Enter", process.id());
        std::io::stdin().read_line(&mut String::new())?;
    }
    Ok(Run { played, usage, cpu })
}

/// Starts a program that has heard of the night whatever it wants to know.
async fn start(
    program: Program,
    rig: &mut Rig,
    night: &Night,
    arguments: &Arguments,
) -> anyhow::Result<Process> {
    match program {
        Program::Nightrun => start_nightrun(rig, night, arguments).await,
        Program::Ceiling => ceiling::start(rig),
        Program::Peer => ceiling::until_ready(
            Command::new("/usr/bin/python3")
                .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peer.py"))
                .args([&rig.port.to_string(), &rig.database.url]),
        ),
    }
}

async fn start_nightrun(
    rig: &mut Rig,
    night: &Night,
    arguments: &Arguments,
) -> anyhow::Result<Process> {
    let (installation, _) = Archive::under(rig, arguments.archive, &arguments.common).await?;
    installation.import_night(rig, night)?;
    let mut daemon = installation.start()?;
    installation.until_ready(&mut daemon)?;
    installation.until_applied(rig).await?;
    Ok(daemon)
}

impl Run {
    fn line(&self, mode: Mode, engine: Engine, way: Way, program: Program) -> String {
        let mode = if mode == Mode::Flood { "flood" } else { "paced" };
        let mut latencies = self.played.latencies.clone();
        latencies.sort_unstable();
        let at = |percent| millis(percentile(&latencies, percent));
        format!(
            "{mode:<6} {engine:<8} {way:<9} {program:<10} {rate:>11.0} {p50:>9.1} {p99:>9.1} \
             {max:>9.1} {resident:>8.1} {peak:>8.1} {own:>6.1}/{servers:.1}/{load:.1}",
            program = program.name(),
            rate = self.played.rate(),
            p50 = at(50),
            p99 = at(99),
            max = at(100),
            resident = megabytes(self.usage.resident),
            peak = megabytes(self.usage.peak),
            own = self.cpu[0],
            servers = self.cpu[1],
            load = self.cpu[2],
        )
    }
}
