//! PostgreSQL under the daemon: stopped, restarted, out of reach, slow, full, and at odds with others.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use nightrun::clock;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::fleet::{Habits, USUAL};
use crate::judge::{Expected, Puback};
use crate::night::{Night, SEES, says};
use crate::storage::{STUCK, WORKS};
use crate::support::daemon::{Daemon, Installation, text};
use crate::support::disk::Disk;
use crate::support::engine::{Database, Engine};
use crate::support::postgres::{Postgres, Stop};
use crate::support::proxy::{Proxy, Wire};
use crate::support::{Client, Mosquitto, within};

/// How long the server is away at least; an operator's outage is as long as this says, in seconds.
const OUTAGE: &str = "NIGHTRUN_TEST_OUTAGE_SECONDS";
/// What comes meanwhile besides, each as long as a message may be, from so many phones: one's messages
/// wait for each other at the broker inside.
const LOAD: usize = 6_000;
const LOAD_PHONES: usize = 100;
const LOAD_BYTES: usize = 8_000;
/// How much of that the daemon may take into its hands.
const MEMORY_MAX_BYTES: u64 = 24 << 20;
/// How PostgreSQL's clients say it, as the whole of a message.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

fn outage_seconds() -> i64 {
    std::env::var(OUTAGE).map_or(6, |seconds| seconds.parse().expect("seconds"))
}

/// What a process has of the machine's memory.
fn memory(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid()));
    let status = status.expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().strip_suffix(" kB").expect("kB").parse::<u64>().expect("a number") << 10
}

/// Much comes from phones that wait for nothing but the broker's word.
async fn load(night: &mut Night) -> Vec<Client> {
    let mut phones = Vec::new();
    for number in 0..LOAD_PHONES {
        let carer = format!("load-{number}");
        let phone = Client::connect(night.installation.port, &carer).await;
        for _ in 0..LOAD / LOAD_PHONES {
            let (id, at) = (uuid::Uuid::new_v4().to_string(), text(clock::now()));
            let event = json!({"event_id": id, "type": "check_in", "occurred_at": at}).to_string();
            let event = event.clone() + &" ".repeat(LOAD_BYTES - event.len());
            phone.send(&format!("nightrun/v1/default/carer/{carer}/event"), event);
            night.others_said.insert(id);
        }
        phones.push(phone);
    }
    phones
}

async fn is_acknowledged(load: &mut [Client]) {
    for phone in load {
        phone.acknowledged(LOAD / LOAD_PHONES).await;
    }
}

async fn the_server_is_stopped(installation: Installation, server: &Postgres, puback: Puback) {
    let daemon = installation.start().await;
    let mut night = Night::begin(installation, 30, USUAL).await;
    // It is told behind the receipts of all that came meanwhile.
    night.late_at_most = TimeDelta::seconds(60);
    night.watch("nobody", outage_seconds(), Expected::Unconfirmed);
    night.watch("somebody", outage_seconds(), Expected::Nothing);
    night.happen(10);
    night.fleet.has_receipts(20).await;
    let before = memory(&daemon);
    server.stop(Stop::Fast);
    night.happen(5);
    daemon.logged(STUCK).await;
    let told = night.fleet.book();
    night.comes("somebody");
    let mut load = load(&mut night).await;
    if puback == Puback::Queued {
        is_acknowledged(&mut load).await;
    }
    night.happen(5);
    night.all_due().await;
    let more = memory(&daemon).saturating_sub(before);
    assert!(more < MEMORY_MAX_BYTES, "{more} bytes more");
    if puback == Puback::Committed {
        let now = night.fleet.book().acknowledged;
        assert_eq!(now, told.acknowledged, "nothing can have been committed");
    }
    server.start_again();
    daemon.logged(WORKS).await;
    daemon.logged_times(SEES, 2).await;
    if puback == Puback::Committed {
        is_acknowledged(&mut load).await;
    }
    night.happen(5);
    night.judge(&daemon).await;
    says(&daemon, STUCK, 1..=1);
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_stopped_embedded() {
    let server = Arc::new(Postgres::start(&[]));
    let installation = Installation::embedded().with_database(Database::at(&server));
    the_server_is_stopped(installation, &server, Puback::Committed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_stopped_mosquitto() {
    let server = Arc::new(Postgres::start(&[]));
    let broker = Mosquitto::start(&[]);
    let installation = Installation::at(&broker).with_database(Database::at(&server));
    the_server_is_stopped(installation, &server, Puback::Queued).await;
}

/// By an operator, and by a crash, while events come; and the daemon is killed as well.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_restarted() {
    let server = Arc::new(Postgres::start(&[]));
    let installation = Installation::embedded().with_database(Database::at(&server));
    let mut daemon = installation.start().await;
    let mut night = Night::begin(installation, 100, USUAL).await;
    for (number, how) in [Stop::Fast, Stop::Crash].into_iter().cycle().take(4).enumerate() {
        night.happen(10);
        night.fleet.has_receipts(30 * number + 10).await;
        server.stop(how);
        night.happen(5);
        server.start_again();
    }
    night.happen(10);
    server.stop(Stop::Crash);
    night.happen(10);
    night.kill9(daemon);
    server.start_again();
    night.acknowledged_is_stored(Puback::Committed).await;
    daemon = night.installation.start().await;
    night.happen(10);
    night.judge(&daemon).await;
    daemon.terminate().await;
}

/// With a database that is reached by a wire.
async fn by_wire(installation: Installation) -> (Installation, Proxy) {
    let server = Postgres::shared();
    let name = server.database();
    let proxy = Proxy::to(server.port).await;
    let address = Postgres::url_by(proxy.port, &name);
    let installation = installation.with_database(Database::Postgres { server, name });
    installation.configure(&address);
    (installation, proxy)
}

/// The connection breaks after the server has been told to commit, and before it says that it has:
/// the daemon cannot know.
#[tokio::test(flavor = "multi_thread")]
async fn the_connection_breaks_in_the_middle_of_a_commit() {
    let broker = Mosquitto::start(&[]);
    let (installation, proxy) = by_wire(Installation::at(&broker)).await;
    let mut serve = installation.command(["serve"]);
    let daemon = Installation::spawned(serve.env("NIGHTRUN__LOG__LEVEL", "debug"));
    daemon.ready().await;
    // What comes twice came once, and was taken twice.
    let patient = Habits { patience: Duration::from_mins(10), ..USUAL };
    let mut night = Night::begin(installation, 100, patient).await;
    for times in 1..=10 {
        night.happen(3);
        proxy.becomes(Wire::CutAfter(COMMIT));
        night.happen(3);
        daemon.logged_times(STUCK, times).await;
        // And sometimes there is no other connection for a while.
        if times % 5 == 0 {
            daemon.logged_times("still: ", daemon.times_logged("still: ").len() + 1).await;
        }
        proxy.becomes(Wire::Whole);
        daemon.logged_times(WORKS, times).await;
    }
    night.judge(&daemon).await;
    let twice = "SELECT COALESCE(SUM(duplicates), 0) FROM event";
    assert_eq!(night.installation.number(twice).await, 0);
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_slow() {
    let broker = Mosquitto::start(&[]);
    let (installation, proxy) = by_wire(Installation::at(&broker)).await;
    let daemon = installation.start().await;
    let mut night = Night::begin(installation, 30, USUAL).await;
    night.late_at_most = TimeDelta::seconds(20);
    night.watch("nobody", 4, Expected::Raised);
    night.watch("somebody", 4, Expected::Nothing);
    night.happen(10);
    night.fleet.has_receipts(20).await;
    proxy.becomes(Wire::Slow(Duration::from_millis(20)));
    night.happen(10);
    night.comes("somebody");
    night.all_due().await;
    night.ear.until("nobody", "tolerance", "open").await;
    proxy.becomes(Wire::Whole);
    night.happen(10);
    night.judge(&daemon).await;
    says(&daemon, "ERROR", 0..=0);
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_s_disk_is_full() {
    let server = Arc::new(Postgres::start(&[]));
    let folder = server.folder("small");
    let disk = Disk::under(&folder);
    if matches!(disk, Disk::Limited) {
        // Only a mount is a disk to a server that is not this test's child.
        return;
    }
    let space = server.folder("small/space");
    server.sql("postgres", &format!("CREATE TABLESPACE small LOCATION '{}'", space.display()));
    let name = server.database_with("TABLESPACE small");
    let database = Database::Postgres { server: Arc::clone(&server), name };
    let installation = Installation::embedded().with_database(database);
    let daemon = installation.start().await;
    let mut night = Night::begin(installation, 400, USUAL).await;
    night.watch("nobody", 6, Expected::Unconfirmed);
    night.watch("somebody", 6, Expected::Nothing);
    night.happen(10);
    night.fleet.has_receipts(20).await;
    disk.fill(daemon.pid());
    // There is room in the pages that it has.
    while daemon.times_logged(STUCK).is_empty() {
        let answered = night.fleet.book().answered.len();
        night.happen(5);
        tokio::select! {
            () = night.fleet.has_receipts(answered + 10) => {}
            _ = daemon.logged(STUCK) => {}
        }
    }
    night.comes("somebody");
    night.all_due().await;
    night.acknowledged_is_stored(Puback::Committed).await;
    disk.free(daemon.pid());
    daemon.logged(WORKS).await;
    daemon.logged_times(SEES, 2).await;
    night.happen(5);
    night.judge(&daemon).await;
    says(&daemon, STUCK, 1..=1);
    says(&daemon, "make room on PostgreSQL's disk", 1..=1);
    daemon.terminate().await;
}

/// What makes every seventh transaction with events fail, for no fault of its own.
const TROUBLE: &str = "
    CREATE SEQUENCE trouble;
    CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN
            CASE nextval('trouble') % 14
                WHEN 0 THEN RAISE EXCEPTION 'a deadlock' USING ERRCODE = 'deadlock_detected';
                WHEN 7 THEN RAISE EXCEPTION 'a conflict' USING ERRCODE = 'serialization_failure';
                ELSE RETURN NULL;
            END CASE;
        END
    $$;
    CREATE TRIGGER trouble AFTER INSERT ON event EXECUTE FUNCTION trouble();";

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_are_to_be_tried_again_are() {
    let installation = Installation::embedded().on(Engine::Postgres);
    let daemon = installation.start().await;
    let mut night = Night::begin(installation, 200, USUAL).await;
    night.installation.execute(TROUBLE).await;
    night.late_at_most = TimeDelta::seconds(3);
    night.watch("nobody", 4, Expected::Raised);
    night.watch("somebody", 4, Expected::Nothing);
    night.comes("somebody");
    let tried = "SELECT last_value FROM trouble";
    while night.installation.number(tried).await < 50 {
        let answered = night.fleet.book().answered.len();
        night.happen(1);
        night.fleet.has_receipts(answered + 2).await;
    }
    night.judge(&daemon).await;
    says(&daemon, "ERROR", 0..=0);
    says(&daemon, "WARN", 0..=0);
    says(&daemon, SEES, 1..=1);
    daemon.terminate().await;
}

/// Somebody who holds nights as no daemon does.
struct Stranger(PgConnection);

impl Stranger {
    async fn at(night: &Night) -> Self {
        let mut stranger = Self(night.installation.database.admin().await);
        // PostgreSQL ends whoever has waited for so long; it is not to be the stranger.
        stranger.does("SET deadlock_timeout = '1min'; BEGIN").await;
        stranger
    }

    async fn does(&mut self, statements: &str) -> u64 {
        let done = sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut self.0).await;
        done.expect(statements).rows_affected()
    }

    /// Takes the night of a visit's client.
    async fn holds(&mut self, visit: usize) {
        let of = format!("SELECT 1 FROM night WHERE client_ref = 'client-V-{visit:04}' FOR UPDATE");
        assert_eq!(self.does(&of).await, 1, "there is no such night");
    }

    async fn lets_go(mut self) {
        self.does("COMMIT").await;
    }
}

/// Two nights are taken in one order by the daemon, and in the other by somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_with_a_stranger() {
    let server = Arc::new(Postgres::start(&[]));
    let installation = Installation::embedded().with_database(Database::at(&server));
    let daemon = installation.start().await;
    let mut night = Night::begin(installation, 60, USUAL).await;
    night.happen(10);
    night.fleet.is_answered().await;
    // Until the plan is applied there is nothing to be held.
    let unapplied = "SELECT count(*) FROM import WHERE applied_at IS NULL";
    let applied = async { while night.installation.number(unapplied).await > 0 {} };
    within("the plan to be applied", applied).await;
    let mut stranger = Stranger::at(&night).await;
    stranger.holds(21).await;
    // The daemon takes the first, and waits for the second.
    night.replan(20..22);
    the_daemon_waits(&night).await;
    // Each waits for the other, until PostgreSQL ends what the daemon does.
    stranger.holds(20).await;
    assert!(server.log().contains("deadlock detected"));
    stranger.lets_go().await;
    night.happen(50);
    night.fleet.is_answered().await;
    night.judge(&daemon).await;
    says(&daemon, "ERROR", 0..=0);
    says(&daemon, "WARN", 0..=0);
    says(&daemon, SEES, 1..=1);
    daemon.terminate().await;
}

async fn the_daemon_waits(night: &Night) {
    let waits = "SELECT count(*) FROM pg_stat_activity \
                 WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let waits = async { while night.installation.number(waits).await == 0 {} };
    within("the daemon to wait for a night", waits).await;
}
