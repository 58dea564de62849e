//! References: the only names by which the daemon knows clients, carers, devices, visits and runs.
//!
//! Guarantees that a value of these types keeps to the grammar of the interface: 1 to 64 of
//! `A-Z a-z 0-9 . _ -`. Never holds a person's name.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest reference that the interface allows, in bytes.
pub const REFERENCE_MAX_BYTES: usize = 64;

/// Why a text is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a reference is 1 to {REFERENCE_MAX_BYTES} of A-Z a-z 0-9 . _ -")]
pub struct BadReference;

/// Whether the text keeps to the grammar of references.
#[must_use]
pub fn is_reference(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= REFERENCE_MAX_BYTES
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

macro_rules! reference {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The reference as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadReference;

            fn from_str(text: &str) -> Result<Self, BadReference> {
                if is_reference(text) { Ok(Self(text.into())) } else { Err(BadReference) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

reference!(
    /// One council's agreement with the provider; everything belongs to one.
    ContractId
);
reference!(
    /// The person who is visited, by the council's client reference.
    ClientRef
);
reference!(
    /// A care and support worker.
    CarerRef
);
reference!(
    /// A telecare unit installed in one client's home.
    DeviceRef
);
reference!(
    /// A planned visit, or an unplanned one (`U-` and the id of its first event, R11).
    VisitRef
);
reference!(
    /// A round of visits that a pair of carers works through on one night.
    RunRef
);
reference!(
    /// A chip or code fixed in one home.
    Tag
);

/// How the reference of an unplanned visit begins; no planned visit may use it.
pub const UNPLANNED_PREFIX: &str = "U-";

impl VisitRef {
    /// The name of the unplanned visit that begins with this event (R11, step 4).
    #[must_use]
    pub fn unplanned(first_event: EventId) -> Self {
        Self(format!("{UNPLANNED_PREFIX}{first_event}").into())
    }

    /// The event after which an unplanned visit is named; `None` for a planned visit's reference.
    #[must_use]
    pub fn unplanned_event(&self) -> Option<EventId> {
        self.0.strip_prefix(UNPLANNED_PREFIX)?.parse().ok()
    }
}

/// What identifies an event within its contract (R6): made by the device, the same on every retry.
/// Ordered as its lower-case text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub uuid::Uuid);

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// Why a text is not an event's id. Unlike the uuid crate's error it repeats nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event id is a UUID such as 6e6f7468-0000-4000-8000-000000000001")]
pub struct BadEventId;

impl FromStr for EventId {
    type Err = BadEventId;

    fn from_str(text: &str) -> Result<Self, BadEventId> {
        text.parse().map(Self).map_err(|_| BadEventId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_of_references() {
        for (text, good) in [
            ("V-1007", true),
            ("a.b_c-9", true),
            (&"x".repeat(64), true),
            (&"x".repeat(65), false),
            ("", false),
            ("a b", false),
            ("é", false),
            ("a/b", false),
            ("a\n", false),
        ] {
            assert_eq!(text.parse::<VisitRef>().is_ok(), good, "{text:?}");
        }
    }

    #[test]
    fn an_unplanned_visit_is_named_after_its_first_event() {
        let id: EventId = "6E6F7468-0000-4000-8000-000000000001".parse().unwrap();
        let name = VisitRef::unplanned(id);
        assert_eq!(name.as_str(), "U-6e6f7468-0000-4000-8000-000000000001");
        assert_eq!(name.unplanned_event(), Some(id));
        assert_eq!("V-1".parse::<VisitRef>().unwrap().unplanned_event(), None);
    }
}
