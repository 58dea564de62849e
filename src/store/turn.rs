//! Whose turn it is to write in a SQLite file.
//!
//! SQLite has whoever finds a file locked try again after a pause; a program that writes again and again
//! would leave the others no moment. So whoever wants to write takes the turn first, and gives it back
//! once it has the file: meanwhile the one that has just written must wait. The turn is a lock on a
//! file beside the database and ends with the process, however that ends. It guards nothing.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

/// The turns of one database.
#[derive(Debug, Clone)]
pub struct Turns(Arc<Mutex<File>>);

/// The turn, until it is dropped.
pub struct Turn(OwnedMutexGuard<File>);

impl Turns {
    /// Those of that database.
    ///
    /// # Errors
    /// When the file beside it cannot be opened.
    pub fn of(database: &Path) -> io::Result<Self> {
        let mut path = database.as_os_str().to_owned();
        path.push(".turn");
        let file = OpenOptions::new().create(true).append(true).open(PathBuf::from(path))?;
        Ok(Self(Arc::new(Mutex::new(file))))
    }

    /// Waits for the turn.
    ///
    /// # Errors
    /// When the system does not give it.
    pub async fn take(&self) -> io::Result<Turn> {
        let file = Arc::clone(&self.0).lock_owned().await;
        match file.try_lock() {
            Ok(()) => Ok(Turn(file)),
            Err(TryLockError::Error(failed)) => Err(failed),
            Err(TryLockError::WouldBlock) => {
                let wait = move || file.lock().map(|()| Turn(file));
                tokio::task::spawn_blocking(wait).await.unwrap_or_else(|died| Err(died.into()))
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // One that cannot be given back now is given back when the process ends.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn the_next_one_waits_for_the_turn() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("nightrun.db");
        let (ours, theirs) = (Turns::of(&database).unwrap(), Turns::of(&database).unwrap());
        let turn = ours.take().await.unwrap();
        for other in [&ours, &theirs] {
            let mut waiting = Box::pin(other.take());
            let first = std::future::poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context)));
            assert!(first.await.is_pending());
        }
        drop(turn);
        drop(theirs.take().await.unwrap());
        drop(ours.take().await.unwrap());
    }
}
