//! The scripts of a simulated night: what happens at one visit, and what must be known of it in the
//! end.
//!
//! Plain data, written down from the rules by hand. Nothing here asks the code that it judges: not
//! a status, flag, quantity or alert is computed from what happens.

use crate::domain::alert::AlertKind;
use crate::domain::event::Reason;
use crate::domain::plan::CancelledBy;
use crate::domain::visit::{Flag, Status};

/// In seconds.
pub const MINUTE: i64 = 60;

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
