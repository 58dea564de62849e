//! What the daemon's database path makes of a night is what a replay makes of it (R8), whatever the
//! order, the batches, the repeats, and whether plan and registers come before the events, between
//! them or after them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "this test uses its part of it")]
#[path = "properties/nights.rs"]
mod nights;

#[path = "equals/by_hand.rs"]
mod by_hand;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{Days, NaiveDate, TimeDelta};
use nightrun::acts::{self, ActError};
use nightrun::apply::{self, VISITS};
use nightrun::book;
use nightrun::cli;
use nightrun::config::Contracts;
use nightrun::domain::alert::AlertKind;
use nightrun::domain::calendar::{DatedBy, local_date};
use nightrun::domain::casebook::Casebook;
use nightrun::domain::correction::{Correction, CorrectionKind, Outcome};
use nightrun::domain::event::{Event, EventKind, Sender};
use nightrun::domain::instant::{Instant, minutes};
use nightrun::domain::plan::{ClientRow, DeviceRow, LatLon, PlannedVisit, Suspension, TagRow};
use nightrun::domain::policy::{Contract, Unit};
use nightrun::domain::refs::{CarerRef, EventId, VisitRef};
use nightrun::domain::register::Registers;
use nightrun::domain::schedule3::Schedule3;
use nightrun::domain::visit::{PlanRow, Visit};
use nightrun::import::Import;
use nightrun::ingest;
use nightrun::ledger;
use nightrun::message::{Ack, Came, Message};
use nightrun::replay::{Evidence, play};
use nightrun::report;
use nightrun::returns;
use nightrun::sight::Sights;
use nightrun::store::Store;
use nightrun::store::registers::RegisterRow;
use nightrun::watch;
use nightrun::wire::event_payload::{EventPayload, EventType, PositionPayload};
use nightrun::wire::topic;
use nights::{Night, Places, message, night};
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::RngSeed;
use support::engine::{Database, Engine, on_both_engines};

/// A file that is imported.
#[derive(Debug, Clone)]
enum File {
    Visits(Vec<PlannedVisit>),
    Register(&'static str, Vec<RegisterRow>),
}

/// What happens to the daemon, in order.
#[derive(Debug, Clone)]
enum Step {
    /// A batch of messages: the events by their place, with the moments of receipt.
    Batch(Vec<(Instant, usize)>),
    Import(File),
    /// It looks for what is due.
    Look,
    /// A coordinator decides something.
    Decide(Decision),
}

/// What a coordinator decides: about a visit, or where an event belongs.
#[derive(Debug, Clone)]
struct Decision {
    visit_ref: VisitRef,
    place: Option<EventId>,
    outcome: Option<Outcome>,
}

fn decision() -> impl Strategy<Value = Decision> {
    let name = prop_oneof![
        3 => (0..3_usize).prop_map(|number| format!("V-{number}").parse().unwrap()),
        1 => (1..13_u128).prop_map(|id| VisitRef::unplanned(EventId(uuid::Uuid::from_u128(id)))),
    ];
    let event = (1..13_u128).prop_map(|id| EventId(uuid::Uuid::from_u128(id)));
    // Where two name each other's visits, neither says where it is.
    (name, weighted(0.5, event), of(select(Outcome::ALL))).prop_map(
        |(visit_ref, place, outcome)| {
            let circular = |event: &EventId| visit_ref.unplanned_event() >= Some(*event);
            let place = place.filter(|event| !circular(event));
            Decision { visit_ref, place, outcome }
        },
    )
}

impl Decision {
    fn correction(&self, contract: &Contract, at: Instant) -> Correction {
        let visit_ref = self.visit_ref.clone();
        let what = match (self.place, self.outcome) {
            (Some(event_id), _) => CorrectionKind::Place { event_id, visit_ref },
            (None, Some(outcome)) => CorrectionKind::Outcome { visit_ref, outcome },
            (None, None) => CorrectionKind::Withdraw { visit_ref },
        };
        Correction {
            at,
            by: "a coordinator".to_owned(),
            contract: contract.id.clone(),
            reason: Some("seen".to_owned()),
            comment: None,
            return_comment: Some("looked into".to_owned()),
            what,
        }
    }
}

/// Evidence, plan and registers as they are in the end, and how they came.
#[derive(Debug, Clone)]
struct Story {
    contract: Arc<Contract>,
    /// The earliest instant of it, and its local date.
    began: Instant,
    first: NaiveDate,
    plan: Vec<PlanRow>,
    /// In the order in which they came into force.
    registers: Vec<RegisterRow>,
    /// In the order of their receipt.
    events: Vec<Event>,
    steps: Vec<Step>,
}

/// What an event says, instead of what the night has for it.
#[derive(Debug, Clone)]
struct Says {
    day: i64,
    client: bool,
    visit_ref: Option<VisitRef>,
    tag: Option<u8>,
    device: Option<u8>,
}

fn says() -> impl Strategy<Value = Says> {
    let day = prop_oneof![5 => Just(0_i64), 1 => Just(1_i64)];
    let name = prop_oneof![
        5 => (0..3_usize).prop_map(|number| format!("V-{number}").parse().unwrap()),
        1 => Just("V-unknown".parse().unwrap()),
        3 => (1..13_u128).prop_map(|id| VisitRef::unplanned(EventId(uuid::Uuid::from_u128(id)))),
    ];
    (day, weighted(0.25, Just(())), weighted(0.7, name), weighted(0.3, 0..3_u8), of(0..2_u8))
        .prop_map(|(day, client, visit_ref, tag, device)| Says {
            day,
            client: client.is_some(),
            visit_ref,
            tag,
            device,
        })
}

/// A row of a register, with whether it comes in the second file of its kind.
#[derive(Debug, Clone)]
struct Row {
    second: bool,
    what: u8,
    which: u8,
    client: u8,
    from: Option<u8>,
    lat: Option<f64>,
    fence_m: Option<f64>,
    at: i64,
}

fn row() -> impl Strategy<Value = Row> {
    let lat = of(select([51.48, 51.4805, 51.481, 51.483].as_slice()));
    let fence_m = weighted(0.4, select([50.0, 80.0, 300.0].as_slice()));
    let what = prop_oneof![4 => Just(0_u8), 3 => Just(1_u8), 3 => Just(2_u8), 1 => Just(3_u8)];
    ((any::<bool>(), what, 0..2_u8, 0..2_u8), weighted(0.5, 0..3_u8), lat, fence_m, 0..12_i64)
        .prop_map(|((second, what, which, client), from, lat, fence_m, at)| Row {
            second,
            what,
            which,
            client,
            from,
            lat,
            fence_m,
            at,
        })
}

impl Row {
    fn read(&self, night: &Night, base: NaiveDate, first: Instant) -> RegisterRow {
        let contract = night.contract.id.clone();
        let client_ref = format!("C-{}", self.client).parse().unwrap();
        let from = self.from.map(|days| base + Days::new(days.into()));
        match self.what {
            0 => RegisterRow::Client(ClientRow {
                contract,
                client_ref,
                home: self.lat.map(|lat| LatLon { lat, lon: 0.32 }),
                fence_m: self.fence_m,
                display_name: None,
                phone: None,
                from,
            }),
            1 => {
                let device_ref = format!("D-{}", self.which).parse().unwrap();
                RegisterRow::Device(DeviceRow { contract, device_ref, client_ref, from })
            }
            2 => {
                let tag = format!("T-{}", self.which).parse().unwrap();
                RegisterRow::Tag(TagRow { contract, tag, client_ref, from })
            }
            _ => RegisterRow::Suspension(Suspension {
                contract,
                client_ref,
                from: first + minutes(60 * self.at),
                to: self.from.map(|hours| first + minutes(60 * (self.at + 1 + i64::from(hours)))),
                notified_at: first - minutes(60 * self.at),
                reason: format!("away {}", self.which),
            }),
        }
    }

    /// A file has one row only of a reference and a date.
    fn key(&self) -> (bool, u8, u8, i64) {
        let from = self.from.map_or(-1, i64::from);
        match self.what {
            0 => (self.second, 0, self.client, from),
            3 => (self.second, 3, self.client, self.at),
            what => (self.second, what, self.which, from),
        }
    }
}

/// An earlier version of a visit: of which, whose, how many minutes sooner or later.
type Earlier = (Index, u8, i64);

fn story() -> impl Strategy<Value = Story> {
    let of_events = vec(says(), 12);
    let of_plan = vec(prop_oneof![4 => Just(0_i64), 1 => Just(1_i64)], 5);
    let earlier = vec((any::<Index>(), 0..2_u8, (-4..4_i64).prop_map(|half| 30 * half)), 0..3);
    let again = vec((any::<Index>(), 0..40_i64), 0..4);
    let order = (vec(1..5_usize, 1..16), vec(any::<Index>(), 12), vec(any::<bool>(), 32));
    let decided = vec((any::<Index>(), decision()), 0..5);
    let told = (night(Places::Any), of_events, of_plan, vec(row(), 0..14), earlier, again, order);
    (told, decided).prop_map(
        |((night, of_events, of_plan, rows, earlier, again, order), decided)| {
            let mut story = tell(night, of_events, &of_plan, &rows, &earlier, &again, order);
            for (place, decision) in decided {
                let place = place.index(story.steps.len() + 1);
                story.steps.insert(place, Step::Decide(decision));
            }
            story
        },
    )
}

fn tell(
    mut night: Night,
    of_events: Vec<Says>,
    of_plan: &[i64],
    rows: &[Row],
    earlier: &[Earlier],
    again: &[(Index, i64)],
    (sizes, places, looks): (Vec<usize>, Vec<Index>, Vec<bool>),
) -> Story {
    let starts = night.plan.iter().map(|visit| visit.start);
    let first = starts.chain(night.events.iter().map(|event| event.occurred_at)).min();
    let first = first.unwrap_or_default();
    let base = local_date(night.contract.zone, first);
    for (visit, day) in night.plan.iter_mut().zip(of_plan) {
        visit.start += TimeDelta::days(*day);
        visit.end += TimeDelta::days(*day);
    }
    for (event, says) in night.events.iter_mut().zip(of_events) {
        event.occurred_at += TimeDelta::days(says.day);
        event.received_at += TimeDelta::days(says.day);
        event.client_ref = event.client_ref.take().filter(|_| says.client);
        // Where two name each other's visits, neither says where it is.
        let circular = |name: &VisitRef| name.unplanned_event() > Some(event.event_id);
        event.visit_ref = says.visit_ref.filter(|name| !circular(name));
        event.tag = says.tag.map(|tag| format!("T-{tag}").parse().unwrap());
        if let Some(device) = says.device {
            event.sender = Sender::Device(format!("D-{device}").parse().unwrap());
        }
    }
    night.events.sort_by_key(|event| event.received_at);
    let (steps_of_files, plan, registers) = files(&night, rows, earlier, base, first);

    let own = night.events.iter().enumerate().map(|(index, event)| (event.received_at, index));
    let mut messages: Vec<(Instant, usize)> = own.collect();
    for (index, fives) in again.iter().filter(|_| !night.events.is_empty()) {
        let index = index.index(night.events.len());
        messages.push((night.events[index].received_at + minutes(5 * fives), index));
    }
    messages.sort_by_key(|(received_at, _)| *received_at);
    let mut batches = Vec::new();
    let mut rest = messages.as_slice();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (batch, after) = rest.split_at((*size).min(rest.len()));
        batches.push(batch.to_vec());
        rest = after;
    }
    // Each import before one of the batches, or after all.
    let mut before: BTreeMap<usize, Vec<File>> = BTreeMap::new();
    let mut places = places.iter().map(|place| place.index(batches.len() + 1));
    for of_kind in steps_of_files {
        let mut places: Vec<usize> = places.by_ref().take(of_kind.len()).collect();
        places.sort_unstable();
        for (place, file) in places.into_iter().zip(of_kind) {
            before.entry(place).or_default().push(file);
        }
    }
    let mut steps = Vec::new();
    let mut looks = looks.into_iter().cycle();
    for place in 0..=batches.len() {
        for file in before.remove(&place).unwrap_or_default() {
            let empty = match &file {
                File::Visits(plan) => plan.is_empty(),
                File::Register(_, rows) => rows.is_empty(),
            };
            if !empty {
                steps.extend([Step::Import(file), Step::Look]);
            }
        }
        if let Some(batch) = batches.get(place) {
            steps.push(Step::Batch(batch.clone()));
            steps.extend(looks.next().filter(|look| *look).map(|_| Step::Look));
        }
    }
    let (contract, events) = (night.contract, night.events);
    Story { contract, began: first, first: base, plan, registers, events, steps }
}

/// The files of each kind in their order, and the plan and the register rows that come of them.
fn files(
    night: &Night,
    rows: &[Row],
    earlier: &[Earlier],
    base: NaiveDate,
    first: Instant,
) -> (Vec<Vec<File>>, Vec<PlanRow>, Vec<RegisterRow>) {
    let mut before: BTreeMap<VisitRef, PlannedVisit> = BTreeMap::new();
    for (index, client, shift) in earlier.iter().filter(|_| !night.plan.is_empty()) {
        let mut visit = night.plan[index.index(night.plan.len())].clone();
        visit.client_ref = format!("C-{client}").parse().unwrap();
        visit.start += minutes(*shift);
        visit.end += minutes(*shift);
        before.insert(visit.visit_ref.clone(), visit);
    }
    let plan = night.plan.iter().map(|visit| PlanRow {
        visit: Arc::new(visit.clone()),
        replanned: before.get(&visit.visit_ref).is_some_and(|before| before != visit),
        known_from: Instant::MIN_UTC,
    });
    let plan = plan.collect();
    let mut all =
        vec![vec![File::Visits(before.into_values().collect()), File::Visits(night.plan.clone())]];
    let keyed: BTreeMap<_, &Row> = rows.iter().map(|row| (row.key(), row)).collect();
    let mut registers = Vec::new();
    for (what, kind) in (0..).zip(["clients", "devices", "tags", "suspensions"]) {
        let mut of_kind = Vec::new();
        for second in [false, true] {
            let rows = keyed.values().filter(|row| row.what == what && row.second == second);
            let rows: Vec<RegisterRow> = rows.map(|row| row.read(night, base, first)).collect();
            registers.extend(rows.clone());
            of_kind.push(File::Register(kind, rows));
        }
        all.push(of_kind);
    }
    (all, plan, registers)
}

fn to_message(event: &Event, received_at: Instant) -> Message {
    let (kind, reason) = match event.kind {
        EventKind::CheckIn => (EventType::CheckIn, None),
        EventKind::CheckOut => (EventType::CheckOut, None),
        EventKind::NotDelivered(reason) => (EventType::NotDelivered, Some(reason)),
    };
    let payload = EventPayload {
        client_ref: event.client_ref.clone(),
        visit_ref: event.visit_ref.clone(),
        carer_ref: matches!(event.sender, Sender::Device(_)).then(|| event.carer_ref.clone()),
        position: event.position.map(|position| PositionPayload {
            lat: position.at.lat,
            lon: position.at.lon,
            accuracy_m: Some(position.accuracy_m),
        }),
        informal_carer: event.informal_carer.then_some(true),
        reason,
        tag: event.tag.clone(),
        seq: event.seq,
        ..EventPayload::new(event.event_id, kind, event.occurred_at)
    };
    Message {
        topic: topic::event(&event.contract, &event.sender),
        payload: serde_json::to_vec(&payload).unwrap(),
        received_at,
        came: Came::Said,
        ack: Ack::new(|| ()),
    }
}

/// The visit log and Schedule 3, as text.
fn reports(contract: &Contract, visits: &[Visit]) -> (String, String) {
    let mut schedule3 = Schedule3::default();
    for visit in visits {
        schedule3.add(contract, visit);
    }
    let log = report::visits::csv(visits.iter().map(|visit| (contract, visit)));
    let rows = report::schedule3::csv(&schedule3.rows().unwrap());
    (String::from_utf8(log).unwrap(), String::from_utf8(rows).unwrap())
}

/// Open alerts about visits: which visit, and what is wrong.
type Open = BTreeSet<(String, AlertKind)>;

/// A daemon's database, its contract, and the time that it is there.
struct Daemon {
    _directory: tempfile::TempDir,
    database: Database,
    store: Store,
    contracts: Contracts,
    now: Instant,
}

impl Daemon {
    async fn start(engine: Engine, contract: &Contract, now: Instant) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::new(engine, directory.path());
        let store = database.open().await;
        let contracts = Contracts::new([contract.clone()], true);
        Self { _directory: directory, database, store, contracts, now }
    }

    /// Hears the broker, and phones just now.
    fn seeing(&self) -> Sights {
        let mut sights = Sights::seeing(Instant::MIN_UTC);
        sights.hear_phones(&self.contracts.iter().map(|c| c.id.clone()).collect(), self.now);
        sights
    }

    async fn take(&mut self, batch: &[(Instant, usize)], events: &[Event]) {
        let messages: Vec<Message> =
            batch.iter().map(|(at, index)| to_message(&events[*index], *at)).collect();
        let mut tx = self.store.write().await.unwrap();
        let tally =
            ingest::record(&mut tx, &self.contracts, &messages, &self.seeing()).await.unwrap();
        tx.commit().await.unwrap();
        assert!(tally.rejected.is_empty());
        self.now = batch.last().map_or(self.now, |(at, _)| *at);
    }

    /// Whether it is about anything that there is.
    async fn decide(&self, correction: &Correction) -> bool {
        let mut tx = self.store.write().await.unwrap();
        match acts::decide(&mut tx, &self.contracts, correction).await {
            Ok(()) => {
                tx.commit().await.unwrap();
                true
            }
            Err(ActError::NotFound(_)) => false,
            Err(failed) => panic!("{failed}"),
        }
    }

    async fn import(&self, file: &File) {
        let kind = if let File::Register(kind, _) = file { kind } else { VISITS };
        let mut import =
            Import::begin(&self.store, &self.contracts, kind, false, self.now).await.unwrap();
        match file {
            File::Visits(plan) => {
                let bad = import.visits((1..).zip(plan.iter().cloned()).collect()).await.unwrap();
                assert!(bad.is_empty());
            }
            File::Register(_, rows) => import.registers(rows).await.unwrap(),
        }
        assert!(import.finish().await.unwrap().is_some());
    }

    /// Draws the consequences of imports, and of time.
    async fn look(&self) -> Result<(), TestCaseError> {
        let mut more = true;
        while more {
            let mut tx = self.store.write().await.unwrap();
            more = apply::step(&mut tx, &self.contracts, self.now).await.unwrap();
            tx.commit().await.unwrap();
        }
        more = true;
        while more {
            let mut tx = self.store.write().await.unwrap();
            let mut sights = self.seeing();
            let looked = watch::client_nights(&mut tx, &self.contracts, self.now, &mut sights);
            more = looked.await.unwrap();
            tx.commit().await.unwrap();
            self.open().await?;
        }
        Ok(())
    }

    /// Looks at all client nights again, as if something were due.
    async fn look_at_all(&self) -> Result<(), TestCaseError> {
        self.database.try_execute("UPDATE night SET due_at = 0").await.unwrap();
        self.look().await
    }

    /// The ledger of every night agrees, at any time (R6, R7, R8), and the return is what a casebook of
    /// the evidence makes of it, whatever of it is settled.
    async fn agrees(&self, contract: &Arc<Contract>) -> Result<(), TestCaseError> {
        let nights = "SELECT night FROM ledger UNION SELECT night FROM planned_visit";
        let nights = self.database.texts(nights).await;
        let mut tx = self.store.read().await.unwrap();
        for night in nights {
            let night = night.parse().unwrap();
            let ledger =
                ledger::account(&mut tx, &self.contracts, contract, night, self.now).await.unwrap();
            prop_assert!(ledger.agrees(), "{}", report::ledger::text(&ledger, true));
        }
        let (first, last) =
            (NaiveDate::from_ymd_opt(2019, 1, 1), NaiveDate::from_ymd_opt(2030, 1, 1));
        let dates = (first.unwrap(), last.unwrap());
        let visits = book::visits(&mut tx, contract, dates, self.now).await.unwrap();
        drop(tx);
        let rows =
            returns::schedule3(&self.store, &self.contracts, contract, dates, self.now).await;
        let rows = String::from_utf8(report::schedule3::csv(&rows.unwrap())).unwrap();
        prop_assert_eq!(rows, reports(contract, &visits).1, "the return is not what happened");
        Ok(())
    }

    /// The open alerts about visits: one at most of a visit and kind, and of the five that exclude
    /// each other (R21).
    async fn open(&self) -> Result<Open, TestCaseError> {
        let found = "SELECT visit_ref || ' ' || kind FROM alert WHERE resolved_at IS NULL";
        let found = self.database.texts(&format!("{found} AND visit_ref IS NOT NULL")).await;
        let mut open = Open::new();
        let mut kinds = BTreeSet::new();
        let mut exclusive = BTreeSet::new();
        for alert in found {
            let (visit_ref, kind) = alert.split_once(' ').unwrap();
            let visit_ref = visit_ref.to_owned();
            let kind: AlertKind = kind.parse().unwrap();
            let alone = !kind.is_exclusive() || exclusive.insert(visit_ref.clone());
            prop_assert!(alone, "two of the five are open for {visit_ref}");
            let once = kinds.insert((visit_ref.clone(), kind.as_str()));
            prop_assert!(once, "{} is open twice for {visit_ref}", kind.as_str());
            open.insert((visit_ref, kind));
        }
        Ok(open)
    }
}

fn registers(rows: &[RegisterRow]) -> Registers {
    let mut registers = Registers::default();
    for row in rows.iter().cloned() {
        match row {
            RegisterRow::Client(row) => registers.put_client(&row),
            RegisterRow::Device(row) => registers.put_device(row),
            RegisterRow::Tag(row) => registers.put_tag(row),
            RegisterRow::Suspension(row) => registers.put_suspension(row),
            RegisterRow::Carer(_) => {}
        }
    }
    registers
}

async fn check(engine: Engine, story: &Story) -> Result<(), TestCaseError> {
    let mut daemon = Daemon::start(engine, &story.contract, story.began).await;
    let mut decided = Vec::new();
    for step in &story.steps {
        match step {
            Step::Batch(batch) => daemon.take(batch, &story.events).await,
            Step::Import(file) => daemon.import(file).await,
            Step::Look => daemon.look().await?,
            Step::Decide(decision) => {
                let correction = decision.correction(&story.contract, daemon.now);
                if daemon.decide(&correction).await {
                    decided.push((daemon.now, Evidence::Correction(Box::new(correction))));
                }
            }
        }
        daemon.open().await?;
        daemon.agrees(&story.contract).await?;
    }
    // Years later, everything is decided.
    daemon.now += TimeDelta::days(700);
    daemon.look().await?;
    let open = daemon.open().await?;
    daemon.agrees(&story.contract).await?;

    let mut book = Casebook::new(Arc::clone(&story.contract), registers(&story.registers));
    for row in &story.plan {
        book.add_visit(row.clone());
    }
    // What is decided at the instant of a receipt is decided after it.
    let evidence = story.events.iter().map(message).chain(decided).collect();
    let lines = play(&mut book, evidence, daemon.now);
    let (first, last) = (story.first - Days::new(4), story.first + Days::new(6));
    let visits = cli::report::visits(&daemon.store, &story.contract, first, last).await.unwrap();
    let (log, rows) = reports(&story.contract, &visits);
    let (replayed_log, replayed_rows) = reports(&story.contract, &book.visits(daemon.now));
    prop_assert_eq!(log, replayed_log, "the visit logs differ");
    prop_assert_eq!(rows, replayed_rows, "the returns differ");

    let of_five = |open: &Open| -> Open {
        open.iter().filter(|(_, kind)| kind.is_exclusive()).cloned().collect()
    };
    let replayed: Open = lines
        .iter()
        .filter(|line| line.resolved.is_none())
        .filter_map(|line| Some((line.visit_ref.as_ref()?.to_string(), line.kind)))
        .collect();
    prop_assert_eq!(of_five(&open), of_five(&replayed), "other alerts are open than in a replay");
    daemon.look_at_all().await?;
    prop_assert_eq!(open, daemon.open().await?, "an alert had not been looked at");
    daemon.store.close().await;
    Ok(())
}

fn checked(engine: Engine, story: &Story) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(check(engine, story))
}

/// The same nights each time, so that a change is judged by itself; `PROPTEST_RNG_SEED` looks at others.
fn cases(number: u32) -> ProptestConfig {
    let default = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let rng_seed = match default.rng_seed {
        RngSeed::Random => RngSeed::Fixed(20_190_210),
        given @ RngSeed::Fixed(_) => given,
    };
    ProptestConfig { cases: number, rng_seed, ..default }
}

proptest! {
    #![proptest_config(cases(80))]

    /// (R8, R12, R21)
    #[test]
    fn sqlite_and_a_replay_make_the_same_of_a_night(story in story()) {
        checked(Engine::Sqlite, &story)?;
    }
}

proptest! {
    #![proptest_config(cases(12))]

    /// (R8, R12, R21)
    #[test]
    fn postgres_and_a_replay_make_the_same_of_a_night(story in story()) {
        checked(Engine::Postgres, &story)?;
    }
}
