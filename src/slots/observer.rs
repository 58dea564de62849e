//! What a daemon makes of the slots that it sees: which it takes, which it makes, which it adopts, and
//! whether it still has its own.
//!
//! No two machines' clocks are compared: a slot is dead when its beat has not moved for a while by the
//! observer's own clock, which is never set, and as long as the observer itself looked without a
//! break. Pure: decides by what it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant as Tick;

use crate::mqtt::SlotNumber;

/// A slot whose beat has not moved for this long has nobody.
pub const DEAD_AFTER: Duration = Duration::from_millis(900);
/// Two looks that are further apart prove nothing about what was between: the observer was held up, or
/// the database was.
pub const LOOKS_APART_MAX: Duration = Duration::from_millis(500);
/// Who has worked for less than this calls nobody dead whom it has not seen alive since: after the
/// broker was away, the others get this long to come back.
pub const TRUSTED_AFTER: Duration = Duration::from_secs(3);

/// A slot as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Its number.
    pub number: SlotNumber,
    /// The process that has it; empty if none has.
    pub holder: String,
    /// Moves as long as that process works.
    pub beat: i64,
    /// The group that shares with it; empty for the slot of a daemon that shares with nobody.
    pub group: String,
    /// Whether it hears how units are.
    pub hears_units: bool,
}

/// What is known of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Nobody has it.
    Free,
    /// Whoever has it works.
    Alive,
    /// Whoever had it does not.
    Dead,
    /// It has not been seen for long enough.
    Unsure,
}

/// What a daemon without a slot does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// It looks again.
    Wait,
    /// It takes this one.
    Take(SlotNumber),
    /// It makes one of this number.
    Make(SlotNumber),
    /// Another daemon works that does not go with this one.
    Refuse(Rival),
}

/// Why two daemons cannot have the same database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rival {
    /// One of the two shares with nobody.
    #[error(
        "another nightrun serves from this database: stop it, or give both the same \
         broker.shared_group"
    )]
    Alone,
    /// They are in two groups.
    #[error(
        "another nightrun serves from this database, with another broker.shared_group: give all of \
         them the same"
    )]
    Group,
}

/// What a daemon that had a slot does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upkeep {
    /// It has lost it.
    Lost,
    /// It has it still.
    Keep {
        /// A slot that it adopts.
        adopt: Option<SlotNumber>,
        /// Nobody hears how units are, so this one will.
        hear_units: bool,
    },
}

/// How a slot was when it was seen last.
#[derive(Debug, Clone)]
struct Seen {
    slot: Slot,
    /// Since when it has been as it is.
    since: Tick,
    /// It has been seen to move.
    moved: bool,
}

/// One who looks at the slots again and again.
#[derive(Debug, Clone)]
pub struct Observer {
    me: String,
    /// The group of this daemon; empty if it shares with nobody.
    group: String,
    looked_at: Option<Tick>,
    slots: BTreeMap<SlotNumber, Seen>,
}

impl Observer {
    /// Has seen nothing yet.
    #[must_use]
    pub fn new(me: String, group: String) -> Self {
        Self { me, group, looked_at: None, slots: BTreeMap::new() }
    }

    /// Forgets what it saw: the database did not answer, so nobody's beat could move.
    pub fn interrupted(&mut self) {
        self.looked_at = None;
    }

    /// Looks at all slots there are.
    pub fn look(&mut self, slots: Vec<Slot>, at: Tick) {
        let unbroken = self.looked_at.is_some_and(|before| at - before <= LOOKS_APART_MAX);
        self.looked_at = Some(at);
        let mut before = std::mem::take(&mut self.slots);
        if !unbroken {
            before.clear();
        }
        for slot in slots {
            let seen = match before.remove(&slot.number) {
                Some(seen) if (&seen.slot.holder, seen.slot.beat) == (&slot.holder, slot.beat) => {
                    Seen { slot, ..seen }
                }
                known => Seen { moved: known.is_some(), slot, since: at },
            };
            self.slots.insert(seen.slot.number, seen);
        }
    }

    /// The slot of this number, as it was seen last.
    #[must_use]
    pub fn slot(&self, number: SlotNumber) -> Option<&Slot> {
        self.slots.get(&number).map(|seen| &seen.slot)
    }

    /// Whether this daemon has it.
    #[must_use]
    pub fn is_mine(&self, number: SlotNumber) -> bool {
        self.slot(number).is_some_and(|slot| slot.holder == self.me)
    }

    /// Whether another daemon works.
    #[must_use]
    pub fn others_work(&self) -> bool {
        self.slots
            .values()
            .any(|seen| seen.slot.holder != self.me && self.life(seen) == Life::Alive)
    }

    fn life(&self, seen: &Seen) -> Life {
        let still = self.looked_at.is_some_and(|now| now - seen.since >= DEAD_AFTER);
        match seen {
            Seen { slot, .. } if slot.holder.is_empty() => Life::Free,
            _ if still => Life::Dead,
            Seen { moved: true, .. } => Life::Alive,
            Seen { .. } => Life::Unsure,
        }
    }

    /// Whether whoever has it worked at any time since this daemon does.
    fn was_alive_since(&self, seen: &Seen, works_for: Duration) -> bool {
        seen.moved && self.looked_at.is_some_and(|now| now - seen.since <= works_for)
    }

    /// What a daemon does that has no slot. Of the dead it leaves those of its fleet to those who hear
    /// the broker: whether anybody can hear it, it does not know yet. `adopted` are not for it to hear by.
    #[must_use]
    pub fn choose(&self, adopted: &BTreeSet<SlotNumber>) -> Choice {
        if self.looked_at.is_none() {
            return Choice::Wait;
        }
        let alone = self.group.is_empty();
        let mut unsure = false;
        for (number, seen) in &self.slots {
            if adopted.contains(number) {
                continue;
            }
            if seen.slot.holder == self.me {
                return Choice::Take(*number);
            }
            let goes_together = !alone && seen.slot.group == self.group;
            match self.life(seen) {
                Life::Alive if !goes_together => {
                    let in_groups = !alone && !seen.slot.group.is_empty();
                    return Choice::Refuse(if in_groups { Rival::Group } else { Rival::Alone });
                }
                Life::Unsure if !goes_together => unsure = true,
                _ => {}
            }
        }
        if unsure {
            return Choice::Wait;
        }
        if alone {
            return if self.slots.contains_key(&0) { Choice::Take(0) } else { Choice::Make(0) };
        }
        let free = self
            .slots
            .values()
            .find(|seen| seen.slot.group == self.group && self.life(seen) == Life::Free);
        if let Some(seen) = free {
            return Choice::Take(seen.slot.number);
        }
        // One of so many is not among so few.
        let unused = (1..=SlotNumber::MAX).find(|number| !self.slots.contains_key(number));
        unused.map_or(Choice::Wait, Choice::Make)
    }

    /// What a daemon does that has slot `own`, has worked for so long, if it does, and is adopting
    /// these: one at a time, so that several who are left have an equal part, unless it is not waited
    /// for any longer.
    #[must_use]
    pub fn upkeep(
        &self,
        own: SlotNumber,
        works_for: Option<Duration>,
        adopting: &BTreeMap<SlotNumber, bool>,
    ) -> Upkeep {
        if !self.is_mine(own) {
            return Upkeep::Lost;
        }
        let Some(works_for) = works_for else {
            return Upkeep::Keep { adopt: None, hear_units: false };
        };
        let is_left = |seen: &&Seen| {
            let left = match self.life(seen) {
                Life::Free => true,
                Life::Dead => works_for >= TRUSTED_AFTER || self.was_alive_since(seen, works_for),
                Life::Alive | Life::Unsure => false,
            };
            let known = seen.slot.number == own || adopting.contains_key(&seen.slot.number);
            !known && (left || seen.slot.holder == self.me)
        };
        let left = self.slots.values().find(is_left).map(|seen| seen.slot.number);
        Upkeep::Keep {
            adopt: left.filter(|_| !adopting.values().any(|awaited| *awaited)),
            hear_units: !self.slots.values().any(|seen| seen.slot.hears_units),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slots as `number holder beat`, of the group `g` but for 0, which is of none.
    fn slots(text: &str) -> Vec<Slot> {
        let slot = |word: &str| {
            let mut parts = word.split(' ');
            let number = parts.next().unwrap().parse().unwrap();
            let holder = parts.next().unwrap().trim_matches('-').to_owned();
            let beat = parts.next().unwrap().parse().unwrap();
            let group = if number == 0 { "" } else { "g" }.to_owned();
            Slot { number, holder, beat, group, hears_units: number == 1 }
        };
        text.split(", ").filter(|word| !word.is_empty()).map(slot).collect()
    }

    /// Looks every 250 ms: each time at what is said there, or at nothing new.
    fn observer(group: &str, looks: &[&str]) -> Observer {
        let mut observer = Observer::new("me".to_owned(), group.to_owned());
        look(&mut observer, looks);
        observer
    }

    fn look(observer: &mut Observer, looks: &[&str]) {
        let start = observer.looked_at.unwrap_or_else(Tick::now) + Duration::from_millis(250);
        for (at, text) in (0..).map(|number| start + Duration::from_millis(250) * number).zip(looks)
        {
            observer.look(slots(text), at);
        }
    }

    fn upkeep(observer: &Observer, works_for: u64) -> Upkeep {
        observer.upkeep(1, Some(Duration::from_secs(works_for)), &BTreeMap::new())
    }

    fn adopts(number: impl Into<Option<SlotNumber>>) -> Upkeep {
        Upkeep::Keep { adopt: number.into(), hear_units: false }
    }

    #[test]
    fn who_has_no_slot_takes_a_free_one_or_makes_the_next() {
        for (looks, expected) in [
            (&[""][..], Choice::Make(1)),
            (&["1 a 5"], Choice::Make(2)),
            (&["1 a 5, 2 - 7, 3 - 1"], Choice::Take(2)),
            (&["1 a 5, 3 c 7"], Choice::Make(2)),
            (&["1 a 5, 2 me 0, 3 - 1"], Choice::Take(2)),
            // A dead one is for those who hear the broker.
            (&["1 a 5", "1 a 5", "1 a 5", "1 a 5", "1 a 5"], Choice::Make(2)),
            (&[], Choice::Wait),
        ] {
            assert_eq!(observer("g", looks).choose(&BTreeSet::new()), expected, "{looks:?}");
        }
        let adopting = observer("g", &["1 a 5, 2 me 0"]).choose(&BTreeSet::from([2]));
        assert_eq!(adopting, Choice::Make(3), "that one is being drained");
    }

    #[test]
    fn who_shares_with_nobody_bears_nobody_beside() {
        for (looks, expected) in [
            (&[""][..], Choice::Make(0)),
            (&["0 - 5"], Choice::Take(0)),
            (&["0 a 5"], Choice::Wait),
            (&["0 a 5", "0 a 6"], Choice::Refuse(Rival::Alone)),
            (&["0 a 5", "0 b 5"], Choice::Refuse(Rival::Alone)),
            (&["0 a 5", "0 a 5", "0 a 5", "0 a 5"], Choice::Wait),
            (&["0 a 5", "0 a 5", "0 a 5", "0 a 5", "0 a 5"], Choice::Take(0)),
            (&["1 a 5, 2 - 1"], Choice::Wait),
            (&["1 a 5", "1 a 6"], Choice::Refuse(Rival::Alone)),
            (&["1 a 5, 2 - 1", "1 a 5", "1 a 5", "1 a 5", "1 a 5"], Choice::Make(0)),
        ] {
            assert_eq!(observer("", looks).choose(&BTreeSet::new()), expected, "{looks:?}");
        }
        let beside_one_alone = observer("g", &["0 a 5", "0 a 6"]);
        assert_eq!(beside_one_alone.choose(&BTreeSet::new()), Choice::Refuse(Rival::Alone));
        let in_another_group = observer("h", &["1 a 5", "1 a 6"]);
        assert_eq!(in_another_group.choose(&BTreeSet::new()), Choice::Refuse(Rival::Group));
    }

    #[test]
    fn a_slot_whose_beat_stands_still_for_a_second_is_adopted() {
        let still = "1 me 5, 2 b 7";
        let never_alive = observer("g", &[still, still, still, still, still]);
        assert_eq!(upkeep(&never_alive, 2), adopts(None), "the broker may have come back just now");
        assert_eq!(upkeep(&never_alive, 3), adopts(2));
        let mut observer = observer("g", &["1 me 5, 2 b 6", still, still, still, still]);
        assert_eq!(upkeep(&observer, 3), adopts(None), "it may still come");
        look(&mut observer, &[still]);
        assert_eq!(upkeep(&observer, 3), adopts(2));
        assert_eq!(upkeep(&observer, 1), adopts(2), "it was alive a second ago");
        assert_eq!(upkeep(&observer, 0), adopts(None), "that was before the broker was away");
        assert_eq!(observer.upkeep(1, None, &BTreeMap::new()), adopts(None), "who is deaf itself");
        let adopting = |slot, awaited| {
            observer.upkeep(1, Some(TRUSTED_AFTER), &BTreeMap::from([(slot, awaited)]))
        };
        assert_eq!(adopting(3, true), adopts(None), "one at a time");
        assert_eq!(adopting(3, false), adopts(2), "that one is not waited for any longer");
        assert_eq!(adopting(2, false), adopts(None), "it is being adopted");
        look(&mut observer, &["1 me 5, 2 b 8"]);
        assert_eq!(upkeep(&observer, 3), adopts(None), "it beats");
    }

    #[test]
    fn a_free_slot_is_adopted_at_once() {
        assert_eq!(upkeep(&observer("g", &["1 me 5, 2 - 7"]), 0), adopts(2));
        assert_eq!(upkeep(&observer("g", &["0 - 5, 1 me 7"]), 0), adopts(0));
        assert_eq!(upkeep(&observer("g", &["1 me 5, 2 me 7"]), 0), adopts(2), "it has it already");
    }

    #[test]
    fn who_did_not_look_knows_nothing() {
        let still = "1 me 5, 2 b 7";
        let mut observer = observer("g", &[still, still, still, still]);
        observer.interrupted();
        look(&mut observer, &[still]);
        assert_eq!(upkeep(&observer, 3), adopts(None), "the database was away");
        let later = observer.looked_at.unwrap() + LOOKS_APART_MAX + Duration::from_millis(1);
        look(&mut observer, &[still, still, still]);
        observer.look(slots(still), later + Duration::from_secs(9));
        assert_eq!(upkeep(&observer, 3), adopts(None), "the observer itself was held up");
    }

    #[test]
    fn a_slot_that_another_has_is_lost() {
        let lost = |text| upkeep(&observer("g", &[text]), 9) == Upkeep::Lost;
        assert!(lost("1 b 5") && lost("1 - 5") && lost("2 me 5") && lost(""));
        assert!(!lost("1 me 5"));
    }

    #[test]
    fn somebody_hears_how_units_are() {
        let observer = observer("g", &["2 me 5, 3 c 7"]);
        let none = BTreeMap::new();
        let keeps = |hear_units| Upkeep::Keep { adopt: None, hear_units };
        assert_eq!(observer.upkeep(2, Some(Duration::ZERO), &none), keeps(true));
        assert_eq!(observer.upkeep(2, None, &none), keeps(false), "not who is deaf");
    }

    #[test]
    fn whether_others_work_is_seen_by_their_beats() {
        assert!(!observer("g", &["1 me 5, 2 b 7"]).others_work(), "it has not moved");
        let mut observer = observer("g", &["1 me 5, 2 b 7", "1 me 5, 2 b 8"]);
        assert!(observer.others_work());
        look(&mut observer, &["1 me 5, 2 b 8", "1 me 5, 2 b 8", "1 me 5", "1 me 6, 2 - 8"]);
        assert!(!observer.others_work());
    }
}
