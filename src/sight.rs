//! Whether the daemon hears the broker, and each contract's phones (R25).
//!
//! While it does not, silence proves nothing. It is told what was heard, each time with the instant;
//! what that means for visits and alerts is for others to say. Reads no clock.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use crate::domain::alert::Sight;
use crate::domain::instant::Instant;
use crate::domain::refs::ContractId;

/// The broker may be away so long before anybody is told.
pub const DEAF_FOR: TimeDelta = TimeDelta::seconds(60);
/// Phones may be silent so long, although visits of several runs are waited for.
pub const PHONES_SILENT_FOR: TimeDelta = TimeDelta::minutes(20);

/// A connection that has not told for longer than this up to when it has heard all, lags behind.
pub const LAG_MAX: TimeDelta = TimeDelta::seconds(1);

/// What is not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deaf {
    /// There is no session with the broker, or what it had kept has not been read.
    Broker,
    /// None of the contract's phones.
    Phones,
}

/// Why a contract's silence proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blindness {
    /// What is not heard.
    pub deaf: Deaf,
    /// When it was heard last, if ever.
    pub heard_at: Option<Instant>,
    /// When people are to be told.
    pub due_at: Instant,
}

/// What the other daemons of a fleet hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fleet {
    /// Up to when each of them has heard everything; none if there are no others.
    pub up_to: Option<Instant>,
    /// Since when one or another of them has heard everything, if they share.
    pub since: Option<Instant>,
    /// Whether any of them works.
    pub works: bool,
}

/// What the daemon hears.
#[derive(Debug, Clone)]
pub struct Sights {
    /// When the broker was lost, if it is.
    deaf_since: Option<Instant>,
    /// Since when it is heard, if it is.
    since: Instant,
    /// Up to when everything was heard, if the broker tells.
    up_to: Option<Instant>,
    fleet: Option<Fleet>,
    phones: BTreeMap<ContractId, Phones>,
}

/// The phones of a contract.
#[derive(Debug, Clone, Copy)]
struct Phones {
    heard_at: Option<Instant>,
    /// No phone has ever been heard: those who come say so by the units in the homes.
    units_only: bool,
    /// When their silence became blindness, if it is.
    deaf_since: Option<Instant>,
    /// Since when silence proves something again.
    since: Instant,
    /// The silence has been looked into and is no blindness, unless more falls due.
    looked_into: bool,
}

impl Phones {
    fn heard(heard_at: Option<Instant>) -> Self {
        Self {
            heard_at,
            units_only: heard_at.is_none(),
            deaf_since: None,
            since: Instant::MIN_UTC,
            looked_into: false,
        }
    }
}

impl Sights {
    /// Hears nothing yet. `heard` says when a phone of each contract was heard last.
    #[must_use]
    pub fn starting(now: Instant, heard: BTreeMap<ContractId, Instant>) -> Self {
        let phones = heard.into_iter().map(|(contract, at)| (contract, Phones::heard(Some(at))));
        let phones = phones.collect();
        Self { deaf_since: Some(now), since: now, up_to: None, fleet: None, phones }
    }

    /// Hears everything since then.
    #[must_use]
    pub fn seeing(since: Instant) -> Self {
        Self { deaf_since: None, since, up_to: None, fleet: None, phones: BTreeMap::new() }
    }

    /// The broker is lost, or what it has is not known. False if that was so before.
    pub fn lose_broker(&mut self, now: Instant) -> bool {
        let heard = self.deaf_since.is_none();
        self.deaf_since.get_or_insert(now);
        heard
    }

    /// Everything that the broker had kept has been read.
    pub fn hear_broker(&mut self, now: Instant) {
        (self.deaf_since, self.since) = (None, now);
    }

    /// The other daemons hear that, if there are any. As long as one of them works, somebody hears.
    pub fn follow(&mut self, fleet: Option<Fleet>, now: Instant) {
        self.fleet = fleet;
        if self.others_work() {
            self.deaf_since = self.deaf_since.map(|_| now);
        }
    }

    fn others_work(&self) -> bool {
        self.fleet.is_some_and(|fleet| fleet.works)
    }

    /// The last instant up to `now` up to which the other daemons have heard everything, too.
    #[must_use]
    pub fn knows_up_to(&self, now: Instant) -> Instant {
        self.fleet.and_then(|fleet| fleet.up_to).map_or(now, |up_to| up_to.min(now))
    }

    /// Everything up to then has been heard; nobody tells, if none.
    pub fn heard_up_to(&mut self, up_to: Option<Instant>) {
        self.up_to = up_to;
    }

    /// Up to when everything was heard, if the broker tells.
    #[must_use]
    pub fn up_to(&self) -> Option<Instant> {
        self.up_to
    }

    /// Phones of these contracts have been heard. Returns the contracts that were blind for want of
    /// them.
    pub fn hear_phones(
        &mut self,
        contracts: &BTreeSet<ContractId>,
        now: Instant,
    ) -> Vec<ContractId> {
        for contract in contracts {
            self.phones_of(contract).units_only = false;
        }
        self.hear(contracts.iter(), now)
    }

    /// Units of these contracts have said that something happened: as good as phones where there are
    /// none. Returns the contracts that were blind for want of them.
    pub fn hear_units(
        &mut self,
        contracts: &BTreeSet<ContractId>,
        now: Instant,
    ) -> Vec<ContractId> {
        let units_only: Vec<&ContractId> =
            contracts.iter().filter(|contract| self.phones_of(contract).units_only).collect();
        self.hear(units_only, now)
    }

    fn hear<'a>(
        &mut self,
        contracts: impl IntoIterator<Item = &'a ContractId>,
        now: Instant,
    ) -> Vec<ContractId> {
        let mut again = Vec::new();
        for contract in contracts {
            let phones = self.phones_of(contract);
            (phones.heard_at, phones.looked_into) = (Some(now), false);
            if phones.deaf_since.take().is_some() {
                phones.since = now;
                again.push(contract.clone());
            }
        }
        again
    }

    /// Whether it has to be asked what other daemons have heard of the contract's phones: this one
    /// would call them silent, or has.
    #[must_use]
    pub fn must_ask_for(&self, contract: &ContractId, falls_due: bool, now: Instant) -> bool {
        let is_deaf = self.phones.get(contract).is_some_and(|phones| phones.deaf_since.is_some());
        self.fleet.is_some() && (is_deaf || self.may_be_deaf(contract, falls_due, now))
    }

    /// Another daemon heard the contract's phones then. Returns whether it was blind for want of them.
    pub fn heard_elsewhere(&mut self, contract: &ContractId, at: Instant, now: Instant) -> bool {
        let phones = self.phones_of(contract);
        if phones.heard_at.is_some_and(|heard_at| at <= heard_at) {
            return false;
        }
        (phones.heard_at, phones.looked_into) = (Some(at), false);
        let again = phones.deaf_since.take_if(|deaf_since| *deaf_since < at).is_some();
        if again {
            phones.since = now;
        }
        again
    }

    /// Whether the contract's phones are so silent that it may be blindness: to be looked into once,
    /// and again when something falls due.
    #[must_use]
    pub fn may_be_deaf(&self, contract: &ContractId, falls_due: bool, now: Instant) -> bool {
        let phones = self.phones.get(contract).copied().unwrap_or(Phones::heard(None));
        phones.deaf_since.is_none()
            && (falls_due || !phones.looked_into)
            && phones.heard_at.is_none_or(|heard_at| now - heard_at >= PHONES_SILENT_FOR)
    }

    /// The silence of the contract's phones has been looked into: it is blindness, or not.
    pub fn looked_into(&mut self, contract: &ContractId, deaf: bool, now: Instant) {
        let phones = self.phones_of(contract);
        phones.looked_into = true;
        phones.deaf_since = deaf.then_some(now);
    }

    /// The machine's clock was stepped by so much: every silence is as long as it was.
    pub fn step(&mut self, by: TimeDelta) {
        let stepped = |at: Instant| at.checked_add_signed(by).unwrap_or(at);
        self.up_to = self.up_to.map(stepped);
        self.deaf_since = self.deaf_since.map(stepped);
        for phones in self.phones.values_mut() {
            phones.heard_at = phones.heard_at.map(stepped);
            phones.deaf_since = phones.deaf_since.map(stepped);
        }
    }

    fn phones_of(&mut self, contract: &ContractId) -> &mut Phones {
        self.phones.entry(contract.clone()).or_insert(Phones::heard(None))
    }

    /// Whether the broker is heard.
    #[must_use]
    pub fn broker(&self) -> Sight {
        match self.deaf_since {
            Some(_) => Sight::Blind,
            None => Sight::Seeing { since: self.since() },
        }
    }

    /// Since when everything is heard: of several who share, one or another has.
    fn since(&self) -> Instant {
        self.fleet.and_then(|fleet| fleet.since).unwrap_or(self.since)
    }

    /// Whether alerts of the contract may rest on nobody having come.
    #[must_use]
    pub fn of(&self, contract: &ContractId) -> Sight {
        let phones = self.phones.get(contract);
        if self.deaf_since.is_some() || phones.is_some_and(|phones| phones.deaf_since.is_some()) {
            return Sight::Blind;
        }
        let since = phones.map_or(self.since(), |phones| phones.since.max(self.since()));
        Sight::Seeing { since }
    }

    /// The same, when evidence is received: what comes over a connection that lags behind may have been
    /// at the broker before a deadline that has passed since.
    #[must_use]
    pub fn at_receipt(&self, contract: &ContractId, received_at: Instant) -> Sight {
        if self.up_to.is_some_and(|up_to| received_at - up_to > LAG_MAX) {
            return Sight::Blind;
        }
        match (self.of(contract), self.fleet) {
            (Sight::Seeing { since }, Some(Fleet { up_to: Some(up_to), .. })) => {
                Sight::Behind { since, up_to }
            }
            (sight, _) => sight,
        }
    }

    /// The contract's blindness, if it is blind: that is, nobody hears.
    #[must_use]
    pub fn blindness(&self, contract: &ContractId) -> Option<Blindness> {
        if let Some(since) = self.deaf_since {
            if self.others_work() {
                return None;
            }
            let (heard_at, due_at) = (Some(since), since + DEAF_FOR);
            return Some(Blindness { deaf: Deaf::Broker, heard_at, due_at });
        }
        let phones = self.phones.get(contract)?;
        let due_at = phones.deaf_since?;
        Some(Blindness { deaf: Deaf::Phones, heard_at: phones.heard_at, due_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instant::parse_instant;

    fn night() -> Instant {
        parse_instant("2019-02-05T02:00:00Z").unwrap()
    }

    fn minutes(count: i64) -> TimeDelta {
        TimeDelta::minutes(count)
    }

    #[test]
    fn the_broker_decides_for_everybody() {
        let (t, a) = (night(), "a".parse().unwrap());
        let mut sights = Sights::starting(t, BTreeMap::new());
        assert_eq!((sights.broker(), sights.of(&a)), (Sight::Blind, Sight::Blind));
        let due_at = t + TimeDelta::seconds(60);
        let blindness = Blindness { deaf: Deaf::Broker, heard_at: Some(t), due_at };
        assert_eq!(sights.blindness(&a), Some(blindness));
        assert!(!sights.lose_broker(t + minutes(1)), "it was lost before");
        assert_eq!(sights.blindness(&a), Some(blindness), "and since then");
        sights.hear_broker(t + minutes(2));
        assert_eq!(sights.of(&a), Sight::Seeing { since: t + minutes(2) });
        assert_eq!(sights.blindness(&a), None);
        assert!(sights.lose_broker(t + minutes(3)));
        assert_eq!(sights.of(&a), Sight::Blind);
    }

    #[test]
    fn silent_phones_decide_for_their_contract() {
        let (t, a, b) = (night(), "a".parse().unwrap(), "b".parse().unwrap());
        let mut sights = Sights::seeing(t);
        let heard = BTreeSet::from([ContractId::clone(&a)]);
        sights.hear_phones(&heard, t);
        assert!(!sights.may_be_deaf(&a, true, t + minutes(19)), "not silent for long");
        assert!(sights.may_be_deaf(&a, false, t + minutes(20)));
        assert!(sights.may_be_deaf(&b, false, t), "never heard");
        sights.looked_into(&a, false, t + minutes(20));
        assert!(!sights.may_be_deaf(&a, false, t + minutes(21)), "looked into");
        assert!(sights.may_be_deaf(&a, true, t + minutes(21)), "but something falls due");
        sights.looked_into(&a, true, t + minutes(21));
        assert!(!sights.may_be_deaf(&a, true, t + minutes(22)), "known");
        assert_eq!(sights.of(&a), Sight::Blind);
        assert_eq!(sights.of(&b), Sight::Seeing { since: t });
        let due_at = t + minutes(21);
        let blindness = Blindness { deaf: Deaf::Phones, heard_at: Some(t), due_at };
        assert_eq!(sights.blindness(&a), Some(blindness));
        let again = sights.hear_phones(&heard, t + minutes(30));
        assert_eq!(again.as_slice(), std::slice::from_ref(&a));
        assert_eq!(sights.of(&a), Sight::Seeing { since: t + minutes(30) });
        assert!(sights.hear_phones(&heard, t + minutes(31)).is_empty());
    }

    #[test]
    fn where_no_phone_was_ever_heard_units_are_as_good() {
        let (t, a) = (night(), "a".parse().unwrap());
        let heard = BTreeSet::from([ContractId::clone(&a)]);
        let mut sights = Sights::seeing(t);
        sights.looked_into(&a, true, t);
        assert_eq!(sights.of(&a), Sight::Blind);
        assert_eq!(sights.hear_units(&heard, t + minutes(1)).as_slice(), std::slice::from_ref(&a));
        assert_eq!(sights.of(&a), Sight::Seeing { since: t + minutes(1) });
        assert!(!sights.may_be_deaf(&a, true, t + minutes(20)));
        assert!(sights.may_be_deaf(&a, true, t + minutes(21)));
        assert!(sights.hear_phones(&heard, t + minutes(30)).is_empty());
        assert!(sights.hear_units(&heard, t + minutes(49)).is_empty());
        assert!(sights.may_be_deaf(&a, true, t + minutes(50)), "there are phones, and are silent");
    }

    #[test]
    fn of_several_daemons_somebody_hears_as_long_as_one_works() {
        let (t, a) = (night(), "a".parse().unwrap());
        let mut sights = Sights::starting(t, BTreeMap::new());
        let fleet = |up_to, works| Some(Fleet { up_to: Some(up_to), since: Some(t), works });
        sights.follow(fleet(t, true), t + minutes(9));
        assert_eq!((sights.blindness(&a), sights.broker()), (None, Sight::Blind));
        sights.follow(fleet(t, false), t + minutes(10));
        let due_at = sights.blindness(&a).map(|blindness| blindness.due_at);
        assert_eq!(due_at, Some(t + minutes(10)), "60 s after another worked last");
    }

    #[test]
    fn what_others_may_have_in_hand_proves_nothing_yet() {
        let (t, a) = (night(), "a".parse().unwrap());
        let mut sights = Sights::seeing(t + minutes(5));
        assert_eq!(sights.knows_up_to(t + minutes(9)), t + minutes(9));
        let fleet = |up_to| Some(Fleet { up_to, since: Some(t), works: true });
        sights.follow(fleet(None), t);
        assert_eq!(sights.at_receipt(&a, t + minutes(9)), Sight::Seeing { since: t }, "alone");
        let up_to = t + minutes(8);
        sights.follow(fleet(Some(up_to)), t);
        assert_eq!(sights.knows_up_to(t + minutes(9)), up_to);
        assert_eq!(sights.at_receipt(&a, t + minutes(9)), Sight::Behind { since: t, up_to });
        assert_eq!(sights.of(&a), Sight::Seeing { since: t }, "it looks no further");
    }

    #[test]
    fn phones_that_another_daemon_hears_are_not_silent() {
        let (t, a) = (night(), "a".parse().unwrap());
        let mut sights = Sights::seeing(t);
        sights.hear_phones(&BTreeSet::from([ContractId::clone(&a)]), t);
        assert!(!sights.must_ask_for(&a, true, t + minutes(30)), "there is no other");
        sights.follow(Some(Fleet { up_to: None, since: None, works: true }), t);
        assert!(!sights.must_ask_for(&a, true, t + minutes(19)));
        assert!(sights.must_ask_for(&a, true, t + minutes(20)));
        assert!(!sights.heard_elsewhere(&a, t + minutes(10), t + minutes(20)), "was not blind");
        assert!(!sights.may_be_deaf(&a, true, t + minutes(29)));
        sights.looked_into(&a, true, t + minutes(30));
        assert!(sights.must_ask_for(&a, false, t + minutes(31)));
        assert!(!sights.heard_elsewhere(&a, t + minutes(10), t + minutes(31)), "nothing new");
        assert!(sights.heard_elsewhere(&a, t + minutes(32), t + minutes(33)));
        assert_eq!(sights.of(&a), Sight::Seeing { since: t + minutes(33) });
    }

    #[test]
    fn a_stepped_clock_makes_no_silence() {
        let (t, a) = (night(), "a".parse().unwrap());
        let mut sights = Sights::seeing(t);
        sights.hear_phones(&BTreeSet::from([ContractId::clone(&a)]), t);
        sights.step(minutes(60));
        assert!(!sights.may_be_deaf(&a, true, t + minutes(79)));
        assert!(sights.may_be_deaf(&a, true, t + minutes(80)));
    }
}
