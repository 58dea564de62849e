//! The account of a contract's night: every message that reached the daemon, and what became of it.
//!
//! Double entry. The one side is what was counted from the messages as they arrived; the other side
//! is the rows, and what the rules make of them now: visits, Schedule 3, alerts. Whatever differs is
//! a disagreement that names its row. What only has not been done yet (a deadline that nobody has
//! looked at, an import that is being applied, a receipt that is not sent) is said, and is none.
//!
//! Reads one moment of the database; writes nothing.

mod alerts;
mod evidence;
mod nights;
mod senders;

use std::sync::Arc;

use crate::config::Contracts;
use crate::domain::calendar::Night;
use crate::domain::instant::Instant;
use crate::domain::policy::Contract;
use crate::domain::refs::{ClientRef, ContractId, VisitRef};
use crate::domain::schedule3::RowKey;
use crate::domain::visit::Status;
use crate::store::ledger::{self as pages, Page};
use crate::store::{Db, StoreError};

/// The account of a night.
#[derive(Debug)]
pub struct Ledger {
    /// The contract; `None`: the messages that name none of the daemon's.
    pub contract: Option<ContractId>,
    /// The night; without a contract, the UTC date.
    pub night: Night,
    /// The moment as of which it is made.
    pub at: Instant,
    /// What arrived.
    pub arrived: Page,
    /// Where it went.
    pub went: Went,
    /// Every message that is kept.
    pub entries: Vec<Entry>,
    /// Numbers of phones and units that have not arrived yet (R9), whatever their night.
    pub gaps: Vec<String>,
    /// What has not been done yet.
    pub waiting: Vec<String>,
    /// What does not agree.
    pub faults: Vec<String>,
}

/// Where the messages of a night went, counted from the rows.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Went {
    /// Rows of events.
    pub events: i64,
    /// Repeats that these rows have counted.
    pub duplicates: i64,
    /// Messages that could not be used, as often as they came in the night.
    pub rejected: i64,
    /// Events that are in planned visits.
    pub planned: i64,
    /// Events that are in unplanned visits.
    pub unplanned: i64,
    /// Events that are in none, for a coordinator.
    pub unplaced: i64,
    /// Visits whose quantity is in Schedule 3.
    pub counted: i64,
    /// Visits that are in a row of Schedule 3 as provisional.
    pub provisional: i64,
    /// Visits that count nowhere.
    pub void: i64,
    /// Rows of Schedule 3 in which the visits are.
    pub rows: i64,
    /// Rows of alerts.
    pub alerts: i64,
    /// Those that are open.
    pub open: i64,
    /// Receipts about events of the night that are still to be sent.
    pub receipts_waiting: i64,
}

/// One message that is kept.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The event's id; of a rejected message, if it could be read.
    pub event_id: Option<String>,
    /// Who sent it, as in the topic; `None` if that is no reference.
    pub sender: Option<String>,
    /// What it says or, rejected, why it could not be used.
    pub says: String,
    /// How often the same came in all.
    pub times: i64,
    /// When it came first.
    pub received_at: Option<Instant>,
    /// What became of it.
    pub went: Fate,
    /// Whether its receipt is still to be sent.
    pub receipt_waiting: bool,
}

/// What became of a message.
#[derive(Debug, Clone)]
pub enum Fate {
    /// It could not be used; the row in which it is kept.
    Rejected(i64),
    /// It is kept for a coordinator.
    Unplaced,
    /// It is evidence of a visit.
    Visit(Box<InVisit>),
}

/// The visit that an event is evidence of.
#[derive(Debug, Clone)]
pub struct InVisit {
    /// Its reference.
    pub visit_ref: VisitRef,
    /// Whose.
    pub client: ClientRef,
    /// Whether a plan has it.
    pub planned: bool,
    /// What became of it.
    pub status: Status,
    /// As what it counts there: `check_in`, `repeat`, `check_out`, `statement`.
    pub part: &'static str,
    /// The row of Schedule 3; a void visit has none.
    pub row: Option<RowKey>,
    /// The alerts about the visit, open ones with a `+`.
    pub alerts: Vec<String>,
}

/// Makes the account of a contract's night as it is at `now`, which must not be before the moment
/// of the transaction.
///
/// # Errors
/// When the database fails, or a row besides the night's own cannot be read.
pub async fn account(
    db: &mut Db,
    contracts: &Contracts,
    contract: &Arc<Contract>,
    night: Night,
    now: Instant,
) -> Result<Ledger, StoreError> {
    let mut ledger = Ledger::begin(db, Some(&contract.id), night, now).await?;
    let found = evidence::check(db, contracts, contract, &mut ledger).await?;
    let alerts = alerts::check(db, contract, &mut ledger).await?;
    if found.readable && alerts.readable {
        let now = found.latest.map_or(now, |latest| latest.max(now));
        nights::check(db, contracts, contract, (&found, &alerts), now, &mut ledger).await?;
        senders::check(db, contract, (&found, &alerts), now, &mut ledger).await?;
    } else {
        ledger.fault("visits, Schedule 3 and alerts cannot be compared while rows are unreadable");
    }
    ledger.compare_sums(found.readable);
    Ok(ledger)
}

/// Makes the account of the messages of a UTC date that name no contract of the daemon's.
///
/// # Errors
/// When the database fails.
pub async fn of_no_contract(db: &mut Db, date: Night, now: Instant) -> Result<Ledger, StoreError> {
    let mut ledger = Ledger::begin(db, None, date, now).await?;
    ledger.compare_sums(true);
    Ok(ledger)
}

impl Ledger {
    async fn begin(
        db: &mut Db,
        contract: Option<&ContractId>,
        night: Night,
        at: Instant,
    ) -> Result<Self, StoreError> {
        let mut this = Self {
            contract: contract.cloned(),
            night,
            at,
            arrived: pages::page(db, contract, night).await?,
            went: Went::default(),
            entries: Vec::new(),
            gaps: Vec::new(),
            waiting: Vec::new(),
            faults: Vec::new(),
        };
        let all = pages::all_nights(db, contract).await?;
        let counted = all.accepted + all.duplicate + all.rejected + all.status;
        if all.received != counted {
            this.fault(format!(
                "all nights: {} messages were received, and {counted} were counted as something",
                all.received
            ));
        }
        evidence::rejected(db, contract, &mut this).await?;
        Ok(this)
    }

    /// Whether everything agrees.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.faults.is_empty()
    }

    fn fault(&mut self, what: impl Into<String>) {
        self.faults.push(what.into());
    }

    /// Something is to be done, by the rows as they are: a disagreement, unless nobody has had the
    /// time to do it.
    fn undone(&mut self, excused: bool, what: String) {
        if excused { &mut self.waiting } else { &mut self.faults }.push(what);
    }

    fn compare_sums(&mut self, placed: bool) {
        let (arrived, went) = (self.arrived, self.went);
        let in_visits = went.planned + went.unplanned + went.unplaced;
        let pairs = [
            ("events were accepted", arrived.accepted, "are kept", went.events),
            ("duplicates came", arrived.duplicate, "are counted at their events", went.duplicates),
            ("messages were rejected", arrived.rejected, "are kept", went.rejected),
            ("alerts were raised", arrived.alerts, "are kept", went.alerts),
            (
                "events are kept",
                went.events,
                "are in a visit or unplaced",
                if placed { in_visits } else { went.events },
            ),
        ];
        for (came, expected, kept, found) in pairs {
            if expected != found {
                self.fault(format!("{expected} {came}, and {found} {kept}"));
            }
        }
    }
}
