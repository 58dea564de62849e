//! Corrections: a coordinator's decision about a visit, with a reason; never an edit of evidence.

use super::instant::Instant;
use super::refs::{ContractId, EventId, VisitRef};

/// What a coordinator says became of a visit (R16).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was delivered.
    Delivered,
    /// It was not, and the provider is not responsible.
    Frustrated,
    /// It was not, and the provider is responsible.
    Missed,
    /// It was cancelled in time.
    Cancelled,
}

/// What is corrected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorrectionKind {
    /// What became of the visit.
    Outcome {
        /// The visit; an unplanned one by any of its names (R11).
        visit_ref: VisitRef,
        /// What it says.
        outcome: Outcome,
    },
    /// The evidence decides again.
    Withdraw {
        /// The visit.
        visit_ref: VisitRef,
    },
    /// Where an event belongs (R12).
    Place {
        /// The event.
        event_id: EventId,
        /// The visit that it belongs to.
        visit_ref: VisitRef,
    },
    /// A comment that decides nothing.
    Comment {
        /// The visit.
        visit_ref: VisitRef,
    },
}

/// A correction, appended by a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// When it was made; it is in force from then on.
    pub at: Instant,
    /// Who made it.
    pub by: String,
    /// The contract to which it belongs.
    pub contract: ContractId,
    /// Why.
    pub reason: Option<String>,
    /// A comment that stays inside.
    pub comment: Option<String>,
    /// A comment for the return (R29).
    pub return_comment: Option<String>,
    /// What is corrected.
    pub what: CorrectionKind,
}
