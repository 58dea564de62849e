//! A page of metrics, as Prometheus sees it.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant as Tick};

use crate::support::daemon::{Installation, PATIENCE};
use crate::support::http::request;

/// Its samples, by their names and labels, as they are written.
pub struct Page {
    pub text: String,
    samples: BTreeMap<String, f64>,
}

impl Page {
    pub fn of(installation: &Installation) -> Self {
        let answer = request(installation.http, "GET", "/metrics").answer();
        assert_eq!(answer.status, 200, "{answer:?}");
        let kind = answer.header("content-type");
        assert_eq!(kind, Some("text/plain; version=0.0.4; charset=utf-8"));
        let text = answer.body;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            (name.to_owned(), value.parse().expect("a number"))
        });
        Self { samples: samples.collect(), text }
    }

    /// The value of a sample.
    pub fn get(&self, sample: &str) -> Option<f64> {
        self.samples.get(sample).copied()
    }

    /// That these samples are there, with these values.
    #[track_caller]
    pub fn has(&self, samples: &[(&str, f64)]) {
        for (sample, value) in samples {
            assert_eq!(self.get(sample), Some(*value), "{sample} in:\n{}", self.text);
        }
    }

    /// That `promtool` finds no fault with it.
    pub fn passes_promtool(&self) {
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool is installed");
        let mut stdin = promtool.stdin.take().expect("its input");
        stdin.write_all(self.text.as_bytes()).expect("it reads");
        drop(stdin);
        let output = promtool.wait_with_output().expect("it ends");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success() && said.is_empty(), "{said}");
    }
}

/// Waits for a page that is as wanted.
pub async fn until(
    installation: &Installation,
    what: &str,
    wanted: impl Fn(&Page) -> bool,
) -> Page {
    let give_up_at = Tick::now() + PATIENCE;
    loop {
        let page = Page::of(installation);
        if wanted(&page) {
            return page;
        }
        assert!(Tick::now() < give_up_at, "waited in vain for {what}:\n{}", page.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
