//! What apps and units do: places, repeats, nonsense, clocks, silence.

use super::{DELIVERED, NOBODY, ONE, PAST, by, deed};
use crate::domain::alert::AlertKind::{Late, Missed, OffSite, OverdueCheckout, UnplannedVisit};
use crate::domain::visit::Flag;
use crate::simulate::script::Says::{ForSomebodyElse, In, Out};
use crate::simulate::script::Who::First;
use crate::simulate::script::{Answer, By, Counts, Fault, MINUTE, Planned, Script, Truth, When};

pub(super) const SCRIPTS: &[Script] = &[
    Script {
        name: "known by its position only",
        weight: 2,
        deeds: &[by(By::Position, deed(4, First, In)), by(By::Position, deed(33, First, Out))],
        ..PAST
    },
    Script {
        name: "known by the tag",
        deeds: &[by(By::Tag, deed(1, First, In)), by(By::Tag, deed(28, First, Out))],
        ..PAST
    },
    Script {
        name: "the telecare unit reports",
        deeds: &[by(By::Unit, deed(5, First, In)), by(By::Unit, deed(34, First, Out))],
        ..PAST
    },
    Script {
        name: "checks out two streets away",
        deeds: &[deed(0, First, In), by(By::FarAway, deed(30, First, Out))],
        truth: Truth { flags: &[Flag::OffSite], open: &[OffSite], ..DELIVERED },
        ..PAST
    },
    Script {
        name: "checks in twice",
        deeds: &[deed(0, First, In), deed(3, First, In), deed(30, First, Out)],
        truth: Truth { end: Some(2), ..DELIVERED },
        ..PAST
    },
    Script {
        name: "walks to the car",
        deeds: &[
            by(By::Client, deed(0, First, In)),
            by(By::Client, deed(10, First, Out)),
            by(By::Client, deed(15, First, In)),
            by(By::Client, deed(30, First, Out)),
        ],
        truth: Truth {
            end: Some(3),
            // Until it is known when she went out, coming in again may be another visit.
            passing: &[Missed, OverdueCheckout, UnplannedVisit],
            ..DELIVERED
        },
        ..PAST
    },
    Script {
        name: "a tag that nobody knows",
        weight: 2,
        plan: None,
        deeds: &[by(By::UnknownTag, deed(0, First, In))],
        truth: Truth { counts: Counts::Nothing, answer: Answer::Unplaced, ..NOBODY },
        ..PAST
    },
    Script {
        name: "an app that speaks for somebody else",
        weight: 2,
        plan: None,
        deeds: &[by(By::Client, deed(0, First, ForSomebodyElse))],
        truth: Truth { counts: Counts::Nothing, answer: Answer::WrongSender, ..NOBODY },
        ..PAST
    },
    Script {
        name: "the phone's clock is forty minutes slow",
        needs: Some(Fault::Clocks),
        deeds: &[deed(0, First, In), deed(30, First, Out)],
        clock: -40 * MINUTE,
        truth: Truth { flags: &[Flag::Early], ..DELIVERED },
        ..PAST
    },
    Script {
        name: "no signal, reports 70 minutes late",
        needs: Some(Fault::Late),
        when: When::MinutesAgo(80),
        plan: Some(Planned { length: 10 * MINUTE, ..ONE }),
        deeds: &[deed(0, First, In), deed(10, First, Out)],
        ..PAST
    },
    Script {
        name: "no signal, reports 20 minutes late",
        needs: Some(Fault::Late),
        when: When::MinutesAgo(40),
        plan: Some(Planned { length: 18 * MINUTE, ..ONE }),
        deeds: &[deed(2, First, In), deed(20, First, Out)],
        truth: Truth { passing: &[Late, Missed, OverdueCheckout], ..DELIVERED },
        ..PAST
    },
];
