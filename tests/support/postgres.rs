//! A real PostgreSQL on a free port, with its files in a folder of its own. It is gone when the test's
//! process is, however that ends.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use super::daemon::quiet_port;

/// Where Debian keeps the server programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// Who administers it, and whose processes it runs as when the test is root's: it refuses root.
const ADMIN: &str = "postgres";
/// Whom nightrun connects as: owner of its database, and nothing else.
const OWNER: &str = "nightrun";
/// A power cut is nothing that a test can make, so nothing waits for the disk.
const SETTINGS: [&str; 6] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "fsync=off",
    "full_page_writes=off",
    "max_connections=400",
    "log_line_prefix=%m [%p] %a %d: ",
];
/// Waits until whoever holds the other end of its input has ended, then stops the server whose
/// `pg_ctl` and folder these are.
const GUARDIAN: &str = "cat > /dev/null; \"$@\" --mode=immediate stop; rm -rf \"$0\"";

/// A cluster. Dropping it stops it and removes its files.
pub struct Postgres {
    pub port: u16,
    folder: PathBuf,
    settings: Vec<String>,
    guardian: Child,
}

/// How a server is told to stop.
#[derive(Debug, Clone, Copy)]
pub enum Stop {
    /// As an operator does: what runs is undone, clients are told.
    Fast,
    /// As a crash does: what was committed is found in the log at the next start.
    Crash,
}

impl Postgres {
    /// The cluster that the tests of this process share.
    pub fn shared() -> Arc<Self> {
        static SHARED: OnceLock<Arc<Postgres>> = OnceLock::new();
        Arc::clone(SHARED.get_or_init(|| Arc::new(Self::start(&[]))))
    }

    /// Makes a cluster for one test, with these settings as well (`name=value`).
    pub fn start(settings: &[&str]) -> Self {
        let folder = succeed(as_admin("mktemp").args([
            "--directory",
            "--tmpdir",
            "nightrun-postgres.XXXXXX",
        ]));
        Self::start_in(Path::new(folder.trim()), settings)
    }

    /// The same in a folder that the server may write, which is removed with it.
    pub fn start_in(folder: &Path, settings: &[&str]) -> Self {
        let mut guardian = Command::new("sh");
        guardian.args([OsStr::new("-c"), OsStr::new(GUARDIAN), folder.as_os_str()]);
        let pg_ctl = pg_ctl(folder);
        guardian.arg(pg_ctl.get_program()).args(pg_ctl.get_args());
        // What ends a test from the keyboard must not end it as well.
        guardian.process_group(0).current_dir("/");
        guardian.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut this = Self {
            port: 0,
            folder: folder.to_owned(),
            settings: SETTINGS.iter().chain(settings).map(|&setting| setting.to_owned()).collect(),
            guardian: guardian.spawn().expect("sh"),
        };
        let mut initdb = as_admin(program("initdb"));
        initdb.arg("--pgdata").arg(folder.join("data")).args(["--username", ADMIN]);
        initdb.args(["--auth=trust", "--locale=C", "--encoding=UTF8", "--no-sync"]);
        succeed(initdb.args(["--no-instructions", "--wal-segsize=1"]));
        // A port that was free a moment ago; another process may take it in between.
        for _ in 0..10 {
            this.port = quiet_port();
            if this.try_start().status.success() {
                this.sql(ADMIN, &format!("CREATE ROLE {OWNER} LOGIN"));
                return this;
            }
        }
        panic!("PostgreSQL does not start: {}", this.log());
    }

    /// Makes an empty database; its name. It sorts as people do, so that whoever relies on the order
    /// of bytes has to say so.
    pub fn database(&self) -> String {
        self.database_with("TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-GB'")
    }

    /// Makes a database with these options; its name.
    pub fn database_with(&self, options: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("night_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.sql(ADMIN, &format!("CREATE DATABASE {name} OWNER {OWNER} {options}"));
        name
    }

    /// Makes a database what another one is. Nobody may use either.
    pub fn replace(&self, database: &str, by: &str) {
        self.sql(ADMIN, &format!("DROP DATABASE {database}"));
        self.sql(ADMIN, &format!("CREATE DATABASE {database} OWNER {OWNER} TEMPLATE {by}"));
    }

    /// Makes a folder among its files.
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.join(name);
        succeed(as_admin("mkdir").arg(&folder));
        folder
    }

    /// The address of a database, as its owner has it.
    pub fn url(&self, database: &str) -> String {
        Self::url_by(self.port, database)
    }

    /// The same, by way of another port.
    pub fn url_by(port: u16, database: &str) -> String {
        format!("postgres://{OWNER}@127.0.0.1:{port}/{database}")
    }

    /// The address of a database, for whoever may do everything.
    pub fn admin_url(&self, database: &str) -> String {
        format!("postgres://{ADMIN}@127.0.0.1:{}/{database}", self.port)
    }

    /// Has an administrator do this, outside every database of the tests.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let mut psql = Command::new(program("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only"]);
        psql.args(["--set", "ON_ERROR_STOP=1", "--command", statement, &self.admin_url(database)]);
        succeed(&mut psql)
    }

    /// Stops it, and waits until it has.
    pub fn stop(&self, how: Stop) {
        let mode = match how {
            Stop::Fast => "--mode=fast",
            Stop::Crash => "--mode=immediate",
        };
        succeed(pg_ctl(&self.folder).args([mode, "stop"]));
    }

    /// Starts it again on the same port, and waits until it answers.
    pub fn start_again(&self) {
        assert!(self.try_start().status.success(), "PostgreSQL does not start: {}", self.log());
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        succeed(as_admin("cat").arg(self.folder.join("log")))
    }

    fn try_start(&self) -> Output {
        let settings: Vec<_> = self.settings.iter().map(|it| format!("-c '{it}'")).collect();
        let options = format!("-p {} {}", self.port, settings.join(" "));
        let mut start = pg_ctl(&self.folder);
        start.arg("--log").arg(self.folder.join("log")).args(["--options", &options, "start"]);
        start.output().expect("pg_ctl")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The end of its input; it does the rest.
        drop(self.guardian.stdin.take());
        let _ = self.guardian.wait();
    }
}

/// A program of the newest server that is installed.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir(VERSIONS).map(|folders| {
        folders.filter_map(|folder| folder.ok()?.file_name().to_str()?.parse::<u32>().ok())
    });
    let newest = versions.ok().and_then(Iterator::max).expect("postgresql is installed");
    [VERSIONS, &newest.to_string(), "bin", name].iter().collect()
}

/// The program as somebody whom PostgreSQL lets run it.
fn as_admin(program: impl AsRef<OsStr>) -> Command {
    static ROOT: OnceLock<bool> = OnceLock::new();
    let root = ROOT.get_or_init(|| succeed(Command::new("id").arg("-u")).trim() == "0");
    let mut command = Command::new(if *root { OsStr::new("setpriv") } else { program.as_ref() });
    if *root {
        command.args(["--reuid", ADMIN, "--regid", ADMIN, "--init-groups"]).arg(program);
    }
    // One that this user may not enter would be complained of.
    command.current_dir("/").stdin(Stdio::null());
    command
}

fn pg_ctl(folder: &Path) -> Command {
    let mut command = as_admin(program("pg_ctl"));
    command.arg("--pgdata").arg(folder.join("data")).args(["--silent", "--wait"]);
    command
}

/// Runs it to its end, which must be good; what it writes.
fn succeed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("it runs");
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("text")
}
