//! A grid over the earth, by which homes near a position are found without looking at all (R12).
//!
//! Guarantees that whatever is within a radius lies in the cells that it names; they hold more, and
//! what is near enough is for others to say.

use super::plan::LatLon;

/// Cells to a degree: some 550 m from south to north.
const TO_A_DEGREE: f64 = 200.0;
/// Cells from west to east.
const ROW: i64 = 360 * 200 + 1;
/// Metres to a degree of latitude, where they are fewest.
const METRES: f64 = 110_574.0;
/// The cell of what may be near from afar: its fence is wider than [`NEAR_M`].
pub const ANYWHERE: i64 = -1;
/// How far around a position homes are looked for at least, in metres.
pub const NEAR_M: f64 = 500.0;

/// How many cells lie south, or west, of so many degrees above the least.
#[allow(clippy::cast_possible_truncation, reason = "degrees are few")]
fn cells(degrees: f64) -> i64 {
    (degrees * TO_A_DEGREE).floor() as i64
}

/// The cell of a home with a fence of its own, or with that of the policy.
#[must_use]
pub fn cell(home: LatLon, fence_m: Option<f64>) -> i64 {
    if fence_m.is_some_and(|fence_m| fence_m > NEAR_M) {
        return ANYWHERE;
    }
    cells(home.lat + 90.0) * ROW + cells(home.lon + 180.0)
}

/// The cells within so many metres of a position, as ranges, both ends included.
#[must_use]
pub fn around(position: LatLon, metres: f64) -> Vec<(i64, i64)> {
    // A little more, for what is computed is not exact.
    let reach = (metres + 1.0) / METRES * 1.01;
    let (south, north) = ((position.lat - reach).max(-90.0), (position.lat + reach).min(90.0));
    let widest = south.abs().max(north.abs());
    let aside = reach / widest.to_radians().cos();
    let (west, east) = (position.lon - aside, position.lon + aside);
    // At the poles, and where the days meet, all around.
    let all_around = widest > 89.0 || west < -180.0 || east > 180.0;
    let (west, east) = if all_around { (-180.0, 180.0) } else { (west, east) };
    let (west, east) = (cells(west + 180.0), cells(east + 180.0));
    (cells(south + 90.0)..=cells(north + 90.0))
        .map(|row| (row * ROW + west, row * ROW + east))
        .collect()
}

#[cfg(test)]
mod tests {
    use geo::{Destination, Geodesic, Point};
    use proptest::prelude::*;

    use super::*;

    fn holds(ranges: &[(i64, i64)], cell: i64) -> bool {
        ranges.iter().any(|(from, to)| (from..=to).contains(&&cell))
    }

    #[test]
    fn a_position_is_near_few_cells() {
        let thurrock = LatLon { lat: 51.4781, lon: 0.3201 };
        let ranges = around(thurrock, NEAR_M);
        let number: i64 = ranges.iter().map(|(from, to)| to - from + 1).sum();
        assert!(number <= 16, "{ranges:?}");
        assert!(!holds(&ranges, cell(LatLon { lat: 51.49, lon: 0.3201 }, None)));
        assert_eq!(cell(thurrock, Some(NEAR_M + 1.0)), ANYWHERE);
    }

    proptest! {
        #[test]
        fn what_is_within_the_radius_is_in_the_cells(
            lat in -90.0..90.0_f64, lon in -180.0..180.0_f64,
            bearing in 0.0..360.0_f64, metres in 0.0..200_000.0_f64, share in 0.0..1.0_f64,
        ) {
            let there = Geodesic.destination(Point::new(lon, lat), bearing, metres * share);
            let home = LatLon { lat: there.y(), lon: there.x() };
            let ranges = around(LatLon { lat, lon }, metres);
            prop_assert!(holds(&ranges, cell(home, None)));
        }
    }
}
