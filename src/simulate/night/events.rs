//! What phones and units say of a visit.

use chrono::TimeDelta;
use rand::RngExt;
use uuid::Uuid;

use super::layout::Maker;
use super::{Event, Visit, named, tag, unit};
use crate::domain::event::Sender;
use crate::domain::refs::EventId;
use crate::simulate::script::{By, Deed, Says, Who};
use crate::wire::event_payload::{EventPayload, EventType, Method, PositionPayload};

impl Maker<'_> {
    pub(super) fn event(&mut self, visit: &Visit, deed: &Deed) -> anyhow::Result<Event> {
        let script = visit.script;
        let name = format!("{} {} {}", self.shape.anchor, self.prefix, self.events.len());
        let id = EventId(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()));
        let really = visit.start + TimeDelta::seconds(deed.at);
        let kind = match deed.says {
            Says::In | Says::InWithFamily | Says::ForSomebodyElse => EventType::CheckIn,
            Says::Out => EventType::CheckOut,
            Says::Not(_) => EventType::NotDelivered,
        };
        let mut payload = EventPayload::new(id, kind, really + TimeDelta::seconds(script.clock));
        payload.informal_carer = (deed.says == Says::InWithFamily).then_some(true);
        if let Says::Not(reason) = deed.says {
            payload.reason = Some(reason);
        }
        let carer = match deed.who {
            Who::First => &visit.carers[0],
            Who::Second => &visit.carers[1],
            Who::Relief => &visit.carers[2],
        };
        if deed.says == Says::ForSomebodyElse {
            payload.carer_ref = Some(visit.carers[1].clone());
        }
        let mut sender = Sender::Carer(carer.clone());
        self.locate(visit, deed.by, &mut payload)?;
        if deed.by == By::Unit {
            payload.carer_ref = Some(carer.clone());
            sender = Sender::Device(named(&unit(&visit.client))?);
        }
        let held = TimeDelta::seconds(if script.is_live() { script.held } else { 0 });
        Ok(Event {
            visit: visit.number,
            sender,
            carer: carer.clone(),
            payload,
            send_from: if script.is_live() { really + held } else { self.shape.anchor },
            after: None,
        })
    }

    fn locate(&mut self, visit: &Visit, by: By, payload: &mut EventPayload) -> anyhow::Result<()> {
        let near = |north: f64| PositionPayload {
            lat: visit.home.lat + north,
            lon: visit.home.lon,
            accuracy_m: Some(8.0),
        };
        match by {
            By::Plan => {
                // What an app knows differs.
                let knows = self.rng.random_range(0..3);
                let visit_ref = visit.plan.as_ref().map(|plan| plan.visit_ref.clone());
                payload.client_ref = (knows != 0).then(|| visit.client.clone());
                payload.visit_ref = visit_ref.filter(|_| knows != 1);
                payload.method = Some(Method::Gps);
                payload.position = self.rng.random_bool(0.3).then(|| near(0.0002));
            }
            By::Client => payload.client_ref = Some(visit.client.clone()),
            By::FarAway => {
                payload.client_ref = Some(visit.client.clone());
                payload.position = Some(near(0.009));
            }
            By::Position => {
                payload.method = Some(Method::Gps);
                payload.position = Some(near(0.0001));
            }
            By::Tag => {
                payload.method = Some(Method::Nfc);
                payload.tag = Some(named(&tag(&visit.client))?);
            }
            By::UnknownTag => payload.tag = Some(named(&format!("{}nowhere", self.prefix))?),
            By::Unit => payload.method = Some(Method::Telecare),
        }
        Ok(())
    }

    /// Every phone and unit numbers its events in the order in which they happened (R9).
    pub(super) fn number_events(&mut self) {
        let mut order: Vec<usize> = (0..self.events.len()).collect();
        order.sort_by_key(|&index| {
            let event = &self.events[index];
            (event.sender.clone(), event.payload.occurred_at, index)
        });
        let mut last: Option<(Sender, u64)> = None;
        for index in order {
            let event = &mut self.events[index];
            let seq = match &last {
                Some((sender, seq)) if *sender == event.sender => seq + 1,
                _ => 1,
            };
            event.payload.seq = Some(seq);
            last = Some((event.sender.clone(), seq));
        }
    }
}
