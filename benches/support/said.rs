//! What a phone says, in its own words.

use std::fmt;

use chrono::SecondsFormat;
use nightrun::domain::instant::Instant;
use uuid::{Builder, Uuid};

/// One event.
pub struct Said {
    pub id: Uuid,
    /// When it happened.
    pub at: Instant,
    pub topic: String,
    pub payload: String,
}

/// What a payload says. Written out it has about 280 bytes.
pub struct Content<'a> {
    pub id: Uuid,
    pub kind: &'a str,
    pub at: Instant,
    pub client: &'a str,
    pub visit: &'a str,
    pub home: (f64, f64),
    pub accuracy: u64,
    pub sent_at: Instant,
    pub seq: u32,
}

impl fmt::Display for Content<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, kind, at, client, visit, home: (lat, lon), accuracy, sent_at, seq } = self;
        write!(
            f,
            "{{\"event_id\":\"{id}\",\"type\":\"{kind}\",\"occurred_at\":\"{at}\",\
             \"client_ref\":\"{client}\",\"visit_ref\":\"{visit}\",\"method\":\"gps\",\
             \"position\":{{\"lat\":{lat:.6},\"lon\":{lon:.6},\"accuracy_m\":{accuracy}}},\
             \"sent_at\":\"{sent_at}\",\"seq\":{seq}}}",
            at = text(*at),
            sent_at = text(*sent_at),
        )
    }
}

/// An instant as payloads and files have it.
pub fn text(at: Instant) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Homes stand about half a kilometre from each other.
pub fn home(client: u32) -> (f64, f64) {
    (50.0 + 0.004 * f64::from(client / 1_200), -4.0 + 0.007 * f64::from(client % 1_200))
}

/// An id as random as a phone makes them, and the same again for the same numbers.
pub fn event_id(salt: u64, number: u64) -> Uuid {
    let high = mixed(number ^ mixed(salt));
    let bytes = (u128::from(high) << 64 | u128::from(mixed(high ^ number))).to_be_bytes();
    Builder::from_random_bytes(bytes).into_uuid()
}

/// A number below this one, from a chance.
pub fn from_chance(chance: u64, below: u64) -> i64 {
    i64::try_from(chance / 1024 % below).unwrap_or(0)
}

/// A mixing of bits that loses none (splitmix64).
pub fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
