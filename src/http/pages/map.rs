//! A map of the night: homes with their fences, and where check-ins and check-outs were made, drawn to
//! scale without anybody else's tiles. The list below it says the same in words.

use maud::{Markup, html};

use super::board::did;
use super::eyes::Eyes;
use super::wall;
use crate::domain::attendance::PlacedEvent;
use crate::domain::calendar::local_date;
use crate::domain::event::EventKind;
use crate::domain::instant::format_instant;
use crate::domain::place::{Whereabouts, distance_m};
use crate::domain::plan::LatLon;
use crate::domain::refs::ClientRef;
use crate::view::NightView;

/// How much of the neighbourhood is drawn around the homes and what was made near them, in metres.
const MARGIN_M: f64 = 150.0;
/// What was made farther than this from the home is listed, and not drawn: it would make the map useless.
const FAR_M: f64 = 5_000.0;
/// Metres in a degree of latitude.
const DEGREE_M: f64 = 111_195.0;
/// How far the dots of one place are moved apart, in parts of the map's width.
const DOT: f64 = 0.004;

/// A home on the map.
struct Home<'a> {
    client: &'a ClientRef,
    at: LatLon,
    fence_m: f64,
}

/// An event with a position, and how far from the home it was made.
struct Made<'a> {
    event: &'a PlacedEvent,
    client: &'a ClientRef,
    at: LatLon,
    distance_m: Option<f64>,
}

/// Positions to metres east and south of the map's corner. Flat: good enough for a town.
struct Projection {
    west: f64,
    north: f64,
    east_m: f64,
    width: f64,
    height: f64,
}

impl Projection {
    /// What holds all of these, with a margin.
    fn around(places: &[(LatLon, f64)]) -> Option<Self> {
        let (first, _) = places.first()?;
        let east_m = DEGREE_M * first.lat.to_radians().cos().max(0.01);
        let fold = |of: &dyn Fn(&(LatLon, f64)) -> f64, least: fn(f64, f64) -> f64, first: f64| {
            places.iter().map(of).fold(first, least)
        };
        let west = fold(&|(at, r)| at.lon - (r + MARGIN_M) / east_m, f64::min, first.lon);
        let east = fold(&|(at, r)| at.lon + (r + MARGIN_M) / east_m, f64::max, first.lon);
        let south = fold(&|(at, r)| at.lat - (r + MARGIN_M) / DEGREE_M, f64::min, first.lat);
        let north = fold(&|(at, r)| at.lat + (r + MARGIN_M) / DEGREE_M, f64::max, first.lat);
        let (width, height) = ((east - west) * east_m, (north - south) * DEGREE_M);
        Some(Self { west, north, east_m, width, height })
    }

    fn point(&self, at: LatLon) -> (f64, f64) {
        ((at.lon - self.west) * self.east_m, (self.north - at.lat) * DEGREE_M)
    }
}

/// The map of a night.
pub struct Map<'a> {
    /// What it shows.
    pub view: &'a NightView,
    /// Who looks; somebody who may see where people are.
    pub eyes: Eyes<'a>,
}

impl Map<'_> {
    /// What is exchanged when something has changed.
    #[must_use]
    pub fn main(&self) -> Markup {
        let view = self.view;
        let (homes, made) = (self.homes(), self.made());
        let near = |made: &&Made<'_>| made.distance_m.is_none_or(|distance| distance <= FAR_M);
        let drawn: Vec<&Made<'_>> = made.iter().filter(near).collect();
        let places: Vec<(LatLon, f64)> = (homes.iter().map(|home| (home.at, home.fence_m)))
            .chain(drawn.iter().map(|made| (made.at, 0.0)))
            .collect();
        html! {
            main #main data-now=(format_instant(view.now)) {
                div.head { h1 { "Map of the night of " (wall::night(view.night)) } }
                @match Projection::around(&places) {
                    Some(projection) => { (self.picture(&projection, &homes, &drawn)) }
                    None => { p.calm { "No home and no event of this night has a position." } }
                }
                (self.list(&made))
            }
        }
    }

    /// The homes of the night's visits.
    fn homes(&self) -> Vec<Home<'_>> {
        let view = self.view;
        let mut clients: Vec<&ClientRef> = view.visits.iter().map(|visit| &visit.client).collect();
        clients.sort_unstable();
        clients.dedup();
        let fence_m = view.contract.policy(view.night).fence_m;
        clients
            .into_iter()
            .filter_map(|client| {
                let home = view.registers.home(client, view.night)?;
                let fence_m = home.fence_m.unwrap_or(fence_m);
                Some(Home { client, at: home.at?, fence_m })
            })
            .collect()
    }

    /// What was made with a position, in order of time.
    fn made(&self) -> Vec<Made<'_>> {
        let view = self.view;
        let mut made: Vec<Made<'_>> = Vec::new();
        for visit in &view.visits {
            for event in visit.evidence() {
                let Some(position) = event.event.position else { continue };
                let date = local_date(view.contract.zone, event.effective_at);
                let home = view.registers.home(&visit.client, date).and_then(|home| home.at);
                let distance_m = home.map(|home| distance_m(position.at, home));
                made.push(Made { event, client: &visit.client, at: position.at, distance_m });
            }
        }
        made.sort_by_key(|made| (made.event.effective_at, made.event.event.event_id));
        made
    }

    fn picture(&self, map: &Projection, homes: &[Home<'_>], made: &[&Made<'_>]) -> Markup {
        let dot = map.width.max(map.height) * DOT;
        let label = dot * 4.0;
        html! {
            figure.map {
                svg role="img" aria-labelledby="map-title"
                    viewBox={ "0 0 " (round(map.width)) " " (round(map.height)) } {
                    title #map-title {
                        "Homes with their fences, and where carers checked in and out. The list below says the same."
                    }
                    @for home in homes {
                        @let (x, y) = map.point(home.at);
                        circle.fence cx=(round(x)) cy=(round(y)) r=(round(home.fence_m)) {}
                        circle.home cx=(round(x)) cy=(round(y)) r=(round(dot)) {}
                        text x=(round(x + dot * 2.0)) y=(round(y)) font-size=(round(label)) { (home.client) }
                    }
                    @for made in made { (self.mark(map, made, dot)) }
                    (scale(map, label))
                }
                figcaption {
                    "North is up. ● home, with its fence; ▲ check-in, ▼ check-out, filled if outside the fence."
                }
            }
        }
    }

    fn mark(&self, map: &Projection, made: &Made<'_>, dot: f64) -> Markup {
        let (x, y) = map.point(made.at);
        let up = if made.event.event.kind == EventKind::CheckOut { -1.0 } else { 1.0 };
        let (side, high) = (dot * 1.5, dot * 2.5 * up);
        let triangle = format!(
            "M{} {}L{} {}L{} {}z",
            round(x),
            round(y - high),
            round(x - side),
            round(y),
            round(x + side),
            round(y)
        );
        let off = matches!(made.event.whereabouts, Whereabouts::OffSite { .. });
        let home = self.view.registers.home(made.client, self.view.night).and_then(|home| home.at);
        html! {
            @if let Some((hx, hy)) = home.filter(|_| off).map(|at| map.point(at)) {
                path.away d={ "M" (round(x)) " " (round(y)) "L" (round(hx)) " " (round(hy)) } {}
            }
            path.made.off[off] d=(triangle) {
                title { (self.eyes.carer(&made.event.event.carer_ref)) " " (did(made.event.event.kind)) }
            }
        }
    }

    fn list(&self, made: &[Made<'_>]) -> Markup {
        let zone = self.eyes.contract.zone;
        html! {
            section aria-labelledby="made-heading" {
                h2 #made-heading { "Where it was" }
                @if made.is_empty() { p { "No event of this night has a position." } } @else {
                    div.wide tabindex="0" role="group" aria-labelledby="made-heading" {
                        table {
                            thead { tr {
                                @for name in ["When", "Carer", "What", "Client", "From the home"] { th scope="col" { (name) } }
                            } }
                            tbody {
                                @for made in made {
                                    tr {
                                        td { (wall::seconds(zone, made.event.effective_at)) }
                                        td { (self.eyes.carer(&made.event.event.carer_ref)) }
                                        td { (did(made.event.event.kind)) }
                                        td { (self.eyes.client(made.client)) }
                                        td { (away(made)) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn away(made: &Made<'_>) -> String {
    let says = match made.event.whereabouts {
        Whereabouts::OffSite { .. } => "outside the fence",
        Whereabouts::OnSite => "inside the fence",
        Whereabouts::Unknown => "the home has no position",
    };
    match made.distance_m {
        Some(distance) if distance > FAR_M => {
            format!("{:.1} km, {says}, too far for the map", distance / 1_000.0)
        }
        Some(distance) => format!("{distance:.0} m, {says}"),
        None => says.to_owned(),
    }
}

/// A bar of a round length, about a fifth of the map's width.
fn scale(map: &Projection, label: f64) -> Markup {
    let metres = round_length(map.width / 5.0);
    let (x, y) = (label, map.height - label);
    let said =
        if metres < 1_000.0 { format!("{metres} m") } else { format!("{} km", metres / 1_000.0) };
    html! {
        path.scale d={ "M" (round(x)) " " (round(y - label / 2.0)) "v" (round(label / 2.0)) "h" (round(metres)) "v-" (round(label / 2.0)) } {}
        text x=(round(x)) y=(round(y - label)) font-size=(round(label)) { (said) }
    }
}

/// The longest of 1, 2, 5, 10, 20, 50 … that is not more.
fn round_length(most: f64) -> f64 {
    let power = 10_f64.powf(most.max(1.0).log10().floor());
    [5.0, 2.0].into_iter().map(|step| step * power).find(|length| *length <= most).unwrap_or(power)
}

/// To a decimetre, as attributes have it.
fn round(metres: f64) -> String {
    format!("{metres:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_a_round_length() {
        for (most, length) in
            [(0.3, 1.0), (7.0, 5.0), (49.9, 20.0), (120.0, 100.0), (2_600.0, 2_000.0)]
        {
            assert!((round_length(most) - length).abs() < 1e-9, "{most}");
        }
    }

    #[test]
    fn it_is_drawn_to_scale() {
        let home = LatLon { lat: 51.48, lon: 0.32 };
        // A hundredth of a degree to the east and one to the north.
        let other = LatLon { lat: 51.49, lon: 0.33 };
        let map = Projection::around(&[(home, 150.0), (other, 150.0)]).unwrap();
        let ((x1, y1), (x2, y2)) = (map.point(home), map.point(other));
        let drawn = ((x2 - x1).powi(2) + (y2 - y1).powi(2)).sqrt();
        let true_m = distance_m(home, other);
        assert!((drawn / true_m - 1.0).abs() < 0.005, "{drawn} {true_m}");
        assert!(x2 > x1 && y2 < y1, "east is right and north is up");
        for (at, fence) in
            [(x1, 150.0), (map.width - x2, 150.0), (y2, 150.0), (map.height - y1, 150.0)]
        {
            assert!(at >= fence, "fences are whole");
        }
        assert!(Projection::around(&[]).is_none());
    }
}
