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

/// A point of the surface, seen from the middle of the earth, in metres.
fn point(at: LatLon) -> [f64; 3] {
    let (sin_lat, cos_lat) = at.lat.to_radians().sin_cos();
    let (sin_lon, cos_lon) = at.lon.to_radians().sin_cos();
    let normal = AXIS_M / (1.0 - ECCENTRICITY_2 * sin_lat * sin_lat).sqrt();
    let across = normal * cos_lat;
    [across * cos_lon, across * sin_lon, normal * (1.0 - ECCENTRICITY_2) * sin_lat]
}

/// The straight line between two places, through the earth, in metres. No way over its surface is
/// shorter.
#[must_use]
pub fn straight_m(a: LatLon, b: LatLon) -> f64 {
    let (a, b) = (point(a), point(b));
    let squares = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b));
    squares.sum::<f64>().sqrt()
}

#[allow(clippy::cast_possible_truncation, reason = "the earth has 26,000 cubes along each axis")]
fn cube(at: LatLon) -> Cube {
    point(at).map(|along| (along / EDGE_M).floor() as i64)
}

/// Clients by where they live.
#[derive(Debug, Clone, Default)]
pub struct Neighbours {
    cubes: HashMap<Cube, Vec<ClientRef>>,
    /// Those whose fences may reach beyond the next cube.
    far_reaching: Vec<ClientRef>,
}

impl Neighbours {
    /// Enters a home and the radius of its fence. Those of one client come behind each other.
    pub fn put(&mut self, client: &ClientRef, at: LatLon, fence_m: f64) {
        // What rounding can do to a position is far less than a metre.
        let clients = if fence_m < EDGE_M - 1.0 {
            self.cubes.entry(cube(at)).or_default()
        } else {
            &mut self.far_reaching
        };
        if clients.last() != Some(client) {
            clients.push(client.clone());
        }
    }

    /// Everybody one of whose fences may contain that place, and some more.
    pub fn of(&self, at: LatLon) -> impl Iterator<Item = &ClientRef> {
        let [x, y, z] = cube(at);
        let around = (0..27).map(move |n| [x + n % 3 - 1, y + n / 3 % 3 - 1, z + n / 9 - 1]);
        let near = around.filter_map(|cube| self.cubes.get(&cube)).flatten();
        near.chain(&self.far_reaching)
    }
}
