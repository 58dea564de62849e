//! Those who try to get in, or through.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use crate::Someone;
use crate::support::daemon::{Installation, PATIENCE, VISITS};
use crate::support::http::{Answer, request};

/// Signs in; the answer, and the session's cookie.
fn sign_in(installation: &Installation, token: &str, next: &str) -> (Answer, String) {
    let answer = request(installation.http, "POST", "/sign-in")
        .form(&[("token", token), ("next", next)])
        .answer();
    let cookie = answer.header("set-cookie").unwrap_or_default().to_owned();
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    (answer, cookie)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_its_own_and_ends() {
    let installation = Installation::embedded();
    let daemon = installation.start().await;
    let someone = Someone::new(&installation, "coordinator", &[]);
    let (answer, cookie) = sign_in(&installation, &someone.token, "/?night=2026-11-22");
    assert_eq!((answer.status, answer.header("location")), (303, Some("/?night=2026-11-22")));
    let flags = answer.header("set-cookie").unwrap();
    assert!(flags.contains("HttpOnly") && flags.contains("SameSite=Lax"), "{flags}");
    assert!(!cookie.contains(&someone.token));
    // Another site is nowhere to go to.
    for next in ["https://evil.example/", "//evil.example", "/\\evil.example", "evil", "/\r\nX: y"]
    {
        let (answer, _) = sign_in(&installation, &someone.token, next);
        assert_eq!((answer.status, answer.header("location")), (303, Some("/")), "{next:?}");
        assert_eq!(answer.header("x"), None);
    }
    // Nobody can choose the name of a session beforehand.
    let (_, other) = sign_in(&installation, &someone.token, "/");
    assert_ne!(cookie, other);
    let with = |cookie: &str| {
        request(installation.http, "GET", "/api/v1/alerts").header("Cookie", cookie).answer().status
    };
    assert_eq!(with(&cookie), 200);
    assert_eq!(with("nightrun_session=chosen"), 401);

    // A form of another site, or of another session, does nothing.
    let path = "/api/v1/contracts/default/visits/V-1/corrections";
    let decision = json!({"outcome": "missed", "reason": "x"});
    let post =
        || request(installation.http, "POST", path).header("Cookie", &cookie).json(&decision);
    assert_eq!(post().answer().status, 403, "a session needs to say what its pages know");
    assert_eq!(post().header("X-CSRF-Token", "guessed").answer().status, 403);
    let csrf = installation.texts("SELECT csrf FROM session ORDER BY created_at").await;
    assert_eq!(post().header("X-CSRF-Token", &csrf[1]).answer().status, 403, "another session's");
    assert_eq!(post().header("X-CSRF-Token", &csrf[0]).answer().status, 404);
    let form = |csrf: &str| {
        let path = "/contracts/default/visits/V-1/corrections";
        let fields = [("csrf", csrf), ("outcome", "missed"), ("reason", "x")];
        request(installation.http, "POST", path).header("Cookie", &cookie).form(&fields)
    };
    assert_eq!(form("").answer().status, 403);
    assert_eq!(form(&csrf[1]).answer().status, 403);
    assert_eq!(form(&csrf[0]).header("Origin", "https://evil.example").answer().status, 403);
    assert_eq!(form(&csrf[0]).answer().status, 404, "there is no such visit");

    let out = request(installation.http, "POST", "/sign-out").header("Cookie", &cookie);
    let out = out.form(&[("csrf", &csrf[0])]).answer();
    assert_eq!(out.status, 303);
    assert_eq!(with(&cookie), 401);
    assert_eq!(with(&other), 200);
    installation.run(["token", "revoke", "--name", "coordinator on duty"]).succeeded();
    assert_eq!(with(&other), 401, "with the token its sessions end");
    // What is kept opens nothing.
    let kept =
        installation.texts("SELECT hash FROM token UNION ALL SELECT hash FROM session").await;
    assert!(kept.iter().all(|hash| !someone.token.contains(hash.as_str())));
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_must_wait() {
    let installation = Installation::embedded();
    let daemon = installation.start().await;
    let someone = Someone::new(&installation, "coordinator", &[]);
    let guess = |number: usize| sign_in(&installation, &format!("nr_{number}_x"), "/").0;
    let answers: Vec<u16> = (0..12).map(|number| guess(number).status).collect();
    assert_eq!(answers[..10], [303; 10]);
    assert_eq!(answers[10..], [429; 2]);
    let refused = guess(13);
    assert!(refused.header("retry-after").is_some_and(|wait| wait.parse::<u64>().unwrap() <= 61));
    assert_eq!(someone.get("/api/v1/alerts").status, 429, "by whichever way");
    assert_eq!(request(installation.http, "GET", "/healthz").answer().status, 200);
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_says_what_browsers_may_do() {
    let installation = Installation::embedded();
    let daemon = installation.start().await;
    let someone = Someone::new(&installation, "coordinator", &[]);
    for answer in [
        someone.get("/api/v1/alerts"),
        someone.get("/nothing"),
        request(installation.http, "GET", "/healthz").answer(),
        request(installation.http, "GET", "/api/v1/alerts").answer(),
    ] {
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'self'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_too_slow_or_no_http_holds_nobody_up() {
    let installation = Installation::embedded();
    let daemon = installation.start().await;
    let someone = Someone::new(&installation, "coordinator", &[]);
    let long = json!({"outcome": "missed", "reason": "x".repeat(100_000)});
    let path = "/api/v1/contracts/default/visits/V-1/corrections";
    assert_eq!(someone.post(path, &long).status, 413);
    let longish = json!({"outcome": "missed", "reason": "x".repeat(501)});
    assert_eq!(someone.post(path, &longish).status, 422);
    for body in ["", "{", "[]", "{\"outcome\":1}", "{\"colour\":\"red\"}"] {
        let answer = someone.request("POST", path).body("application/json", body).answer();
        assert!(matches!(answer.status, 400 | 422), "{body}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert!(!answer.body.contains("colour"), "it repeats nothing");
    }
    // Names that are none, from path and query.
    for path in [
        "/api/v1/contracts/default/visits/%3Cscript%3E",
        "/api/v1/contracts/default/visits/..%2F..%2Fetc",
        "/api/v1/contracts/default/visits/V%0D%0AX:%20y",
        "/api/v1/contracts/default/nights/tonight",
        "/api/v1/alerts/none/acknowledge",
        "/api/v1/../../etc/passwd",
        "/api/v1/contracts/%00/nights/2026-11-22",
    ] {
        let answer = someone.get(path);
        assert!(matches!(answer.status, 404 | 405), "{path}: {answer:?}");
        assert!(!answer.body.contains("script") && answer.header("x").is_none(), "{answer:?}");
    }
    // Heads that never end, and streams in great number, while others are answered.
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(("127.0.0.1", installation.http)).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
        slow.push(stream);
    }
    let mut streams = Vec::new();
    for _ in 0..1_010 {
        let mut stream = TcpStream::connect(("127.0.0.1", installation.http)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let token = &someone.token;
        write!(stream, "GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n").unwrap();
        streams.push(stream);
    }
    let mut refused = 0;
    for stream in &mut streams {
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        match &head[9..] {
            b"200" => {}
            b"503" => refused += 1,
            other => panic!("{}", String::from_utf8_lossy(other)),
        }
    }
    assert_eq!(refused, 10, "so many are too many");
    assert_eq!(someone.get("/api/v1/alerts").status, 200);
    installation.import("visits", VISITS, &[]);
    for mut stream in slow {
        // It is cut off, answered or not.
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    drop(streams);
    daemon.terminate().await;
}
