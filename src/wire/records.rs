//! Nights, visits and alerts as programs see them over HTTP. The council sees references only: no carers,
//! no devices, no messages, nothing that people typed for themselves.

use serde::Serialize;
use serde_json::Value;

use super::alert::AlertMessage;
use crate::domain::attendance::{Attendance, PlacedEvent};
use crate::domain::contact::{Act, ContactClock, Deed};
use crate::domain::correction::{Correction, CorrectionKind};
use crate::domain::event::{Event, EventKind, Sender};
use crate::domain::instant::{Instant, format_instant};
use crate::domain::place::Whereabouts;
use crate::domain::plan::PlannedVisit;
use crate::domain::policy::Contract;
use crate::domain::recipient::Occasion;
use crate::domain::schedule3::{Counted, RowKey};
use crate::domain::visit::Visit;

fn at(instant: Instant) -> String {
    format_instant(instant)
}

/// A visit.
#[derive(Debug, Serialize)]
pub struct VisitRecord {
    /// The contract.
    pub contract: String,
    /// The night.
    pub night: String,
    /// Its reference.
    pub visit_ref: String,
    /// The client.
    pub client_ref: String,
    /// The service.
    pub service: String,
    /// The service level type.
    pub service_level: String,
    /// The run, if it is part of one.
    pub run: Option<String>,
    /// When it was to start; null if unplanned.
    pub planned_start: Option<String>,
    /// When it was to end; null if unplanned.
    pub planned_end: Option<String>,
    /// How many people it needs; null if unplanned.
    pub carers_required: Option<u8>,
    /// How many came (R13).
    pub present: u8,
    /// When it started, if staffed and known (R14).
    pub start: Option<String>,
    /// Its last check-out.
    pub end: Option<String>,
    /// From the first check-in to the last check-out, in seconds.
    pub call_seconds: Option<i64>,
    /// Start less planned start, in seconds.
    pub deviation_seconds: Option<i64>,
    /// What became of it (R16).
    pub status: &'static str,
    /// Why.
    pub reason: Option<String>,
    /// What is to be noted (R20).
    pub flags: Vec<&'static str>,
    /// Who came and went.
    pub attendances: Vec<AttendanceRecord>,
}

/// One carer's check-in and check-out.
#[derive(Debug, Serialize)]
pub struct AttendanceRecord {
    /// The carer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carer_ref: Option<String>,
    /// When they checked in.
    pub check_in: Option<String>,
    /// When they checked out.
    pub check_out: Option<String>,
    /// Whether they are inside.
    pub inside: bool,
    /// How far from the client's home they checked in, in metres, if outside the fence (R19).
    pub off_site_m: Option<i64>,
}

/// A visit as programs see it.
#[must_use]
pub fn visit(contract: &Contract, visit: &Visit, references_only: bool) -> VisitRecord {
    let plan = visit.plan.as_ref().map(|row| row.visit.as_ref());
    let counted = Counted::of(contract, visit);
    let mut flags: Vec<&str> = visit.flags.iter().map(|flag| flag.as_str()).collect();
    flags.sort_unstable();
    let inside: Vec<_> = visit.inside().map(|event| event.event.event_id).collect();
    let attendance = |one: &Attendance| {
        let id = one.check_in.as_ref().map(|event| event.event.event_id);
        AttendanceRecord {
            carer_ref: (!references_only).then(|| one.carer.to_string()),
            check_in: one.began().map(at),
            check_out: one.ended().map(at),
            inside: id.is_some_and(|id| inside.contains(&id)),
            off_site_m: one.counting().find_map(off_site),
        }
    };
    VisitRecord {
        contract: contract.id.to_string(),
        night: visit.night.to_string(),
        visit_ref: visit.visit_ref.to_string(),
        client_ref: visit.client.to_string(),
        service: counted.service,
        service_level: counted.service_level,
        run: plan.and_then(|plan| plan.run.as_ref()).map(ToString::to_string),
        planned_start: plan.map(|plan| at(plan.start)),
        planned_end: plan.map(|plan| at(plan.end)),
        carers_required: plan.map(|plan| plan.carers_required),
        present: visit.present,
        start: visit.start.map(at),
        end: visit.end.map(at),
        call_seconds: visit.call.map(|call| call.num_seconds()),
        deviation_seconds: visit.deviation().map(|deviation| deviation.num_seconds()),
        status: visit.status.as_str(),
        reason: visit.reason.clone(),
        flags,
        attendances: visit.attendances.iter().map(attendance).collect(),
    }
}

#[allow(clippy::cast_possible_truncation, reason = "a distance on the earth, in metres")]
fn off_site(event: &PlacedEvent) -> Option<i64> {
    match event.whereabouts {
        Whereabouts::OffSite { distance_m } => Some(distance_m.round() as i64),
        Whereabouts::OnSite | Whereabouts::Unknown => None,
    }
}

/// An alert, and what was done about it.
#[derive(Debug, Serialize)]
pub struct AlertRecord {
    /// As it is said over MQTT.
    #[serde(flatten)]
    pub alert: AlertMessage,
    /// How the contact clock stands (R23): `none`, `runs`, `met`, `met_late`, `missed`.
    pub contact: &'static str,
    /// What was done about it; not for the council.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub acts: Vec<ActRecord>,
}

/// What a coordinator did about an alert.
#[derive(Debug, Serialize)]
pub struct ActRecord {
    /// When it was recorded.
    pub at: String,
    /// By whom.
    pub by: String,
    /// `acknowledged`, `contact` or `resolved`.
    pub kind: &'static str,
    /// What they noted.
    pub note: Option<String>,
    /// Of a contact: who was spoken to or rung.
    pub spoke_to: Option<String>,
    /// Of a contact: `spoke`, `left_message` or `no_answer`.
    pub outcome: Option<&'static str>,
    /// Of a contact: when.
    pub spoke_at: Option<String>,
    /// Of a contact: when somebody will come.
    pub new_time: Option<String>,
    /// Of a contact: why it is late.
    pub reason: Option<String>,
}

/// An alert as programs see it.
#[must_use]
pub fn alert(
    message: &AlertMessage,
    acts: &[Act],
    clock: ContactClock,
    references_only: bool,
) -> AlertRecord {
    let mut alert = message.clone();
    let mut done = Vec::new();
    if references_only {
        alert.carer_ref = None;
    } else {
        done = acts.iter().map(act).collect();
    }
    let contact = match clock {
        ContactClock::None => "none",
        ContactClock::Runs(_) => "runs",
        ContactClock::Met(_) => "met",
        ContactClock::MetLate(_) => "met_late",
        ContactClock::Missed(_) => "missed",
    };
    AlertRecord { alert, contact, acts: done }
}

fn act(act: &Act) -> ActRecord {
    let (kind, contact) = match &act.deed {
        Deed::Acknowledged => ("acknowledged", None),
        Deed::Contact(contact) => ("contact", Some(contact)),
        Deed::Resolved => ("resolved", None),
    };
    ActRecord {
        at: at(act.at),
        by: act.by.clone(),
        kind,
        note: act.note.clone(),
        spoke_to: contact.map(|contact| contact.spoke_to.clone()),
        outcome: contact.map(|contact| contact.outcome.as_str()),
        spoke_at: contact.map(|contact| at(contact.at)),
        new_time: contact.and_then(|contact| contact.new_time).map(at),
        reason: contact.and_then(|contact| contact.reason.clone()),
    }
}

/// That somebody was told of an alert, or is to be.
#[derive(Debug, Serialize)]
pub struct NotificationRecord {
    /// The alert.
    pub alert_id: String,
    /// Who.
    pub recipient: String,
    /// Why.
    pub occasion: Occasion,
    /// `waiting`, `sent`, `failed` or `not_needed`.
    pub state: &'static str,
    /// Since when.
    pub written_at: String,
    /// How often it was tried.
    pub tries: u32,
    /// When it ended.
    pub ended_at: Option<String>,
    /// What went wrong last.
    pub trouble: Option<String>,
}

/// A version of a visit's plan.
#[derive(Debug, Serialize)]
pub struct PlanRecord {
    /// When it came into force.
    pub known_from: String,
    /// The run.
    pub run: Option<String>,
    /// When it is to start.
    pub planned_start: String,
    /// When it is to end.
    pub planned_end: String,
    /// How many people it needs.
    pub carers_required: u8,
    /// Who is to come; not for the council.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub carers: Vec<String>,
    /// Whether it must be on time.
    pub time_specific: bool,
    /// When it was cancelled.
    pub cancelled_at: Option<String>,
    /// Who cancelled it.
    pub cancelled_by: Option<&'static str>,
    /// Why.
    pub cancel_reason: Option<String>,
}

/// A version of a visit's plan as programs see it.
#[must_use]
pub fn plan(visit: &PlannedVisit, known_from: Instant, references_only: bool) -> PlanRecord {
    let carers = visit.carers.iter().filter(|_| !references_only);
    let cancelled = visit.cancellation.as_ref();
    PlanRecord {
        known_from: at(known_from),
        run: visit.run.as_ref().map(ToString::to_string),
        planned_start: at(visit.start),
        planned_end: at(visit.end),
        carers_required: visit.carers_required,
        carers: carers.map(ToString::to_string).collect(),
        time_specific: visit.time_specific,
        cancelled_at: cancelled.map(|cancelled| at(cancelled.at)),
        cancelled_by: cancelled.map(|cancelled| cancelled.by.as_str()),
        cancel_reason: cancelled.and_then(|cancelled| cancelled.reason.clone()),
    }
}

/// An event, with its three clocks.
#[derive(Debug, Serialize)]
pub struct EventRecord {
    /// Its id.
    pub event_id: String,
    /// `check_in`, `check_out` or `not_delivered`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Of a statement: why.
    pub reason: Option<&'static str>,
    /// The device's clock.
    pub occurred_at: String,
    /// When it was received.
    pub received_at: String,
    /// The time that counts (R5).
    pub effective_at: String,
    /// The carer; not for the council, as all that follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carer_ref: Option<String>,
    /// Which phone or unit sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// By what it was placed (R12).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placed_by: Option<&'static str>,
    /// The topic of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The message itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// How often it came again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicates: Option<i64>,
    /// Who handed it in, if somebody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handed_in_by: Option<String>,
    /// Why they did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handed_in_why: Option<String>,
}

/// An event as programs see it.
#[must_use]
pub fn event(event: &Event, references_only: bool) -> EventRecord {
    let (kind, reason) = match event.kind {
        EventKind::CheckIn => ("check_in", None),
        EventKind::CheckOut => ("check_out", None),
        EventKind::NotDelivered(reason) => ("not_delivered", Some(reason.as_str())),
    };
    let sender = match &event.sender {
        Sender::Carer(carer) => format!("carer/{carer}"),
        Sender::Device(device) => format!("device/{device}"),
    };
    EventRecord {
        event_id: event.event_id.to_string(),
        kind,
        reason,
        occurred_at: at(event.occurred_at),
        received_at: at(event.received_at),
        effective_at: at(event.effective_at()),
        carer_ref: (!references_only).then(|| event.carer_ref.to_string()),
        sender: (!references_only).then_some(sender),
        placed_by: None,
        topic: None,
        payload: None,
        duplicates: None,
        handed_in_by: None,
        handed_in_why: None,
    }
}

/// A coordinator's decision.
#[derive(Debug, Serialize)]
pub struct CorrectionRecord {
    /// When.
    pub at: String,
    /// By whom; not for the council.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The outcome, `withdraw`, `place` or `comment`.
    pub outcome: &'static str,
    /// Why.
    pub reason: Option<String>,
    /// A comment that stays inside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// A comment for the return.
    pub return_comment: Option<String>,
}

/// A decision as programs see it.
#[must_use]
pub fn correction(correction: &Correction, references_only: bool) -> CorrectionRecord {
    let outcome = match &correction.what {
        CorrectionKind::Outcome { outcome, .. } => outcome.as_str(),
        CorrectionKind::Withdraw { .. } => "withdraw",
        CorrectionKind::Place { .. } => "place",
        CorrectionKind::Comment { .. } => "comment",
    };
    CorrectionRecord {
        at: at(correction.at),
        by: (!references_only).then(|| correction.by.clone()),
        outcome,
        reason: correction.reason.clone(),
        comment: correction.comment.clone().filter(|_| !references_only),
        return_comment: correction.return_comment.clone(),
    }
}

/// The row of Schedule 3 into which a visit goes.
#[derive(Debug, Serialize)]
pub struct RowRecord {
    /// The service.
    pub service: String,
    /// The service level type.
    pub service_level: String,
    /// The client.
    pub client_ref: String,
    /// The first day of the week.
    pub start_date: String,
}

/// A row as programs see it.
#[must_use]
pub fn row(key: &RowKey) -> RowRecord {
    RowRecord {
        service: key.service.clone(),
        service_level: key.service_level.clone(),
        client_ref: key.client.to_string(),
        start_date: key.start_date.to_string(),
    }
}
