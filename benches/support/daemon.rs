//! The built program as its users have it: a configuration file, a database, a process.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chrono::{NaiveDate, TimeDelta, Timelike};
use nightrun::clock;
use nightrun::domain::policy::Contract;

use super::night::Night;
use super::process::Process;
use super::rig::Rig;
use super::servers::free_port;

/// The program.
pub fn nightrun() -> Command {
    Command::new(env!("CARGO_BIN_EXE_nightrun"))
}

/// The longest that the daemon may take to be ready, or to draw the consequences of imports.
const PATIENCE: Duration = Duration::from_mins(10);

/// One nightrun: a configuration for a rig.
pub struct Installation {
    config: PathBuf,
    log: PathBuf,
    http: u16,
    /// The local time minus UTC, in hours.
    offset: i64,
}

impl Installation {
    /// It is around two in the night there, whatever the time is here.
    pub fn new(rig: &Rig) -> anyhow::Result<Self> {
        Self::ahead(rig, (2 - i64::from(clock::now().hour()) + 12).rem_euclid(24) - 12)
    }

    /// The clock there is so many hours ahead of UTC.
    pub fn ahead(rig: &Rig, offset: i64) -> anyhow::Result<Self> {
        let http = free_port()?;
        let broker = match rig.mosquitto {
            Some(_) => format!("url = \"mqtt://127.0.0.1:{}\"", rig.port),
            None => format!("listen = \"127.0.0.1:{}\"", rig.port),
        };
        // The signs of these zones are the other way round.
        let text = format!(
            "[database]\nurl = \"{url}\"\n[broker]\n{broker}\n[http]\nlisten = \
             \"127.0.0.1:{http}\"\n[[contract]]\nid = \"default\"\ntime_zone = \"Etc/GMT{zone:+}\"\n",
            url = rig.database.url,
            zone = -offset,
        );
        let config = rig.path("nightrun.toml");
        std::fs::write(&config, text)?;
        Ok(Self { config, log: rig.path("nightrun.log"), http, offset })
    }

    /// Its contract, as it reads the configuration.
    pub fn contract(&self) -> anyhow::Result<Arc<Contract>> {
        let settings = nightrun::config::load(Some(&self.config), [])?;
        let contract = settings.contracts.get(&"default".parse()?);
        Ok(Arc::clone(contract.context("the configuration has no contract")?))
    }

    /// The local time minus UTC.
    pub fn ahead_of_utc(&self) -> TimeDelta {
        TimeDelta::hours(self.offset)
    }

    /// Whether the night there goes on for some hours.
    pub fn is_early(&self) -> bool {
        (clock::now() + self.ahead_of_utc()).hour() < 5
    }

    /// The night that is now.
    pub fn tonight(&self) -> NaiveDate {
        (clock::now() + self.ahead_of_utc() - TimeDelta::hours(12)).date_naive()
    }

    /// The program with this configuration.
    pub fn command(&self) -> Command {
        let mut command = nightrun();
        command.arg("--config").arg(&self.config).stdin(Stdio::null());
        command
    }

    /// Imports a file.
    pub fn import(&self, kind: &str, file: &Path) -> anyhow::Result<()> {
        let done = self.command().args(["import", kind]).arg(file).output()?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "nightrun import {kind} failed: {said}");
        Ok(())
    }

    /// Imports the clients and the plan of a night.
    pub fn import_night(&self, rig: &Rig, night: &Night) -> anyhow::Result<()> {
        let (clients, visits) = (rig.path("clients.csv"), rig.path("visits.csv"));
        night.write_clients(&clients)?;
        night.write_visits(&visits)?;
        self.import("clients", &clients)?;
        self.import("visits", &visits)
    }

    /// Starts the daemon. It logs to a file.
    pub fn start(&self) -> anyhow::Result<Process> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        Process::spawn(self.command().arg("serve").stdout(Stdio::null()).stderr(log))
    }

    /// Waits until `/readyz` answers 200; when it did.
    pub fn until_ready(&self, daemon: &mut Process) -> anyhow::Result<Instant> {
        let give_up_at = Instant::now() + PATIENCE;
        while !self.is_ready().unwrap_or(false) {
            ensure!(daemon.runs()? && Instant::now() < give_up_at, "no daemon: {}", self.log()?);
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(Instant::now())
    }

    fn is_ready(&self) -> anyhow::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.1 200 "))
    }

    /// Waits until the daemon has drawn the consequences of everything that was imported.
    pub async fn until_applied(&self, rig: &Rig) -> anyhow::Result<()> {
        let give_up_at = Instant::now() + PATIENCE;
        let left = "SELECT count(*) FROM import WHERE seq IS NOT NULL AND applied_at IS NULL";
        while rig.database.number(left).await? > 0 {
            ensure!(Instant::now() < give_up_at, "imports are not applied: {}", self.log()?);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// What the daemon has logged.
    pub fn log(&self) -> anyhow::Result<String> {
        std::fs::read_to_string(&self.log).context("no log")
    }
}
