//! Who lives near a place: what spares measuring the way to every client's home (R12).
//!
//! Guarantees that nobody is left out whose fence may contain the place. Measures nothing itself.

use std::collections::HashMap;

use super::plan::LatLon;
use super::refs::ClientRef;

/// The earth is cut into cubes of this edge, in metres. Fences that reach farther are few.
const EDGE_M: f64 = 500.0;

/// Semi-major axis of WGS 84 in metres, and the square of its eccentricity.
const AXIS_M: f64 = 6_378_137.0;
const ECCENTRICITY_2: f64 = 0.006_694_379_990_141_316;

/// A cube, by its number along each axis.
type Cube = [i64; 3];

/// A point, seen from the middle of the earth, in metres.
type Point = [f64; 3];

/// A point of the surface.
fn point(at: LatLon) -> Point {
    let (sin_lat, cos_lat) = at.lat.to_radians().sin_cos();
    let (sin_lon, cos_lon) = at.lon.to_radians().sin_cos();
    let normal = AXIS_M / (1.0 - ECCENTRICITY_2 * sin_lat * sin_lat).sqrt();
    let across = normal * cos_lat;
    [across * cos_lon, across * sin_lon, normal * (1.0 - ECCENTRICITY_2) * sin_lat]
}

/// Whether a fence of that radius may reach from one to the other: not if even the straight line
/// through the earth is longer. What rounding does is far less than a metre.
fn may_reach(a: Point, b: Point, fence_m: f64) -> bool {
    let squares = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b));
    squares.sum::<f64>() <= (fence_m + 1.0) * (fence_m + 1.0)
}

/// Whether the place may lie within a fence of that radius around the home.
#[must_use]
pub fn may_be_within(place: LatLon, home: LatLon, fence_m: f64) -> bool {
    may_reach(point(place), point(home), fence_m)
}

#[allow(clippy::cast_possible_truncation, reason = "the earth has 26,000 cubes along each axis")]
fn cube(point: Point) -> Cube {
    point.map(|along| (along / EDGE_M).floor() as i64)
}

/// A client's home.
#[derive(Debug, Clone)]
struct Home {
    client: ClientRef,
    at: Point,
    fence_m: f64,
}

/// Clients by where they live.
#[derive(Debug, Clone, Default)]
pub struct Neighbours {
    cubes: HashMap<Cube, Vec<Home>>,
    /// Those whose fences may reach beyond the next cube.
    far_reaching: Vec<Home>,
}

impl Neighbours {
    /// Enters a home, and the radius of its fence.
    pub fn put(&mut self, client: &ClientRef, at: LatLon, fence_m: f64) {
        let at = point(at);
        let homes = if fence_m + 1.0 < EDGE_M {
            self.cubes.entry(cube(at)).or_default()
        } else {
            &mut self.far_reaching
        };
        homes.push(Home { client: client.clone(), at, fence_m });
    }

    /// Everybody one of whose fences contains that place, and hardly anybody else. Whoever has moved
    /// may come twice.
    pub fn of(&self, place: LatLon) -> impl Iterator<Item = &ClientRef> {
        let place = point(place);
        let [x, y, z] = cube(place);
        let around = (0..27).map(move |n| [x + n % 3 - 1, y + n / 3 % 3 - 1, z + n / 9 - 1]);
        let near = around.filter_map(|cube| self.cubes.get(&cube)).flatten();
        near.chain(&self.far_reaching)
            .filter(move |home| may_reach(place, home.at, home.fence_m))
            .map(|home| &home.client)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::place::distance_m;

    /// Places where the numbers of degrees jump, and one where people live.
    const CORNERS: [(f64, f64); 5] =
        [(51.48, 0.32), (0.0, 0.0), (89.9995, 10.0), (-89.9995, 0.0), (60.0, 179.9995)];

    fn shifted((lat, lon): (f64, f64), (north, east): (f64, f64)) -> LatLon {
        let (lat, lon) = (lat + north, lon + east);
        LatLon { lat: lat.clamp(-90.0, 90.0), lon: if lon > 180.0 { lon - 360.0 } else { lon } }
    }

    proptest! {
        #[test]
        fn nobody_is_left_out_whose_fence_contains_the_place(
            corner in prop::sample::select(CORNERS.as_slice()),
            place in (-0.01..0.01, -0.01..0.01),
            homes in prop::collection::vec(((-0.01..0.01, -0.01..0.01), 1.0..1_500.0), 1..20),
        ) {
            let place = shifted(corner, place);
            let mut neighbours = Neighbours::default();
            let mut inside = Vec::new();
            for (number, (home, fence_m)) in homes.into_iter().enumerate() {
                let (client, home) = (format!("C-{number}").parse().unwrap(), shifted(corner, home));
                neighbours.put(&client, home, fence_m);
                let distance_m = distance_m(place, home);
                if distance_m <= fence_m {
                    inside.push(client);
                }
            }
            let near: Vec<&ClientRef> = neighbours.of(place).collect();
            for client in &inside {
                prop_assert!(near.contains(&client), "{} is left out", client);
            }
        }
    }
}
