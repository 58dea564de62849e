//! Plans, as many visits as one likes.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use chrono::TimeDelta;
use nightrun::domain::instant::Instant;

use super::said::text;

/// A visit of one carer.
pub struct Planned {
    pub visit: String,
    pub client: String,
    pub run: u32,
    pub start: Instant,
    pub minutes: i64,
}

/// Writes a plan.
pub fn write_plan(path: &Path, visits: impl Iterator<Item = Planned>) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(
        file,
        "contract,visit_ref,service,service_level,client_ref,run,planned_start,planned_end,\
         carers_required"
    )?;
    for Planned { visit, client, run, start, minutes } in visits {
        let end = text(start + TimeDelta::minutes(minutes));
        let start = text(start);
        writeln!(file, "default,{visit},Out of Hours,Planned,{client},R-{run},{start},{end},1")?;
    }
    Ok(file.flush()?)
}
