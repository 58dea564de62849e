//! The plan: visits that are to be made, and the registers beside it, as they are read from files.

use chrono::{NaiveDate, TimeDelta};

use super::instant::Instant;
use super::quantity::Quantity;
use super::refs::{CarerRef, ClientRef, ContractId, DeviceRef, RunRef, Tag, VisitRef};
use super::words::words;

words! {
    /// Who cancelled a visit (R22).
    CancelledBy {
        /// The client.
        Client = "client",
        /// The council.
        Council = "council",
        /// The provider: the visit is missed.
        Provider = "provider",
        /// Nobody: the row should never have been.
        Error = "error",
    }
}

/// A cancellation in the plan (R22).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancellation {
    /// When notice was given.
    pub at: Instant,
    /// Who gave it.
    pub by: CancelledBy,
    /// Why, if the plan says.
    pub reason: Option<String>,
}

/// A planned visit, as the plan in force has it.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedVisit {
    /// The contract to which it belongs.
    pub contract: ContractId,
    /// Its reference, unique in the contract.
    pub visit_ref: VisitRef,
    /// The service.
    pub service: String,
    /// The service level type.
    pub service_level: String,
    /// Who is to be visited.
    pub client_ref: ClientRef,
    /// The run that it is part of, if any.
    pub run: Option<RunRef>,
    /// When it is to start.
    pub start: Instant,
    /// When it is to end; after the start.
    pub end: Instant,
    /// How many people it needs: 1 to 4.
    pub carers_required: u8,
    /// Who is to come; empty if the plan does not say.
    pub carers: Vec<CarerRef>,
    /// Whether the time matters so much that no allowance is made [OOH 6.6.1].
    pub time_specific: bool,
    /// The planned quantity, if the plan states one (R27).
    pub quantity: Option<Quantity>,
    /// The cancellation, if it was cancelled.
    pub cancellation: Option<Cancellation>,
}

impl PlannedVisit {
    /// The planned length.
    #[must_use]
    pub fn length(&self) -> TimeDelta {
        self.end - self.start
    }
}

/// A place on the earth, WGS 84, in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatLon {
    /// Latitude, −90 to 90.
    pub lat: f64,
    /// Longitude, −180 to 180.
    pub lon: f64,
}

/// A row of the client register.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientRow {
    /// The contract to which it belongs.
    pub contract: ContractId,
    /// The client.
    pub client_ref: ClientRef,
    /// Where the client lives, if known.
    pub home: Option<LatLon>,
    /// Radius of the fence, in metres, if not the policy's (R19).
    pub fence_m: Option<f64>,
    /// For coordinators' eyes only.
    pub display_name: Option<String>,
    /// For coordinators' eyes only.
    pub phone: Option<String>,
    /// The local date as of which the row holds; `None`: always has.
    pub from: Option<NaiveDate>,
}

words! {
    /// How a carer is employed.
    Employment {
        /// By the provider, permanently.
        Permanent = "permanent",
        /// By the provider, for a time.
        Temporary = "temporary",
        /// By an agency.
        Agency = "agency",
    }
}

/// A row of the carer register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarerRow {
    /// The contract to which it belongs.
    pub contract: ContractId,
    /// The carer.
    pub carer_ref: CarerRef,
    /// How the carer is employed.
    pub employment: Employment,
    /// For coordinators' eyes only.
    pub display_name: Option<String>,
}

/// A row of the device register: which home the telecare unit stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRow {
    /// The contract to which it belongs.
    pub contract: ContractId,
    /// The unit.
    pub device_ref: DeviceRef,
    /// Whose home.
    pub client_ref: ClientRef,
    /// The local date as of which the row holds; `None`: always has.
    pub from: Option<NaiveDate>,
}

/// A row of the tag register: which home the chip or code is fixed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagRow {
    /// The contract to which it belongs.
    pub contract: ContractId,
    /// The chip or code.
    pub tag: Tag,
    /// Whose home.
    pub client_ref: ClientRef,
    /// The local date as of which the row holds; `None`: always has.
    pub from: Option<NaiveDate>,
}

/// A time for which a client gets no visits (R22a).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// The contract to which it belongs.
    pub contract: ContractId,
    /// Who is suspended.
    pub client_ref: ClientRef,
    /// The first instant of the suspension.
    pub from: Instant,
    /// The first instant after it; `None`: open.
    pub to: Option<Instant>,
    /// When the provider was told; notice is judged by it (R22). The beginning, if nothing is said.
    pub notified_at: Instant,
    /// Why.
    pub reason: String,
}

impl Suspension {
    /// Whether a visit planned for that instant falls into it.
    #[must_use]
    pub fn holds(&self, start: Instant) -> bool {
        self.from <= start && self.to.is_none_or(|to| start < to)
    }

    /// The cancellation that it amounts to (R22a).
    #[must_use]
    pub fn cancellation(&self) -> Cancellation {
        Cancellation {
            at: self.notified_at,
            by: CancelledBy::Council,
            reason: Some(self.reason.clone()),
        }
    }
}
