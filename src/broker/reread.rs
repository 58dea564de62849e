//! Files that change while the broker runs: its users, its certificate.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mqtt5::broker::router::MessageRouter;
use tokio::fs;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use super::access::Access;
use super::front::Certificate;
use crate::users::Users;

/// How often it is looked whether a file is another one.
const EVERY: Duration = Duration::from_secs(1);

/// What tells a file from the one that was there before.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Version {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

async fn version(path: &Path) -> Option<Version> {
    let metadata = fs::metadata(path).await.ok()?;
    Some(Version {
        inode: metadata.ino(),
        bytes: metadata.len(),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

/// Some files, and which versions of them were read.
struct Watched {
    paths: Vec<PathBuf>,
    versions: Vec<Option<Version>>,
}

impl Watched {
    /// Those that are there are read once more, because they may have changed since.
    fn new(paths: Vec<PathBuf>) -> Self {
        let versions = vec![None; paths.len()];
        Self { paths, versions }
    }

    /// Whether they are others than the last time.
    async fn changed(&mut self) -> bool {
        let mut versions = Vec::with_capacity(self.paths.len());
        for path in &self.paths {
            versions.push(version(path).await);
        }
        std::mem::replace(&mut self.versions, versions) != self.versions
    }
}

/// What is read again, and whom it concerns.
pub(super) struct Reread {
    pub(super) users_file: Option<PathBuf>,
    pub(super) certificate: Option<Arc<Certificate>>,
    pub(super) access: Arc<Access>,
    pub(super) router: Arc<MessageRouter>,
}

impl Reread {
    /// Looks at the files for as long as it is let.
    pub(super) async fn run(self) {
        let mut users = Watched::new(self.users_file.iter().cloned().collect());
        let mut certificate = Watched::new(
            self.certificate
                .iter()
                .flat_map(|certificate| {
                    let files = certificate.files();
                    [files.cert_file.clone(), files.key_file.clone()]
                })
                .collect(),
        );
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if users.changed().await {
                self.users().await;
            }
            if certificate.changed().await {
                self.certificate().await;
            }
        }
    }

    async fn users(&self) {
        let Some(path) = self.users_file.clone() else { return };
        let read = spawn_blocking(move || Users::read(&path)).await;
        match read {
            Ok(Ok(users)) => {
                let number = users.names().len();
                for client_id in self.access.replace_users(users) {
                    self.router.disconnect_client(&client_id).await;
                }
                tracing::info!(number, "the users of the embedded broker were read");
            }
            Ok(Err(error)) => tracing::error!(
                "broker.users_file is of no use, so its users stay as they were: {error}"
            ),
            Err(error) => tracing::error!("broker.users_file was not read: {error}"),
        }
    }

    async fn certificate(&self) {
        let Some(certificate) = self.certificate.clone() else { return };
        match spawn_blocking(move || certificate.read_again()).await {
            Ok(Ok(())) => tracing::info!("the certificate of the embedded broker was read"),
            Ok(Err(error)) => tracing::error!(
                "broker.tls_cert_file and broker.tls_key_file are of no use, so the certificate \
                 stays as it was: {error}"
            ),
            Err(error) => tracing::error!("broker.tls_cert_file was not read: {error}"),
        }
    }
}
