//! What was measured, on standard output and, if asked for, in a file beside the others; with what it
//! was measured on, and nothing that names a machine or a folder.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::servers::{command, programs};

/// What every bench can be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Common {
    /// Keep what is printed, in benches/results/.
    #[arg(long)]
    pub save: bool,
    /// Under which name that is kept, after the date; that of the bench unless given.
    #[arg(long)]
    name: Option<String>,
    /// Small sizes: to see whether it works, not how fast.
    #[arg(long)]
    pub quick: bool,
    /// Below which folder the databases are: on the disk that is to be measured.
    #[arg(long, default_value = env!("CARGO_TARGET_TMPDIR"))]
    pub folder: PathBuf,
    /// Where archives are kept, and found again by the benches that follow; for three hours, since
    /// they belong to a night. As many gigabytes as there are million events.
    #[arg(long)]
    pub archives: Option<PathBuf>,
    /// What `cargo bench` says to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is printed, and kept.
pub struct Report {
    name: String,
    save: bool,
    text: String,
}

impl Report {
    /// Begins with what it is measured on.
    pub fn begin(name: &str, common: &Common) -> Self {
        let kept_as = common.name.clone().unwrap_or_else(|| name.to_owned());
        let mut this = Self { name: kept_as, save: common.save, text: String::new() };
        this.line(format!("nightrun, bench {name}"));
        for (what, is) in machine(&common.folder) {
            this.line(format!("{what:<10} {is}"));
        }
        this.line("");
        this
    }

    /// Prints a line.
    pub fn line(&mut self, line: impl Display) {
        let line = line.to_string();
        println!("{line}");
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// Writes the file, if there is to be one.
    pub fn end(self) -> anyhow::Result<()> {
        if self.save {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results");
            fs::create_dir_all(&folder)?;
            let date = nightrun::clock::now().format("%Y-%m-%d");
            let name = format!("{date}-{}.txt", self.name);
            fs::write(folder.join(&name), self.text)?;
            println!("\nkept in benches/results/{name}");
        }
        Ok(())
    }
}

fn machine(folder: &Path) -> Vec<(&'static str, String)> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_default();
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    let memory: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    vec![
        ("date", nightrun::clock::now().format("%Y-%m-%d %H:%M UTC").to_string()),
        ("machine", format!("{cores} x {processor}, {:.0} GiB", kib_as_gib(memory))),
        ("kernel", format!("Linux {}", kernel.trim())),
        ("disk", disk(folder)),
        ("revision", revision()),
        ("versions", versions()),
    ]
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn kib_as_gib(kib: u64) -> f64 {
    kib as f64 / 1024.0 / 1024.0
}

fn field(file: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.trim_start_matches([' ', '\t', ':']).to_owned())
}

fn said(command: &mut Command) -> Option<String> {
    let said = command.output().ok()?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    text.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
}

/// The file system, and the device below it.
fn disk(folder: &Path) -> String {
    let find = |column| said(Command::new("findmnt").args(["-no", column, "-T"]).arg(folder));
    let file_system = find("FSTYPE").unwrap_or_else(|| "unknown file system".to_owned());
    let device = find("SOURCE").unwrap_or_default();
    let device = device.trim_start_matches("/dev/");
    let kind = if device.starts_with("vd") { ", a virtual disk" } else { "" };
    format!("{file_system} on {device}{kind}")
}

fn revision() -> String {
    let git = |arguments: &[&str]| {
        said(Command::new("git").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")))
    };
    let revision = git(&["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    let changed = git(&["status", "--porcelain", "--", "src", "migrations", "Cargo.lock"]);
    if changed.is_some() { format!("{revision}, changed") } else { revision }
}

fn versions() -> String {
    let found = [
        Some(format!("nightrun {}", env!("CARGO_PKG_VERSION"))),
        said(Command::new("rustc").arg("--version")),
        said(command("mosquitto").arg("-h")),
        said(Command::new(programs().join("postgres")).arg("--version")),
        said(Command::new("/usr/bin/python3").arg("--version")),
    ];
    found.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// A percentile of sorted values.
pub fn percentile(sorted: &[u32], percent: usize) -> u32 {
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or(0)
}

/// Microseconds, as milliseconds.
pub fn millis(micros: u32) -> f64 {
    f64::from(micros) / 1_000.0
}

/// KiB, as MB.
pub fn megabytes(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0
}
