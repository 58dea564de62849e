//! What coordinators do about alerts, and the contact clock (R23): whether the client was spoken to,
//! and in time.

use super::alert::AlertKind;
use super::event::Reason;
use super::instant::Instant;
use super::words::words;

words! {
    /// What came of ringing the client.
    ContactOutcome {
        /// Somebody was spoken to.
        Spoke = "spoke",
        /// A message was left, which is not speaking to anybody.
        LeftMessage = "left_message",
        /// Nobody answered.
        NoAnswer = "no_answer",
    }
}

/// That somebody rang the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// Who was spoken to, or rung.
    pub spoke_to: String,
    /// What came of it.
    pub outcome: ContactOutcome,
    /// When.
    pub at: Instant,
    /// When somebody will come, as the client was told.
    pub new_time: Option<Instant>,
    /// Why it is late, as the client was told.
    pub reason: Option<String>,
}

impl Contact {
    /// Whether somebody was spoken to.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.outcome == ContactOutcome::Spoke
    }
}

/// What a coordinator did about an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// When it was recorded.
    pub at: Instant,
    /// By whom.
    pub by: String,
    /// What they noted, which stays inside.
    pub note: Option<String>,
    /// What it was.
    pub deed: Deed,
}

/// What can be done about an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Somebody takes care of it.
    Acknowledged,
    /// The client was rung.
    Contact(Contact),
    /// It has been dealt with.
    Resolved,
}

/// What has become of the duty to speak to the client within 30 minutes of the agreed time (R23).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContactClock {
    /// There is none.
    None,
    /// It runs, until that instant.
    Runs(Instant),
    /// Somebody was spoken to in time.
    Met(Instant),
    /// Somebody was spoken to, but too late.
    MetLate(Instant),
    /// Nobody was spoken to in time.
    Missed(Instant),
}

/// How the contact clock of an alert stands at `now`.
#[must_use]
pub fn contact_clock(due_at: Option<Instant>, acts: &[Act], now: Instant) -> ContactClock {
    let Some(due_at) = due_at else { return ContactClock::None };
    match spoken_at(acts) {
        Some(at) if at <= due_at => ContactClock::Met(at),
        Some(at) => ContactClock::MetLate(at),
        None if now <= due_at => ContactClock::Runs(due_at),
        None => ContactClock::Missed(due_at),
    }
}

/// When somebody was first spoken to.
fn spoken_at(acts: &[Act]) -> Option<Instant> {
    let contacts = acts.iter().filter_map(|act| match &act.deed {
        Deed::Contact(contact) if contact.counts() => Some(contact.at),
        _ => None,
    });
    contacts.min()
}

/// Why a coordinator may not resolve an alert yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unresolvable {
    /// Nobody has been spoken to, which the alert asks for (R23).
    NobodySpokenTo,
    /// It ends when its cause does, and by nothing else.
    EndsByItself,
}

/// Whether a coordinator may resolve an alert of that kind, about which this was done (R23). `reason` is
/// that of the statement, if one stands.
#[must_use]
pub fn may_resolve(
    kind: AlertKind,
    contact_due_at: Option<Instant>,
    reason: Option<Reason>,
    acts: &[Act],
) -> Option<Unresolvable> {
    if kind == AlertKind::MonitoringBlind {
        return Some(Unresolvable::EndsByItself);
    }
    let nobody_there = matches!(reason, Some(Reason::NoReply | Reason::ClientAbsent));
    let asks = contact_due_at.is_some() || (kind == AlertKind::NotDelivered && nobody_there);
    (asks && spoken_at(acts).is_none()).then_some(Unresolvable::NobodySpokenTo)
}
