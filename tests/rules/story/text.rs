//! The lines of a story, and the files of which it consists.

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use chrono_tz::{Europe::London, Tz};
use serde_json::{Map, Value, json};

use super::words::{Instant, Pairs, csv, event_id, pair, position, split, words, written};

/// A story, read.
pub struct Story {
    zone: Tz,
    night: NaiveDate,
    contract: String,
    contracts: Vec<String>,
    config: Vec<(String, String)>,
    visits: Vec<Pairs>,
    clients: Vec<Pairs>,
    devices: Vec<Pairs>,
    tags: Vec<Pairs>,
    suspensions: Vec<Pairs>,
    events: Vec<Value>,
    corrections: Vec<Value>,
    pub as_of: String,
    pub only: Option<Vec<String>>,
    pub visits_wanted: Vec<(String, Pairs)>,
    pub alerts: Vec<[String; 6]>,
    pub no_alerts: Vec<Vec<String>>,
    pub only_these_alerts: bool,
    pub rows: Option<Vec<String>>,
    pub rows_wanted: Vec<(String, Pairs)>,
    pub warned: Vec<(String, bool)>,
    pub fails: Option<String>,
}

/// The names of Schedule 3's columns that are too long to be said often.
const SHORT_NAMES: [(&str, &str); 10] = [
    ("Level", "Service Level Type"),
    ("Week", "Start Date"),
    ("Actual", "Actual Quantity"),
    ("Frustrated", "Frustrated Quantity"),
    ("Cancelled", "Cancelled Quantity"),
    ("Missed", "Missed Quantity"),
    ("Extra", "Extra Quantity"),
    ("Visits", "Number of Visits"),
    ("Minutes", "Call Duration"),
    ("End", "End Date"),
];

impl Story {
    pub fn read(lines: &[&str]) -> Self {
        let night = NaiveDate::from_ymd_opt(2019, 2, 4).unwrap();
        let mut story = Self {
            zone: London,
            night,
            contract: "thurrock".to_owned(),
            contracts: vec!["thurrock".to_owned()],
            config: Vec::new(),
            visits: Vec::new(),
            clients: Vec::new(),
            devices: Vec::new(),
            tags: Vec::new(),
            suspensions: Vec::new(),
            events: Vec::new(),
            corrections: Vec::new(),
            as_of: String::new(),
            only: None,
            visits_wanted: Vec::new(),
            alerts: Vec::new(),
            no_alerts: Vec::new(),
            only_these_alerts: false,
            rows: None,
            rows_wanted: Vec::new(),
            warned: Vec::new(),
            fails: None,
        };
        for line in lines {
            story.line(line);
        }
        story.configure();
        if story.as_of.is_empty() {
            let date = story.night + Days::new(1);
            story.as_of = story.utc(&format!("{date}T12:00"));
        }
        story
    }

    fn line(&mut self, line: &str) {
        if let Some(policy) = line.strip_prefix("policy ") {
            return self.policy(policy);
        }
        let words = words(line);
        let (plain, pairs) = split(&words);
        let texts = |from: usize| plain[from..].iter().map(|word| (*word).to_owned()).collect();
        match plain.as_slice() {
            ["night", date] => self.night = date.parse().unwrap(),
            ["contract", id] => {
                (*id).clone_into(&mut self.contract);
                self.contracts.push(self.contract.clone());
            }
            ["visit", name, client, span] => self.visit(name, client, span, pairs),
            ["client", client] => {
                let row = self.client(client, &pairs);
                self.clients.push(row);
            }
            ["device", device, client] => {
                let row = self.register("device_ref", device, client, pairs);
                self.devices.push(row);
            }
            ["tag", tag, client] => {
                let row = self.register("tag", tag, client, pairs);
                self.tags.push(row);
            }
            ["suspended", client, span] => self.suspended(client, span, pairs),
            ["correct", at, visit] => {
                let mut what = vec![("visit_ref".to_owned(), (*visit).to_owned())];
                what.extend(pairs);
                self.correction(at, what);
            }
            ["place", at, event, visit] => {
                let what = [("event_id", *event), ("place", *visit)];
                self.correction(at, what.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec());
            }
            ["as", "of", at] => self.as_of = self.utc(at),
            ["=>", visit] => {
                let pairs = pairs.into_iter().map(|(k, v)| (k.clone(), self.shown(&k, &v)));
                self.visits_wanted.push(((*visit).to_owned(), pairs.collect()));
            }
            ["only", "these", "alerts"] => self.only_these_alerts = true,
            ["only", ..] => self.only = Some(texts(1)),
            ["alert", visit, kind, due, rest @ ..] => self.alert(visit, kind, due, rest),
            ["no", "alerts", about @ ..] => {
                let cell =
                    |word: &&str| if *word == "-" { String::new() } else { (*word).to_owned() };
                self.no_alerts.push(about.iter().map(cell).collect());
            }
            ["row", client] => {
                let long = |name: String| {
                    let found = SHORT_NAMES.iter().find(|(short, _)| *short == name);
                    found.map_or(name, |(_, long)| (*long).to_owned())
                };
                let pairs = pairs.into_iter().map(|(name, value)| (long(name), value));
                self.rows_wanted.push(((*client).to_owned(), pairs.collect()));
            }
            ["rows", ..] => self.rows = Some(texts(1)),
            ["warned", word] => self.warned.push(((*word).to_owned(), true)),
            ["not", "warned", word] => self.warned.push(((*word).to_owned(), false)),
            ["fails", word] => self.fails = Some((*word).to_owned()),
            [carer, what, at, about @ ..] if carer.starts_with('w') => {
                self.event(carer, what, at, about, pairs);
            }
            _ => panic!("no story has a line like {line:?}"),
        }
    }

    /// Without a configuration every contract of the plan is known, so that only a story with a
    /// policy, or without a plan, has to name its own.
    fn configure(&mut self) {
        if self.config.is_empty() && !self.visits.is_empty() {
            return;
        }
        for id in &self.contracts {
            if !self.config.iter().any(|(known, _)| known == id) {
                self.config.push((id.clone(), format!("[[contract]]\nid = \"{id}\"\n")));
            }
        }
    }

    fn policy(&mut self, text: &str) {
        let id = self.contract.clone();
        let table = format!("[[contract]]\nid = \"{id}\"\n");
        if let Some(date) = text.strip_prefix("from ") {
            self.config.push((id, format!("{table}effective_from = \"{date}\"\n")));
            return;
        }
        if let Some(zone) = text.strip_prefix("time_zone = ") {
            self.zone = zone.trim_matches('"').parse().unwrap();
        }
        match self.config.last_mut().filter(|(last, _)| *last == id) {
            Some((_, config)) => config.extend([text, "\n"]),
            None => self.config.push((id, format!("{table}{text}\n"))),
        }
    }

    fn visit(&mut self, name: &str, client: &str, span: &str, pairs: Pairs) {
        let (start, end) = self.span(span);
        let mut row = vec![
            pair("contract", &self.contract),
            pair("visit_ref", name),
            pair("service", "Night care"),
            pair("service_level", "Planned"),
            pair("client_ref", client),
            pair("run", ""),
            pair("planned_start", &start),
            pair("planned_end", &end),
            pair("carers_required", "1"),
        ];
        for (column, value) in pairs {
            let value = if column == "cancelled_at" { self.dated(&value) } else { value };
            row.retain(|(name, _)| *name != column);
            row.push((column, value));
        }
        self.visits.push(row);
    }

    fn span(&self, text: &str) -> (String, String) {
        let (start, end) = text.split_once("..").unwrap();
        (self.dated(start), if end.is_empty() { String::new() } else { self.dated(end) })
    }

    fn client(&self, client: &str, pairs: &Pairs) -> Pairs {
        let mut row = vec![pair("contract", &self.contract), pair("client_ref", client)];
        for (column, value) in pairs {
            if column == "at" {
                let (lat, lon) = value.split_once(',').unwrap();
                row.extend([pair("lat", lat), pair("lon", lon)]);
            } else {
                row.push(pair(column, value));
            }
        }
        row
    }

    fn register(&self, column: &str, name: &str, client: &str, pairs: Pairs) -> Pairs {
        let row = [("contract", self.contract.as_str()), (column, name), ("client_ref", client)];
        row.map(|(column, value)| pair(column, value)).into_iter().chain(pairs).collect()
    }

    fn suspended(&mut self, client: &str, span: &str, pairs: Pairs) {
        let (from, to) = self.span(span);
        let row = [
            ("contract", self.contract.as_str()),
            ("client_ref", client),
            ("from", &from),
            ("to", &to),
        ];
        let mut row: Pairs = row.map(|(column, value)| pair(column, value)).to_vec();
        for (column, value) in pairs {
            let value = if column == "notified_at" { self.dated(&value) } else { value };
            row.push((column, value));
        }
        self.suspensions.push(row);
    }

    fn event(&mut self, carer: &str, what: &str, at: &str, about: &[&str], pairs: Pairs) {
        let occurred_at = self.utc(at);
        let id = event_id(100_000 + self.events.len());
        let mut payload = Map::new();
        payload.insert("event_id".into(), id.into());
        payload.insert("occurred_at".into(), occurred_at.clone().into());
        let kind = match what {
            "in" => "check_in",
            "out" => "check_out",
            reason => {
                payload.insert("reason".into(), reason.into());
                "not_delivered"
            }
        };
        payload.insert("type".into(), kind.into());
        for name in about {
            let field = if name.starts_with('C') { "client_ref" } else { "visit_ref" };
            payload.insert(field.into(), (*name).into());
        }
        let contract = &self.contract;
        let mut topic = format!("nightrun/v1/{contract}/carer/{carer}/event");
        let received_at = occurred_at.parse::<Instant>().unwrap() + TimeDelta::seconds(1);
        let mut received_at = written(received_at);
        for (name, value) in pairs {
            match name.as_str() {
                "got" => received_at = self.utc(&value),
                "id" => drop(payload.insert("event_id".into(), value.into())),
                "via" => {
                    topic = format!("nightrun/v1/{contract}/device/{value}/event");
                    payload.insert("carer_ref".into(), carer.into());
                }
                "claims" => drop(payload.insert("carer_ref".into(), value.into())),
                "seq" => drop(payload.insert("seq".into(), value.parse::<u64>().unwrap().into())),
                "informal" => {
                    payload.insert("informal_carer".into(), (value == "yes").into());
                }
                "at" => drop(payload.insert("position".into(), position(&value))),
                "tag" | "method" | "note" | "sent_at" => {
                    payload.insert(name, value.into());
                }
                _ => panic!("no event has {name}"),
            }
        }
        let line = json!({"topic": topic, "received_at": received_at, "payload": payload});
        self.events.push(line);
    }

    fn correction(&mut self, at: &str, what: Pairs) {
        let mut line = Map::new();
        line.insert("at".into(), self.utc(at).into());
        line.insert("by".into(), "a coordinator".into());
        line.insert("contract".into(), self.contract.clone().into());
        line.extend(what.into_iter().map(|(name, value)| (name, value.into())));
        self.corrections.push(line.into());
    }

    fn alert(&mut self, visit: &str, kind: &str, due: &str, rest: &[&str]) {
        let to_second = |at: &str| self.utc(at)[..19].to_owned() + "Z";
        let due = to_second(due);
        let visit = if visit == "-" { "" } else { visit };
        let (raised, rest) = match rest {
            ["raised", at, rest @ ..] => (to_second(at), rest),
            rest => (due.clone(), rest),
        };
        let (resolution, resolved) = match rest {
            [resolution, at] => (*resolution, to_second(at)),
            [] => ("", String::new()),
            _ => panic!("no alert ends like {rest:?}"),
        };
        let row = [visit, kind, &due, &raised, &resolved, resolution];
        self.alerts.push(row.map(str::to_owned));
    }

    /// A value of the visit log, as it is written: instants in UTC to the second.
    fn shown(&self, column: &str, value: &str) -> String {
        let is_instant = ["planned_start", "planned_end", "start", "end"].contains(&column);
        if !is_instant || value.is_empty() {
            return value.to_owned();
        }
        self.utc(value)[..19].to_owned() + "Z"
    }

    /// A time with the date that it has in this night.
    fn dated(&self, text: &str) -> String {
        if text.contains('T') {
            return text.to_owned();
        }
        let text = if text.len() == 5 { format!("{text}:00") } else { text.to_owned() };
        let time: NaiveTime = text.parse().unwrap_or_else(|_| panic!("{text:?} is no time"));
        let is_morning = time < NaiveTime::from_hms_opt(12, 0, 0).unwrap();
        let date = if is_morning { self.night + Days::new(1) } else { self.night };
        format!("{date}T{text}")
    }

    /// The instant of a time, in UTC.
    fn utc(&self, text: &str) -> String {
        let text = self.dated(text);
        if let Ok(at) = DateTime::parse_from_rfc3339(&text) {
            return written(at.to_utc());
        }
        let text = if text.len() == 16 { format!("{text}:00") } else { text };
        let local: NaiveDateTime = text.parse().unwrap_or_else(|_| panic!("{text:?} is no time"));
        let at = local.and_local_timezone(self.zone).single();
        written(at.unwrap_or_else(|| panic!("{text:?} needs an offset")).to_utc())
    }

    /// The files of the story, each with the option that names it.
    pub fn inputs(&self) -> Vec<(&'static str, &'static str, String)> {
        let lines = |values: &[Value]| {
            values.iter().flat_map(|value| [value.to_string(), "\n".into()]).collect()
        };
        let mut inputs = vec![
            ("--visits", "visits.csv", csv(&self.visits)),
            ("--events", "events.jsonl", lines(&self.events)),
            ("--corrections", "corrections.jsonl", lines(&self.corrections)),
        ];
        let registers = [
            ("--clients", "clients.csv", &self.clients),
            ("--devices", "devices.csv", &self.devices),
            ("--tags", "tags.csv", &self.tags),
            ("--suspensions", "suspensions.csv", &self.suspensions),
        ];
        for (option, name, rows) in registers {
            if !rows.is_empty() {
                inputs.push((option, name, csv(rows)));
            }
        }
        let config: String = self.config.iter().map(|(_, text)| text.as_str()).collect();
        if !config.is_empty() {
            inputs.push(("--config", "nightrun.toml", config));
        }
        inputs
    }
}
