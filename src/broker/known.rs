//! The users of the embedded broker, and what was found out about their passwords.
//!
//! Comparing a password takes a processor for some milliseconds, so it is done beside the runtime, a
//! few at one time, and what was right once is remembered. An unknown user takes as long as a known
//! one with a wrong password.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::available_parallelism;

use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::lock;
use crate::users::{self, Users};

/// A password that was right: with which hash, and the digest of the password.
struct Verified {
    hash: Arc<str>,
    digest: [u8; 32],
}

/// The users, and what was found out about their passwords.
pub(super) struct Known {
    users: RwLock<Arc<Users>>,
    verified: Mutex<HashMap<String, Verified>>,
    comparing: Arc<Semaphore>,
    /// Makes digests of this process comparable with no others.
    key: String,
}

impl Known {
    pub(super) fn new(users: Users) -> Self {
        // Half of the machine is for those who are in.
        let at_once = available_parallelism().map_or(1, |all| all.get().div_ceil(2));
        Self {
            users: RwLock::new(Arc::new(users)),
            verified: Mutex::default(),
            comparing: Arc::new(Semaphore::new(at_once)),
            key: users::random(),
        }
    }

    /// Takes other users from now on; those that it had.
    pub(super) fn replace(&self, users: Arc<Users>) -> Arc<Users> {
        let mut current = self.users.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *current, users)
    }

    /// The users of this moment.
    pub(super) fn users(&self) -> Arc<Users> {
        Arc::clone(&self.users.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn digest(&self, name: &str, password: &[u8]) -> [u8; 32] {
        // No name holds the zero, so no two pairs make the same bytes.
        Sha256::digest([self.key.as_bytes(), name.as_bytes(), &[0], password].concat()).into()
    }

    /// A number that a name always has, and that nobody outside can know.
    fn number(&self, name: &str) -> usize {
        let digest = self.digest(name, &[]);
        digest.iter().fold(0, |all, byte| (all << 8) | usize::from(*byte))
    }

    /// Whether that is the password of that user.
    pub(super) async fn is_right(self: &Arc<Self>, name: &str, password: &[u8]) -> bool {
        let users = self.users();
        let digest = self.digest(name, password);
        let hash = users.hash_of(name).cloned();
        if let Some(hash) = &hash
            && let Some(verified) = lock(&self.verified).get(name)
            && verified.hash == *hash
            && verified.digest == digest
        {
            return true;
        }
        let is_user = hash.is_some();
        let Some(hash) = hash.or_else(|| users.hash_of_any(self.number(name)).cloned()) else {
            return false;
        };
        let (known, name, password) = (Arc::clone(self), name.to_owned(), password.to_owned());
        let Ok(turn) = Arc::clone(&self.comparing).acquire_owned().await else { return false };
        // It ends even if the client does not wait, so that the next attempt finds it done.
        let compared = spawn_blocking(move || {
            let right = users::is_right(&password, &hash) && is_user;
            drop(turn);
            if right {
                lock(&known.verified).insert(name, Verified { hash, digest });
            }
            right
        });
        compared.await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMY: &str = "t/carer/amy";

    fn known() -> Arc<Known> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users");
        let hash = users::hash_of_random("one").unwrap();
        users::add(&path, &AMY.parse().unwrap(), &hash, false).unwrap();
        Arc::new(Known::new(Users::read(&path).unwrap()))
    }

    #[tokio::test]
    async fn what_was_right_once_is_remembered_and_nothing_else() {
        let known = known();
        assert!(!known.is_right(AMY, b"two").await);
        assert!(known.is_right(AMY, b"one").await);
        // Nothing can be compared any more.
        known.comparing.close();
        assert!(known.is_right(AMY, b"one").await);
        assert!(!known.is_right(AMY, b"two").await);
        assert!(!known.is_right("b", b"one").await);
    }

    #[tokio::test]
    async fn an_unknown_user_is_compared_with_somebody() {
        let known = known();
        let all = u32::try_from(known.comparing.available_permits()).unwrap();
        let turn = known.comparing.acquire_many(all).await;
        let stranger = known.is_right("b", b"one");
        tokio::pin!(stranger);
        tokio::select! {
            biased;
            _ = &mut stranger => panic!("it was answered at once"),
            () = std::future::ready(()) => {}
        }
        drop(turn);
        assert!(!stranger.await, "with the password of the one with whom it was compared");
    }
}
