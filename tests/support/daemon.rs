//! The built program as its users have it: a configuration file, a database, a process.

use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant as Tick};

use chrono::{NaiveDate, SecondsFormat, TimeDelta, Timelike};
use nightrun::clock;
use nightrun::domain::instant::Instant;
use serde_json::Value;
use tempfile::TempDir;

use super::engine::{Database, Engine};
use super::people::{Alerts, Sender};
use super::{Client, Mosquitto, within};

/// Longer than anything takes, on a machine that has other things to do.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// What the daemon logs when it has heard everything that the broker had kept.
const READY: &str = "the broker's backlog has been read";
/// The header of most plans.
pub const VISITS: &str = "contract,visit_ref,service,service_level,client_ref,run,planned_start,\
                          planned_end,carers_required";

/// A port that nobody listens on, and outside the range from which connections get theirs: it can
/// be listened on again after a restart.
pub fn quiet_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % 400).expect("small") * 30;
    loop {
        let port = 20_000 + (own + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// An instant, as files and payloads have it.
pub fn text(at: Instant) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// So many seconds ago, in whole microseconds.
pub fn ago(seconds: i64) -> Instant {
    clock::now() - TimeDelta::seconds(seconds)
}

/// With its input and output in the test's hand.
pub fn piped(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped())
}

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// One nightrun: its folder, its configuration, its broker, its database.
pub struct Installation {
    pub folder: TempDir,
    pub database: Database,
    /// Where phones find the broker.
    pub port: u16,
    /// Where it answers HTTP.
    pub http: u16,
    /// The local time minus UTC, in hours.
    offset: i64,
    /// What its configuration says of its broker.
    broker: String,
    /// What else it says.
    more: String,
}

impl Installation {
    /// With the embedded broker. It is the middle of the night there, whatever the time is here.
    pub fn embedded() -> Self {
        let port = quiet_port();
        Self::with(temporary(), port, &format!("listen = \"127.0.0.1:{port}\""))
    }

    /// With another broker.
    pub fn at(broker: &Mosquitto) -> Self {
        Self::at_port(broker.port)
    }

    /// With another broker, or what leads to it, on this port.
    pub fn at_port(port: u16) -> Self {
        Self::with(temporary(), port, &format!("url = \"mqtt://127.0.0.1:{port}\""))
    }

    /// With these lines about its broker, whose port for phones is this one.
    pub fn with(folder: TempDir, port: u16, broker: &str) -> Self {
        // Around two in the morning, local time.
        let offset = (2 - i64::from(clock::now().hour()) + 12).rem_euclid(24) - 12;
        let database = Database::new(Engine::Sqlite, folder.path());
        let (http, broker) = (quiet_port(), broker.to_owned());
        let this = Self { folder, database, port, http, offset, broker, more: String::new() };
        this.configure(&this.database.url());
        this
    }

    /// The same, with other lines about its broker.
    pub fn with_broker(self, broker: &str) -> Self {
        let this = Self { broker: broker.to_owned(), ..self };
        this.configure(&this.database.url());
        this
    }

    /// The same, with these sections in its configuration as well.
    pub fn with_sections(self, more: String) -> Self {
        let this = Self { more, ..self };
        this.configure(&this.database.url());
        this
    }

    /// The same, with an empty database on this engine.
    pub fn on(self, engine: Engine) -> Self {
        let database = Database::new(engine, self.folder.path());
        self.with_database(database)
    }

    /// The same, with this database.
    pub fn with_database(self, database: Database) -> Self {
        let this = Self { database, ..self };
        this.configure(&this.database.url());
        this
    }

    /// Writes its configuration, with its database at this address.
    pub fn configure(&self, database: &str) {
        // The signs of these zones are the other way round.
        let zone = format!("Etc/GMT{:+}", -self.offset);
        let (broker, more, http) = (&self.broker, &self.more, self.http);
        self.write(
            "nightrun.toml",
            &format!(
                "[database]\nurl = \"{database}\"\n[broker]\n{broker}\n[http]\nlisten = \
                 \"127.0.0.1:{http}\"\n[[contract]]\nid = \"default\"\ntime_zone = \"{zone}\"\n{more}\n",
            ),
        );
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in its folder.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("a file");
        path
    }

    /// The night that is now.
    pub fn tonight(&self) -> NaiveDate {
        (clock::now() + TimeDelta::hours(self.offset - 12)).date_naive()
    }

    /// Runs the program, to its end.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ran {
        self.run_with_input(arguments, "")
    }

    pub fn run_with_input<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        input: &str,
    ) -> Ran {
        let mut child = self.command(arguments).spawn().expect("it starts");
        let mut stdin = child.stdin.take().expect("its input");
        let input = input.to_owned();
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = child.wait_with_output().expect("it ends");
        // It need not read it.
        let _ = writer.join();
        Ran::from(output)
    }

    /// The program with these arguments, its input and output piped.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nightrun"));
        command
            .arg("--config")
            .arg(self.path("nightrun.toml"))
            .args(arguments)
            .current_dir(self.folder.path());
        piped(&mut command);
        command
    }

    /// Imports rows, header first, and expects that to work; what it says.
    pub fn import(&self, kind: &str, header: &str, rows: &[String]) -> String {
        self.try_import(kind, header, rows).succeeded()
    }

    pub fn try_import(&self, kind: &str, header: &str, rows: &[String]) -> Ran {
        let file = self.write(&format!("{kind}.csv"), &csv(header, rows));
        self.run([OsStr::new("import"), OsStr::new(kind), file.as_os_str()])
    }

    /// A report of this week's nights.
    pub fn report(&self, report: &str) -> String {
        let from = self.tonight().to_string();
        let arguments = ["report", report, "--contract", "default", "--from", &from];
        self.run(arguments.into_iter().chain(["--weeks", "1"])).succeeded()
    }

    /// Counts everything of tonight twice, and expects that both agree.
    pub fn ledger(&self) {
        let night = self.tonight().to_string();
        self.run(["ledger", "--contract", "default", "--night", &night]).succeeded();
    }

    /// Replays files of its folder, up to now; the visit log.
    pub fn replay(&self, files: &[(&str, &str)]) -> String {
        let as_of = text(clock::now());
        let mut arguments = vec!["replay", "--as-of", &as_of, "--out", "replayed"];
        for (option, file) in files {
            arguments.extend([option, file]);
        }
        self.run(arguments).succeeded();
        std::fs::read_to_string(self.path("replayed/visits.csv")).expect("the visit log")
    }

    /// The number that a query finds.
    pub async fn number(&self, query: &str) -> i64 {
        self.database.number(query).await
    }

    /// The texts that a query finds.
    pub async fn texts(&self, query: &str) -> Vec<String> {
        self.database.texts(query).await
    }

    /// Waits until the broker has all that was to be published.
    pub async fn until_published(&self) {
        let give_up_at = Tick::now() + PATIENCE;
        while self.number("SELECT count(*) FROM outbox").await > 0 {
            assert!(Tick::now() < give_up_at, "something stays in the outbox");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the daemon has drawn the consequences of all imports.
    pub async fn until_applied(&self) {
        let left = "SELECT count(*) FROM import WHERE seq IS NOT NULL AND applied_at IS NULL";
        let give_up_at = Tick::now() + PATIENCE;
        while self.number(left).await > 0 {
            assert!(Tick::now() < give_up_at, "an import is not applied");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Changes the database behind the daemon's back.
    pub async fn execute(&self, statements: &str) {
        self.database.try_execute(statements).await.expect(statements);
    }

    /// Starts the daemon and waits until it hears.
    pub async fn start(&self) -> Daemon {
        let daemon = self.spawn();
        daemon.logged(READY).await;
        daemon
    }

    /// What it answers to a request: the status code, and the body.
    pub fn get(&self, path: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let code = head.split(' ').nth(1).expect("a status").parse().expect("a number");
        (code, serde_json::from_str(body).expect("JSON"))
    }

    /// Waits until `/readyz` answers so; what it says.
    pub async fn until_ready_is(&self, code: u16) -> Value {
        let mut answer = self.get("/readyz");
        let give_up_at = Tick::now() + PATIENCE;
        while answer.0 != code {
            assert!(Tick::now() < give_up_at, "{answer:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
            answer = self.get("/readyz");
        }
        answer.1
    }

    /// Starts the daemon.
    pub fn spawn(&self) -> Daemon {
        Self::spawned(&mut self.command(["serve"]))
    }

    /// Starts the daemon by this command.
    pub fn spawned(command: &mut Command) -> Daemon {
        let mut child = command.spawn().expect("it starts");
        let log = Arc::new(Log::default());
        let lines = BufReader::new(child.stderr.take().expect("its log")).lines();
        let reader = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                reader.push(line);
            }
            reader.end();
        });
        Daemon { child: Process(child), log }
    }

    /// Somebody who hears every alert.
    pub async fn alerts(&self) -> Alerts {
        let mut client = Client::connect(self.port, "coordinator").await;
        client.subscribe("nightrun/v1/+/alert/#").await;
        Alerts { client, heard: Vec::new(), repeated: Vec::new() }
    }

    /// Somebody who sends events and hears every receipt.
    pub async fn sender(&self) -> Sender {
        let mut client = Client::connect(self.port, "sender").await;
        client.subscribe("nightrun/v1/+/+/+/receipt").await;
        Sender { client }
    }
}

/// Each of them, and an end of line.
pub fn by_line(each: impl IntoIterator<Item: Display>) -> String {
    each.into_iter().fold(String::new(), |text, one| text + &format!("{one}\n"))
}

/// The text of a CSV file.
pub fn csv(header: &str, rows: &[String]) -> String {
    format!("{header}\n{}\n", rows.join("\n"))
}

/// What became of a run of the program.
pub struct Ran {
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let ran = Self {
            status: output.status.code(),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        };
        assert!(!ran.err.contains("panicked"), "{}", ran.err);
        ran
    }
}

impl Ran {
    /// What it wrote, if it ended well.
    pub fn succeeded(self) -> String {
        assert_eq!(self.status, Some(0), "{}\n{}", self.err, self.out);
        self.out
    }

    /// That it ended with this status and said all of this on standard error, and nothing on
    /// standard output.
    pub fn failed(&self, status: i32, says: &[&str]) {
        assert_eq!((self.status, self.out.as_str()), (Some(status), ""), "{}", self.err);
        for words in says {
            assert!(self.err.contains(words), "{words:?} is not in: {}", self.err);
        }
    }
}

/// What a process has logged, and when.
#[derive(Default)]
struct Log {
    lines: Mutex<(Vec<(Instant, String)>, bool)>,
    news: Condvar,
}

impl Log {
    fn push(&self, line: String) {
        self.lines.lock().expect("no panic").0.push((clock::now(), line));
        self.news.notify_all();
    }

    fn end(&self) {
        self.lines.lock().expect("no panic").1 = true;
        self.news.notify_all();
    }

    /// When a line with these words came for the nth time, from 1.
    fn find(&self, words: &str, nth: usize) -> Instant {
        let give_up_at = Tick::now() + PATIENCE;
        let mut lines = self.lines.lock().expect("no panic");
        loop {
            let mut found = lines.0.iter().filter(|(_, line)| line.contains(words));
            if let Some((at, _)) = found.nth(nth - 1) {
                return *at;
            }
            let left = give_up_at.saturating_duration_since(Tick::now());
            if lines.1 || left.is_zero() {
                // Whoever else looks at the log can still do so.
                drop(lines);
                panic!("{words:?} was not logged {nth} times");
            }
            lines = self.news.wait_timeout(lines, left).expect("no panic").0;
        }
    }
}

/// A process that ends with the test.
pub struct Process(pub Child);

impl Process {
    pub fn wait(&mut self) -> ExitStatus {
        self.0.wait().expect("it ends")
    }

    fn kill(&mut self) {
        self.0.kill().expect("kill");
        self.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A daemon that runs. Dropping it kills it.
pub struct Daemon {
    child: Process,
    log: Arc<Log>,
}

impl Daemon {
    /// Waits until it has logged these words; when it did.
    pub async fn logged(&self, words: &'static str) -> Instant {
        self.logged_times(words, 1).await
    }

    /// Waits until it has logged these words so many times; when it did.
    pub async fn logged_times(&self, words: &'static str, times: usize) -> Instant {
        let log = Arc::clone(&self.log);
        tokio::task::spawn_blocking(move || log.find(words, times)).await.expect("it is logged")
    }

    /// Waits until it hears; since when it does.
    pub async fn ready(&self) -> Instant {
        self.logged(READY).await
    }

    /// Everything that it has logged.
    pub fn log(&self) -> String {
        let lines = self.log.lines.lock().expect("no panic");
        by_line(lines.0.iter().map(|(_, line)| line))
    }

    /// The lines that it has logged with these words, and when.
    pub fn times_logged(&self, words: &str) -> Vec<(Instant, String)> {
        let lines = self.log.lines.lock().expect("no panic");
        lines.0.iter().filter(|(_, line)| line.contains(words)).cloned().collect()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Kills it as a power cut would.
    pub fn kill9(mut self) {
        self.child.kill();
    }

    /// Asks it to stop.
    pub fn ask_to_stop(&self) {
        let pid = self.child.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
    }

    /// Waits for its end; the daemon's log.
    pub async fn ended(mut self) -> (ExitStatus, String) {
        let ended = tokio::task::spawn_blocking(move || (self.child.wait(), self.log()));
        within("the daemon's end", ended).await.expect("no panic")
    }

    /// Stops it as systemd does, and waits for its end.
    pub async fn terminate(self) {
        self.ask_to_stop();
        let (status, log) = self.ended().await;
        assert!(status.success(), "{status}: {log}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("The daemon's log:\n{}", self.log());
        }
    }
}
