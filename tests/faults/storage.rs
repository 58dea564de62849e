//! What is under the database: a full disk, an fsync that fails, another program that locks it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::fleet::USUAL;
use crate::judge::{Expected, Puback};
use crate::night::{Night, SEES, says};
use crate::support::Mosquitto;
use crate::support::daemon::{Daemon, Installation, piped};
use crate::support::disk::Disk;

/// The daemon's word for a database that does not take anything.
pub const STUCK: &str = "nothing is acknowledged until this works";
/// And for its end.
pub const WORKS: &str = "the database works again";

/// While the database takes nothing, for so many seconds at least, events come, and a deadline
/// passes.
async fn the_database_refuses(
    night: &mut Night,
    daemon: &Daemon,
    puback: Puback,
    seconds: i64,
    refuse: impl FnOnce(),
    relent: impl FnOnce(),
) {
    night.watch("nobody", seconds, Expected::Unconfirmed);
    night.watch("somebody", seconds, Expected::Nothing);
    night.happen(10);
    night.fleet.has_receipts(20).await;
    refuse();
    night.happen(5);
    daemon.logged(STUCK).await;
    night.comes("somebody");
    night.happen(5);
    night.all_due().await;
    night.acknowledged_is_stored(puback).await;
    relent();
    daemon.logged(WORKS).await;
    daemon.logged_times(SEES, 2).await;
    night.happen(5);
    night.judge(daemon).await;
    says(daemon, STUCK, 1..=1);
}

async fn the_disk_is_full(installation: Installation, puback: Puback) {
    let config = std::fs::read(installation.path("nightrun.toml")).expect("the configuration");
    let disk = Disk::under(installation.folder.path());
    std::fs::write(installation.path("nightrun.toml"), config).expect("a file");
    let daemon = Installation::spawned(&mut disk.command(installation.command(["serve"])));
    daemon.ready().await;
    let pid = daemon.pid();
    let mut night = Night::begin(installation, 30, USUAL).await;
    the_database_refuses(&mut night, &daemon, puback, 6, || disk.fill(pid), || disk.free(pid))
        .await;
    says(&daemon, disk.remedy(), 1..=1);
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_is_full_embedded() {
    the_disk_is_full(Installation::embedded(), Puback::Committed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_is_full_mosquitto() {
    the_disk_is_full(Installation::at(&Mosquitto::start(&[])), Puback::Queued).await;
}

async fn another_program_locks_the_database(installation: Installation, puback: Puback) {
    let daemon = installation.start().await;
    let mut night = Night::begin(installation, 30, USUAL).await;
    let database = night.installation.path("nightrun.db");
    let locker = std::cell::RefCell::new(None);
    let lock = || {
        let program = "import sqlite3, sys\n\
                       database = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)\n\
                       database.execute('BEGIN EXCLUSIVE')\n\
                       print('locked', flush=True)\n\
                       sys.stdin.read()\n";
        let mut child = Command::new("/usr/bin/python3")
            .args(["-c", program])
            .arg(&database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is installed");
        let mut said = String::new();
        BufReader::new(child.stdout.as_mut().expect("its output"))
            .read_line(&mut said)
            .expect("a line");
        locker.replace(Some(child));
    };
    let unlock = || {
        let mut child = locker.take().expect("it was locked");
        drop(child.stdin.take());
        assert!(child.wait().expect("it ends").success());
    };
    the_database_refuses(&mut night, &daemon, puback, 16, lock, unlock).await;
    says(&daemon, "another program has locked it", 1..=1);
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_program_locks_the_database_embedded() {
    another_program_locks_the_database(Installation::embedded(), Puback::Committed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_program_locks_the_database_mosquitto() {
    let broker = Mosquitto::start(&[]);
    another_program_locks_the_database(Installation::at(&broker), Puback::Queued).await;
}

/// Runs the daemon so that some of its commits fail: the disk says that it cannot write.
fn start_on_a_failing_disk(installation: &Installation) -> Daemon {
    let serve = installation.command(["serve"]);
    let mut command = Command::new("strace");
    // The tracer is the daemon's child, not its parent: the process that is killed is the daemon.
    // Each thread counts its own calls: of the writer's, the first 39 go well.
    command
        .args(["-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null"])
        .args(["-e", "trace=fsync,fdatasync"])
        .args(["-e", "inject=fsync,fdatasync:error=EIO:when=40..46"])
        .arg(serve.get_program())
        .args(serve.get_args())
        .current_dir(installation.folder.path());
    Installation::spawned(piped(&mut command))
}

async fn fsync_fails_for_a_while(installation: Installation) {
    installation.start().await.terminate().await;
    let daemon = start_on_a_failing_disk(&installation);
    daemon.ready().await;
    let mut night = Night::begin(installation, 200, USUAL).await;
    while daemon.times_logged(STUCK).is_empty() {
        let answered = night.fleet.book().answered.len();
        night.happen(1);
        tokio::select! {
            () = night.fleet.has_receipts(answered + 1) => {}
            _ = daemon.logged(STUCK) => {}
        }
    }
    night.happen(20);
    daemon.logged(WORKS).await;
    daemon.logged_times(SEES, 2).await;
    night.happen(20);
    // A new connection is a new thread, with a count of its own: it may come once more.
    night.watch("nobody", 1, Expected::Told);
    night.judge(&daemon).await;
    says(&daemon, STUCK, 1..=3);
    says(&daemon, "its disk is full, or failing", 1..=3);
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fsync_fails_for_a_while_embedded() {
    fsync_fails_for_a_while(Installation::embedded()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fsync_fails_for_a_while_mosquitto() {
    let broker = Mosquitto::start(&[]);
    fsync_fails_for_a_while(Installation::at(&broker)).await;
}
