//! One daemon for one SQLite file.
//!
//! Two daemons on one file would take the same alerts for theirs. The lock is on a file beside the
//! database and ends with the process, however that ends. Imports and reports do not need it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Why the daemon may not have the database.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another daemon has it.
    #[error(
        "another nightrun serves from the database {0}: stop that one, or set database.url to \
         another file"
    )]
    Taken(PathBuf),
    /// The lock cannot be had.
    #[error(
        "cannot open the database {database}, because its lock cannot be had: {reason}. See that \
         the folder exists, may be written and has room, or set database.url"
    )]
    Failed {
        /// The database.
        database: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
}

/// The daemon's right to the database, until it is dropped.
#[derive(Debug)]
pub struct DatabaseLock(#[allow(dead_code, reason = "its being open is the lock")] File);

impl DatabaseLock {
    /// Takes the lock of a database.
    ///
    /// # Errors
    /// When another daemon has it, or the file beside the database cannot be opened.
    pub fn take(database: &Path) -> Result<Self, LockError> {
        let mut path = database.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let failed = |reason| LockError::Failed { database: database.to_owned(), reason };
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken(database.to_owned())),
            Err(TryLockError::Error(reason)) => Err(failed(reason)),
        }
    }
}
