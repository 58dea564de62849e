//! The list of scripts, and what most of them have in common.

mod apps;
mod homes;
mod now;
mod papers;

use super::script::{Answer, By, Counts, Deed, MINUTE, Planned, Says, Script, Truth, When, Who};
use crate::domain::alert::AlertKind;
use crate::domain::alert::AlertKind::{Late, Missed, OverdueCheckout, ShortStaffed, Tolerance};
use crate::domain::visit::Status;

/// Every script.
pub fn all() -> impl Iterator<Item = &'static Script> {
    let lists = [homes::SCRIPTS, papers::SCRIPTS, apps::SCRIPTS, now::SCRIPTS];
    std::iter::once(&TO_COME).chain(lists.into_iter().flatten())
}

const fn deed(minute: i64, who: Who, says: Says) -> Deed {
    Deed { at: minute * MINUTE, who, says, by: By::Plan }
}

const fn by(by: By, deed: Deed) -> Deed {
    Deed { by, ..deed }
}

const fn second(second: i64, who: Who, says: Says) -> Deed {
    Deed { at: second, who, says, by: By::Plan }
}

/// Half an hour by one carer.
const ONE: Planned = Planned {
    length: 30 * MINUTE,
    carers: 1,
    time_specific: false,
    hundredths: None,
    cancelled: None,
};
/// Half an hour by two.
const TWO: Planned = Planned { carers: 2, ..ONE };

const DELIVERED: Truth = Truth {
    status: Status::Delivered,
    flags: &[],
    reason: "",
    present: 1,
    start: Some(0),
    call_from: Some(0),
    end: Some(1),
    counts: Counts::Actual,
    answer: Answer::Planned,
    open: &[],
    over: &[],
    passing: &[Missed, OverdueCheckout],
    until: None,
};
const BY_TWO: Truth = Truth {
    present: 2,
    start: Some(1),
    end: Some(3),
    passing: &[Missed, ShortStaffed, OverdueCheckout],
    ..DELIVERED
};
const NOBODY: Truth =
    Truth { present: 0, start: None, call_from: None, end: None, passing: &[], ..DELIVERED };
const FRUSTRATED: Truth =
    Truth { status: Status::Frustrated, counts: Counts::Frustrated, ..NOBODY };
const MISSED: Truth =
    Truth { status: Status::Missed, counts: Counts::Missed, open: &[Missed], ..NOBODY };
/// What may be raised about a visit of this moment, if its report comes after the deadline.
const ABSENCE: &[AlertKind] = &[Tolerance, Late, Missed, ShortStaffed];

/// Hours ago, half an hour by one carer, drawn now and then.
const PAST: Script = Script {
    name: "",
    weight: 4,
    when: When::Past,
    needs: None,
    plan: Some(ONE),
    deeds: &[],
    clock: 0,
    held: 0,
    truth: DELIVERED,
};

/// The first visit of every night; by it the night's anchor is known again.
pub const TO_COME: Script = Script {
    name: "still to come",
    weight: 3,
    when: When::Ahead(6),
    truth: Truth { status: Status::Planned, counts: Counts::Provisional, until: Some(0), ..NOBODY },
    ..PAST
};
