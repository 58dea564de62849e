//! What is sent as one, and what is not sent.

use crate::domain::instant::Instant;
use crate::domain::recipient::Occasion;
use crate::store::notifications::Waiting;
use crate::wire::alert::{AlertMessage, State};

/// Notifications that are sent as one.
#[derive(Debug)]
pub(super) struct Letter {
    /// The same at each try.
    pub id: String,
    pub recipient: String,
    pub occasion: Occasion,
    pub written_at: Instant,
    pub tries: u32,
    /// How often in a row the recipient could not be reached.
    pub failures: u32,
    pub notifications: Vec<String>,
    /// Those of them that nobody can have heard, if nobody hears this try.
    pub unheard: Vec<String>,
    pub alerts: Vec<AlertMessage>,
}

impl Letter {
    /// One with these; none without any.
    pub fn of(recipient: &str, waiting: Vec<Waiting>, failures: u32) -> Option<Self> {
        let first = waiting.first()?;
        let mut letter = Self {
            id: first.envelope.clone().unwrap_or_else(|| first.id.clone()),
            recipient: recipient.to_owned(),
            occasion: first.occasion,
            written_at: first.written_at,
            tries: first.tries,
            failures,
            notifications: waiting.iter().map(|one| one.id.clone()).collect(),
            unheard: waiting.iter().filter(|one| !one.heard).map(|one| one.id.clone()).collect(),
            alerts: waiting.into_iter().map(|one| one.message).collect(),
        };
        letter.alerts.sort_by(|a, b| {
            (a.planned_start, &a.visit_ref, a.raised_at).cmp(&(
                b.planned_start,
                &b.visit_ref,
                b.raised_at,
            ))
        });
        Some(letter)
    }
}

/// What waits, by what is to be done about it.
#[derive(Default)]
pub(super) struct Sorted {
    pub ready: Vec<Waiting>,
    pub too_late: Vec<Waiting>,
    pub not_needed: Vec<String>,
}

impl Sorted {
    pub fn of(waiting: Vec<Waiting>, now: Instant) -> Self {
        let mut sorted = Self::default();
        for one in waiting {
            let needed = match one.occasion {
                Occasion::Opened => true,
                Occasion::Escalated => one.state == Some(State::Open),
                Occasion::Withdrawn => one.knows,
            };
            if !needed {
                sorted.not_needed.push(one.id);
            } else if one.give_up_at <= now {
                sorted.too_late.push(one);
            } else {
                sorted.ready.push(one);
            }
        }
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::alert::AlertKind;
    use crate::domain::instant::parse_instant;

    fn at(hour: u32) -> Instant {
        parse_instant(&format!("2019-02-04T{hour:02}:00:00Z")).unwrap()
    }

    fn waiting(occasion: Occasion, state: State, knows: bool, give_up: u32) -> Waiting {
        let id = uuid::Uuid::nil();
        let (kind, night) = (AlertKind::Missed, at(2).date_naive());
        let contract = "default".parse().unwrap();
        Waiting {
            id: "n".to_owned(),
            occasion,
            message: AlertMessage::open(id, contract, kind, night, at(2), String::new()),
            state: Some(state),
            written_at: at(2),
            give_up_at: at(give_up),
            tries: 0,
            heard: false,
            knows,
            envelope: None,
        }
    }

    #[test]
    fn what_is_due_is_sent_given_up_or_not_needed() {
        use Occasion::{Escalated, Opened, Withdrawn};
        use State::{Acknowledged, Open, Resolved};
        for (occasion, state, knows, give_up, becomes) in [
            (Opened, Open, false, 9, "ready"),
            // It is told although a coordinator was quick; the writer ends what is not so.
            (Opened, Acknowledged, false, 9, "ready"),
            (Opened, Open, false, 3, "too late"),
            (Escalated, Open, false, 9, "ready"),
            (Escalated, Acknowledged, false, 9, "not needed"),
            (Escalated, Resolved, false, 9, "not needed"),
            (Escalated, Resolved, true, 3, "not needed"),
            (Withdrawn, Resolved, true, 9, "ready"),
            // Whoever never heard of it is not told that it is not so.
            (Withdrawn, Resolved, false, 9, "not needed"),
        ] {
            let sorted = Sorted::of(vec![waiting(occasion, state, knows, give_up)], at(3));
            let found = match (sorted.ready.len(), sorted.too_late.len(), sorted.not_needed.len()) {
                (1, 0, 0) => "ready",
                (0, 1, 0) => "too late",
                (0, 0, 1) => "not needed",
                other => panic!("{other:?}"),
            };
            assert_eq!(found, becomes, "{occasion} {state} {knows} {give_up}");
        }
    }

    #[test]
    fn a_repeat_has_the_id_of_what_it_repeats() {
        let again = Waiting {
            envelope: Some("first".to_owned()),
            heard: true,
            ..waiting(Occasion::Opened, State::Open, false, 9)
        };
        let letter = Letter::of("desk", vec![again], 0).unwrap();
        assert_eq!((letter.id.as_str(), letter.unheard.len()), ("first", 0));
        let new = waiting(Occasion::Opened, State::Open, false, 9);
        let letter = Letter::of("desk", vec![new], 0).unwrap();
        assert_eq!((letter.id.as_str(), letter.unheard.len()), ("n", 1));
        assert!(Letter::of("desk", Vec::new(), 0).is_none());
    }
}
