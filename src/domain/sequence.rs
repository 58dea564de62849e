//! Gaps in a sender's numbers: evidence exists which has not arrived (R9).

use chrono::TimeDelta;

use super::instant::{Instant, minutes};

/// A gap that is open for longer is flagged.
pub const GAP_ALLOWED: TimeDelta = minutes(15);
/// Most runs of numbers above the first gap that are kept; a gap above them is forgotten.
pub const RUNS_MAX: usize = 256;

/// The numbers that one sender's messages have had, whatever became of the messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sequence {
    /// Every number from 1 to this has been received.
    complete_to: u64,
    /// Runs of received numbers above the first gap, in order, none adjacent.
    ahead: Vec<Run>,
}

/// Numbers without a gap between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The lowest.
    pub first: u64,
    /// The highest.
    pub last: u64,
    /// When the first of them to arrive was received.
    pub received_at: Instant,
}

impl Sequence {
    /// Puts a sequence together from what [`Sequence::parts`] gave.
    #[must_use]
    pub fn from_parts(complete_to: u64, ahead: Vec<Run>) -> Self {
        Self { complete_to, ahead }
    }

    /// What there is to store.
    #[must_use]
    pub fn parts(&self) -> (u64, &[Run]) {
        (self.complete_to, &self.ahead)
    }

    /// Takes note of a number. The order in which numbers are noted does not matter.
    pub fn receive(&mut self, number: u64, received_at: Instant) {
        if number <= self.complete_to {
            return;
        }
        let mut run = Run { first: number, last: number, received_at };
        self.ahead.retain(|other| {
            let touches = other.first <= run.last.saturating_add(1)
                && run.first <= other.last.saturating_add(1);
            if touches {
                run.first = run.first.min(other.first);
                run.last = run.last.max(other.last);
                run.received_at = run.received_at.min(other.received_at);
            }
            !touches
        });
        if run.first <= self.complete_to + 1 {
            self.complete_to = run.last;
            return;
        }
        let at = self.ahead.partition_point(|other| other.first < run.first);
        self.ahead.insert(at, run);
        if self.ahead.len() > RUNS_MAX
            && let (Some(highest), Some(below)) = (self.ahead.pop(), self.ahead.last_mut())
        {
            below.last = highest.last;
            below.received_at = below.received_at.min(highest.received_at);
        }
    }

    /// The instant at which the oldest gap is, or was, to be flagged; `None` without a gap.
    #[must_use]
    pub fn due_at(&self) -> Option<Instant> {
        self.ahead.iter().map(|run| run.received_at).min().map(|at| at + GAP_ALLOWED)
    }

    /// Whether the number has been received.
    #[must_use]
    pub fn has(&self, number: u64) -> bool {
        number <= self.complete_to
            || self.ahead.iter().any(|run| (run.first..=run.last).contains(&number))
    }

    /// The numbers that are missing, as runs, each with the number after it that has come.
    pub fn missing(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        let before = std::iter::once(self.complete_to).chain(self.ahead.iter().map(|run| run.last));
        before.zip(&self.ahead).map(|(before, run)| (before + 1, run.first - 1, run.first))
    }

    /// The lowest number that is missing and the highest that has come, if there is a gap.
    #[must_use]
    pub fn gap(&self) -> Option<(u64, u64)> {
        self.ahead.last().map(|run| (self.complete_to + 1, run.last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Instant {
        chrono::DateTime::UNIX_EPOCH + minutes(minute)
    }

    #[test]
    fn a_gap_is_due_15_minutes_after_the_receipt_that_revealed_it() {
        // (number, minute of receipt), then the minute at which a gap is due
        type Case = (&'static [(u64, i64)], Option<i64>);
        let cases: [Case; 7] = [
            (&[(1, 0), (2, 1), (3, 2)], None),
            (&[(1, 0), (3, 2)], Some(17)),
            (&[(1, 0), (3, 2), (2, 9)], None),
            (&[(3, 2), (1, 3), (2, 9)], None),
            (&[(1, 0), (5, 2), (3, 4)], Some(17)),
            (&[(1, 0), (5, 2), (2, 4), (3, 5), (9, 6)], Some(17)),
            (&[(2, 7), (2, 9)], Some(22)),
        ];
        for (numbers, due) in cases {
            let mut sequence = Sequence::default();
            for &(number, minute) in numbers {
                sequence.receive(number, at(minute));
            }
            assert_eq!(sequence.due_at(), due.map(at), "{numbers:?}");
            let mut backwards = Sequence::default();
            for &(number, minute) in numbers.iter().rev() {
                backwards.receive(number, at(minute));
            }
            assert_eq!(sequence, backwards, "{numbers:?} in any order");
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut sequence = Sequence::default();
        for number in 1..=10_000 {
            sequence.receive(number * 2, at(0));
        }
        sequence.receive(u64::MAX, at(1));
        assert_eq!(sequence.parts().1.len(), RUNS_MAX);
        assert_eq!(sequence.gap(), Some((1, u64::MAX)));
    }
}
