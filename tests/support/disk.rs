//! A disk that a test can fill: a small file system in memory, mounted over a folder.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small disk. Dropping it takes it away, with what is on it.
pub struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// Mounts one over a folder, which loses its content, if this user may; else says so.
    pub fn over(folder: &Path, mebibytes: u32) -> Result<Self, String> {
        let size = format!("size={mebibytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "nightrun-test"])
            .arg(folder)
            .output()
            .map_err(|error| error.to_string())?;
        if mounted.status.success() {
            return Ok(Self { at: folder.to_owned() });
        }
        Err(String::from_utf8_lossy(&mounted.stderr).into_owned())
    }

    /// Takes all the room that is left.
    pub fn fill(&self) {
        let mut ballast = File::create(self.ballast()).expect("a file");
        for size in [64 * 1024, 4096, 1] {
            let bytes = vec![0; size];
            while ballast.write_all(&bytes).is_ok() {}
        }
    }

    /// Gives it back.
    pub fn free(&self) {
        std::fs::remove_file(self.ballast()).expect("it was full");
    }

    fn ballast(&self) -> PathBuf {
        self.at.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: processes may still have their working directory there.
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}
