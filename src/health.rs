//! Whether the daemon works: it hears the broker, and it commits.
//!
//! The writer says so as it goes; `/readyz` and systemd's watchdog ask. A writer that is stuck says
//! nothing, which is an answer too.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant as Tick;

/// The longest that the last commit may be ago. The daemon commits something at least every 10 s.
pub const COMMITTED_WITHIN: Duration = Duration::from_secs(30);

/// What the writer has said last.
#[derive(Debug, Default)]
pub struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    hears: bool,
    committed_at: Option<Tick>,
    /// Why the database does not take what it is given, since it does not.
    failed: Option<String>,
}

/// How the daemon is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// It has a session with the broker, and has read what the broker had kept.
    pub hears: bool,
    /// The database takes what it is given.
    pub commits: bool,
    /// What is wrong, in words; empty if it is well.
    pub trouble: String,
}

impl Report {
    /// Whether both work.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.hears && self.commits
    }
}

impl Health {
    /// The daemon hears, or not.
    pub fn hears(&self, hears: bool) {
        self.state().hears = hears;
    }

    /// Something has reached the disk.
    pub fn committed(&self) {
        let mut state = self.state();
        (state.committed_at, state.failed) = (Some(Tick::now()), None);
    }

    /// The database has failed.
    pub fn failed(&self, why: String) {
        self.state().failed = Some(why);
    }

    /// How the daemon is now.
    #[must_use]
    pub fn report(&self) -> Report {
        self.report_at(Tick::now())
    }

    fn report_at(&self, now: Tick) -> Report {
        let state = self.state();
        let recent = state.committed_at.is_some_and(|at| now - at < COMMITTED_WITHIN);
        let commits = recent && state.failed.is_none();
        let mut trouble = Vec::new();
        if !state.hears {
            trouble.push("it does not hear the broker".to_owned());
        }
        match &state.failed {
            Some(why) => trouble.push(format!("it cannot commit: {why}")),
            None if !recent => trouble.push("nothing has been committed lately".to_owned()),
            None => {}
        }
        Report { hears: state.hears, commits, trouble: trouble.join("; ") }
    }

    /// What the lock guards is whole after each statement.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_well_while_it_hears_and_commits() {
        let health = Health::default();
        assert!(!health.report().is_well(), "nothing is known yet");
        health.hears(true);
        assert_eq!(health.report().trouble, "nothing has been committed lately");
        health.committed();
        assert!(health.report().is_well());
        health.hears(false);
        assert_eq!(health.report().trouble, "it does not hear the broker");
        health.hears(true);
        health.failed("the disk is full".to_owned());
        let report = health.report();
        assert_eq!((report.hears, report.commits), (true, false));
        assert_eq!(report.trouble, "it cannot commit: the disk is full");
        health.committed();
        assert!(health.report().is_well());
        let later = Tick::now() + COMMITTED_WITHIN;
        assert!(!health.report_at(later).is_well(), "the writer is stuck");
    }
}
