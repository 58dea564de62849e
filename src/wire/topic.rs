//! The topic grammar of version 1: who may say what where.
//!
//! The topic is what the broker's access rules authenticate, so it alone decides who sent an event.

use crate::domain::event::Sender;
use crate::domain::refs::{ContractId, DeviceRef};

/// Where events come from.
pub const EVENT_FILTERS: [&str; 2] =
    ["nightrun/v1/+/carer/+/event", "nightrun/v1/+/device/+/event"];

/// Where telecare units, or their last wills, say whether they are online. Retained, so never to be
/// subscribed to as a shared group: MQTT hands no retained messages to those.
pub const DEVICE_STATUS_FILTER: &str = "nightrun/v1/+/device/+/status";

/// Longest topic that MQTT can carry, in bytes.
const TOPIC_MAX_BYTES: usize = 65_535;

/// What an incoming topic is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// A phone or a telecare unit says that something happened.
    Event {
        /// The contract.
        contract: ContractId,
        /// Who says so.
        sender: Sender,
    },
    /// A telecare unit is online, or not.
    Status {
        /// The contract.
        contract: ContractId,
        /// The unit.
        device: DeviceRef,
    },
}

/// Why a topic is none that the daemon listens to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTopic {
    /// It has another shape.
    #[error(
        "the topic is neither nightrun/v1/{{contract}}/carer/{{carer}}/event \
         nor nightrun/v1/{{contract}}/device/{{device}}/event or .../status"
    )]
    Foreign,
    /// It has the right shape, but its contract is not a reference.
    #[error("the contract in the topic: {}", crate::domain::refs::BadReference)]
    Contract {
        /// The sender, if that is well formed.
        sender: Option<Sender>,
    },
    /// It has the right shape and a contract, but its carer or device is not a reference.
    #[error("the sender in the topic: {}", crate::domain::refs::BadReference)]
    Sender {
        /// The contract.
        contract: ContractId,
    },
}

/// The levels of a topic that has the shape of an event's or a status's, whatever they hold.
struct Shape<'a> {
    contract: &'a str,
    role: Role,
    name: &'a str,
    leaf: Leaf,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Carer,
    Device,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaf {
    Event,
    Status,
}

fn shape(topic: &str) -> Option<Shape<'_>> {
    // One more than a topic of ours has, so that a longer one does not look like it.
    let levels: Vec<&str> = topic.splitn(7, '/').collect();
    let (contract, role, name, leaf) = match levels[..] {
        ["nightrun", "v1", contract, "carer", name, "event"] => {
            (contract, Role::Carer, name, Leaf::Event)
        }
        ["nightrun", "v1", contract, "device", name, "event"] => {
            (contract, Role::Device, name, Leaf::Event)
        }
        ["nightrun", "v1", contract, "device", name, "status"] => {
            (contract, Role::Device, name, Leaf::Status)
        }
        _ => return None,
    };
    Some(Shape { contract, role, name, leaf })
}

/// Reads an incoming topic.
pub fn parse(topic: &str) -> Result<Topic, BadTopic> {
    let shape = shape(topic).ok_or(BadTopic::Foreign)?;
    let sender = match shape.role {
        Role::Carer => shape.name.parse().ok().map(Sender::Carer),
        Role::Device => shape.name.parse().ok().map(Sender::Device),
    };
    let Ok(contract) = shape.contract.parse::<ContractId>() else {
        return Err(BadTopic::Contract { sender });
    };
    match (shape.leaf, sender) {
        (Leaf::Event, Some(sender)) => Ok(Topic::Event { contract, sender }),
        (Leaf::Status, Some(Sender::Device(device))) => Ok(Topic::Status { contract, device }),
        (_, _) => Err(BadTopic::Sender { contract }),
    }
}

/// Where the receipt for an event goes: to whoever may write the event's topic, also when the
/// references in it are malformed, so that every sender hears why. `None` if the topic has not the
/// shape of an event's, or if nothing can be published under the receipt's name.
#[must_use]
pub fn receipt_for(event_topic: &str) -> Option<String> {
    shape(event_topic).filter(|shape| shape.leaf == Leaf::Event)?;
    let stem = event_topic.strip_suffix("event")?;
    let receipt = format!("{stem}receipt");
    (receipt.len() <= TOPIC_MAX_BYTES && !receipt.contains(['+', '#', '\0'])).then_some(receipt)
}

/// Where a phone or a telecare unit writes its events.
#[must_use]
pub fn event(contract: &ContractId, sender: &Sender) -> String {
    match sender {
        Sender::Carer(carer) => format!("nightrun/v1/{contract}/carer/{carer}/event"),
        Sender::Device(device) => format!("nightrun/v1/{contract}/device/{device}/event"),
    }
}

/// Where a telecare unit says whether it is online.
#[must_use]
pub fn device_status(contract: &ContractId, device: &DeviceRef) -> String {
    format!("nightrun/v1/{contract}/device/{device}/status")
}

/// Where alerts of that kind go.
#[must_use]
pub fn alert(contract: &ContractId, kind: crate::domain::alert::AlertKind) -> String {
    format!("nightrun/v1/{contract}/alert/{kind}")
}

/// Where a daemon says whether it is online. `instance` is its client id, a reference.
#[must_use]
pub fn daemon_status(instance: &str) -> String {
    format!("nightrun/v1/daemon/{instance}/status")
}

/// Where Mosquitto says how many messages it has dropped since it started.
pub const BROKER_DROPPED: &str = "$SYS/broker/publish/messages/dropped";

/// Where a daemon writes to itself, to learn when it has read what the broker had kept (R25).
#[must_use]
pub fn daemon_marker(instance: &str) -> String {
    format!("nightrun/v1/daemon/{instance}/marker")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_topic_is_for() {
        let contract: ContractId = "thurrock".parse().unwrap();
        let carer = Sender::Carer("C-7".parse().unwrap());
        let device = Sender::Device("D-7".parse().unwrap());
        let event = |sender: &Sender| {
            Ok(Topic::Event { contract: contract.clone(), sender: sender.clone() })
        };
        let long = format!("nightrun/v1/thurrock/carer/{}/event", "x".repeat(65));
        for (topic, read) in [
            ("nightrun/v1/thurrock/carer/C-7/event", event(&carer)),
            ("nightrun/v1/thurrock/device/D-7/event", event(&device)),
            (
                "nightrun/v1/thurrock/device/D-7/status",
                Ok(Topic::Status { contract: contract.clone(), device: "D-7".parse().unwrap() }),
            ),
            ("nightrun/v1/thurrock/carer/C-7/status", Err(BadTopic::Foreign)),
            ("nightrun/v1/thurrock/carer/C-7/receipt", Err(BadTopic::Foreign)),
            ("nightrun/v1/thurrock/carer/C-7/event/", Err(BadTopic::Foreign)),
            ("nightrun/v1/thurrock/carer/C/7/event", Err(BadTopic::Foreign)),
            ("/nightrun/v1/thurrock/carer/C-7/event", Err(BadTopic::Foreign)),
            ("nightrun/v2/thurrock/carer/C-7/event", Err(BadTopic::Foreign)),
            ("nightrun/v1/thurrock/client/C-7/event", Err(BadTopic::Foreign)),
            ("nightrun/v1/thurrock/alert/late", Err(BadTopic::Foreign)),
            ("nightrun/v1/daemon/nightrun/status", Err(BadTopic::Foreign)),
            ("", Err(BadTopic::Foreign)),
            ("nightrun/v1//carer/C-7/event", Err(BadTopic::Contract { sender: Some(carer) })),
            ("nightrun/v1/a b/carer//event", Err(BadTopic::Contract { sender: None })),
            ("nightrun/v1/é/device/D-7/status", Err(BadTopic::Contract { sender: Some(device) })),
            (
                "nightrun/v1/thurrock/carer//event",
                Err(BadTopic::Sender { contract: contract.clone() }),
            ),
            (&long, Err(BadTopic::Sender { contract: contract.clone() })),
            (
                "nightrun/v1/thurrock/device/é/status",
                Err(BadTopic::Sender { contract: contract.clone() }),
            ),
        ] {
            assert_eq!(parse(topic), read, "{topic:?}");
        }
    }

    #[test]
    fn where_receipts_go() {
        let longest = |bytes: usize| {
            format!(
                "nightrun/v1/c/carer/{}/event",
                "x".repeat(bytes - "nightrun/v1/c/carer//event".len())
            )
        };
        for (topic, receipt) in [
            ("nightrun/v1/t/carer/C-7/event", Some("nightrun/v1/t/carer/C-7/receipt")),
            ("nightrun/v1/t/device/D-7/event", Some("nightrun/v1/t/device/D-7/receipt")),
            ("nightrun/v1/t/carer/event/event", Some("nightrun/v1/t/carer/event/receipt")),
            ("nightrun/v1//carer/a b/event", Some("nightrun/v1//carer/a b/receipt")),
            ("nightrun/v1/t/carer/+/event", None),
            ("nightrun/v1/t/carer/#/event", None),
            ("nightrun/v1/t/carer/\0/event", None),
            ("nightrun/v1/t/device/D-7/status", None),
            ("elsewhere/event", None),
            (&longest(TOPIC_MAX_BYTES), None),
        ] {
            assert_eq!(receipt_for(topic).as_deref(), receipt, "{topic:?}");
        }
        assert!(receipt_for(&longest(TOPIC_MAX_BYTES - 2)).is_some());
    }

    #[test]
    fn the_daemons_own_topics() {
        let contract: ContractId = "thurrock".parse().unwrap();
        assert_eq!(
            alert(&contract, crate::domain::alert::AlertKind::ShortStaffed),
            "nightrun/v1/thurrock/alert/short_staffed"
        );
        assert_eq!(daemon_status("nightrun"), "nightrun/v1/daemon/nightrun/status");
        assert_eq!(daemon_marker("nightrun"), "nightrun/v1/daemon/nightrun/marker");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            contract in "[A-Za-z0-9._-]{1,64}",
            name in "[A-Za-z0-9._-]{1,64}",
            phone: bool,
        ) {
            let contract: ContractId = contract.parse().unwrap();
            let sender = if phone {
                Sender::Carer(name.parse().unwrap())
            } else {
                Sender::Device(name.parse().unwrap())
            };
            let topic = event(&contract, &sender);
            let device: DeviceRef = name.parse().unwrap();
            let status = device_status(&contract, &device);
            prop_assert!(receipt_for(&topic).is_some());
            prop_assert_eq!(parse(&topic), Ok(Topic::Event { contract: contract.clone(), sender }));
            prop_assert_eq!(parse(&status), Ok(Topic::Status { contract, device }));
        }
    }
}
