//! What the pages are made from.

use std::sync::Arc;

use crate::domain::calendar::Night;
use crate::domain::contact::{Act, ContactClock};
use crate::domain::correction::Correction;
use crate::domain::instant::Instant;
use crate::domain::policy::Contract;
use crate::domain::refs::VisitRef;
use crate::domain::register::Registers;
use crate::domain::schedule3::RowKey;
use crate::domain::visit::Visit;
use crate::store::evidence::Recorded;
use crate::store::plan::Version;
use crate::wire::alert::{AlertMessage, State};

/// A night as it stands.
pub struct NightView {
    /// The contract.
    pub contract: Arc<Contract>,
    /// The night.
    pub night: Night,
    /// The present instant.
    pub now: Instant,
    /// Its visits, in the order of the visit log.
    pub visits: Vec<Visit>,
    /// Its alerts, those that are over too.
    pub alerts: Vec<AlertView>,
    /// Its events that have no place yet.
    pub unplaced: Vec<Recorded>,
    /// The registers.
    pub registers: Registers,
}

/// An alert, and what was done about it.
pub struct AlertView {
    /// As it was last said to others.
    pub message: AlertMessage,
    /// Whether anybody is told.
    pub told: bool,
    /// What coordinators did about it, in order.
    pub acts: Vec<Act>,
    /// How its contact clock stands (R23).
    pub clock: ContactClock,
}

impl AlertView {
    /// Whether it goes on.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.message.state != State::Resolved
    }
}

/// An event of a visit's client night.
pub struct EventView {
    /// The event, and where it was placed.
    pub recorded: Recorded,
    /// To which visit a coordinator has placed it.
    pub placed_at: Option<VisitRef>,
}

/// A visit's whole story.
pub struct StoryView {
    /// The contract.
    pub contract: Arc<Contract>,
    /// The present instant.
    pub now: Instant,
    /// The visit as it stands.
    pub visit: Visit,
    /// Every version of its plan, the oldest first.
    pub versions: Vec<Version>,
    /// The events of its client's night, in order of receipt.
    pub events: Vec<EventView>,
    /// What coordinators decided about it.
    pub corrections: Vec<Correction>,
    /// Its alerts, those that are over too.
    pub alerts: Vec<AlertView>,
    /// The Schedule 3 row that it goes into.
    pub row: RowKey,
    /// The registers.
    pub registers: Registers,
}
