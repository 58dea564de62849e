//! The numbers of phones and devices, played for gaps (R9).

use crate::domain::alert::{AlertKind, Resolution};
use crate::domain::instant::Instant;
use crate::domain::policy::Contract;
use crate::domain::sequence::Sequence;
use crate::report::alerts::Line;

/// Plays the numbers of one sender, which are in the order of their receipt: a gap is flagged when it
/// is due, and ends when the last one closes.
pub(super) fn play_numbers(
    contract: &Contract,
    numbers: &[(Instant, u64)],
    as_of: Instant,
) -> Vec<Line> {
    let mut sequence = Sequence::default();
    let mut lines: Vec<Line> = Vec::new();
    for received in numbers.chunk_by(|(a, _), (b, _)| a == b) {
        let now = received[0].0;
        if let Some(due_at) = sequence.due_at().filter(|due_at| *due_at < now) {
            open_gap(contract, &mut lines, due_at, due_at);
        }
        for (_, number) in received {
            sequence.receive(*number, now);
        }
        match sequence.due_at().filter(|due_at| *due_at <= now) {
            Some(due_at) => open_gap(contract, &mut lines, due_at, now),
            None => {
                if let Some(line) = lines.last_mut().filter(|line| line.resolved.is_none()) {
                    line.resolved = Some((now, Resolution::Over));
                }
            }
        }
    }
    if let Some(due_at) = sequence.due_at().filter(|due_at| *due_at <= as_of) {
        open_gap(contract, &mut lines, due_at, due_at);
    }
    lines
}

/// Raises `sequence_gap` if none is open.
fn open_gap(contract: &Contract, lines: &mut Vec<Line>, due_at: Instant, raised_at: Instant) {
    if lines.last().is_none_or(|line| line.resolved.is_some()) {
        lines.push(Line {
            contract: contract.id.clone(),
            night: contract.night_of(due_at),
            visit_ref: None,
            kind: AlertKind::SequenceGap,
            due_at,
            raised_at,
            resolved: None,
        });
    }
}
