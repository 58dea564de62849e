//! Which attendance belongs to which visit (R11).
//!
//! A function of the client's night as a whole: the same attendances and visits in any order give
//! the same answer.

use chrono::TimeDelta;

use super::attendance::Attendance;
use super::instant::{Instant, minutes};
use super::plan::PlannedVisit;
use super::refs::{CarerRef, EventId, VisitRef};

/// How long a walk to the car may take (R11, step 3).
pub const WALK_WITHIN: TimeDelta = minutes(15);
/// How long after an unplanned visit began another carer joins it (R11, step 4).
pub const JOIN_WITHIN: TimeDelta = minutes(30);

/// An unplanned visit's attendances, with the event after which it is named (R11, step 4).
#[derive(Debug, Clone)]
pub struct Unplanned {
    /// The first event of its first attendance.
    pub named_after: EventId,
    /// In order.
    pub attendances: Vec<Attendance>,
}

/// The attendances of a client's night, by visit.
#[derive(Debug, Clone)]
pub struct Matched {
    /// For each planned visit, in the order in which they were given, its attendances in order.
    pub planned: Vec<Vec<Attendance>>,
    /// The unplanned visits, in the order in which they began.
    pub unplanned: Vec<Unplanned>,
}

/// Matches the attendances of a client's night to its planned visits, cancelled ones too (R11).
/// `attendances` are in order; `window` is the policy's match window.
#[must_use]
pub fn match_attendances(
    visits: &[&PlannedVisit],
    attendances: Vec<Attendance>,
    window: TimeDelta,
) -> Matched {
    let mut matching = Matching::new(visits, attendances);
    matching.by_reference();
    matching.by_distance(window);
    matching.by_walk();
    matching.unplanned()
}

struct Matching<'a> {
    visits: &'a [&'a PlannedVisit],
    attendances: Vec<Attendance>,
    /// For each attendance the index of its visit.
    visit_of: Vec<Option<usize>>,
    /// For each attendance the event whose unplanned visit it names.
    named: Vec<Option<EventId>>,
}

impl<'a> Matching<'a> {
    fn new(visits: &'a [&'a PlannedVisit], attendances: Vec<Attendance>) -> Self {
        let visit_of = vec![None; attendances.len()];
        let named = vec![None; attendances.len()];
        Self { visits, attendances, visit_of, named }
    }

    fn unmatched(&self) -> impl Iterator<Item = usize> {
        (0..self.attendances.len())
            .filter(|&index| self.visit_of[index].is_none() && self.named[index].is_none())
    }

    /// Step 1: the carer, or a coordinator, says which visit it was.
    fn by_reference(&mut self) {
        for index in 0..self.attendances.len() {
            let attendance = &self.attendances[index];
            let planned = |name: &VisitRef| self.visits.iter().position(|v| v.visit_ref == *name);
            // An unplanned visit can be named by an event of another attendance.
            let other = |name: &VisitRef| {
                name.unplanned_event().filter(|&event| {
                    !attendance.holds(event) && self.attendances.iter().any(|a| a.holds(event))
                })
            };
            let Some(name) =
                attendance.visit_ref(|name| planned(name).is_some() || other(name).is_some())
            else {
                continue;
            };
            (self.visit_of[index], self.named[index]) = (planned(name), other(name));
        }
    }

    /// Step 2: the nearest pairs first.
    fn by_distance(&mut self, window: TimeDelta) {
        let mut pairs = Vec::new();
        for index in self.unmatched() {
            let attendance = &self.attendances[index];
            for (visit_index, visit) in self.visits.iter().enumerate() {
                let distance = match (attendance.began(), attendance.ended()) {
                    (Some(began), _) => (began - visit.start).abs(),
                    (None, Some(ended)) => (ended - visit.end).abs(),
                    (None, None) => continue,
                };
                if distance <= window {
                    pairs.push((distance, visit_index, index));
                }
            }
        }
        pairs.sort_by(|a, b| {
            let key = |&(distance, visit, index): &(TimeDelta, usize, usize)| {
                let (visit, attendance) = (self.visits[visit], &self.attendances[index]);
                (distance, visit.start, &visit.visit_ref, &attendance.carer, attendance.order())
            };
            key(a).cmp(&key(b))
        });
        for (_, visit, index) in pairs {
            let carer = &self.attendances[index].carer;
            if self.visit_of[index].is_none() && !self.has_attendance(visit, carer) {
                self.visit_of[index] = Some(visit);
            }
        }
    }

    fn has_attendance(&self, visit: usize, carer: &CarerRef) -> bool {
        (self.attendances.iter().zip(&self.visit_of))
            .any(|(attendance, of)| *of == Some(visit) && attendance.carer == *carer)
    }

    /// Step 3: the carer went out to the car, the smallest gap first, until nothing more joins.
    fn by_walk(&mut self) {
        while let Some((index, visit)) = self.next_walk() {
            self.visit_of[index] = Some(visit);
        }
    }

    fn next_walk(&self) -> Option<(usize, usize)> {
        let order = |index: usize| self.attendances[index].order();
        let mut nearest: Option<(_, usize, usize)> = None;
        for index in self.unmatched() {
            for (other, visit) in self.visit_of.iter().enumerate() {
                let gap = walk(&self.attendances[index], &self.attendances[other]);
                let (Some(visit), Some(gap)) = (visit, gap) else { continue };
                let key = (gap, order(index), order(other));
                if nearest.as_ref().is_none_or(|(nearest, ..)| key < *nearest) {
                    nearest = Some((key, index, *visit));
                }
            }
        }
        nearest.map(|(_, index, visit)| (index, visit))
    }

    /// Step 4: what remains is unplanned.
    fn unplanned(self) -> Matched {
        let Self { visits, attendances, visit_of, named } = self;
        let mut planned = vec![Vec::new(); visits.len()];
        let mut unplanned: Vec<Unplanned> = Vec::new();
        let mut joining = Vec::new();
        for ((attendance, visit), name) in attendances.into_iter().zip(visit_of).zip(named) {
            match (visit, name) {
                (Some(visit), _) => planned[visit].push(attendance),
                (None, Some(name)) => joining.push((attendance, name)),
                (None, None) => begin_or_join(&mut unplanned, attendance),
            }
        }
        // Those that name an unplanned visit by its event join whichever visit holds the event;
        // when they name each other in a circle, the first of them begins it.
        while !joining.is_empty() {
            let home = |name: EventId| {
                let holds = |visit: &[Attendance]| visit.iter().any(|a| a.holds(name));
                (planned.iter().position(|visit| holds(visit)).map(Ok))
                    .or_else(|| unplanned.iter().position(|v| holds(&v.attendances)).map(Err))
            };
            let next = (joining.iter().enumerate())
                .find_map(|(index, (_, name))| home(*name).map(|home| (index, home)));
            match next {
                Some((index, Ok(visit))) => planned[visit].push(joining.remove(index).0),
                Some((index, Err(visit))) => {
                    unplanned[visit].attendances.push(joining.remove(index).0);
                }
                None => begin_or_join(&mut unplanned, joining.remove(0).0),
            }
        }
        for visit in planned.iter_mut().chain(unplanned.iter_mut().map(|v| &mut v.attendances)) {
            visit.sort_by(|a, b| a.order().cmp(&b.order()));
        }
        Matched { planned, unplanned }
    }
}

/// The gap between two attendances of the same carer, if it is a walk to the car. Only known times
/// count.
fn walk(a: &Attendance, b: &Attendance) -> Option<TimeDelta> {
    if a.carer != b.carer {
        return None;
    }
    let gap = |ended: Option<Instant>, began: Option<Instant>| {
        let gap = began? - ended?;
        (TimeDelta::zero() <= gap && gap <= WALK_WITHIN).then_some(gap)
    };
    let (before, after) = (gap(b.ended(), a.began()), gap(a.ended(), b.began()));
    before.into_iter().chain(after).min()
}

fn begin_or_join(unplanned: &mut Vec<Unplanned>, attendance: Attendance) {
    if let Some(last) = unplanned.last_mut() {
        let of_carer = |other: &Attendance| other.carer == attendance.carer;
        let time = |attendance: &Attendance| attendance.order().map(|(time, _, _)| time);
        let soon = || {
            let began = last.attendances.first().and_then(time);
            time(&attendance).zip(began).is_some_and(|(time, began)| time - began <= JOIN_WITHIN)
        };
        let joins = (!last.attendances.iter().any(of_carer) && soon())
            || last.attendances.iter().any(|other| walk(&attendance, other).is_some());
        if joins {
            last.attendances.push(attendance);
            return;
        }
    }
    if let Some(named_after) = attendance.first_event() {
        unplanned.push(Unplanned { named_after, attendances: vec![attendance] });
    }
}
