//! What the plan says: cancellations, times that matter, quantities.

use super::{DELIVERED, FRUSTRATED, MISSED, NOBODY, ONE, PAST, deed};
use crate::domain::alert::AlertKind::OverdueCheckout;
use crate::domain::plan::CancelledBy;
use crate::domain::visit::{Flag, Status};
use crate::simulate::script::Says::{In, Out};
use crate::simulate::script::Who::First;
use crate::simulate::script::{Counts, MINUTE, Planned, Script, Truth};

const DAY: i64 = 24 * 60 * MINUTE;

const fn cancelled(by: CancelledBy, seconds_before: i64, why: &'static str) -> Planned {
    Planned { cancelled: Some((by, seconds_before, why)), ..ONE }
}

pub(super) const SCRIPTS: &[Script] = &[
    Script {
        name: "must be on time, and comes 20 minutes late",
        plan: Some(Planned { time_specific: true, ..ONE }),
        deeds: &[deed(20, First, In), deed(50, First, Out)],
        truth: Truth { flags: &[Flag::Late, Flag::LateStart], ..DELIVERED },
        ..PAST
    },
    Script {
        name: "cancelled by the council with notice",
        plan: Some(cancelled(CancelledBy::Council, 12 * DAY, "hospital")),
        truth: Truth {
            status: Status::Cancelled,
            reason: "hospital",
            counts: Counts::Cancelled,
            ..NOBODY
        },
        ..PAST
    },
    Script {
        name: "cancelled by the client an hour before",
        plan: Some(cancelled(CancelledBy::Client, 60 * MINUTE, "away")),
        truth: Truth { reason: "away", ..FRUSTRATED },
        ..PAST
    },
    Script {
        name: "cancelled by the provider",
        plan: Some(cancelled(CancelledBy::Provider, 2 * DAY, "no cover")),
        truth: Truth { reason: "no cover", ..MISSED },
        ..PAST
    },
    Script {
        name: "a row that should not have been",
        plan: Some(cancelled(CancelledBy::Error, DAY, "twice in the rota")),
        truth: Truth {
            status: Status::Void,
            reason: "twice in the rota",
            counts: Counts::Void,
            ..NOBODY
        },
        ..PAST
    },
    Script {
        name: "cancelled with notice, and she comes all the same",
        plan: Some(cancelled(CancelledBy::Council, 12 * DAY, "respite")),
        deeds: &[deed(3, First, In), deed(12, First, Out)],
        truth: Truth {
            status: Status::Cancelled,
            reason: "respite",
            flags: &[Flag::AttendedCancelled],
            counts: Counts::Cancelled,
            passing: &[OverdueCheckout],
            ..DELIVERED
        },
        ..PAST
    },
    Script {
        name: "the plan states a quantity",
        plan: Some(Planned { hundredths: Some(75), ..ONE }),
        deeds: &[deed(0, First, In), deed(30, First, Out)],
        ..PAST
    },
];
