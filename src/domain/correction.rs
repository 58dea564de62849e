//! Corrections: what a coordinator decided about a visit or an event; never an edit of evidence.

use super::instant::Instant;
use super::refs::{ContractId, EventId, VisitRef};
use super::words::words;

/// Longest name of whoever decided, in characters.
pub const BY_MAX_CHARS: usize = 200;
/// Longest reason or comment, in characters.
pub const COMMENT_MAX_CHARS: usize = 500;

/// A coordinator's decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// When it was made.
    pub at: Instant,
    /// Who made it.
    pub by: String,
    /// The contract to which it belongs.
    pub contract: ContractId,
    /// Why.
    pub reason: Option<String>,
    /// An internal comment.
    pub comment: Option<String>,
    /// A comment for the return (R29).
    pub return_comment: Option<String>,
    /// What was decided.
    pub what: CorrectionKind,
}

impl Correction {
    /// The visit that it is about, by the name that the coordinator used; of a placement, none.
    #[must_use]
    pub fn about(&self) -> Option<&VisitRef> {
        match &self.what {
            CorrectionKind::Outcome { visit_ref, .. }
            | CorrectionKind::Withdraw { visit_ref }
            | CorrectionKind::Comment { visit_ref } => Some(visit_ref),
            CorrectionKind::Place { .. } => None,
        }
    }
}

/// What a coordinator decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorrectionKind {
    /// What became of the visit (R16, step 1).
    Outcome {
        /// The visit, planned or unplanned.
        visit_ref: VisitRef,
        /// What became of it.
        outcome: Outcome,
    },
    /// The outcomes that were decided for the visit so far no longer hold.
    Withdraw {
        /// The visit, planned or unplanned.
        visit_ref: VisitRef,
    },
    /// The event belongs to this visit (R12).
    Place {
        /// The event.
        event_id: EventId,
        /// The visit, planned or unplanned.
        visit_ref: VisitRef,
    },
    /// Nothing is decided: only the comments are added.
    Comment {
        /// The visit, planned or unplanned.
        visit_ref: VisitRef,
    },
}

words! {
    /// What became of a visit, by a coordinator's decision.
    Outcome {
        /// It was delivered.
        Delivered = "delivered",
        /// It was not, and the provider is not responsible.
        Frustrated = "frustrated",
        /// It was not, and the provider is responsible.
        Missed = "missed",
        /// It had been cancelled in time.
        Cancelled = "cancelled",
    }
}
