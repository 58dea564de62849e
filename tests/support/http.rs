//! A plain HTTP client: what is sent is what is written, and the whole answer is seen.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Instant as Tick;

use serde_json::Value;

use super::daemon::PATIENCE;

/// A request under way.
pub struct Request {
    port: u16,
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// The whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// A request to a daemon of this machine.
pub fn request(port: u16, method: &'static str, path: &str) -> Request {
    Request { port, method, path: path.to_owned(), headers: Vec::new(), body: Vec::new() }
}

impl Request {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a token, if it is one.
    pub fn token(self, token: &str) -> Self {
        if token.is_empty() {
            self
        } else {
            self.header("Authorization", &format!("Bearer {token}"))
        }
    }

    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", &body.to_string())
    }

    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let encode = |text: &str| -> String {
            let one = |byte: u8| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => (byte as char).to_string(),
                other => format!("%{other:02X}"),
            };
            text.bytes().map(one).collect()
        };
        let fields =
            fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
        let body = fields.collect::<Vec<_>>().join("&");
        self.body("application/x-www-form-urlencoded", &body)
    }

    pub fn body(mut self, kind: &str, body: &str) -> Self {
        self.body = body.as_bytes().to_vec();
        self.header("Content-Type", kind)
    }

    fn send(self) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let host = format!("127.0.0.1:{}", self.port);
        let names_host = self.headers.iter().any(|(name, _)| name == "Host");
        let own = [("Host", host.as_str())].into_iter().filter(|_| !names_host);
        let given = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let headers = own.chain(given).map(|(name, value)| format!("{name}: {value}\r\n"));
        let (method, path, length) = (self.method, &self.path, self.body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\n{}Content-Length: {length}\r\nConnection: close\r\n\r\n",
            headers.collect::<String>(),
        );
        // It may answer, and close, before it has read everything.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&self.body));
        stream
    }

    /// Sends it, and waits for the answer.
    pub fn answer(self) -> Answer {
        let mut text = Vec::new();
        let mut stream = self.send();
        stream.read_to_end(&mut text).expect("an answer");
        let text = String::from_utf8_lossy(&text).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let chunked = headers
            .iter()
            .any(|(name, value)| name == "transfer-encoding" && value.contains("chunked"));
        let body = if chunked { unchunked(body) } else { body.to_owned() };
        Answer { status: status.parse().expect("a number"), headers, body }
    }

    /// Sends it, and listens to the events that come.
    pub fn events(self) -> Events {
        let mut lines = BufReader::new(self.header("Accept", "text/event-stream").send());
        let mut head = String::new();
        while lines.read_line(&mut head).expect("a head") > 2 {}
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        Events(lines)
    }
}

fn unchunked(body: &str) -> String {
    let (mut rest, mut whole) = (body, String::new());
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).expect("a size");
        if size == 0 {
            break;
        }
        whole.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    whole
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What it says, which has that status.
    pub fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// Server-sent events.
pub struct Events(BufReader<TcpStream>);

impl Events {
    /// The data of the next event of that name of which this is true.
    pub fn until(&mut self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let give_up_at = Tick::now() + PATIENCE;
        let (mut current, mut line) = (String::new(), String::new());
        loop {
            assert!(Tick::now() < give_up_at, "no {name} that is wanted came");
            line.clear();
            assert!(self.0.read_line(&mut line).expect("an event") > 0, "the stream has ended");
            if let Some(word) = line.strip_prefix("event: ") {
                word.trim().clone_into(&mut current);
            } else if let Some(data) = line.strip_prefix("data: ") {
                let data: Value = serde_json::from_str(data).expect("JSON");
                if current == name && wanted(&data) {
                    return data;
                }
            }
        }
    }
}
