//! What one run needs: a folder on a real disk, a fresh database, a broker.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::database::{Database, Engine};
use super::process::cpu_of_family;
use super::servers::{Mosquitto, free_port};

/// Through which broker events come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Way {
    Embedded,
    Mosquitto,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Embedded => "embedded",
            Self::Mosquitto => "mosquitto",
        })
    }
}

/// Everything beside the program that is measured. It ends, and is deleted, with this.
pub struct Rig {
    pub engine: Engine,
    pub database: Database,
    pub mosquitto: Option<Mosquitto>,
    /// Where phones find the broker.
    pub port: u16,
    folder: TempDir,
}

impl Rig {
    /// Makes one below this folder.
    pub async fn new(engine: Engine, way: Way, below: &Path) -> anyhow::Result<Self> {
        let folder = folder(below)?;
        let database = Database::fresh(engine, folder.path()).await?;
        let (mosquitto, port) = match way {
            Way::Embedded => (None, free_port()?),
            Way::Mosquitto => {
                let mosquitto = Mosquitto::start(folder.path())?;
                let port = mosquitto.port;
                (Some(mosquitto), port)
            }
        };
        Ok(Self { engine, database, mosquitto, port, folder })
    }

    /// The time on processors of the broker and the database, where they are processes of their own.
    pub fn servers_cpu(&self) -> anyhow::Result<Duration> {
        let broker = self.mosquitto.as_ref().map(|broker| &broker.process);
        let database = self.database.server().map(|server| &server.process);
        let servers = [broker, database].into_iter().flatten();
        servers.map(|server| cpu_of_family(server.id())).sum()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A folder of one's own below this one, which PostgreSQL's user can reach.
pub fn folder(below: &Path) -> anyhow::Result<TempDir> {
    std::fs::create_dir_all(below)?;
    let everybody = std::fs::Permissions::from_mode(0o755);
    Ok(tempfile::Builder::new().prefix("bench-").permissions(everybody).tempdir_in(below)?)
}
