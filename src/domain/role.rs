//! Who may do what.

use super::refs::ContractId;
use super::words::words;

words! {
    /// What somebody is to nightrun.
    Role {
        /// Watches the night and decides: everything but what finance exports.
        Coordinator = "coordinator",
        /// The rota system: imports plans and registers, and sees nothing.
        Planner = "planner",
        /// Reports and periods.
        Finance = "finance",
        /// The council: the visits, alerts and reports of its own contract, by reference only.
        Council = "council",
    }
}

words! {
    /// What can be done over HTTP.
    Deed {
        /// See nights, visits and alerts.
        See = "see",
        /// Acknowledge, contact, resolve, correct, place, hand in.
        Act = "act",
        /// Import plans and registers.
        Import = "import",
        /// See punctuality and continuity.
        Measure = "measure",
        /// Take the return.
        Report = "report",
    }
}

impl Role {
    /// Whether that role may do this.
    #[must_use]
    pub fn may(self, deed: Deed) -> bool {
        match self {
            Self::Coordinator => deed != Deed::Report,
            Self::Planner => deed == Deed::Import,
            Self::Finance => matches!(deed, Deed::Report | Deed::Measure),
            Self::Council => matches!(deed, Deed::See | Deed::Measure | Deed::Report),
        }
    }

    /// Whether it sees references only: no names, no telephone numbers, no positions, no carers.
    #[must_use]
    pub fn sees_references_only(self) -> bool {
        self == Self::Council
    }
}

/// The contracts with which somebody has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All.
    All,
    /// That one.
    One(ContractId),
}

impl Scope {
    /// Whether that contract is among them.
    #[must_use]
    pub fn has(&self, contract: &ContractId) -> bool {
        match self {
            Self::All => true,
            Self::One(one) => one == contract,
        }
    }
}
