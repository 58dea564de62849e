//! MQTT 3.1.1 on the wire, as little of it as a phone needs: the load generator shares the machine
//! with what it measures.

use anyhow::{Context, bail};

/// The type of a PUBLISH with QoS 1.
const PUBLISH: u8 = 0x32;

/// What a broker sends to a phone.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The answer to a CONNECT: 0 is welcome.
    ConnAck(u8),
    /// The answer to a SUBSCRIBE, a code for each filter.
    SubAck(&'a [u8]),
    /// The answer to a PUBLISH.
    PubAck(u16),
    /// A message; with QoS 1 it has an identifier.
    Publish { packet: Option<u16>, payload: &'a [u8] },
    /// Something that a phone need not look at.
    Other,
}

/// Asks to be let in, with a clean session.
pub fn connect(out: &mut Vec<u8>, client_id: &str) {
    let mut body = Vec::with_capacity(12 + client_id.len());
    text(&mut body, "MQTT");
    // Version 4 is MQTT 3.1.1; no keep-alive, for nothing here idles.
    body.extend_from_slice(&[4, 2, 0, 0]);
    text(&mut body, client_id);
    packet(out, 0x10, &body);
}

/// The same with MQTT 5, which alone lets a reader say how much may be sent ahead of its
/// acknowledgements; with a session that is kept, and this subscription.
pub fn connect_reader(out: &mut Vec<u8>, client_id: &str, ahead_max: u16, filter: &str) {
    let mut body = Vec::new();
    text(&mut body, "MQTT");
    let [high, low] = ahead_max.to_be_bytes();
    body.extend_from_slice(&[5, 0, 0, 0]);
    // Eight bytes of properties: the session's expiry (never), and the receive maximum.
    body.extend_from_slice(&[8, 0x11, 0xff, 0xff, 0xff, 0xff, 0x21, high, low]);
    text(&mut body, client_id);
    packet(out, 0x10, &body);
    let mut body = vec![0, 1, 0];
    text(&mut body, filter);
    body.push(1);
    packet(out, 0x82, &body);
}

/// Subscribes with QoS 1.
pub fn subscribe<'a>(out: &mut Vec<u8>, id: u16, filters: impl IntoIterator<Item = &'a str>) {
    let mut body = id.to_be_bytes().to_vec();
    for filter in filters {
        text(&mut body, filter);
        body.push(1);
    }
    packet(out, 0x82, &body);
}

/// Publishes with QoS 1. Returns where in `out` the packet's identifier stands, which is 0.
pub fn publish(out: &mut Vec<u8>, topic: &str, payload: &[u8]) -> usize {
    out.push(PUBLISH);
    length(out, 2 + topic.len() + 2 + payload.len());
    text(out, topic);
    let place = out.len();
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(payload);
    place
}

/// Acknowledges a message.
pub fn puback(out: &mut Vec<u8>, id: u16) {
    let [high, low] = id.to_be_bytes();
    out.extend_from_slice(&[0x40, 2, high, low]);
}

fn packet(out: &mut Vec<u8>, first: u8, body: &[u8]) {
    out.push(first);
    length(out, body.len());
    out.extend_from_slice(body);
}

fn length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        let low = u8::try_from(length % 128).unwrap_or_default();
        length /= 128;
        out.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            return;
        }
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// The first packet in these bytes, and how many of them it takes. None if it is not there as a
/// whole yet.
pub fn first(bytes: &[u8]) -> anyhow::Result<Option<(Packet<'_>, usize)>> {
    let Some((head, body_length)) = head(bytes)? else { return Ok(None) };
    let whole = head + body_length;
    let Some(body) = bytes.get(head..whole) else { return Ok(None) };
    let found = match bytes[0] >> 4 {
        2 => Packet::ConnAck(*body.get(1).context("a CONNACK without a code")?),
        3 => message(bytes[0], body).context("a PUBLISH that is cut off")?,
        4 => Packet::PubAck(number(body).context("a PUBACK without an identifier")?),
        9 => Packet::SubAck(body.get(2..).context("a SUBACK without an identifier")?),
        _ => Packet::Other,
    };
    Ok(Some((found, whole)))
}

/// The length of the fixed header, and of what follows it.
fn head(bytes: &[u8]) -> anyhow::Result<Option<(usize, usize)>> {
    let mut length = 0;
    for at in 1..=4 {
        let Some(byte) = bytes.get(at) else { return Ok(None) };
        length |= usize::from(byte & 0x7f) << (7 * (at - 1));
        if byte & 0x80 == 0 {
            return Ok(Some((at + 1, length)));
        }
    }
    bail!("a packet with a length of more than four bytes")
}

fn number(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]))
}

fn message(first: u8, body: &[u8]) -> Option<Packet<'_>> {
    let rest = body.get(2 + usize::from(number(body)?)..)?;
    if first & 0x06 == 0 {
        return Some(Packet::Publish { packet: None, payload: rest });
    }
    Some(Packet::Publish { packet: Some(number(rest)?), payload: rest.get(2..)? })
}
