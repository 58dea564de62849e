//! A replay of four weeks from files. See benches/README.md.

mod support;

use std::process::Stdio;

use chrono::NaiveDate;
use clap::Parser;
use support::daemon::nightrun;
use support::history::History;
use support::process;
use support::report::{Common, Report, megabytes};
use support::rig::folder;
use support::said::text;

/// Measures a replay.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Events; as many clients as make so many in four weeks.
    #[arg(long, default_value_t = 1_000_000)]
    events: u32,
}

const NIGHTS: u32 = 28;

fn main() -> anyhow::Result<()> {
    let mut arguments = Arguments::parse();
    if arguments.common.quick {
        arguments.events = 20_000;
    }
    let mut report = Report::begin("replay", &arguments.common);
    let folder = folder(&arguments.common.folder)?;
    let file = |name: &str| folder.path().join(name);
    // A Monday in winter, when London's clocks show UTC.
    let from = NaiveDate::from_ymd_opt(2026, 1, 5).unwrap_or_default();
    let clients = arguments.events.div_ceil(2 * NIGHTS);
    let history = History { clients, nights: NIGHTS, from };
    history.write_clients(&file("clients.csv"))?;
    history.write_visits(&file("visits.csv"))?;
    history.write_events(&file("events.jsonl"))?;
    let mut command = nightrun();
    command.args(["replay", "--as-of", &text(history.end())]).stdout(Stdio::null());
    for (option, name) in [
        ("--clients", "clients.csv"),
        ("--visits", "visits.csv"),
        ("--events", "events.jsonl"),
        ("--out", "replayed"),
    ] {
        command.arg(option).arg(file(name));
    }
    let ran = process::run(&mut command)?;
    let written = std::fs::read_to_string(file("replayed/visits.csv"))?.lines().count() - 1;
    anyhow::ensure!(written as u64 == history.events() / 2, "{written} visits were written");
    report.line("   events    clients   visits   seconds   events/s   peak MB");
    report.line(format!(
        "{:>9} {clients:>10} {written:>8} {:>9.1} {:>10.0} {:>9.1}",
        history.events(),
        ran.took.as_secs_f64(),
        f64::from(arguments.events) / ran.took.as_secs_f64(),
        megabytes(ran.peak),
    ));
    report.end()
}
