//! The users of the embedded broker: a file of names and of hashes of passwords.
//!
//! Each line is `name:hash`, the hash an Argon2id one in the PHC form; empty lines and those that
//! begin with `#` say nothing. The file is replaced whole or not at all, keeps its mode and its
//! owner, and is written by one program at a time. Never holds or shows a password.

mod password;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::wire::user::{BadUser, User};

pub use password::{BadHash, hash, hash_of_random, is_right, random};

/// Longest file of users, in bytes: some thousands of users.
pub const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// The mode of a file that was not there.
const MODE: u32 = 0o600;

/// Why there are no users to be had, or none to be changed.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// The file cannot be had.
    #[error("the file of users cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// The file would be longer than it may be.
    #[error("the file of users is longer than {FILE_MAX_BYTES} bytes")]
    TooLong,
    /// A line is not what it should be.
    #[error("line {0}: write the name of a user, a colon, and what `nightrun user add` makes")]
    NoColon(usize),
    /// A line has a name that is none.
    #[error("line {0}: {BadUser}")]
    Name(usize),
    /// A line has a hash that is none.
    #[error("line {0}: {1}")]
    Hash(usize, BadHash),
    /// A name stands there twice.
    #[error("line {0}: this user stands in an earlier line as well: remove one of them")]
    Twice(usize),
    /// A user is there who was to be new.
    #[error("there is a user of this name: with --replace it gets a new password")]
    Exists,
    /// A user is not there who was to be removed.
    #[error("there is no user of this name: `nightrun user list` says who is there")]
    Unknown,
    /// The file cannot be written.
    #[error("the file of users cannot be written: {0}")]
    Unwritable(#[source] io::Error),
}

/// The users, each with the hash of its password.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Users(BTreeMap<String, Arc<str>>);

impl Users {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self, UsersError> {
        Self::parse(&text(path)?)
    }

    /// Reads the file, or takes one that is not there for an empty one.
    pub fn read_if_there(path: &Path) -> Result<Self, UsersError> {
        Self::parse(&text_if_there(path)?)
    }

    fn parse(text: &str) -> Result<Self, UsersError> {
        let mut users = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            if says_nothing(line) {
                continue;
            }
            let (name, hash) = line.split_once(':').ok_or(UsersError::NoColon(number))?;
            let user: User = name.parse().map_err(|_| UsersError::Name(number))?;
            password::check(hash).map_err(|bad| UsersError::Hash(number, bad))?;
            if users.insert(user.to_string(), hash.into()).is_some() {
                return Err(UsersError::Twice(number));
            }
        }
        Ok(Self(users))
    }

    /// Their names, in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The hash of a user's password.
    #[must_use]
    pub fn hash_of(&self, name: &str) -> Option<&Arc<str>> {
        self.0.get(name)
    }

    /// Some user's hash, the same for the same number: something to compare an unknown user's
    /// password with.
    #[must_use]
    pub fn hash_of_any(&self, number: usize) -> Option<&Arc<str>> {
        self.0.values().nth(number.checked_rem(self.0.len())?)
    }
}

/// Adds a user, or, if `replace`, gives one that is there a new password.
pub fn add(path: &Path, user: &User, hash: &str, replace: bool) -> Result<(), UsersError> {
    let line = format!("{user}:{hash}");
    change(path, |lines| {
        match (lines.iter_mut().find(|line| is_of(line, user)), replace) {
            (Some(_), false) => return Err(UsersError::Exists),
            (Some(there), true) => *there = line,
            (None, _) => lines.push(line),
        }
        Ok(())
    })
}

/// Removes a user.
pub fn remove(path: &Path, user: &User) -> Result<(), UsersError> {
    change(path, |lines| {
        let before = lines.len();
        lines.retain(|line| !is_of(line, user));
        if lines.len() == before { Err(UsersError::Unknown) } else { Ok(()) }
    })
}

fn says_nothing(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with('#')
}

fn is_of(line: &str, user: &User) -> bool {
    !says_nothing(line) && line.split_once(':').is_some_and(|(name, _)| name == user.to_string())
}

/// Changes the lines of a good file into those of a good file.
fn change(
    path: &Path,
    change: impl FnOnce(&mut Vec<String>) -> Result<(), UsersError>,
) -> Result<(), UsersError> {
    // A link stays one: what it leads to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let directory = File::open(directory).map_err(UsersError::Unwritable)?;
    // Until it is closed. The directory, because the file itself is another one afterwards.
    directory.lock().map_err(UsersError::Unwritable)?;
    let text = text_if_there(&path)?;
    Users::parse(&text)?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines)?;
    let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    if u64::try_from(text.len()).is_ok_and(|bytes| bytes > FILE_MAX_BYTES) {
        return Err(UsersError::TooLong);
    }
    replace(&path, &text).and_then(|()| directory.sync_all()).map_err(UsersError::Unwritable)
}

/// Puts a new file in the place of that one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    // What a crash left behind; the directory is locked, so nobody is writing it.
    if let Err(error) = fs::remove_file(&new)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let replaced = write_like(&new, path, text).and_then(|()| fs::rename(&new, path));
    if replaced.is_err() {
        // The first error is the one to be told.
        let _ = fs::remove_file(&new);
    }
    replaced
}

/// Writes a new file with the mode and the owner of another one, if that is there.
fn write_like(new: &PathBuf, like: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(new)?;
    if let Ok(old) = fs::metadata(like) {
        let made = file.metadata()?;
        if (made.uid(), made.gid()) != (old.uid(), old.gid()) {
            chown(new, Some(old.uid()), Some(old.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(old.mode() & 0o777))?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn text(path: &Path) -> Result<String, UsersError> {
    let mut text = String::new();
    let read = File::open(path)
        .and_then(|file| file.take(FILE_MAX_BYTES + 1).read_to_string(&mut text))
        .map_err(UsersError::Unreadable)?;
    if u64::try_from(read).is_ok_and(|read| read <= FILE_MAX_BYTES) {
        Ok(text)
    } else {
        Err(UsersError::TooLong)
    }
}

fn text_if_there(path: &Path) -> Result<String, UsersError> {
    match text(path) {
        Err(UsersError::Unreadable(error)) if error.kind() == io::ErrorKind::NotFound => {
            Ok(String::new())
        }
        read => read,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> User {
        name.parse().unwrap()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn the_file_keeps_what_else_is_in_it_and_its_mode() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users");
        let (one, two) = (hash_of_random("one").unwrap(), hash("two").unwrap());
        add(&path, &user("t/carer/bob"), &one, false).unwrap();
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("# phones\n\n{text}")).unwrap();
        add(&path, &user("t/carer/amy"), &one, false).unwrap();
        assert!(matches!(add(&path, &user("t/carer/amy"), &two, false), Err(UsersError::Exists)));
        add(&path, &user("t/carer/amy"), &two, true).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            format!("# phones\n\nt/carer/bob:{one}\nt/carer/amy:{two}\n")
        );
        let users = Users::read(&path).unwrap();
        assert_eq!(users.names().collect::<Vec<_>>(), ["t/carer/amy", "t/carer/bob"]);
        assert_eq!(users.hash_of("t/carer/amy").map(|hash| &**hash), Some(two.as_str()));
        remove(&path, &user("t/carer/bob")).unwrap();
        assert!(matches!(remove(&path, &user("t/carer/bob")), Err(UsersError::Unknown)));
        assert_eq!(mode(&path), 0o640);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "something is left behind");
    }

    #[test]
    fn a_link_stays_one_and_a_bad_file_is_not_changed() {
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (directory.path().join("users"), directory.path().join("link"));
        let hash = hash_of_random("one").unwrap();
        fs::write(&path, "").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        add(&link, &user("board"), &hash, false).unwrap();
        assert!(link.is_symlink());
        assert_eq!(Users::read(&path).unwrap().names().count(), 1);
        fs::write(&path, "board").unwrap();
        assert!(matches!(add(&link, &user("b"), &hash, false), Err(UsersError::NoColon(1))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "board");
    }

    #[test]
    fn two_at_once_lose_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users");
        let hash = hash_of_random("one").unwrap();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let (path, hash) = (&path, &hash);
                scope.spawn(move || {
                    add(path, &user(&format!("t/carer/{number}")), hash, false).unwrap();
                });
            }
        });
        assert_eq!(Users::read(&path).unwrap().names().len(), 8);
    }

    #[test]
    fn bad_lines_are_named_and_not_shown() {
        let hash = hash_of_random("one").unwrap();
        for (text, said) in [
            ("# ok\nhunter2\n".to_owned(), "line 2: write the name"),
            (format!("a b:{hash}\n"), "line 1: a user's name is"),
            ("board:hunter2\n".to_owned(), "line 1: what follows the colon is no Argon2id hash"),
            (format!("board:{hash}\nboard:{hash}\n"), "line 2: this user stands"),
            (
                "board:$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo\n".to_owned(),
                "line 1: the hash asks for more than",
            ),
        ] {
            let error = Users::parse(&text).unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn anyone_is_somebody_unless_there_is_nobody() {
        assert_eq!(Users::default().hash_of_any(3), None);
        let users = Users([("a", "1"), ("b", "2")].map(|(a, b)| (a.into(), b.into())).into());
        assert_eq!(users.hash_of_any(3).map(|hash| &**hash), Some("2"));
    }
}
