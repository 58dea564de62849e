//! Corrections: what a coordinator decided about a visit or an event; never an edit of evidence.

use super::instant::Instant;
use super::refs::{ContractId, EventId, VisitRef};

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

/// What became of a visit, by a coordinator's decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was delivered.
    Delivered,
    /// It was not, and the provider is not responsible.
    Frustrated,
    /// It was not, and the provider is responsible.
    Missed,
    /// It had been cancelled in time.
    Cancelled,
}

impl Outcome {
    /// Every outcome there is.
    pub const ALL: &'static [Self] =
        &[Self::Delivered, Self::Frustrated, Self::Missed, Self::Cancelled];

    /// The word for it in files, payloads and returns.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Frustrated => "frustrated",
            Self::Missed => "missed",
            Self::Cancelled => "cancelled",
        }
    }
}
