//! `nightrun demo`: a simulated night around the present moment, in a temporary place.
//!
//! The daemon is the real one; the carers are a script that speaks to it over MQTT like anybody
//! else. It is always about half past two in the demo's town, so that it is night there.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use chrono::{TimeDelta, Timelike};
use chrono_tz::Tz;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, PublishOptions, QoS};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant as Tick, sleep_until};

use super::import::{self, Kind};
use super::say;
use crate::clock;
use crate::config::{LogFormat, LogSettings, Settings, load};
use crate::daemon::Daemon;
use crate::domain::alert::AlertKind;
use crate::domain::calendar::{Night, local, night_of};
use crate::domain::event::{Reason, Sender};
use crate::domain::instant::{Instant, format_seconds};
use crate::domain::refs::{CarerRef, ClientRef, ContractId, EventId};
use crate::domain::wording;
use crate::store::Store;
use crate::wire::alert::{AlertMessage, State};
use crate::wire::event_payload::{EventPayload, EventType, Method, PositionPayload};
use crate::wire::receipt::{Receipt, ReceiptStatus, VisitWord};
use crate::wire::topic;

const CONTRACT: &str = "demo";
/// When it is in the demo's town, by the hour.
const TOWN_HOUR: i64 = 2;

/// The planned visits: reference, client, start in seconds from now, length in seconds, people
/// needed, what is to be seen.
const PLAN: [(&str, &str, i64, i64, u8, &str); 6] = [
    ("V-101", "C-101", 8, 80, 1, "is on time"),
    ("V-102", "C-102", 1500, 1800, 1, "is made too early"),
    ("V-103", "C-103", -1770, 1800, 2, "needs two carers, who come late"),
    ("V-104", "C-104", -3565, 1800, 1, "is missed: nobody comes"),
    ("V-105", "C-105", -240, 1800, 1, "is refused at the door"),
    ("V-106", "C-106", 600, 1800, 1, "is still to come when the script ends"),
];

/// What the carers do: seconds from now, carer, what, client.
const SCRIPT: [(i64, &str, Deed, &str); 12] = [
    (10, "amy", Deed::CheckIn, "C-101"),
    (18, "bola", Deed::CheckIn, "C-102"),
    (26, "bola", Deed::Again, "C-102"),
    (40, "cleo", Deed::CheckIn, "C-103"),
    (48, "dan", Deed::CheckIn, "C-103"),
    (56, "eve", Deed::Refused, "C-105"),
    (64, "finn", Deed::CheckIn, "C-107"),
    (72, "cleo", Deed::CheckOut, "C-103"),
    (74, "dan", Deed::CheckOut, "C-103"),
    (84, "amy", Deed::CheckOut, "C-101"),
    (92, "bola", Deed::CheckOutFarAway, "C-102"),
    (100, "finn", Deed::CheckOut, "C-107"),
];

/// What a carer does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    CheckIn,
    /// The phone sends the last event once more.
    Again,
    CheckOut,
    CheckOutFarAway,
    Refused,
}

/// Runs the demo until Ctrl-C.
///
/// # Errors
/// When the temporary place cannot be had, or the daemon does not start.
pub async fn run() -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    super::serve::start_logging(&LogSettings {
        level: tracing::Level::WARN,
        format: LogFormat::Text,
    });
    let place = std::env::temp_dir().join(format!("nightrun-demo-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir_all(&place)
        .with_context(|| format!("cannot make the folder {}", place.display()))?;
    let now = clock::now();
    let zone = town(now);
    let address = free_address(1883)?;
    let http = free_address(8080)?;
    let config = place.join("nightrun.toml");
    write(&config, &configuration(&place, address, http, zone))?;
    let settings = load(Some(&config), [])?;
    let daemon = Daemon::start(&settings).await?;

    say(introduction(zone, now, address))?;
    for (kind, name, rows) in
        [(Kind::Clients, "clients.csv", clients()), (Kind::Visits, "visits.csv", visits(now))]
    {
        let file = place.join(name);
        write(&file, &rows)?;
        let arguments = import::Arguments { kind, file, dry_run: false };
        import::run(&arguments, &settings).await?;
    }
    say("")?;
    let mut phones = Phones::connect(address, zone).await?;
    tokio::select! {
        played = phones.play(&settings, address) => played?,
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    drop(phones);
    daemon.stop().await?;
    say(format!("\n{}", farewell(&place, &config, night_of(zone, now))))
}

/// A zone in which it is about half past two.
fn town(now: Instant) -> Tz {
    let ahead = (TOWN_HOUR - i64::from(now.hour())).rem_euclid(24);
    // Etc/GMT-3 is three hours ahead of UTC; there are twelve behind it and fourteen ahead.
    let ahead = if ahead > 12 { ahead - 24 } else { ahead };
    format!("Etc/GMT{:+}", -ahead).parse().unwrap_or(Tz::UTC)
}

/// That port of this machine, or any other if it is taken.
fn free_address(port: u16) -> anyhow::Result<SocketAddr> {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(wanted)
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .context("no port of 127.0.0.1 can be listened on")?;
    listener.local_addr().context("no port of 127.0.0.1 can be listened on")
}

fn configuration(place: &Path, address: SocketAddr, http: SocketAddr, zone: Tz) -> String {
    format!(
        "[database]\nurl = \"sqlite:{}/nightrun.db\"\n\n[broker]\nlisten = \"{address}\"\n\n\
         [http]\nlisten = \"{http}\"\ntokens = \"none\"\n\n[[contract]]\nid = \"{CONTRACT}\"\ntime_zone = \"{zone}\"\n",
        place.display()
    )
}

fn clients() -> String {
    let mut rows = "contract,client_ref,lat,lon\n".to_owned();
    for number in 1..=7 {
        let lat = 51.47 + 0.004 * f64::from(number);
        let _ = writeln!(rows, "{CONTRACT},C-10{number},{lat:.5},0.33000");
    }
    rows
}

fn visits(now: Instant) -> String {
    let mut rows = "contract,visit_ref,service,service_level,client_ref,run,planned_start,\
                    planned_end,carers_required\n"
        .to_owned();
    for (visit, client, start, length, required, _) in PLAN {
        let start = now + TimeDelta::seconds(start);
        let end = start + TimeDelta::seconds(length);
        let (start, end) = (format_seconds(start), format_seconds(end));
        let _ = writeln!(
            rows,
            "{CONTRACT},{visit},Out of Hours,Planned,{client},R1,{start},{end},{required}"
        );
    }
    rows
}

fn introduction(zone: Tz, now: Instant, address: SocketAddr) -> String {
    let mut text = format!(
        "nightrun demo: one night of a small town, where it is {} now.\n\
         The embedded broker listens on {address}; the carers' phones speak to it over MQTT.\n\n\
         The plan:\n",
        wording::clock(zone, now)
    );
    for (visit, client, start, _, required, what) in PLAN {
        let at = wording::clock(zone, now + TimeDelta::seconds(start));
        let carers = if required == 1 { "1 carer " } else { "2 carers" };
        let _ = writeln!(text, "  {visit}  {client}  {at}  {carers}  {what}");
    }
    text.push_str("  and C-107 will need somebody whom no plan has sent.\n");
    text.push_str("It takes about two minutes. Ctrl-C ends it.\n");
    text
}

fn farewell(place: &Path, config: &Path, night: Night) -> String {
    format!(
        "Its files are in {}. What the council would get:\n  \
         nightrun --config {} report schedule-3 --contract {CONTRACT} --from {night} --weeks 1",
        place.display(),
        config.display(),
    )
}

fn write(path: &PathBuf, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The carers' phones, on one connection, and somebody who listens to the alerts.
struct Phones {
    client: AsyncClient,
    messages: mpsc::UnboundedReceiver<(String, Vec<u8>)>,
    zone: Tz,
    last: Option<(String, Vec<u8>)>,
}

impl Phones {
    async fn connect(address: SocketAddr, zone: Tz) -> anyhow::Result<Self> {
        let options = MqttOptions::new("demo-phones", (address.ip().to_string(), address.port()));
        let (client, mut eventloop) = AsyncClient::builder(options).unbounded().build();
        let (received, messages) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(event) = eventloop.poll().await {
                if let Event::Incoming(Packet::Publish(publish)) = event {
                    let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                    if received.send((topic, publish.payload.to_vec())).is_err() {
                        return;
                    }
                }
            }
        });
        for filter in ["receipt", "alert"] {
            let filter = match filter {
                "receipt" => format!("nightrun/v1/{CONTRACT}/carer/+/receipt"),
                _ => format!("nightrun/v1/{CONTRACT}/alert/+"),
            };
            client.subscribe(filter, QoS::AtLeastOnce).await.context("the broker is gone")?;
        }
        Ok(Self { client, messages, zone, last: None })
    }

    /// Plays the script, then goes on showing what happens.
    async fn play(&mut self, settings: &Settings, address: SocketAddr) -> anyhow::Result<()> {
        let began = Tick::now();
        for (second, carer, deed, client) in SCRIPT {
            let at = began + Duration::from_secs(second.unsigned_abs());
            self.show_until(at).await?;
            self.act(carer, deed, client).await?;
        }
        self.show_until(Tick::now() + Duration::from_secs(5)).await?;
        say(format!("\nHow it stands:\n{}", standing(settings).await?))?;
        say(format!(
            "That was the script. The daemon runs on; be a carer yourself:\n  \
             mosquitto_pub -p {} -q 1 -t nightrun/v1/{CONTRACT}/carer/you/event -m \
             '{{\"event_id\":\"{}\",\"type\":\"check_in\",\"client_ref\":\"C-106\",\
             \"occurred_at\":\"{}\"}}'\n",
            address.port(),
            uuid::Uuid::new_v4(),
            format_seconds(clock::now()),
        ))?;
        loop {
            self.show_until(Tick::now() + Duration::from_hours(1)).await?;
        }
    }

    async fn show_until(&mut self, at: Tick) -> anyhow::Result<()> {
        loop {
            let message = tokio::select! {
                () = sleep_until(at) => return Ok(()),
                message = self.messages.recv() => message,
            };
            let Some((topic, payload)) = message else {
                sleep_until(at).await;
                return Ok(());
            };
            if let Ok(alert) = serde_json::from_slice::<AlertMessage>(&payload) {
                // An unplanned visit is told once, and is over at once.
                if (alert.kind, alert.state) != (AlertKind::UnplannedVisit, State::Resolved) {
                    self.say(&of_alert(&alert))?;
                }
            } else if let Ok(receipt) = serde_json::from_slice::<Receipt>(&payload) {
                let carer = topic.split('/').nth(4).unwrap_or_default();
                self.say(&of_receipt(carer, &receipt))?;
            }
        }
    }

    fn say(&self, what: &str) -> anyhow::Result<()> {
        say(format!("{}  {what}", local(self.zone, clock::now()).format("%H:%M:%S")))
    }

    async fn act(&mut self, carer: &str, deed: Deed, client: &str) -> anyhow::Result<()> {
        let did = match deed {
            Deed::CheckIn => "checks in at",
            Deed::Again => "'s phone, which saw no receipt, repeats it:",
            Deed::CheckOut => "checks out of",
            Deed::CheckOutFarAway => "checks out, two streets away, of",
            Deed::Refused => "is refused by",
        };
        let space = if deed == Deed::Again { "" } else { " " };
        self.say(&format!("  {carer}{space}{did} {client}"))?;
        if deed != Deed::Again {
            self.last = Some(event(carer, deed, client)?);
        }
        if let Some((topic, payload)) = self.last.clone() {
            self.client
                .publish(topic, payload, PublishOptions::at_least_once())
                .await
                .context("the broker is gone")?;
        }
        Ok(())
    }
}

fn event(carer: &str, deed: Deed, client: &str) -> anyhow::Result<(String, Vec<u8>)> {
    let kind = match deed {
        Deed::CheckIn | Deed::Again => EventType::CheckIn,
        Deed::CheckOut | Deed::CheckOutFarAway => EventType::CheckOut,
        Deed::Refused => EventType::NotDelivered,
    };
    let now = clock::now();
    let mut payload = EventPayload::new(EventId(uuid::Uuid::new_v4()), kind, now);
    payload.client_ref = Some(client.parse::<ClientRef>()?);
    payload.method = Some(Method::Nfc);
    payload.reason = (deed == Deed::Refused).then_some(Reason::Refused);
    if deed == Deed::CheckOutFarAway {
        payload.method = Some(Method::Gps);
        payload.position = Some(PositionPayload { lat: 51.485, lon: 0.332, accuracy_m: Some(8.0) });
    }
    let contract: ContractId = CONTRACT.parse()?;
    let sender = Sender::Carer(carer.parse::<CarerRef>()?);
    Ok((topic::event(&contract, &sender), serde_json::to_vec(&payload)?))
}

fn of_receipt(carer: &str, receipt: &Receipt) -> String {
    let visit = receipt.visit_ref.as_ref().map_or("no visit", |visit| visit.as_str());
    let about = match receipt.visit {
        Some(VisitWord::Unplanned) => "an unplanned visit".to_owned(),
        _ => visit.to_owned(),
    };
    match receipt.status {
        ReceiptStatus::Accepted => format!("  {carer} has a receipt: {about}"),
        ReceiptStatus::Duplicate => format!("  {carer} has a receipt: known already, {about}"),
        ReceiptStatus::Rejected => format!("  {carer} has a receipt: rejected"),
    }
}

fn of_alert(alert: &AlertMessage) -> String {
    let visit = match &alert.visit_ref {
        Some(visit) if visit.unplanned_event().is_none() => visit.as_str(),
        _ => alert.client_ref.as_ref().map_or("", |client| client.as_str()),
    };
    let kind = alert.kind.as_str().replace('_', " ");
    if alert.state == State::Resolved {
        format!("over:  {kind}, {visit}: {}", alert.detail)
    } else {
        format!("{}:  {kind}, {visit}: {}", alert.severity.as_str().to_uppercase(), alert.detail)
    }
}

/// What has become of the visits, a line each.
async fn standing(settings: &Settings) -> anyhow::Result<String> {
    let contract = settings.contracts.get(&CONTRACT.parse()?).context("the demo's contract")?;
    let night = contract.night_of(clock::now());
    let store = Store::open_existing(&settings.database).await?;
    let visits = super::report::visits(&store, contract, night, night).await;
    store.close().await;
    let mut text = String::new();
    for visit in visits? {
        let name = if visit.plan.is_some() { visit.visit_ref.as_str() } else { "no plan" };
        let flags: Vec<&str> = visit.flags.iter().map(|flag| flag.as_str()).collect();
        let _ = writeln!(
            text,
            "  {name:8} {}  {:12} {}",
            visit.client,
            visit.status.as_str(),
            flags.join(", ").replace('_', " ")
        );
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instant::{format_instant, parse_instant};

    #[test]
    fn it_is_night_in_the_town_at_every_hour() {
        for hour in 0..24 {
            let now = parse_instant(&format!("2026-11-22T{hour:02}:31:00Z")).unwrap();
            assert_eq!(wording::clock(town(now), now), "02:31", "{}", format_instant(now));
        }
    }
}
