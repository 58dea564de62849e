//! The smallest nights in which the database path and a replay once differed.

use super::*;

fn contract() -> Contract {
    (*nights::contract(Unit::Visit, DatedBy::Night, false)).clone()
}

/// A check-in of that carer, at no home.
fn came(number: u128, carer: &str, at: Instant) -> Event {
    let carer_ref: CarerRef = carer.parse().unwrap();
    Event {
        contract: "thurrock".parse().unwrap(),
        event_id: EventId(uuid::Uuid::from_u128(number)),
        sender: Sender::Carer(carer_ref.clone()),
        kind: EventKind::CheckIn,
        carer_ref,
        occurred_at: at,
        received_at: at,
        client_ref: None,
        visit_ref: None,
        tag: None,
        position: None,
        informal_carer: false,
        seq: None,
    }
}

fn unplanned(number: u128) -> VisitRef {
    VisitRef::unplanned(EventId(uuid::Uuid::from_u128(number)))
}

fn eleven() -> Instant {
    "2019-02-10T23:00:00Z".parse().unwrap()
}

fn device(name: &str, client: &str) -> File {
    let row = DeviceRow {
        contract: "thurrock".parse().unwrap(),
        device_ref: name.parse().unwrap(),
        client_ref: client.parse().unwrap(),
        from: None,
    };
    File::Register("devices", vec![RegisterRow::Device(row)])
}

impl Daemon {
    async fn take_one(&mut self, event: &Event) {
        self.take(&[(event.received_at, 0)], std::slice::from_ref(event)).await;
    }
}

on_both_engines!(a_visit_that_moves_to_another_client_is_missed_there);
/// (R21) Its alerts are not those that it had at the client's from whom it moved.
async fn a_visit_that_moves_to_another_client_is_missed_there(engine: Engine) {
    let mut daemon = Daemon::start(engine, &contract(), eleven()).await;
    let visit = |client: &str| PlannedVisit {
        contract: "thurrock".parse().unwrap(),
        visit_ref: "V-1".parse().unwrap(),
        service: "Night care".to_owned(),
        service_level: "Planned".to_owned(),
        client_ref: client.parse().unwrap(),
        run: None,
        start: eleven(),
        end: eleven() + minutes(30),
        carers_required: 1,
        carers: Vec::new(),
        time_specific: false,
        quantity: None,
        cancellation: None,
    };
    daemon.now += minutes(120);
    let missed = Open::from([("V-1".to_owned(), AlertKind::Missed)]);
    for client in ["C-0", "C-1", "C-0"] {
        daemon.import(&File::Visits(vec![visit(client)])).await;
        daemon.look().await.unwrap();
        let at =
            daemon.database.texts("SELECT client_ref FROM alert WHERE resolved_at IS NULL").await;
        assert_eq!(at, [client]);
        assert_eq!(daemon.open().await.unwrap(), missed);
    }
}

on_both_engines!(an_event_that_is_placed_later_shows_its_carer_elsewhere);
/// (R21) An event from another home ends `overdue_checkout`, also when its home is known later.
async fn an_event_that_is_placed_later_shows_its_carer_elsewhere(engine: Engine) {
    let mut daemon = Daemon::start(engine, &contract(), eleven()).await;
    let inside = Event { client_ref: "C-1".parse().ok(), ..came(1, "w0", eleven()) };
    daemon.take_one(&inside).await;
    let sender = Sender::Device("D-0".parse().unwrap());
    daemon.take_one(&Event { sender, ..came(2, "w0", eleven() + minutes(150)) }).await;
    daemon.look().await.unwrap();
    let overdue = Open::from([(unplanned(1).to_string(), AlertKind::OverdueCheckout)]);
    assert_eq!(daemon.open().await.unwrap(), overdue);
    daemon.import(&device("D-0", "C-0")).await;
    daemon.look().await.unwrap();
    assert_eq!(daemon.open().await.unwrap(), Open::new());
}

on_both_engines!(an_event_that_was_not_elsewhere_after_all_ends_nothing);
/// (R21) And it does so no more when it turns out to have been the same home.
async fn an_event_that_was_not_elsewhere_after_all_ends_nothing(engine: Engine) {
    let mut daemon = Daemon::start(engine, &contract(), eleven()).await;
    daemon.import(&device("D-0", "C-0")).await;
    let inside = Event { client_ref: "C-1".parse().ok(), ..came(1, "w0", eleven()) };
    daemon.take_one(&inside).await;
    let sender = Sender::Device("D-0".parse().unwrap());
    let next_night = eleven() + TimeDelta::days(1);
    daemon.take_one(&Event { sender, ..came(2, "w0", next_night) }).await;
    daemon.look().await.unwrap();
    assert_eq!(daemon.open().await.unwrap(), Open::new());
    daemon.import(&device("D-0", "C-1")).await;
    daemon.look().await.unwrap();
    let overdue = Open::from([(unplanned(1).to_string(), AlertKind::OverdueCheckout)]);
    assert_eq!(daemon.open().await.unwrap(), overdue);
}

on_both_engines!(an_event_that_names_its_own_visit_follows_the_registers);
/// (R8, R12) The visit that is called after an event does not hold the event where it was.
async fn an_event_that_names_its_own_visit_follows_the_registers(engine: Engine) {
    let mut daemon = Daemon::start(engine, &contract(), eleven()).await;
    daemon.import(&device("D-0", "C-1")).await;
    let event = Event {
        sender: Sender::Device("D-0".parse().unwrap()),
        visit_ref: Some(unplanned(1)),
        ..came(1, "w0", eleven())
    };
    daemon.take_one(&event).await;
    daemon.import(&device("D-0", "C-0")).await;
    daemon.look().await.unwrap();
    assert_eq!(daemon.database.texts("SELECT client_ref FROM event").await, ["C-0"]);
}

on_both_engines!(a_night_that_an_event_leaves_by_its_name_is_looked_at_again);
/// (R21) A night that is in the hands of a batch, and loses an event by it, is looked at again.
async fn a_night_that_an_event_leaves_by_its_name_is_looked_at_again(engine: Engine) {
    let mut daemon = Daemon::start(engine, &contract(), eleven()).await;
    daemon.import(&device("D-0", "C-0")).await;
    let moves = Event {
        sender: Sender::Device("D-0".parse().unwrap()),
        visit_ref: Some(unplanned(3)),
        ..came(1, "w0", eleven())
    };
    daemon.take_one(&moves).await;
    daemon.now += minutes(300);
    daemon.look().await.unwrap();
    let open = "SELECT client_ref FROM alert WHERE resolved_at IS NULL";
    assert_eq!(daemon.database.texts(open).await, ["C-0"]);
    let later = daemon.now + minutes(1);
    let begins = Event { client_ref: "C-1".parse().ok(), ..came(3, "w1", later) };
    daemon.take(&[(later, 0), (later, 1)], &[came(2, "w0", later), begins]).await;
    daemon.look().await.unwrap();
    assert_eq!(daemon.database.texts(open).await, ["C-1"]);
}

on_both_engines!(a_message_that_comes_again_is_counted);
/// (R6) Counted as often as it came, in the same batch or a later one.
async fn a_message_that_comes_again_is_counted(engine: Engine) {
    let mut daemon = Daemon::start(engine, &contract(), eleven()).await;
    let event = Event { client_ref: "C-1".parse().ok(), ..came(1, "w0", eleven()) };
    let again = |times: usize| vec![(eleven(), 0); times];
    for (times, counted) in [(3, "2"), (2, "4")] {
        daemon.take(&again(times), std::slice::from_ref(&event)).await;
        let found = daemon.database.texts("SELECT CAST(duplicates AS TEXT) FROM event").await;
        assert_eq!(found, [counted]);
    }
}
