//! Users of a broker: their names are the rule of what they may say and hear.
//!
//! A phone is `{contract}/carer/{carer}`, a telecare unit `{contract}/device/{device}`: what stands in
//! its topics. So nobody keeps a second list that could say something else. Any other name is that of
//! a program which shows alerts.

use std::fmt;
use std::str::FromStr;

use super::topic;
use crate::domain::event::Sender;
use crate::domain::refs::{CarerRef, ContractId, DeviceRef, is_reference};

/// Longest client id that the embedded broker takes, in bytes.
const CLIENT_ID_MAX_BYTES: usize = 128;

/// What stands in a client id for the `/` of a user's name, which the embedded broker allows in no
/// client id. No reference has it, so no two users have the same client id.
const CLIENT_ID_SEPARATOR: &str = "~";

/// What a program may read, and whatever is narrower.
const PROGRAM_READS: [&str; 2] = ["nightrun/v1/+/alert/#", "nightrun/v1/daemon/+/status"];

/// A user, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// A carer's phone, or a telecare unit.
    Sender(ContractId, Sender),
    /// A program that reads alerts and whether daemons are online.
    Program(String),
}

/// Why a text is no user's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a user's name is CONTRACT/carer/CARER, CONTRACT/device/DEVICE or, for a program that reads \
     alerts, one word; each part is 1 to 64 of A-Z a-z 0-9 . _ - and all of it at most \
     {CLIENT_ID_MAX_BYTES} characters"
)]
pub struct BadUser;

impl FromStr for User {
    type Err = BadUser;

    fn from_str(name: &str) -> Result<Self, BadUser> {
        if name.len() > CLIENT_ID_MAX_BYTES {
            return Err(BadUser);
        }
        let parts: Vec<&str> = name.splitn(4, '/').collect();
        let sender = |contract: &str, sender| contract.parse().ok().zip(sender);
        let (contract, sender) = match parts[..] {
            [program] if is_reference(program) => return Ok(Self::Program(program.to_owned())),
            [contract, "carer", carer] => {
                sender(contract, carer.parse::<CarerRef>().ok().map(Sender::Carer))
            }
            [contract, "device", device] => {
                sender(contract, device.parse::<DeviceRef>().ok().map(Sender::Device))
            }
            _ => None,
        }
        .ok_or(BadUser)?;
        Ok(Self::Sender(contract, sender))
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sender(contract, Sender::Carer(carer)) => write!(f, "{contract}/carer/{carer}"),
            Self::Sender(contract, Sender::Device(device)) => {
                write!(f, "{contract}/device/{device}")
            }
            Self::Program(name) => f.write_str(name),
        }
    }
}

impl User {
    /// The only client id that it may use: whoever uses another's can end that one's session.
    #[must_use]
    pub fn client_id(&self) -> String {
        self.to_string().replace('/', CLIENT_ID_SEPARATOR)
    }

    /// Whether it may publish there, or have its will published there.
    #[must_use]
    pub fn may_publish(&self, topic: &str) -> bool {
        match self {
            Self::Sender(contract, sender) => {
                let status = match sender {
                    Sender::Carer(_) => None,
                    Sender::Device(device) => Some(topic::device_status(contract, device)),
                };
                topic == topic::event(contract, sender) || status.is_some_and(|own| topic == own)
            }
            Self::Program(_) => false,
        }
    }

    /// Whether it may subscribe to that filter.
    #[must_use]
    pub fn may_subscribe(&self, filter: &str) -> bool {
        match self {
            Self::Sender(contract, sender) => {
                let event = topic::event(contract, sender);
                topic::receipt_for(&event).is_some_and(|receipt| receipt == filter)
            }
            Self::Program(_) => PROGRAM_READS.iter().any(|allowed| covers(allowed, filter)),
        }
    }
}

/// Whether every topic that `filter` matches is also matched by `allowed`.
fn covers(allowed: &str, filter: &str) -> bool {
    let mut levels = filter.split('/');
    for wanted in allowed.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(level)) if level != "#" => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> User {
        let user: User = name.parse().unwrap_or_else(|_| panic!("{name:?} is a name"));
        assert_eq!(user.to_string(), name);
        user
    }

    #[test]
    fn what_is_a_name() {
        for (name, client_id) in [
            ("thurrock/carer/amy", "thurrock~carer~amy"),
            ("carer/carer/carer", "carer~carer~carer"),
            ("t/device/unit-7", "t~device~unit-7"),
            ("board", "board"),
        ] {
            assert_eq!(user(name).client_id(), client_id);
        }
        let long = "x".repeat(64);
        user(&format!("{}/carer/{long}", "x".repeat(57)));
        for name in [
            "",
            "a b",
            "a~b",
            "t/amy",
            "t/client/amy",
            "t/carer/",
            "/carer/amy",
            "t/carer/+",
            "#",
            "t/carer/amy/event",
            "t/carer/a:b",
            &format!("{long}/carer/{long}"),
        ] {
            assert_eq!(name.parse::<User>(), Err(BadUser), "{name:?}");
        }
    }

    #[test]
    fn what_it_may_publish() {
        for (name, topic, may) in [
            ("t/carer/amy", "nightrun/v1/t/carer/amy/event", true),
            ("t/carer/amy", "nightrun/v1/t/carer/bob/event", false),
            ("t/carer/amy", "nightrun/v1/u/carer/amy/event", false),
            ("t/carer/amy", "nightrun/v1/t/device/amy/event", false),
            ("t/carer/amy", "nightrun/v1/t/device/amy/status", false),
            ("t/carer/amy", "nightrun/v1/t/carer/amy/status", false),
            ("t/carer/amy", "nightrun/v1/t/carer/amy/receipt", false),
            ("t/carer/amy", "nightrun/v1/t/alert/late", false),
            ("t/carer/amy", "nightrun/v1/t/carer/amy/event/", false),
            ("t/device/amy", "nightrun/v1/t/device/amy/event", true),
            ("t/device/amy", "nightrun/v1/t/device/amy/status", true),
            ("t/device/amy", "nightrun/v1/t/device/bob/status", false),
            ("t/device/amy", "nightrun/v1/t/carer/amy/event", false),
            ("board", "nightrun/v1/t/alert/late", false),
            ("board", "nightrun/v1/daemon/board/status", false),
        ] {
            assert_eq!(user(name).may_publish(topic), may, "{name} {topic}");
        }
    }

    #[test]
    fn what_it_may_subscribe_to() {
        for (name, filter, may) in [
            ("t/carer/amy", "nightrun/v1/t/carer/amy/receipt", true),
            ("t/device/amy", "nightrun/v1/t/device/amy/receipt", true),
            ("t/carer/amy", "nightrun/v1/t/device/amy/receipt", false),
            ("t/carer/amy", "nightrun/v1/t/carer/bob/receipt", false),
            ("t/carer/amy", "nightrun/v1/t/carer/amy/+", false),
            ("t/carer/amy", "nightrun/v1/t/carer/amy/#", false),
            ("t/carer/amy", "nightrun/v1/t/carer/amy/event", false),
            ("t/carer/amy", "$share/g/nightrun/v1/t/carer/amy/receipt", false),
            ("t/carer/amy", "nightrun/v1/+/alert/#", false),
            ("t/carer/amy", "#", false),
            ("board", "nightrun/v1/+/alert/#", true),
            ("board", "nightrun/v1/+/alert/+", true),
            ("board", "nightrun/v1/t/alert/late", true),
            ("board", "nightrun/v1/t/alert", true),
            ("board", "nightrun/v1/daemon/nightrun/status", true),
            ("board", "nightrun/v1/daemon/+/status", true),
            ("board", "nightrun/v1/daemon/+/marker", false),
            ("board", "nightrun/v1/daemon/#", false),
            ("board", "nightrun/v1/#", false),
            ("board", "nightrun/v1/+/+/#", false),
            ("board", "nightrun/v1/+/carer/+/event", false),
            ("board", "nightrun/v1/t/device/+/status", false),
            ("board", "$share/g/nightrun/v1/+/alert/#", false),
            ("board", "$SYS/#", false),
            ("board", "#", false),
        ] {
            assert_eq!(user(name).may_subscribe(filter), may, "{name} {filter}");
        }
    }
}
