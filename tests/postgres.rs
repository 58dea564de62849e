//! The PostgreSQL of the tests leaves nothing behind.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helpers as well")]

mod support;

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use support::daemon::PATIENCE;
use support::postgres::{Postgres, Stop};
use tokio::time::{sleep, timeout};

/// Whether anybody listens.
fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[test]
fn it_stops_and_starts_with_what_was_committed() {
    let server = Postgres::start(&[]);
    let name = server.database();
    server.sql(&name, "CREATE TABLE visit (number INT)");
    for (number, how) in [Stop::Fast, Stop::Crash].into_iter().enumerate() {
        server.sql(&name, &format!("INSERT INTO visit VALUES ({number})"));
        server.stop(how);
        assert!(!answers(server.port));
        server.start_again();
    }
    assert_eq!(server.sql(&name, "SELECT count(*) FROM visit"), "2\n");
    let port = server.port;
    drop(server);
    assert!(!answers(port));
}

#[test]
#[ignore = "the next one starts and kills it"]
fn holds_a_server() {
    let server = Postgres::start(&[]);
    println!("\nport {}", server.port);
    loop {
        std::thread::park();
    }
}

#[tokio::test]
async fn it_is_gone_when_its_test_is_killed() {
    let mut test = Command::new(std::env::current_exe().expect("this program"))
        .args(["--ignored", "--exact", "holds_a_server", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(test.stdout.take().expect("its output")).lines();
    let port = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("port ")?.parse().ok())
        .expect("a port");
    assert!(answers(port));
    test.kill().expect("kill");
    test.wait().expect("it ends");
    let gone = async {
        while answers(port) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("it goes");
}
