//! Which database: its URL, read.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

use super::StoreError;

/// Where everything is kept.
#[derive(Clone)]
pub enum Database {
    /// A SQLite file.
    File(PathBuf),
    /// A PostgreSQL database.
    Postgres(Box<PgConnectOptions>),
}

/// Why a URL names no database: what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadUrl(String);

impl Database {
    /// The SQLite file at that path.
    #[must_use]
    pub fn file(path: &Path) -> Self {
        Self::File(path.to_owned())
    }

    /// The file, if it is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }

    /// The same database, where this program has that name.
    #[must_use]
    pub fn known_as(self, name: &str) -> Self {
        match self {
            Self::Postgres(options) => Self::Postgres(Box::new(options.application_name(name))),
            file @ Self::File(_) => file,
        }
    }

    /// The same database, whose commits do not wait for the disk.
    pub(super) fn in_haste(self) -> Self {
        match self {
            Self::Postgres(options) => {
                Self::Postgres(Box::new(options.options([("synchronous_commit", "off")])))
            }
            file @ Self::File(_) => file,
        }
    }

    /// Refuses a file that is not there, which opening it would make.
    ///
    /// # Errors
    /// When it is not there.
    pub fn must_exist(&self) -> Result<(), StoreError> {
        match self.path() {
            Some(path) if !path.try_exists().unwrap_or(false) => {
                Err(StoreError::Missing { path: path.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// The same database, with that password.
    #[must_use]
    pub fn with_password(self, password: &str) -> Self {
        match self {
            Self::Postgres(options) => Self::Postgres(Box::new(options.password(password))),
            file @ Self::File(_) => file,
        }
    }
}

impl FromStr for Database {
    type Err = BadUrl;

    fn from_str(url: &str) -> Result<Self, BadUrl> {
        let bad = |what: &str| Err(BadUrl(what.to_owned()));
        if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            // What PGHOST and their like say would be used for what the URL leaves out.
            let options: PgConnectOptions = match url.parse() {
                Ok(options) => options,
                Err(_) => return bad("write \"postgres://user@host/name\""),
            };
            if options.get_database().is_none_or(str::is_empty) {
                return bad("write the name of the database too: \"postgres://user@host/name\"");
            }
            return Ok(Self::Postgres(Box::new(options)));
        }
        let path = url.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path));
        match path {
            Some(":memory:") => bad("what is only in memory is lost: write a file's path"),
            Some(path) if !path.is_empty() && !path.contains(['?', '\0']) => {
                Ok(Self::File(path.into()))
            }
            Some(_) => bad("write \"sqlite:\" and the path of a file, without options"),
            None => {
                bad("write \"sqlite:\" and the path of a file, or \"postgres://user@host/name\"")
            }
        }
    }
}

/// Without the password.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Postgres(options) => {
                let name = options.get_database().unwrap_or_default();
                if let Some(socket) = options.get_socket() {
                    write!(f, "{name} of PostgreSQL at {}", socket.display())
                } else {
                    let (host, port) = (options.get_host(), options.get_port());
                    write!(f, "{name} of PostgreSQL at {host}:{port}")
                }
            }
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
