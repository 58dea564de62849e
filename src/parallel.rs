//! Work that falls into parts which need nothing of each other, on all processors.

use std::num::NonZero;
use std::ops::Range;
use std::thread::{self, ScopedJoinHandle};

/// What `each` makes of each of these numbers, in their order, whoever was first.
pub fn map<T: Send>(numbers: Range<usize>, each: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = numbers.len().div_ceil(threads).max(1);
    let (each, end) = (&each, numbers.end);
    thread::scope(|scope| {
        let shares: Vec<_> = numbers
            .step_by(share)
            .map(|first| first..end.min(first + share))
            .map(|numbers| scope.spawn(move || numbers.map(each).collect::<Vec<T>>()))
            .collect();
        let joined = |share: ScopedJoinHandle<'_, Vec<T>>| match share.join() {
            Ok(made) => made,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        shares.into_iter().flat_map(joined).collect()
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn everything_is_done_once_and_in_order() {
        for count in [0, 1, 2, 3, 1_000, 1_001] {
            let made = super::map(5..5 + count, |number| number * 2);
            assert_eq!(made, (5..5 + count).map(|number| number * 2).collect::<Vec<_>>());
        }
    }
}
