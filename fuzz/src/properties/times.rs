//! A planned visit's times: the zone, the start and the end, a line each.

use chrono::{NaiveDateTime, TimeDelta, TimeZone};
use chrono_tz::Tz;
use nightrun::domain::calendar::local;
use nightrun::domain::instant::{Instant, from_micros, parse_instant};
use nightrun::domain::plan::PlannedVisit;
use nightrun::files::Rows;
use serde_json::json;

/// A time with an offset is what it says; one without is on the wall clock; and as long as on the
/// clock face if neither has one (R2).
pub fn times(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines = text.split('\n');
    let (Some(zone), Some(from), Some(to)) = (lines.next(), lines.next(), lines.next()) else {
        return;
    };
    let Ok(zone) = zone.parse::<Tz>() else { return };
    let Some(visit) = planned(zone, from, to) else { return };
    assert!(visit.start < visit.end);
    let (start, end) = (written(from), written(to));
    match start {
        Written::Instant(at) => assert_eq!(visit.start, at),
        Written::Local(time) => check_local(zone, time, visit.start),
        Written::Other => {}
    }
    match (start, end) {
        (_, Written::Instant(at)) => assert_eq!(visit.end, at),
        (Written::Local(from), Written::Local(to)) => {
            assert_eq!(visit.end - visit.start, to - from, "as on the clock face");
        }
        (Written::Instant(_), Written::Local(time)) => check_local(zone, time, visit.end),
        _ => {}
    }
}

/// The visit, if the row is good.
fn planned(zone: Tz, from: &str, to: &str) -> Option<PlannedVisit> {
    let mut contract = super::BUILT_IN.clone();
    contract.zone = zone;
    let contract = std::sync::Arc::new(contract);
    let row = json!({
        "contract": "default", "visit_ref": "V-1", "service": "S", "service_level": "L",
        "client_ref": "C-1", "carers_required": 1, "planned_start": from, "planned_end": to,
    });
    let file = row.to_string();
    let contracts = |_: &_| Some(contract.clone());
    let mut rows = Rows::<PlannedVisit, _>::new(file.as_bytes(), &contracts);
    let row = rows.next().map(|row| row.expect("no file, no trouble").1);
    assert!(rows.next().is_none());
    assert_eq!(row.is_some(), rows.findings().is_good());
    row
}

/// What the text says by the rules of another reader.
#[derive(Clone, Copy)]
enum Written {
    Instant(Instant),
    Local(NaiveDateTime),
    /// In a form that is left to the one reader: no seconds but an offset, a leap second.
    Other,
}

fn written(text: &str) -> Written {
    let text = text.trim();
    if text.contains(":60") {
        return Written::Other;
    }
    if let Ok(at) = parse_instant(text) {
        return Written::Instant(at);
    }
    let text = text.replace([' ', 't'], "T");
    ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(&text, format).ok())
        .and_then(|time| from_micros(time.and_utc().timestamp_micros()))
        .map_or(Written::Other, |time| Written::Local(time.naive_utc()))
}

/// The instant shows that time on the wall clock: the first, if it occurs twice; and if never, as much
/// later as the clocks were put forward.
fn check_local(zone: Tz, time: NaiveDateTime, at: Instant) {
    if let Some(first) = zone.from_local_datetime(&time).earliest() {
        assert_eq!(at, first.to_utc());
    } else {
        let forward = local(zone, at).naive_local() - time;
        assert!(forward > TimeDelta::zero() && forward <= TimeDelta::days(1), "{forward}");
    }
}
