//! The text format of Prometheus, version 0.0.4: families of samples, written to a string.
//!
//! Written here and not by `prometheus-client`, which writes `OpenMetrics` only: there a counter has
//! another name than in this format, and `promtool check metrics` finds fault with it.

use std::fmt::{Display, Write};
use std::time::Duration;

/// The type of content that this is.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the samples of a family are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something that only grows.
    Counter,
    /// Something that goes up and down.
    Gauge,
    /// How often something was how much.
    Histogram,
}

/// A label and its value.
pub type Label<'a> = (&'a str, &'a str);

/// A page of families.
#[derive(Debug, Default)]
pub struct Page(String);

/// A family on a page.
pub struct Family<'a> {
    name: &'static str,
    page: &'a mut String,
}

impl Page {
    /// Begins a family. `help` is one line without a backslash.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a string does not fail, here and below.
        _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Family { name, page: &mut self.0 }
    }

    /// The page as it is sent.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// Writes a sample.
    pub fn sample(&mut self, labels: &[Label<'_>], value: impl Display) -> &mut Self {
        self.line("", labels, value);
        self
    }

    /// Writes a histogram.
    pub fn histogram(&mut self, labels: &[Label<'_>], histogram: &Histogram) -> &mut Self {
        let mut below = 0;
        for (bound, count) in histogram.bounds.iter().zip(&histogram.counts) {
            below += count;
            let bound = bound.to_string();
            let labels: Vec<_> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
            self.line("_bucket", &labels, below);
        }
        let all: u64 = histogram.counts.iter().sum();
        let labels_of_all: Vec<_> = labels.iter().copied().chain([("le", "+Inf")]).collect();
        self.line("_bucket", &labels_of_all, all);
        self.line("_sum", labels, histogram.sum);
        self.line("_count", labels, all);
        self
    }

    fn line(&mut self, suffix: &str, labels: &[Label<'_>], value: impl Display) {
        _ = write!(self.page, "{}{suffix}", self.name);
        for (index, (label, value)) in labels.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            _ = write!(self.page, "{}{label}=\"{value}\"", if index == 0 { '{' } else { ',' });
        }
        let end = if labels.is_empty() { "" } else { "}" };
        _ = writeln!(self.page, "{end} {value}");
    }
}

/// How often something took how many seconds.
#[derive(Debug, Clone)]
pub struct Histogram {
    /// The upper bounds of the buckets, in order. Above the last one there is one more.
    bounds: &'static [f64],
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    /// An empty one with these buckets.
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    /// Counts something that took so long.
    pub fn observe(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        self.counts[bucket] += 1;
        self.sum += seconds;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_as_the_format_has_them() {
        let mut page = Page::default();
        page.family("night_total", Kind::Counter, "Nights.").sample(&[], 3);
        let labels = [("kind", "a\\b\"c\nd"), ("of", "")];
        page.family("night", Kind::Gauge, "A night.").sample(&labels, 0.5).sample(&[], -1);
        let mut took = Histogram::new(&[0.1, 1.0]);
        for millis in [100, 101, 1_000, 2_500] {
            took.observe(Duration::from_millis(millis));
        }
        page.family("took_seconds", Kind::Histogram, "How long.").histogram(&[("a", "b")], &took);
        assert_eq!(
            page.into_text(),
            r#"# HELP night_total Nights.
# TYPE night_total counter
night_total 3
# HELP night A night.
# TYPE night gauge
night{kind="a\\b\"c\nd",of=""} 0.5
night -1
# HELP took_seconds How long.
# TYPE took_seconds histogram
took_seconds_bucket{a="b",le="0.1"} 1
took_seconds_bucket{a="b",le="1"} 3
took_seconds_bucket{a="b",le="+Inf"} 4
took_seconds_sum{a="b"} 3.701
took_seconds_count{a="b"} 4
"#
        );
    }
}
