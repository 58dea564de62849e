//! What a device said: one check-in, check-out or statement, with its three times (R5).

use chrono::TimeDelta;

use super::instant::{Instant, minutes};
use super::plan::LatLon;
use super::refs::{CarerRef, ClientRef, ContractId, DeviceRef, EventId, Tag, VisitRef};

/// How far ahead of the moment of receipt a device's clock may be before it is not believed (R5).
pub const CLOCK_AHEAD_ALLOWED: TimeDelta = minutes(2);

/// Who sent an event: the topic says so, and the broker vouches for the topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sender {
    /// A carer's phone.
    Carer(CarerRef),
    /// A telecare unit.
    Device(DeviceRef),
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The carer came.
    CheckIn,
    /// The carer left.
    CheckOut,
    /// The visit was not delivered, and why (R15).
    NotDelivered(Reason),
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $frustrated:literal;)*) => {
        /// Why a visit was not delivered (R15).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word for it in payloads and returns.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Whether the provider is not responsible: frustrated, else missed.
            #[must_use]
            pub fn is_frustrated(self) -> bool {
                match self { $(Self::$name => $frustrated,)* }
            }
        }
    };
}

reasons! {
    /// Nobody answered the door.
    NoReply = "no_reply", true;
    /// The client was not at home.
    ClientAbsent = "client_absent", true;
    /// The client refused.
    Refused = "refused", true;
    /// The client was in hospital.
    InHospital = "in_hospital", true;
    /// The client had died.
    Deceased = "deceased", true;
    /// Going in was not safe.
    UnsafeToEnter = "unsafe_to_enter", true;
    /// The client cancelled at the door.
    CancelledAtDoor = "cancelled_at_door", true;
    /// No carer could come.
    CarerUnavailable = "carer_unavailable", false;
    /// The car broke down.
    VehicleBreakdown = "vehicle_breakdown", false;
    /// The run took too long.
    RanOutOfTime = "ran_out_of_time", false;
    /// The rota was wrong.
    RotaError = "rota_error", false;
    /// Anything else.
    Other = "other", false;
}

/// A position that a device gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    /// Where.
    pub at: LatLon,
    /// How wrong that may be, in metres; 0 if the device did not say.
    pub accuracy_m: f64,
}

/// An event: evidence, never edited.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The contract under whose topic it came.
    pub contract: ContractId,
    /// Its identity within the contract (R6).
    pub event_id: EventId,
    /// Who sent it.
    pub sender: Sender,
    /// What happened.
    pub kind: EventKind,
    /// Whom it is about.
    pub carer_ref: CarerRef,
    /// When it happened, by the device's clock.
    pub occurred_at: Instant,
    /// When the daemon took it from the broker.
    pub received_at: Instant,
    /// Whose home, if the event says.
    pub client_ref: Option<ClientRef>,
    /// Which visit, if the event says.
    pub visit_ref: Option<VisitRef>,
    /// The chip or code that was read, if any.
    pub tag: Option<Tag>,
    /// Where it was made, if the device said.
    pub position: Option<Position>,
    /// Whether an informal carer is the second pair of hands (R13).
    pub informal_carer: bool,
    /// The sender's number for it, from 1 (R9).
    pub seq: Option<u64>,
}

impl Event {
    /// Whether the device's clock was too far ahead to be believed (R5).
    #[must_use]
    pub fn clock_ahead(&self) -> bool {
        self.effective_at() != self.occurred_at
    }

    /// The time that counts (R5): the device's, or the moment of receipt if its clock was ahead.
    #[must_use]
    pub fn effective_at(&self) -> Instant {
        self.effective_if(self.received_at)
    }

    /// The time that would count if the event had been received then.
    #[must_use]
    pub fn effective_if(&self, received_at: Instant) -> Instant {
        if self.occurred_at > received_at + CLOCK_AHEAD_ALLOWED {
            received_at
        } else {
            self.occurred_at
        }
    }
}
