//! Processes that a bench starts, and what they use.

use std::fs;
use std::process::{Child, ChildStdout, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

/// Ticks of a second in `/proc`, on every Linux there is.
const TICKS: u64 = 100;

/// A process that ends with the bench, or before.
pub struct Process(Child);

/// What a process has used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Resident memory now, in KiB.
    pub resident: u64,
    /// The most that was ever resident, in KiB.
    pub peak: u64,
    /// Time on processors.
    pub cpu: Duration,
}

impl Process {
    pub fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        Ok(Self(command.spawn().with_context(|| format!("{name} does not start"))?))
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Where it writes, if that is a pipe.
    pub fn output(&mut self) -> Option<ChildStdout> {
        self.0.stdout.take()
    }

    /// Whether it has not ended.
    pub fn runs(&mut self) -> anyhow::Result<bool> {
        Ok(self.0.try_wait()?.is_none())
    }

    /// Waits for its end; whether it ended well.
    pub fn succeeded(&mut self) -> anyhow::Result<bool> {
        Ok(self.0.wait()?.success())
    }

    /// What it uses; of one that has ended, nothing.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        usage(self.id())
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.end("-TERM")
    }

    /// The same, by another signal.
    pub fn end(&mut self, signal: &str) -> anyhow::Result<()> {
        Command::new("kill").args([signal, &self.id().to_string()]).status()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What became of a program that ran to its end.
#[derive(Debug, Clone, Copy)]
pub struct Ran {
    pub took: Duration,
    /// The most memory that was ever resident, in KiB.
    pub peak: u64,
}

/// Runs a program to its end, which must be a good one.
pub fn run(command: &mut Command) -> anyhow::Result<Ran> {
    let began = Instant::now();
    let mut process = Process::spawn(command)?;
    let mut peak = 0;
    while process.runs()? {
        // What it used last is seen no more; memory hardly grows in the last moments.
        peak = process.usage().map_or(peak, |usage| usage.peak.max(peak));
        std::thread::sleep(Duration::from_millis(5));
    }
    let took = began.elapsed();
    ensure!(process.succeeded()?, "{} failed", command.get_program().display());
    Ok(Ran { took, peak })
}

/// What the process with this id uses.
pub fn usage(pid: u32) -> anyhow::Result<Usage> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    };
    Ok(Usage {
        resident: kib("VmRSS:").unwrap_or(0),
        peak: kib("VmHWM:").unwrap_or(0),
        cpu: cpu(pid)?,
    })
}

/// What follows the name of a process in its `stat` file: its state, its parent, and so on.
fn stat(pid: u32) -> anyhow::Result<Vec<u64>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name is in parentheses and may hold anything.
    let (_, rest) = stat.rsplit_once(')').context("no name in a stat file")?;
    Ok(rest.split_ascii_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
}

fn ticks(fields: &[u64]) -> Duration {
    Duration::from_millis(fields.iter().sum::<u64>() * 1_000 / TICKS)
}

fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let stat = stat(pid)?;
    Ok(ticks(stat.get(11..13).unwrap_or_default()))
}

/// The time on processors of this process and its children, also of those that have ended.
pub fn cpu_of_family(pid: u32) -> anyhow::Result<Duration> {
    let own = stat(pid)?;
    let mut all = ticks(own.get(11..15).unwrap_or_default());
    for entry in fs::read_dir("/proc")? {
        let Ok(child) = entry?.file_name().to_string_lossy().parse() else { continue };
        // It may have ended meanwhile.
        let Ok(stat) = stat(child) else { continue };
        if stat.get(1) == Some(&u64::from(pid)) {
            all += ticks(stat.get(11..13).unwrap_or_default());
        }
    }
    Ok(all)
}
