//! How long to wait before trying again: doubling, bounded, and never in step with the others.

use std::time::Duration;

use uuid::Uuid;

/// The first pause.
pub const FIRST: Duration = Duration::from_millis(200);
/// The longest pause between ordinary attempts: alerts wait for as long after the broker is back.
pub const LONGEST: Duration = Duration::from_secs(1);

/// The first pause where somebody is tried who may be away for hours.
pub const SELDOM_FIRST: Duration = Duration::from_secs(5);
/// The longest such pause.
pub const SELDOM: Duration = Duration::from_mins(5);

/// The pause after so many failures to reach somebody who may be away for hours: 5 s, doubling to
/// 5 minutes, each cut short at random by up to half.
#[must_use]
pub fn seldom(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1);
    let doubled = SELDOM_FIRST.saturating_mul(2_u32.saturating_pow(doublings));
    shortened(doubled.min(SELDOM))
}

/// The pauses between attempts: 0.2 s, doubling to 1 s, each cut short at random by up to half, so
/// that what lost its broker at one moment does not come back at one moment.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause before the next attempt.
    pub fn next_pause(&mut self) -> Duration {
        let doubled = FIRST.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        shortened(doubled.min(LONGEST))
    }

    /// A pause of at least `at_least`, for a trouble that an early attempt would make worse.
    #[must_use]
    pub fn long_pause(at_least: Duration) -> Duration {
        at_least + shortened(at_least)
    }

    /// The attempt was a success: the next pause is the first again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// The pause less a random part of its half.
fn shortened(pause: Duration) -> Duration {
    let random = u32::from(Uuid::new_v4().as_bytes()[0]);
    pause * (512 - random) / 512
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_second_and_are_cut_by_less_than_half() {
        let mut backoff = Backoff::default();
        for full in [200, 400, 800, 1000, 1000, 1000] {
            let full = Duration::from_millis(full);
            let pause = backoff.next_pause();
            assert!(pause > full / 2 && pause <= full, "{pause:?} of {full:?}");
        }
        backoff.reset();
        assert!(backoff.next_pause() <= FIRST);
    }

    #[test]
    fn who_is_away_for_hours_is_tried_ever_more_seldom() {
        for (failures, full) in [(0, 5), (1, 5), (2, 10), (3, 20), (6, 160), (7, 300), (99, 300)] {
            let (full, pause) = (Duration::from_secs(full), seldom(failures));
            assert!(pause > full / 2 && pause <= full, "{failures}: {pause:?} of {full:?}");
        }
    }

    #[test]
    fn a_long_pause_is_at_least_as_long_as_asked() {
        assert!(Backoff::long_pause(LONGEST) > LONGEST);
    }
}
