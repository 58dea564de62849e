//! What happens at homes: people come, come late, or do not come.

use super::{BY_TWO, DELIVERED, FRUSTRATED, MISSED, PAST, TWO, by, deed};
use crate::domain::alert::AlertKind::{
    Missed, NotDelivered, OverdueCheckout, ShortStaffed, UnplannedVisit,
};
use crate::domain::event::Reason;
use crate::domain::visit::{Flag, Status};
use crate::simulate::script::Says::{In, InWithFamily, Not, Out};
use crate::simulate::script::Who::{First, Relief, Second};
use crate::simulate::script::{Answer, By, Counts, Script, Truth};

pub(super) const SCRIPTS: &[Script] = &[
    Script {
        name: "one carer comes on time",
        weight: 12,
        deeds: &[deed(2, First, In), deed(30, First, Out)],
        ..PAST
    },
    Script {
        name: "both carers come on time",
        weight: 12,
        plan: Some(TWO),
        deeds: &[
            deed(1, First, In),
            deed(3, Second, In),
            deed(29, First, Out),
            deed(31, Second, Out),
        ],
        truth: BY_TWO,
        ..PAST
    },
    Script {
        name: "one of two comes",
        plan: Some(TWO),
        deeds: &[deed(0, First, In), deed(30, First, Out)],
        truth: Truth {
            status: Status::PartDelivered,
            flags: &[Flag::ShortStaffed],
            start: None,
            counts: Counts::HalfActual,
            open: &[ShortStaffed],
            ..DELIVERED
        },
        ..PAST
    },
    Script { name: "nobody comes", truth: MISSED, ..PAST },
    Script {
        name: "refused at the door",
        deeds: &[deed(1, First, Not(Reason::Refused))],
        truth: Truth { reason: "refused", open: &[NotDelivered], passing: &[Missed], ..FRUSTRATED },
        ..PAST
    },
    Script {
        name: "no carer to be had, as is said before",
        deeds: &[deed(-20, First, Not(Reason::CarerUnavailable))],
        truth: Truth { reason: "carer_unavailable", ..MISSED },
        ..PAST
    },
    Script {
        name: "no reply, but she comes again",
        deeds: &[deed(1, First, Not(Reason::NoReply)), deed(20, First, In), deed(50, First, Out)],
        truth: Truth {
            flags: &[Flag::LateStart],
            start: Some(1),
            call_from: Some(1),
            end: Some(2),
            passing: &[Missed, NotDelivered, OverdueCheckout],
            ..DELIVERED
        },
        ..PAST
    },
    Script {
        name: "comes 20 minutes late",
        deeds: &[deed(20, First, In), deed(50, First, Out)],
        truth: Truth { flags: &[Flag::LateStart], ..DELIVERED },
        ..PAST
    },
    Script {
        name: "comes 45 minutes late",
        deeds: &[deed(45, First, In), deed(75, First, Out)],
        truth: Truth { flags: &[Flag::Late, Flag::LateStart], ..DELIVERED },
        ..PAST
    },
    Script {
        name: "comes when it was given up",
        deeds: &[deed(70, First, In), deed(95, First, Out)],
        truth: Truth { flags: &[Flag::AfterMissed, Flag::Late, Flag::LateStart], ..DELIVERED },
        ..PAST
    },
    Script {
        name: "comes 20 minutes early",
        deeds: &[deed(-20, First, In), deed(10, First, Out)],
        truth: Truth { flags: &[Flag::Early], ..DELIVERED },
        ..PAST
    },
    Script {
        name: "stays ten minutes of thirty",
        deeds: &[deed(0, First, In), deed(10, First, Out)],
        truth: Truth { flags: &[Flag::Short], ..DELIVERED },
        ..PAST
    },
    Script {
        name: "stays an hour instead of half of one",
        deeds: &[deed(0, First, In), deed(60, First, Out)],
        truth: Truth { flags: &[Flag::Overstay], ..DELIVERED },
        ..PAST
    },
    Script {
        name: "checks out never",
        deeds: &[deed(0, First, In)],
        truth: Truth {
            flags: &[Flag::NoCheckOut],
            end: None,
            open: &[OverdueCheckout],
            passing: &[Missed],
            ..DELIVERED
        },
        ..PAST
    },
    Script {
        name: "forgets to check in",
        deeds: &[deed(30, First, Out)],
        truth: Truth {
            flags: &[Flag::NoCheckIn],
            start: None,
            call_from: None,
            end: Some(0),
            passing: &[Missed],
            ..DELIVERED
        },
        ..PAST
    },
    Script {
        name: "emergency without a plan",
        plan: None,
        deeds: &[by(By::Client, deed(0, First, In)), by(By::Client, deed(40, First, Out))],
        truth: Truth {
            flags: &[Flag::Unplanned],
            counts: Counts::Extra,
            answer: Answer::Unplanned,
            over: &[UnplannedVisit],
            passing: &[OverdueCheckout],
            ..DELIVERED
        },
        ..PAST
    },
    Script {
        name: "someone of the family is the second pair of hands",
        plan: Some(TWO),
        deeds: &[deed(0, First, InWithFamily), deed(30, First, Out)],
        truth: Truth { present: 2, start: Some(0), end: Some(1), ..BY_TWO },
        ..PAST
    },
    Script {
        name: "somebody comes whom the plan does not list",
        deeds: &[deed(0, Relief, In), deed(30, Relief, Out)],
        truth: Truth { flags: &[Flag::UnplannedCarer], ..DELIVERED },
        ..PAST
    },
];
