//! Passwords: made at random, hashed, compared.

use argon2::password_hash::rand_core::{OsRng, RngCore};
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

/// What a random password is made of: 32 characters, so each is worth five bits.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// The length of a random password: 130 bits.
const RANDOM_CHARS: usize = 26;
/// The memory for the hash of a random password, in KiB. Nobody can guess such a one, however fast,
/// and a thousand phones that come back at once should be let in within seconds.
const RANDOM_KIB: u32 = 4 * 1024;
/// The most memory that a hash may ask for, in KiB.
const KIB_MAX: u32 = 128 * 1024;
/// The most passes, and the most lanes, that a hash may ask for.
const PASSES_MAX: u32 = 16;

/// Why a text is no hash of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHash {
    /// It is something else.
    #[error("what follows the colon is no Argon2id hash: `nightrun user add` makes one")]
    NoHash,
    /// It would hold up everybody else.
    #[error(
        "the hash asks for more than {KIB_MAX} KiB of memory, {PASSES_MAX} passes or {PASSES_MAX} \
         lanes: `nightrun user add` makes one"
    )]
    TooDear,
    /// There is no hash of this password.
    #[error("this password cannot be hashed")]
    Password,
}

/// A new password that nobody can guess.
#[must_use]
pub fn random() -> String {
    let mut bytes = [0; RANDOM_CHARS];
    OsRng.fill_bytes(&mut bytes);
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])).collect()
}

/// The hash of a password that somebody thought of.
pub fn hash(password: &str) -> Result<String, BadHash> {
    hash_with(Params::default(), password)
}

/// The hash of a password that [`random`] made.
pub fn hash_of_random(password: &str) -> Result<String, BadHash> {
    let params = Params::new(RANDOM_KIB, 1, 1, None).map_err(|_| BadHash::Password)?;
    hash_with(params, password)
}

fn hash_with(params: Params, password: &str) -> Result<String, BadHash> {
    let salt = SaltString::generate(&mut OsRng);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|_| BadHash::Password)
}

/// Whether the password is the one of that hash. Takes a processor for some milliseconds.
#[must_use]
pub fn is_right(password: &[u8], hash: &str) -> bool {
    let hash = PasswordHash::new(hash);
    hash.is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
}

/// Whether a text is a hash with which passwords can be compared.
pub(super) fn check(hash: &str) -> Result<(), BadHash> {
    let hash = PasswordHash::new(hash).map_err(|_| BadHash::NoHash)?;
    let params = Params::try_from(&hash).map_err(|_| BadHash::NoHash)?;
    if hash.algorithm != Algorithm::Argon2id.ident() || hash.salt.is_none() || hash.hash.is_none() {
        return Err(BadHash::NoHash);
    }
    let bounded = params.m_cost() <= KIB_MAX
        && params.t_cost() <= PASSES_MAX
        && params.p_cost() <= PASSES_MAX;
    if bounded { Ok(()) } else { Err(BadHash::TooDear) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_right_with_its_hash_only() {
        for hash in [hash("one").unwrap(), hash_of_random("one").unwrap()] {
            assert_eq!(check(&hash), Ok(()));
            assert!(is_right(b"one", &hash));
            assert!(!is_right(b"two", &hash));
        }
        assert!(!is_right(b"", ""));
    }

    #[test]
    fn random_passwords_differ() {
        let (one, two) = (random(), random());
        assert_ne!(one, two);
        assert!(one.len() == RANDOM_CHARS && one.bytes().all(|byte| ALPHABET.contains(&byte)));
    }
}
