//! Every route, for each role: a route that is added without a row here fails.

use std::collections::BTreeMap;

use nightrun::http::guarded;

use crate::Someone;
use crate::support::daemon::Installation;
use crate::support::http::request;

/// Which of coordinator, planner, finance and council may use a route.
const MAY: [(&str, &str, [bool; 4]); 23] = [
    ("GET", "/api/v1/contracts/{contract}/nights/{night}", [true, false, false, true]),
    ("GET", "/api/v1/contracts/{contract}/visits/{visit}", [true, false, false, true]),
    ("GET", "/api/v1/contracts/{contract}/nights/{night}/plan", [true, false, false, false]),
    ("GET", "/api/v1/contracts/{contract}/suspensions", [true, false, false, false]),
    (
        "POST",
        "/api/v1/contracts/{contract}/clients/{client}/suspension",
        [true, false, false, false],
    ),
    ("GET", "/api/v1/alerts", [true, false, false, true]),
    ("POST", "/api/v1/alerts/{alert}/acknowledge", [true, false, false, false]),
    ("POST", "/api/v1/alerts/{alert}/contact", [true, false, false, false]),
    ("POST", "/api/v1/alerts/{alert}/resolve", [true, false, false, false]),
    (
        "POST",
        "/api/v1/contracts/{contract}/visits/{visit}/corrections",
        [true, false, false, false],
    ),
    ("POST", "/api/v1/contracts/{contract}/events/{event}/place", [true, false, false, false]),
    ("POST", "/api/v1/contracts/{contract}/events", [true, false, false, false]),
    ("GET", "/api/v1/rejected", [true, false, false, false]),
    ("POST", "/api/v1/rejected/{rejected}/retry", [true, false, false, false]),
    ("GET", "/api/v1/contracts/{contract}/schedule-3", [false, false, true, true]),
    ("GET", "/api/v1/contracts/{contract}/visits", [false, false, true, true]),
    ("GET", "/api/v1/contracts/{contract}/punctuality", [true, false, true, true]),
    ("GET", "/api/v1/stream", [true, false, false, true]),
    ("POST", "/api/v1/import/{kind}", [true, true, false, false]),
    ("POST", "/alerts/{alert}/acknowledge", [true, false, false, false]),
    ("POST", "/alerts/{alert}/contact", [true, false, false, false]),
    ("POST", "/alerts/{alert}/resolve", [true, false, false, false]),
    ("POST", "/contracts/{contract}/visits/{visit}/corrections", [true, false, false, false]),
];
/// As above.
const MAY_TOO: [(&str, &str, [bool; 4]); 7] = [
    ("POST", "/contracts/{contract}/events/{event}/place", [true, false, false, false]),
    ("GET", "/", [true, false, false, true]),
    ("GET", "/map", [true, false, false, false]),
    ("GET", "/plan", [true, false, false, false]),
    ("POST", "/contracts/{contract}/suspensions", [true, false, false, false]),
    ("GET", "/contracts/{contract}/visits/{visit}", [true, false, false, true]),
    ("GET", "/performance", [true, false, true, true]),
];

const ROLES: [&str; 4] = ["coordinator", "planner", "finance", "council"];

/// A path that leads to the route, and to nothing behind it.
fn path(route: &str) -> String {
    route
        .replace("{contract}", "default")
        .replace("{client}", "c-none")
        .replace("{night}", "2026-11-22")
        .replace("{visit}", "V-none")
        .replace("{alert}", "6e6f7468-0000-4000-8000-000000000001")
        .replace("{event}", "6e6f7468-0000-4000-8000-000000000002")
        .replace("{rejected}", "77")
        .replace("{kind}", "visits")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_route_is_open_to_those_who_may_and_shut_to_all_others() {
    let rows = MAY.iter().chain(&MAY_TOO);
    let rows: BTreeMap<(&str, &str), [bool; 4]> =
        rows.map(|(method, path, may)| ((*method, *path), *may)).collect();
    let doors = guarded();
    for door in &doors {
        let row = (door.method.as_str(), door.path);
        assert!(rows.contains_key(&row), "{row:?} has no row here: who may use it?");
    }
    assert_eq!(doors.len(), rows.len(), "a row has no route");

    let installation = Installation::embedded();
    let daemon = installation.start().await;
    let council = ["--contract", "default"];
    let people: Vec<Someone> = ROLES
        .iter()
        .map(|role| {
            let options = if *role == "council" { &council[..] } else { &[] };
            Someone::new(&installation, role, options)
        })
        .collect();
    let gone = Someone::new(&installation, "coordinator", &[]);
    let listed = installation.run(["token", "list"]).succeeded();
    let id = listed.lines().last().and_then(|line| line.split(' ').next()).expect("an id");
    installation.run(["token", "revoke", id]).succeeded();
    let nobody = Someone::unknown(&installation);
    let made_up = Someone { port: installation.http, token: format!("nr_{id}_{}", "0".repeat(64)) };

    for ((method, route), may) in &rows {
        let method = if *method == "GET" { "GET" } else { "POST" };
        let ask = |who: &Someone| {
            if *route == "/api/v1/stream" && !who.token.is_empty() {
                // It does not end by itself.
                return stream_status(who);
            }
            who.request(method, &path(route)).answer().status
        };
        for (who, (role, may)) in people.iter().zip(ROLES.iter().zip(may)) {
            let status = ask(who);
            let shut = status == 403 || status == 401;
            assert_eq!(!shut, *may, "{role}: {method} {route} answers {status}");
        }
        let page = !route.starts_with("/api/");
        // A page shows where to sign in.
        let expected = if page { 303 } else { 401 };
        assert_eq!(ask(&nobody), expected, "nobody: {method} {route}");
    }
    assert_eq!(gone.get("/api/v1/alerts").status, 401, "it was revoked");
    assert_eq!(made_up.get("/api/v1/alerts").status, 401);
    daemon.terminate().await;
}

fn stream_status(who: &Someone) -> u16 {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", who.port)).unwrap();
    let token = &who.token;
    write!(
        stream,
        "GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n"
    )
    .unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    String::from_utf8_lossy(&head[9..]).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_contract_is_as_if_it_were_not_there() {
    let installation = Installation::embedded();
    let text = std::fs::read_to_string(installation.path("nightrun.toml")).unwrap();
    let (_, default) = text.split_once("[[contract]]").unwrap();
    let other = default.replace("\"default\"", "\"other\"");
    installation.write("nightrun.toml", &format!("{text}[[contract]]{other}"));
    let daemon = installation.start().await;
    let council = Someone::new(&installation, "council", &["--contract", "default"]);
    let all = Someone::new(&installation, "coordinator", &[]);
    let one = Someone::new(&installation, "coordinator", &["--contract", "default"]);
    for (who, contract, status) in [
        (&council, "default", 200),
        (&council, "other", 404),
        (&council, "none", 404),
        (&one, "other", 404),
        (&all, "other", 200),
        (&all, "none", 404),
    ] {
        let path = format!("/api/v1/contracts/{contract}/nights/{}", installation.tonight());
        assert_eq!(who.get(&path).status, status, "{contract}");
    }
    // Nor can it be named otherwise.
    assert_eq!(council.get("/api/v1/alerts?contract=other").status, 404);
    let path = format!("/api/v1/contracts/default%2F..%2Fother/nights/{}", installation.tonight());
    assert_eq!(council.get(&path).status, 404);
    let row = "other,V-1,Night care,Standard,c-1,,2026-11-22T01:00:00Z,2026-11-22T01:30:00Z,1";
    let file = format!("{}\n{row}\n", crate::support::daemon::VISITS);
    let import = |who: &Someone| {
        who.request("POST", "/api/v1/import/visits?dry_run=true").body("text/csv", &file).answer()
    };
    assert_eq!(import(&one).status, 422);
    assert_eq!(import(&all).status, 200);
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_configuration_only_this_machine_needs_no_token() {
    let installation = Installation::embedded();
    let text = std::fs::read_to_string(installation.path("nightrun.toml")).unwrap();
    let open = text.replace("[http]\n", "[http]\ntokens = \"none\"\n");
    installation.write("nightrun.toml", &open);
    let daemon = installation.start().await;
    daemon.logged("HTTP asks for no token").await;
    let ask = |host: &str| {
        request(installation.http, "GET", "/api/v1/alerts").header("Host", host).answer().status
    };
    for host in ["127.0.0.1", "localhost:8080", "[::1]:80", "LOCALHOST"] {
        assert_eq!(ask(host), 200, "{host}");
    }
    // A name of another site that leads here.
    for host in ["evil.example", "127.0.0.1.evil.example:80", "localhost.evil.example", ""] {
        assert_eq!(ask(host), 403, "{host}");
    }
    let post = |header: (&str, &str)| {
        let import = request(installation.http, "POST", "/api/v1/import/visits?dry_run=true");
        import.header(header.0, header.1).body("text/csv", "contract\n").answer().status
    };
    assert_eq!(post(("Origin", "http://evil.example")), 403);
    assert_eq!(post(("Sec-Fetch-Site", "cross-site")), 403);
    assert_eq!(post(("Sec-Fetch-Site", "same-origin")), 422);
    daemon.terminate().await;
    let everywhere = open.replace(&format!("127.0.0.1:{}", installation.http), "0.0.0.0:0");
    installation.write("nightrun.toml", &everywhere);
    installation.run(["check"]).failed(1, &["http.tokens", "loopback"]);
}
