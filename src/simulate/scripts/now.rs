//! Visits of this moment: carers come while the night is played and report at once, some of them
//! seconds before an alert would be due.

use super::{ABSENCE, BY_TWO, DELIVERED, FRUSTRATED, ONE, PAST, TWO, second};
use crate::domain::alert::AlertKind::{Late, Missed, NotDelivered};
use crate::domain::event::Reason;
use crate::domain::visit::{Flag, Status};
use crate::simulate::script::Says::{In, Not, Out};
use crate::simulate::script::Who::{First, Second};
use crate::simulate::script::{Counts, Fault, MINUTE, Planned, Script, Truth, When};

pub(super) const SCRIPTS: &[Script] = &[
    Script {
        name: "comes and reports at once",
        weight: 8,
        when: When::Now(0),
        plan: Some(Planned { length: 8, ..ONE }),
        deeds: &[second(0, First, In), second(8, First, Out)],
        truth: Truth { passing: ABSENCE, ..DELIVERED },
        ..PAST
    },
    Script {
        name: "comes eight seconds before she is late, and reports at once",
        weight: 8,
        when: When::Now(15 * MINUTE - 8),
        plan: Some(Planned { length: 20 * MINUTE, ..ONE }),
        deeds: &[second(15 * MINUTE - 8, First, In), second(15 * MINUTE, First, Out)],
        truth: Truth { flags: &[Flag::Short], passing: ABSENCE, ..DELIVERED },
        ..PAST
    },
    Script {
        name: "both come eight seconds before they are late, and report at once",
        weight: 8,
        when: When::Now(15 * MINUTE - 10),
        plan: Some(Planned { length: 20 * MINUTE, ..TWO }),
        deeds: &[
            second(15 * MINUTE - 10, First, In),
            second(15 * MINUTE - 8, Second, In),
            second(15 * MINUTE + 1, First, Out),
            second(15 * MINUTE + 2, Second, Out),
        ],
        truth: Truth { flags: &[Flag::Short], passing: ABSENCE, ..BY_TWO },
        ..PAST
    },
    Script {
        name: "must be on time, and comes eight seconds before she is late",
        when: When::Now(15 * MINUTE - 8),
        plan: Some(Planned { length: 20 * MINUTE, time_specific: true, ..ONE }),
        deeds: &[second(15 * MINUTE - 8, First, In), second(15 * MINUTE, First, Out)],
        truth: Truth { flags: &[Flag::Short], passing: &[Late, Missed], ..DELIVERED },
        ..PAST
    },
    Script {
        name: "is still inside",
        when: When::Now(0),
        deeds: &[second(0, First, In)],
        truth: Truth {
            status: Status::InProgress,
            end: None,
            counts: Counts::Provisional,
            passing: ABSENCE,
            until: Some(90 * MINUTE),
            ..DELIVERED
        },
        ..PAST
    },
    Script {
        name: "comes on time, without a signal for five seconds",
        needs: Some(Fault::Late),
        when: When::Now(0),
        plan: Some(Planned { length: 4, ..ONE }),
        deeds: &[second(0, First, In), second(4, First, Out)],
        held: 5,
        truth: Truth { passing: ABSENCE, ..DELIVERED },
        ..PAST
    },
    Script {
        name: "refused at the door, by a clock an hour ahead",
        needs: Some(Fault::Clocks),
        when: When::Now(0),
        deeds: &[second(2, First, Not(Reason::Refused))],
        clock: 60 * MINUTE,
        truth: Truth { reason: "refused", open: &[NotDelivered], passing: ABSENCE, ..FRUSTRATED },
        ..PAST
    },
    Script {
        name: "the phone's clock is an hour ahead",
        needs: Some(Fault::Clocks),
        when: When::Now(0),
        plan: Some(Planned { length: 6, ..ONE }),
        deeds: &[second(0, First, In), second(6, First, Out)],
        clock: 60 * MINUTE,
        // How long the visit was follows from the receipts.
        truth: Truth { passing: ABSENCE, ..DELIVERED },
        ..PAST
    },
];
