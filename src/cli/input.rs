//! Files from the command line: opened, read row by row, their bad rows listed.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};

use crate::files::{Contracts, FileRow, Findings, Rows};

/// A file of at least this many bytes is long enough for a progress bar.
const PROGRESS_FROM_BYTES: u64 = 4 * 1024 * 1024;

/// Opens the file, or standard input for `-`.
///
/// # Errors
/// When the file cannot be opened.
pub fn open(path: &Path) -> anyhow::Result<Box<dyn BufRead + Send>> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let cannot = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(cannot)?;
    let bytes = file.metadata().with_context(cannot)?.len();
    let bar = if bytes < PROGRESS_FROM_BYTES { ProgressBar::hidden() } else { progress(bytes) };
    bar.set_message(path.display().to_string());
    Ok(Box::new(BufReader::with_capacity(1 << 16, bar.wrap_read(file))))
}

/// Makes sure that the file is there to be read; of standard input, nobody knows.
///
/// # Errors
/// When it is not.
pub fn readable(path: &Path) -> anyhow::Result<()> {
    if path != Path::new("-") {
        File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    Ok(())
}

/// A progress bar on standard error; shows nothing where that is no terminal.
#[must_use]
pub fn progress(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {percent}% {eta} left");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Hands on each good row with its line, then lists every warning and every bad row.
///
/// # Errors
/// When the file cannot be read, `each` fails, or any row is bad; then nothing of it is to be used.
pub fn read_rows<T: FileRow>(
    path: &Path,
    contracts: &Contracts<'_>,
    mut each: impl FnMut(u64, T) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut rows = Rows::<T, _>::new(open(path)?, contracts);
    for row in rows.by_ref() {
        let (line, row) = row.with_context(|| format!("cannot read {}", path.display()))?;
        each(line, row)?;
    }
    report(path, &rows.into_findings())
}

/// Lists every warning and every bad row.
///
/// # Errors
/// When any row is bad.
pub fn report(path: &Path, findings: &Findings) -> anyhow::Result<()> {
    let path = path.display();
    if !findings.warnings.is_empty() {
        eprint!("{path} has rows to be looked at:\n{}", findings.warnings);
    }
    if !findings.is_good() {
        bail!("nothing was taken from {path}, because these rows are bad:\n{}", findings.bad);
    }
    Ok(())
}
