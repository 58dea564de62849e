//! Phones, units and the plan: the numbers that were heard, what has not arrived yet, and the alerts
//! about silence, gaps and a missing plan.

use std::collections::{BTreeMap, BTreeSet};

use super::Ledger;
use super::alerts::Raised;
use super::evidence::Found;
use crate::domain::alert::AlertKind;
use crate::domain::instant::{Instant, format_seconds};
use crate::domain::plan_check::plan_due_at;
use crate::domain::policy::Contract;
use crate::store::senders::{SenderKey, SenderState, words};
use crate::store::{Db, StoreError, acts, ledger as pages, senders};
use crate::watch::plan_of;

pub(super) async fn check(
    db: &mut Db,
    contract: &Contract,
    (found, alerts): (&Found, &Raised),
    now: Instant,
    ledger: &mut Ledger,
) -> Result<(), StoreError> {
    let states = senders::of_contract(db, &contract.id).await?;
    heard(db, contract, &states, found, ledger).await?;
    for ((_, sender), state) in &states {
        let (word, reference) = words(sender);
        for (first, last, higher) in state.sequence.missing() {
            ledger.gaps.push(if first == last {
                format!(
                    "{word} {reference}: message {first} has not arrived, although {higher} has"
                )
            } else {
                format!(
                    "{word} {reference}: messages {first} to {last} have not arrived, although \
                     {higher} has"
                )
            });
        }
    }
    let open = pages::open_of_senders(db, &contract.id).await?;
    silence(contract, &states, &open, now, ledger);
    no_plan(db, contract, alerts, now, ledger).await
}

/// The sender of each event was heard when it came, and its number was noted (R9); unless somebody handed
/// it in.
async fn heard(
    db: &mut Db,
    contract: &Contract,
    states: &BTreeMap<SenderKey, SenderState>,
    found: &Found,
    ledger: &mut Ledger,
) -> Result<(), StoreError> {
    let mut unheard = BTreeSet::new();
    for (_, event) in &found.events {
        let state = states.get(&(contract.id.clone(), event.sender.clone()));
        let heard = state.is_some_and(|state| state.heard_at >= event.received_at);
        let noted = |seq| state.is_some_and(|state| state.sequence.has(seq));
        if !heard || !event.seq.is_none_or(noted) {
            unheard.insert(event.event_id);
        }
    }
    let handed_in = acts::handed_in(db, &contract.id, &unheard).await?;
    for event in unheard.into_iter().filter(|event| !handed_in.contains_key(event)) {
        ledger.fault(format!("event {event}: its sender was not noted"));
    }
    Ok(())
}

type Open = (String, String, String, String);

/// An alert about a phone or unit is open while what it says is so, and once.
fn silence(
    contract: &Contract,
    states: &BTreeMap<SenderKey, SenderState>,
    open: &[Open],
    now: Instant,
    ledger: &mut Ledger,
) {
    let night = ledger.night;
    let mut holding: BTreeMap<(&str, &str, &str), (Instant, bool)> = BTreeMap::new();
    for ((_, sender), state) in states {
        let (word, reference) = words(sender);
        let looked_at = state.due_at.is_none_or(|due_at| due_at > now);
        for (kind, due_at) in state.conditions(contract, sender) {
            if due_at <= now {
                holding.insert((word, reference, kind.as_str()), (due_at, looked_at));
            }
        }
    }
    let mut times: BTreeMap<(&str, &str, &str), u32> = BTreeMap::new();
    for (word, reference, kind, _) in open {
        *times.entry((word, reference, kind)).or_default() += 1;
    }
    for (word, reference, kind, of_night) in open {
        let key = (word.as_str(), reference.as_str(), kind.as_str());
        if *of_night != night.to_string() {
            continue;
        }
        if times.get(&key) > Some(&1) {
            ledger.fault(format!("{word} {reference}: {kind} is open twice"));
        }
        if !holding.contains_key(&key) {
            ledger.fault(format!("{word} {reference}: {kind} is open, and is over"));
        }
    }
    for ((word, reference, kind), (due_at, looked_at)) in holding {
        let known = times.contains_key(&(word, reference, kind));
        if !known && contract.night_of(due_at) == night {
            let since = format_seconds(due_at);
            ledger.undone(
                !looked_at,
                format!("{word} {reference}: {kind} is so since {since}, and no alert is open"),
            );
        }
    }
}

/// The plan of a night is looked for in that night only, and every so often.
async fn no_plan(
    db: &mut Db,
    contract: &Contract,
    alerts: &Raised,
    now: Instant,
    ledger: &mut Ledger,
) -> Result<(), StoreError> {
    let kind = AlertKind::NoPlan.as_str();
    let known: Vec<bool> = (alerts.rows.iter().filter(|row| row.kind == kind))
        .map(|row| row.resolved_at.is_none())
        .collect();
    if known.len() > 1 {
        ledger.fault(format!("{kind} was raised {} times", known.len()));
    }
    let (expected, has_plan) = plan_of(db, contract, ledger.night).await?;
    let due_at = plan_due_at(contract, ledger.night);
    if expected && !has_plan && known.is_empty() && due_at <= now {
        ledger.waiting.push(format!("{kind} is so since {}", format_seconds(due_at)));
    }
    if has_plan && known.contains(&true) {
        ledger.waiting.push(format!("{kind} is open, and the plan has come"));
    }
    Ok(())
}
