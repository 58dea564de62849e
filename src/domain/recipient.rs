//! Who is told of which alert, and when (R21, R24).
//!
//! Decides from what is set and what happened; knows neither addresses nor how anything is sent.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use super::alert::{AlertKind, Resolution, Severity};
use super::instant::Instant;
use super::words::words;

words! {
    /// On whose side a recipient is.
    Audience {
        /// The provider's coordinators.
        Coordinator = "coordinator",
        /// The council: told what the rules name, by references only.
        Council = "council",
    }
}

words! {
    /// What a notification is about.
    Occasion {
        /// The alert was raised.
        Opened = "opened",
        /// Nobody has acknowledged it.
        Escalated = "escalated",
        /// It was told, and evidence says otherwise.
        Withdrawn = "withdrawn",
    }
}

/// Somebody who is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipient {
    /// Its name, in the grammar of references.
    pub name: String,
    /// On whose side it is.
    pub audience: Audience,
    /// The kinds of which it is told; none: all that its audience is told.
    pub kinds: Option<BTreeSet<AlertKind>>,
    /// The least grave of which it is told.
    pub least_severity: Severity,
    /// Who is told, one after the other, while nobody acknowledges.
    pub escalate_to: Vec<String>,
    /// After how long each of them.
    pub escalate_after: TimeDelta,
    /// Whether it is told in place of others only.
    pub by_escalation: bool,
}

impl Recipient {
    /// Whether it is told at once of alerts of this kind.
    fn wants(&self, kind: AlertKind) -> bool {
        let may = self.audience == Audience::Coordinator || kind.is_for_council();
        let asked = self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&kind));
        may && asked && kind.severity() >= self.least_severity && !self.by_escalation
    }
}

/// All who are told of a contract's alerts, and what holds for all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipients {
    /// They.
    pub all: Vec<Recipient>,
    /// What is raised within this is told together.
    pub group_within: TimeDelta,
    /// What cannot be told within this has failed.
    pub give_up_after: TimeDelta,
}

impl Default for Recipients {
    fn default() -> Self {
        let (group_within, give_up_after) = (TimeDelta::seconds(5), TimeDelta::hours(24));
        Self { all: Vec::new(), group_within, give_up_after }
    }
}

/// Somebody is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telling {
    /// Who.
    pub recipient: String,
    /// Why.
    pub occasion: Occasion,
    /// When.
    pub due_at: Instant,
    /// When it has failed.
    pub give_up_at: Instant,
}

impl Recipients {
    /// Who is told of an alert of that kind that was raised at `now`, each once, in order of their
    /// names: whoever it concerns at once, and those to whom it escalates later.
    #[must_use]
    pub fn told(&self, kind: AlertKind, now: Instant) -> Vec<Telling> {
        let mut told: BTreeMap<&str, Telling> = BTreeMap::new();
        let mut add = |name, occasion, due_at| {
            let telling = self.telling(name, occasion, due_at);
            let known = told.entry(name).or_insert_with(|| telling.clone());
            if telling.due_at < known.due_at {
                *known = telling;
            }
        };
        for recipient in self.all.iter().filter(|recipient| recipient.wants(kind)) {
            add(&recipient.name, Occasion::Opened, now + self.group_within);
            for (next, after) in recipient.escalate_to.iter().zip(1..) {
                let due_at = now + recipient.escalate_after * after;
                add(next, Occasion::Escalated, due_at);
            }
        }
        told.into_values().collect()
    }

    /// The withdrawal of what that recipient was told.
    #[must_use]
    pub fn withdrawal(&self, recipient: &str, now: Instant) -> Telling {
        self.telling(recipient, Occasion::Withdrawn, now + self.group_within)
    }

    fn telling(&self, recipient: &str, occasion: Occasion, due_at: Instant) -> Telling {
        let give_up_at = due_at + self.give_up_after;
        Telling { recipient: recipient.to_owned(), occasion, due_at, give_up_at }
    }
}

/// What becomes of a notification when its alert is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It was said, or is still to be.
    Stays,
    /// It is not said any more.
    NotNeeded,
    /// It is not said (again), and whoever heard it is told that it is not so.
    Withdrawn,
}

/// What becomes of a notification when its alert ends so. `waits`: it is still to be sent. `heard`: the
/// recipient has it, or may have it.
#[must_use]
pub fn when_over(kind: AlertKind, resolution: Resolution, waits: bool, heard: bool) -> Then {
    match (is_undone(kind, resolution), heard) {
        (true, true) if kind == AlertKind::Missed => Then::Withdrawn,
        (true, _) if waits => Then::NotNeeded,
        _ => Then::Stays,
    }
}

/// Whether nobody need be told any more: what was wrong is not so. What a coordinator has said or done
/// about it leaves it said; and an unplanned visit is over when it is raised.
#[must_use]
pub fn is_undone(kind: AlertKind, resolution: Resolution) -> bool {
    let by_evidence = !matches!(resolution, Resolution::Coordinator | Resolution::Corrected);
    by_evidence && kind != AlertKind::UnplannedVisit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instant::parse_instant;

    fn at(minutes: i64) -> Instant {
        parse_instant("2019-02-04T02:00:00Z").unwrap() + TimeDelta::minutes(minutes)
    }

    fn recipient(name: &str) -> Recipient {
        Recipient {
            name: name.to_owned(),
            audience: Audience::Coordinator,
            kinds: None,
            least_severity: Severity::Warning,
            escalate_to: Vec::new(),
            escalate_after: TimeDelta::minutes(10),
            by_escalation: false,
        }
    }

    /// A desk that escalates to a manager and then a director, a pager for what is critical, one who
    /// asks for units only, and the council.
    fn all() -> Recipients {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let all = vec![
            Recipient { escalate_to: names(&["manager", "director"]), ..recipient("desk") },
            Recipient { by_escalation: true, ..recipient("manager") },
            Recipient { by_escalation: true, ..recipient("director") },
            Recipient {
                least_severity: Severity::Critical,
                escalate_to: names(&["director"]),
                escalate_after: TimeDelta::minutes(5),
                ..recipient("pager")
            },
            Recipient {
                kinds: Some(BTreeSet::from([AlertKind::DeviceOffline])),
                ..recipient("units")
            },
            Recipient {
                audience: Audience::Council,
                least_severity: Severity::Info,
                ..recipient("council")
            },
        ];
        Recipients { all, group_within: TimeDelta::zero(), ..Recipients::default() }
    }

    #[test]
    fn who_is_told_of_what_and_when() {
        for (kind, told) in [
            (AlertKind::UnplannedVisit, ""),
            (AlertKind::Tolerance, "desk@0 director+20 manager+10"),
            (AlertKind::Late, "desk@0 director+20 manager+10"),
            (AlertKind::OverdueCheckout, "desk@0 director+20 manager+10"),
            (AlertKind::OffSite, "desk@0 director+20 manager+10"),
            (AlertKind::SequenceGap, "desk@0 director+20 manager+10"),
            (AlertKind::DeviceOffline, "desk@0 director+20 manager+10 units@0"),
            (AlertKind::NotificationFailed, "desk@0 director+20 manager+10"),
            (AlertKind::NotDelivered, "council@0 desk@0 director+20 manager+10"),
            // Of two who escalate to the director, the pager does so sooner.
            (AlertKind::Missed, "council@0 desk@0 director+5 manager+10 pager@0"),
            (AlertKind::ShortStaffed, "council@0 desk@0 director+5 manager+10 pager@0"),
            (AlertKind::NoPlan, "desk@0 director+5 manager+10 pager@0"),
            (AlertKind::MonitoringBlind, "desk@0 director+5 manager+10 pager@0"),
        ] {
            let found: Vec<_> = all()
                .told(kind, at(0))
                .into_iter()
                .map(|telling| {
                    let sign = if telling.occasion == Occasion::Opened { "@" } else { "+" };
                    assert_eq!(telling.give_up_at, telling.due_at + TimeDelta::hours(24));
                    format!("{}{sign}{}", telling.recipient, (telling.due_at - at(0)).num_minutes())
                })
                .collect();
            assert_eq!(found.join(" "), told, "{kind}");
        }
    }

    #[test]
    fn what_is_told_waits_for_what_is_told_with_it_but_escalation_does_not_wait_longer() {
        let all = Recipients { group_within: TimeDelta::seconds(5), ..all() };
        let told = all.told(AlertKind::Late, at(0));
        let due: Vec<_> = told.iter().map(|told| (told.due_at - at(0)).num_seconds()).collect();
        assert_eq!(due, [5, 20 * 60, 10 * 60]);
        assert_eq!(all.withdrawal("desk", at(0)).due_at, at(0) + TimeDelta::seconds(5));
    }

    #[test]
    fn what_becomes_of_what_was_told_when_it_is_over() {
        use Resolution::{Coordinator, Corrected, Over, Staffed, Statement, Superseded};
        use Then::{NotNeeded, Stays, Withdrawn};
        let (missed, late) = (AlertKind::Missed, AlertKind::Late);
        for (kind, resolution, waits, heard, then) in [
            // It was told: withdrawn, for whatever evidence says otherwise.
            (missed, Staffed, false, true, Withdrawn),
            (missed, Statement, false, true, Withdrawn),
            (missed, Superseded, false, true, Withdrawn),
            (missed, Over, false, true, Withdrawn),
            // Nobody knows whether the receiver has it.
            (missed, Staffed, true, true, Withdrawn),
            // It was not told, and is not any more.
            (missed, Staffed, true, false, NotNeeded),
            // It failed, and nobody heard it.
            (missed, Staffed, false, false, Stays),
            // A coordinator's word is no evidence: the visit may still be missed.
            (missed, Corrected, false, true, Stays),
            (missed, Coordinator, true, false, Stays),
            // Others are not withdrawn.
            (late, Staffed, false, true, Stays),
            (late, Superseded, true, false, NotNeeded),
            (late, Staffed, true, true, NotNeeded),
            // It is over when it is raised.
            (AlertKind::UnplannedVisit, Over, true, false, Stays),
        ] {
            let found = when_over(kind, resolution, waits, heard);
            assert_eq!(found, then, "{kind} {resolution} {waits} {heard}");
        }
    }
}
