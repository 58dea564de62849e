//! The scripts of a simulated night: what happens at one visit, and what must be known of it in the
//! end.
//!
//! Plain data, written down from the rules by hand. Nothing here asks the code that it judges: not
//! a status, flag, quantity or alert is computed from what happens.

use crate::domain::alert::AlertKind::{
    self, Late, Missed, NotDelivered, OffSite, OverdueCheckout, ShortStaffed, Tolerance,
    UnplannedVisit,
};
use crate::domain::event::Reason;
use crate::domain::plan::CancelledBy;
use crate::domain::visit::{Flag, Status};

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * MINUTE;

/// A misbehaviour of phones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Fault {
    /// Phones without a signal, which report later.
    Late,
    /// Events that are sent again though they were answered.
    Duplicates,
    /// Events that are sent in another order than they happened.
    Disorder,
    /// Clocks that are wrong.
    Clocks,
    /// Connections that break.
    Disconnects,
}

/// When a visit is planned, seen from the night's anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Hours ago: every deadline has passed when the phones report.
    Past,
    /// So many minutes ago.
    MinutesAgo(i64),
    /// So many seconds before the moment, during the play, at which its carers come.
    Now(i64),
    /// So many hours from now: nothing is due.
    Ahead(i64),
}

/// Whose phone it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The first carer of the run's pair.
    First,
    /// The second.
    Second,
    /// Somebody whom the plan does not list.
    Relief,
}

/// What a phone or a unit says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// The carer came.
    In,
    /// The carer came, and someone of the family is the second pair of hands.
    InWithFamily,
    /// The carer left.
    Out,
    /// The visit could not be delivered.
    Not(Reason),
    /// It speaks for somebody else, which is not allowed.
    ForSomebodyElse,
}

/// By what an event says whose home it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The app knows the plan: client, visit, or both.
    Plan,
    /// The client alone.
    Client,
    /// The client, and a position a kilometre away.
    FarAway,
    /// A chip in the home.
    Tag,
    /// A chip that no register has.
    UnknownTag,
    /// A position alone.
    Position,
    /// The telecare unit of the home sends it.
    Unit,
}

/// One event of a script.
#[derive(Debug, Clone, Copy)]
pub struct Deed {
    /// Seconds after the planned start.
    pub at: i64,
    /// Whose phone.
    pub who: Who,
    /// What.
    pub says: Says,
    /// Where.
    pub by: By,
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

/// The row of the plan.
#[derive(Debug, Clone, Copy)]
pub struct Planned {
    /// Its length in seconds.
    pub length: i64,
    /// How many carers it needs.
    pub carers: u8,
    /// Whether no allowance is made.
    pub time_specific: bool,
    /// A quantity that the plan states, in hundredths.
    pub hundredths: Option<i64>,
    /// Who cancelled it, how many seconds before its start, and why.
    pub cancelled: Option<(CancelledBy, i64, &'static str)>,
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

const fn cancelled(by: CancelledBy, seconds_before: i64, why: &'static str) -> Planned {
    Planned { cancelled: Some((by, seconds_before, why)), ..ONE }
}

/// Where the planned quantity of a visit goes in Schedule 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// Actual.
    Actual,
    /// Half of it Actual, half Missed: one of two came.
    HalfActual,
    /// Frustrated.
    Frustrated,
    /// Cancelled.
    Cancelled,
    /// Missed.
    Missed,
    /// It had none: Extra, and Actual.
    Extra,
    /// Nowhere: the row should not have been.
    Void,
    /// Nowhere yet.
    Provisional,
    /// There is no visit.
    Nothing,
}

/// What the receipt of its events says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The planned visit.
    Planned,
    /// An unplanned visit.
    Unplanned,
    /// Kept for a coordinator.
    Unplaced,
    /// Rejected, `wrong_sender`.
    WrongSender,
}

/// What must be known in the end.
#[derive(Debug, Clone, Copy)]
pub struct Truth {
    /// What became of the visit.
    pub status: Status,
    /// The flags, but for `reported_late` and `clock_ahead`, which follow from the receipt.
    pub flags: &'static [Flag],
    /// Why, if anything says.
    pub reason: &'static str,
    /// How many came.
    pub present: u8,
    /// The deed with which it started.
    pub start: Option<usize>,
    /// The deed from which the call is counted.
    pub call_from: Option<usize>,
    /// The last check-out.
    pub end: Option<usize>,
    /// Schedule 3.
    pub counts: Counts,
    /// What the receipts say.
    pub answer: Answer,
    /// Alerts that are open in the end. `overdue_checkout` is not, if the carer has gone on to
    /// another home.
    pub open: &'static [AlertKind],
    /// Alerts that have been raised, and are over.
    pub over: &'static [AlertKind],
    /// Alerts that may have been raised before all evidence was there, and are over. All others
    /// are wrong.
    pub passing: &'static [AlertKind],
    /// So many seconds after the planned start, time alone makes something else of it.
    pub until: Option<i64>,
}

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

/// A visit, from the plan to what must be known of it in the end.
#[derive(Debug, Clone, Copy)]
pub struct Script {
    /// What happens.
    pub name: &'static str,
    /// How often it is drawn.
    pub weight: u32,
    /// When.
    pub when: When,
    /// The misbehaviour that it is about.
    pub needs: Option<Fault>,
    /// The row of the plan, if the plan knows of it.
    pub plan: Option<Planned>,
    /// What the phones say.
    pub deeds: &'static [Deed],
    /// How many seconds the phones' clocks are ahead (behind, if negative).
    pub clock: i64,
    /// How many seconds the phones have no signal, after the first deed.
    pub held: i64,
    /// What must be known.
    pub truth: Truth,
}

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

use Says::{ForSomebodyElse, In, InWithFamily, Not, Out};
use Who::{First, Relief, Second};

/// The first visit of every night; by it the night's anchor is known again.
pub const TO_COME: Script = Script {
    name: "still to come",
    weight: 3,
    when: When::Ahead(6),
    truth: Truth { status: Status::Planned, counts: Counts::Provisional, until: Some(0), ..NOBODY },
    ..PAST
};

/// The scripts.
pub const SCRIPTS: &[Script] = &[
    TO_COME,
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
        name: "must be on time, and comes 20 minutes late",
        plan: Some(Planned { time_specific: true, ..ONE }),
        deeds: &[deed(20, First, In), deed(50, First, Out)],
        truth: Truth { flags: &[Flag::Late, Flag::LateStart], ..DELIVERED },
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
    Script {
        name: "the plan states a quantity",
        plan: Some(Planned { hundredths: Some(75), ..ONE }),
        deeds: &[deed(0, First, In), deed(30, First, Out)],
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

impl Script {
    /// Whether the clock is so far ahead that the moments of receipt count instead (R5).
    #[must_use]
    pub fn by_receipt(&self) -> bool {
        self.clock > 2 * MINUTE
    }

    /// Whether it is of this moment: carers come while the night is played, and report at once.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.when, When::Now(_))
    }
}
