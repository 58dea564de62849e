//! Weeks of nights that are over: each client has a visit in each night, which was made.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use chrono::{NaiveDate, NaiveTime, TimeDelta};
use nightrun::domain::instant::Instant;

use super::plan::{Planned, write_plan};
use super::said::{Content, Said, event_id, from_chance, home, mixed, text};

/// Clients whom one carer visits in a night.
const VISITS_PER_CARER: u32 = 12;
/// From an event until the daemon has it.
const ON_ITS_WAY: TimeDelta = TimeDelta::seconds(2);

/// Where and how long.
#[derive(Debug, Clone, Copy)]
pub struct History {
    pub clients: u32,
    pub nights: u32,
    /// The first night.
    pub from: NaiveDate,
}

impl History {
    pub fn events(&self) -> u64 {
        u64::from(self.clients) * u64::from(self.nights) * 2
    }

    /// A moment after the end of it all.
    pub fn end(&self) -> Instant {
        self.from.and_time(NaiveTime::MIN).and_utc() + TimeDelta::days(i64::from(self.nights) + 1)
    }

    fn start_of(&self, night: u32, client: u32) -> Instant {
        let evening = self.from.and_time(NaiveTime::MIN).and_utc() + TimeDelta::hours(23);
        evening
            + TimeDelta::days(night.into())
            + TimeDelta::minutes(i64::from(client % VISITS_PER_CARER) * 35 + 5)
    }

    pub fn write_clients(&self, path: &Path) -> anyhow::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        writeln!(file, "contract,client_ref,lat,lon")?;
        for client in 0..self.clients {
            let (lat, lon) = home(client);
            writeln!(file, "default,A-{client},{lat:.6},{lon:.6}")?;
        }
        Ok(file.flush()?)
    }

    pub fn write_visits(&self, path: &Path) -> anyhow::Result<()> {
        let visits = (0..self.nights).flat_map(|night| {
            (0..self.clients).map(move |client| Planned {
                visit: format!("A-{night}-{client}"),
                client: format!("A-{client}"),
                run: client / VISITS_PER_CARER,
                start: self.start_of(night, client),
                minutes: 30,
            })
        });
        write_plan(path, visits)
    }

    /// Writes what was received, for a replay.
    pub fn write_events(&self, path: &Path) -> anyhow::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for night in 0..self.nights {
            for client in 0..self.clients {
                for leaving in [false, true] {
                    let Said { at, topic, payload, .. } = self.event(night, client, leaving);
                    let received_at = text(at + ON_ITS_WAY);
                    writeln!(
                        file,
                        "{{\"topic\":\"{topic}\",\"received_at\":\"{received_at}\",\
                         \"payload\":{payload}}}"
                    )?;
                }
            }
        }
        Ok(file.flush()?)
    }

    fn event(&self, night: u32, client: u32, leaving: bool) -> Said {
        let visit = u64::from(night) * u64::from(self.clients) + u64::from(client);
        let own = visit * 2 + u64::from(leaving);
        let id = event_id(2, own);
        let mut at = self.start_of(night, client)
            + TimeDelta::milliseconds(from_chance(mixed(own), 240_000));
        if leaving {
            at += TimeDelta::minutes(25);
        }
        let (carer, place) = (client / VISITS_PER_CARER, client % VISITS_PER_CARER);
        let payload = Content {
            id,
            kind: if leaving { "check_out" } else { "check_in" },
            at,
            client: &format!("A-{client}"),
            visit: &format!("A-{night}-{client}"),
            home: home(client),
            accuracy: 4 + own % 20,
            sent_at: at,
            seq: (night * VISITS_PER_CARER + place) * 2 + u32::from(leaving) + 1,
        };
        let topic = format!("nightrun/v1/default/carer/a{carer}/event");
        Said { id, at, topic, payload: payload.to_string() }
    }
}
