//! The servers of others, started by the bench: Mosquitto and PostgreSQL.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::process::Process;

/// The longest that a server may take to start.
pub const START_WITHIN: Duration = Duration::from_mins(1);

/// A port that nobody listens on.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A command, found where Debian keeps servers as well.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(name);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

/// Waits until somebody listens on that port.
fn until_it_listens(process: &mut Process, port: u16) -> anyhow::Result<()> {
    let give_up_at = Instant::now() + START_WITHIN;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        ensure!(process.runs()?, "a server does not start");
        ensure!(Instant::now() < give_up_at, "a server does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Mosquitto on a free port, set as the README asks for.
pub struct Mosquitto {
    pub port: u16,
    pub process: Process,
}

impl Mosquitto {
    /// Starts it; what it keeps and logs is in this folder.
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        let port = free_port()?;
        let config = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\nlog_dest file {folder}/mosquitto.log\n\
             persistence true\npersistence_location {folder}/\nautosave_interval 10\n\
             max_queued_messages 0\nmax_inflight_messages 0\nmax_queued_bytes 0\nset_tcp_nodelay true\n\
             message_size_limit 1000000\n",
            folder = folder.display(),
        );
        let path = folder.join("mosquitto.conf");
        fs::write(&path, config)?;
        let mut process = Process::spawn(
            command("mosquitto").arg("-c").arg(path).stdout(Stdio::null()).stderr(Stdio::null()),
        )?;
        until_it_listens(&mut process, port)?;
        Ok(Self { port, process })
    }
}

/// PostgreSQL on a free port, as it is after `initdb`: with fsync and synchronous commits.
pub struct Postgres {
    port: u16,
    cluster: PathBuf,
    log: PathBuf,
    pub process: Process,
}

impl Postgres {
    /// Makes a cluster in this folder and starts it.
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        let cluster = folder.join("postgres");
        fs::create_dir(&cluster)?;
        if let Some((uid, gid)) = unprivileged()? {
            chown(&cluster, Some(uid), Some(gid))?;
        }
        let data = cluster.join("data");
        let made = program("initdb", &cluster)?
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"])
            .arg("-D")
            .arg(&data)
            .output()
            .context("initdb does not start")?;
        ensure!(
            made.status.success(),
            "initdb failed (the user postgres must reach --folder): {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let (port, log) = (free_port()?, folder.join("postgres.log"));
        let process = Self::run(&cluster, &log, port)?;
        Ok(Self { port, cluster, log, process })
    }

    fn run(cluster: &Path, log: &Path, port: u16) -> anyhow::Result<Process> {
        let log = File::options().create(true).append(true).open(log)?;
        let mut process = Process::spawn(
            program("postgres", cluster)?
                .arg("-D")
                .arg(cluster.join("data"))
                .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-k"])
                .arg(cluster)
                .stderr(log),
        )?;
        until_it_listens(&mut process, port)?;
        Ok(process)
    }

    /// Does something with the folder of its data while it does not run.
    pub fn stopped(
        &mut self,
        deed: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.process.end("-INT")?;
        deed(&self.cluster.join("data"))?;
        self.process = Self::run(&self.cluster, &self.log, self.port)?;
        Ok(())
    }

    /// The URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Postgres {
    /// Killed, it would leave processes behind.
    fn drop(&mut self) {
        // SIGINT is its fast shutdown: it waits for no client.
        let _ = self.process.end("-INT");
    }
}

/// One of PostgreSQL's programs, as the user that it wants.
fn program(name: &str, folder: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(programs().join(name));
    if let Some((uid, gid)) = unprivileged()? {
        command.uid(uid).gid(gid);
    }
    command.current_dir(folder).stdout(Stdio::null());
    Ok(command)
}

/// Where PostgreSQL's programs are: Debian keeps them out of PATH.
pub fn programs() -> PathBuf {
    let found = Command::new("pg_config").arg("--bindir").output();
    let found = found.ok().filter(|found| found.status.success());
    let said = found.map(|found| PathBuf::from(String::from_utf8_lossy(&found.stdout).trim()));
    said.filter(|bin| bin.join("initdb").exists()).unwrap_or_else(|| {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let last = versions.map(|version| version.path()).max();
        last.map(|version| version.join("bin")).unwrap_or_default()
    })
}

/// Whom PostgreSQL runs as, if the bench runs as root, which it refuses.
fn unprivileged() -> anyhow::Result<Option<(u32, u32)>> {
    if id(&["-u"])? != 0 {
        return Ok(None);
    }
    let ids = id(&["-u", "postgres"]).and_then(|uid| Ok((uid, id(&["-g", "postgres"])?)));
    Ok(Some(ids.context("as root this needs the user postgres: install postgresql")?))
}

fn id(arguments: &[&str]) -> anyhow::Result<u32> {
    let said = Command::new("id").args(arguments).output()?;
    match String::from_utf8_lossy(&said.stdout).trim().parse() {
        Ok(id) if said.status.success() => Ok(id),
        _ => bail!("no such user"),
    }
}
