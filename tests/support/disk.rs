//! A disk that a test can fill.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How a disk gets full here.
pub enum Disk {
    /// A small file system in memory, mounted over a folder. Dropping it takes it away.
    Mounted(PathBuf),
    /// This user may not mount anything: the daemon is not allowed to write any file further than
    /// its first page, which SQLite takes for a disk that fails.
    Limited,
}

impl Disk {
    /// Puts one under a folder, which loses its content if it can be mounted.
    pub fn under(folder: &Path) -> Self {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16m", "nightrun-test"])
            .arg(folder)
            .output()
            .expect("mount is installed");
        if mounted.status.success() {
            return Self::Mounted(folder.to_owned());
        }
        let why = String::from_utf8_lossy(&mounted.stderr).into_owned();
        eprintln!("NO DISK CAN BE FILLED HERE ({}): a limit stands in for it", why.trim());
        Self::Limited
    }

    /// The command, so that it can stand a limit.
    pub fn command(&self, command: Command) -> Command {
        let Self::Limited = self else { return command };
        let mut limited = Command::new("sh");
        // Who writes too far is told so, and not killed.
        limited.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
        limited.arg(command.get_program()).args(command.get_args());
        super::daemon::piped(&mut limited);
        limited
    }

    /// Takes all the room that the process has left.
    pub fn fill(&self, pid: u32) {
        match self {
            Self::Mounted(folder) => {
                let mut ballast = File::create(folder.join(BALLAST)).expect("a file");
                for size in [64 * 1024, 4096, 1] {
                    let bytes = vec![0; size];
                    while ballast.write_all(&bytes).is_ok() {}
                }
            }
            Self::Limited => limit(pid, "4096:"),
        }
    }

    /// Gives it back.
    pub fn free(&self, pid: u32) {
        match self {
            Self::Mounted(folder) => {
                std::fs::remove_file(folder.join(BALLAST)).expect("it was full");
            }
            Self::Limited => limit(pid, "unlimited:"),
        }
    }

    /// What the daemon says of it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Mounted(_) => "make room on its disk",
            Self::Limited => "see whether its disk is full",
        }
    }
}

const BALLAST: &str = "ballast";

fn limit(pid: u32, bytes: &str) {
    let mut option = OsString::from("--fsize=");
    option.push(bytes);
    let mut command = Command::new("prlimit");
    command.arg("--pid").arg(pid.to_string()).arg(option);
    assert!(command.status().expect("prlimit is installed").success());
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Self::Mounted(folder) = self {
            // Lazily: processes may still have their working directory there.
            let _ = Command::new("umount").arg("--lazy").arg(folder).status();
        }
    }
}
