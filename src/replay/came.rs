//! What came when: to which client nights, and of which carers.

use std::collections::HashMap;

use crate::domain::attendance::PlacedEvent;
use crate::domain::casebook::{CaseIndex, Casebook, Change, Touched};
use crate::domain::event::CLOCK_AHEAD_ALLOWED;
use crate::domain::instant::Instant;
use crate::domain::refs::{CarerRef, ClientRef};

/// What came when.
#[derive(Default)]
pub(super) struct Came {
    /// What changed about client nights, in order of time; in the end by client night first.
    changes: Vec<(CaseIndex, Instant, Change)>,
    carers: HashMap<CarerRef, Carer>,
}

/// What came of a carer.
#[derive(Default)]
struct Carer {
    /// The instants at which any of it came.
    at: Vec<Instant>,
    /// Where the carer was, by effective time.
    seen: Vec<Seen>,
}

/// An event of a carer in a client's night.
struct Seen {
    effective_at: Instant,
    case: CaseIndex,
    /// From when on it was known, or taken to be there.
    from: Instant,
    until: Instant,
}

impl Carer {
    fn came(&mut self, now: Instant, effective_at: Instant, case: CaseIndex) {
        let seen = Seen { effective_at, case, from: now, until: Instant::MAX_UTC };
        // Almost always it is the last.
        let earlier = |other: &Seen| other.effective_at <= effective_at;
        if self.seen.last().is_none_or(earlier) {
            self.seen.push(seen);
        } else {
            self.seen.insert(self.seen.partition_point(earlier), seen);
        }
    }

    fn left(&mut self, now: Instant, effective_at: Instant, case: CaseIndex) {
        let first = self.seen.partition_point(|seen| seen.effective_at < effective_at);
        let mut of_time =
            self.seen[first..].iter_mut().take_while(|seen| seen.effective_at == effective_at);
        if let Some(seen) = of_time.find(|seen| seen.case == case && seen.until > now) {
            seen.until = now;
        }
    }
}

impl Came {
    /// Takes what a piece of evidence that came at `now` changed. The earlier comes first.
    pub(super) fn take(&mut self, now: Instant, touched: Touched) {
        for carer in touched.carers {
            self.carers.entry(carer).or_default().at.push(now);
        }
        for (case, change) in touched.cases {
            match &change {
                Change::Came(placed) => self.carer(placed).came(now, placed.effective_at, case),
                Change::Left(placed) => self.carer(placed).left(now, placed.effective_at, case),
                Change::Decided => {}
            }
            self.changes.push((case, now, change));
        }
    }

    fn carer(&mut self, placed: &PlacedEvent) -> &mut Carer {
        self.carers.entry(placed.event.carer_ref.clone()).or_default()
    }

    /// Everything has come.
    pub(super) fn complete(&mut self) {
        self.changes.sort_by_key(|(case, _, _)| *case);
    }

    /// What changed about a client's night, in order of time, when everything has come.
    pub(super) fn about(&self, case: CaseIndex) -> &[(CaseIndex, Instant, Change)] {
        let first = self.changes.partition_point(|(other, _, _)| *other < case);
        let count = self.changes[first..].iter().take_while(|(other, _, _)| *other == case).count();
        &self.changes[first..first + count]
    }

    /// When something of that carer comes next after `now`.
    pub(super) fn next_of(&self, carer: &CarerRef, now: Instant) -> Option<Instant> {
        let at = &self.carers.get(carer)?.at;
        at.get(at.partition_point(|at| *at <= now)).copied()
    }

    /// Whether it is known at `now` that the carer was at another client's later than `after`.
    pub(super) fn seen_elsewhere(
        &self,
        book: &Casebook,
        carer: &CarerRef,
        after: Instant,
        client: &ClientRef,
        now: Instant,
    ) -> bool {
        let Some(Carer { seen, .. }) = self.carers.get(carer) else { return false };
        // What is known at `now` was received by then, and no event is believed to be later (R5).
        let latest = now + CLOCK_AHEAD_ALLOWED;
        seen[seen.partition_point(|seen| seen.effective_at <= after)..]
            .iter()
            .take_while(|seen| seen.effective_at <= latest)
            .filter(|seen| seen.from <= now && now < seen.until)
            .any(|seen| book.key(seen.case).0 != *client)
    }
}
