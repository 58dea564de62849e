//! `nightrun migrate`: the tables of the database, brought up to date.

use super::say;
use crate::config::Settings;
use crate::store::Store;
use crate::store::lock::DatabaseLock;

/// Brings the tables up to date, and says from which version to which.
///
/// # Errors
/// When a daemon has the file, or the database cannot be used.
pub async fn run(settings: &Settings) -> anyhow::Result<()> {
    let database = &settings.database;
    database.must_exist()?;
    let _lock = database.path().map(DatabaseLock::take).transpose()?;
    let versions = Store::migrate(database).await?;
    let to = versions.to;
    say(match versions.from {
        from if from == to => format!("{database}: version {to} already, nothing was to do"),
        0 => format!("{database}: version {to}, made just now"),
        from => format!("{database}: from version {from} to version {to}"),
    })
}
