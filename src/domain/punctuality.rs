//! Punctuality of clients and contracts, contact within 30 minutes, and missed visits (R17, R23).

use std::collections::BTreeMap;

use super::contact::ContactClock;
use super::policy::Contract;
use super::refs::ClientRef;
use super::visit::{Flag, Status, Visit};

/// The share of visits that are to be within tolerance, in percent [IP 4].
pub const TARGET_PERCENT: u32 = 90;

/// What is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Planned visits, void ones apart.
    pub planned: u32,
    /// Visits that were the provider's to deliver: delivered, part delivered, missed.
    pub to_deliver: u32,
    /// Of these, those delivered within tolerance.
    pub within_tolerance: u32,
    /// Of these, those that were staffed, but nobody knows from when on.
    pub start_unknown: u32,
    /// Of these, those that started late.
    pub late: u32,
    /// Of these, those that were missed.
    pub missed: u32,
    /// Contacts that were owed, as far as their time has come.
    pub contacts_due: u32,
    /// Of these, those that were made in time.
    pub contacts_in_time: u32,
}

impl Tally {
    /// Visits within tolerance, in percent of those that were to be delivered; none without any.
    #[must_use]
    pub fn punctuality(&self) -> Option<f64> {
        percent(self.within_tolerance, self.to_deliver)
    }

    /// Contacts in time, in percent of those owed; none without any.
    #[must_use]
    pub fn contact(&self) -> Option<f64> {
        percent(self.contacts_in_time, self.contacts_due)
    }

    /// Missed visits, in percent of those planned; none without any.
    #[must_use]
    pub fn missed_of_planned(&self) -> Option<f64> {
        percent(self.missed, self.planned)
    }

    fn add(&mut self, contract: &Contract, visit: &Visit) {
        if visit.plan.is_none() || visit.status == Status::Void {
            return;
        }
        self.planned += 1;
        let missed = visit.status == Status::Missed;
        if !missed && !matches!(visit.status, Status::Delivered | Status::PartDelivered) {
            return;
        }
        self.to_deliver += 1;
        self.missed += u32::from(missed);
        self.late += u32::from(visit.flags.contains(&Flag::Late));
        if visit.status != Status::Delivered {
            return;
        }
        let tolerance = contract.policy(visit.night).tolerance;
        match visit.deviation() {
            Some(deviation) => self.within_tolerance += u32::from(deviation.abs() <= tolerance),
            None => self.start_unknown += 1,
        }
    }

    fn add_contact(&mut self, clock: ContactClock) {
        let in_time = match clock {
            ContactClock::None | ContactClock::Runs(_) => return,
            ContactClock::Met(_) => true,
            ContactClock::MetLate(_) | ContactClock::Missed(_) => false,
        };
        self.contacts_due += 1;
        self.contacts_in_time += u32::from(in_time);
    }
}

/// To one place after the point.
fn percent(part: u32, whole: u32) -> Option<f64> {
    (whole > 0).then(|| (f64::from(part) * 1000.0 / f64::from(whole)).round() / 10.0)
}

/// Of a contract, and of each client.
#[derive(Debug, Clone, Default)]
pub struct Punctuality {
    /// Of the contract.
    pub contract: Tally,
    /// Of each client.
    pub clients: BTreeMap<ClientRef, Tally>,
}

impl Punctuality {
    /// Of these visits, with how the contact clock of each late one stands.
    #[must_use]
    pub fn of(
        contract: &Contract,
        visits: &[Visit],
        contacts: &[(ClientRef, ContactClock)],
    ) -> Self {
        let mut all = Self::default();
        for visit in visits {
            all.contract.add(contract, visit);
            all.clients.entry(visit.client.clone()).or_default().add(contract, visit);
        }
        for (client, clock) in contacts {
            all.contract.add_contact(*clock);
            all.clients.entry(client.clone()).or_default().add_contact(*clock);
        }
        all
    }
}
