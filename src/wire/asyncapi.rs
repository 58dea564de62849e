//! The topics of version 1 as an `AsyncAPI` 3 document: `docs/asyncapi.json`.
//!
//! What is at which address comes from [`super::topic`], and what a message is from [`super::schema`].

use serde_json::{Map, Value, json};

use super::topic;
use crate::domain::alert::AlertKind;
use crate::domain::event::Sender;

/// Who acts, seen from the daemon.
const RECEIVE: &str = "receive";
const SEND: &str = "send";

/// One topic: what it is called, its address, what the daemon does there, with which message.
type Channel = (&'static str, String, &'static str, &'static str, bool);

fn channels() -> Option<[Channel; 7]> {
    let contract = "contract".parse().ok()?;
    let carer = Sender::Carer("carer-ref".parse().ok()?);
    let unit = "device-ref".parse().ok()?;
    let device = Sender::Device("device-ref".parse().ok()?);
    let of_carer = topic::event(&contract, &carer);
    let of_device = topic::event(&contract, &device);
    let kind = AlertKind::Late;
    let alert = topic::alert(&contract, kind).replace(kind.as_str(), "{kind}");
    let carer_receipt = topic::receipt_for(&of_carer)?;
    let device_receipt = topic::receipt_for(&of_device)?;
    Some([
        ("carerEvent", of_carer, RECEIVE, "event", false),
        ("carerReceipt", carer_receipt, SEND, "receipt", false),
        ("deviceEvent", of_device, RECEIVE, "event", false),
        ("deviceReceipt", device_receipt, SEND, "receipt", false),
        ("deviceStatus", topic::device_status(&contract, &unit), RECEIVE, "device-status", true),
        ("alert", alert, SEND, "alert", false),
        ("daemonStatus", topic::daemon_status("client-id"), SEND, "daemon-status", true),
    ])
}

/// The levels of a topic that differ, with what stands for them and what they are.
const PARAMETERS: [(&str, &str, &str); 5] = [
    ("v1/contract/", "v1/{contract}/", "the contract's reference"),
    ("/carer-ref/", "/{carer}/", "the carer's reference"),
    ("/device-ref/", "/{device}/", "the telecare unit's reference"),
    ("/{kind}", "/{kind}", "what is wrong"),
    ("/client-id/", "/{client_id}/", "broker.client_id of the configuration"),
];

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut addresses = Map::new();
    let mut operations = Map::new();
    let mut messages = Map::new();
    for (name, topic, action, message, retained) in channels().into_iter().flatten() {
        let mut address = topic;
        let mut parameters = Map::new();
        for (written, parameter, meaning) in PARAMETERS {
            if address.contains(written) {
                address = address.replace(written, parameter);
                let parameter = parameter.split(['{', '}']).nth(1).unwrap_or_default();
                let mut described = json!({"description": meaning});
                if parameter == "kind" {
                    let kinds = AlertKind::ALL.iter().map(|kind| kind.as_str());
                    described["enum"] = kinds.collect();
                }
                parameters.insert(parameter.to_owned(), described);
            }
        }
        let reference = json!({"$ref": format!("#/components/messages/{message}")});
        addresses.insert(
            name.to_owned(),
            json!({"address": address, "parameters": parameters, "messages": {message: reference}}),
        );
        operations.insert(
            format!("{action}{}{}", name[..1].to_uppercase(), &name[1..]),
            json!({
                "action": action,
                "channel": {"$ref": format!("#/channels/{name}")},
                "bindings": {"mqtt": {"qos": 1, "retain": retained, "bindingVersion": "0.2.0"}},
            }),
        );
        let payload = json!({"$ref": format!("./schema/{message}.json")});
        messages.insert(
            message.to_owned(),
            json!({"contentType": "application/json", "payload": payload}),
        );
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "nightrun",
            "version": "1",
            "description": "The daemon, seen from the broker: it receives what phones and telecare \
                units send, and sends what they and coordinators read. protocol.md says how.",
        },
        "defaultContentType": "application/json",
        "channels": addresses,
        "operations": operations,
        "components": {"messages": messages},
    })
}
