//! Carers who were in two homes at once (R20). Looks beyond a client's night, so it is found when a
//! report or a board is made, from all visits at hand.

use std::collections::HashMap;

use chrono::TimeDelta;

use super::instant::{Instant, minutes};
use super::refs::{CarerRef, ClientRef};
use super::visit::{Flag, Visit};

/// Shorter overlaps are two clocks that differ.
pub const OVERLAP_FROM: TimeDelta = minutes(1);

/// Flags the visits of one contract whose carers were, by complete attendances, at another client's
/// at the same time.
pub fn mark_overlaps(visits: &mut [Visit]) {
    type Stay<'a> = (Instant, Instant, &'a ClientRef, usize);
    let mut stays: HashMap<&CarerRef, Vec<Stay<'_>>> = HashMap::new();
    for (index, visit) in visits.iter().enumerate() {
        for attendance in &visit.attendances {
            if let Some((began, ended)) = attendance.began().zip(attendance.ended()) {
                let stay = (began, ended, &visit.client, index);
                stays.entry(&attendance.carer).or_default().push(stay);
            }
        }
    }
    let mut overlapping = Vec::new();
    for mut stays in stays.into_values() {
        stays.sort();
        for (place, &(_, ended, client, index)) in stays.iter().enumerate() {
            for &(other_began, other_ended, other_client, other_index) in &stays[place + 1..] {
                if other_began >= ended {
                    break;
                }
                let both = ended.min(other_ended) - other_began;
                if client != other_client && both >= OVERLAP_FROM {
                    overlapping.extend([index, other_index]);
                }
            }
        }
    }
    for index in overlapping {
        visits[index].flags.insert(Flag::Overlap);
    }
}
