//! The words of a line, and what is written with them: instants, ids, positions, rows.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

/// A point in time.
pub type Instant = DateTime<Utc>;
/// Columns and their values.
pub type Pairs = Vec<(String, String)>;

pub fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

pub fn written(at: Instant) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

pub fn event_id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// `51.48,0.32` or, with an accuracy in metres, `51.48,0.32,12`.
pub fn position(text: &str) -> Value {
    let numbers: Vec<f64> = text.split(',').map(|number| number.parse().unwrap()).collect();
    match numbers.as_slice() {
        [lat, lon] => json!({"lat": lat, "lon": lon}),
        [lat, lon, accuracy] => json!({"lat": lat, "lon": lon, "accuracy_m": accuracy}),
        _ => panic!("{text:?} is no position"),
    }
}

/// The words of a line: `a="b c"` is one. `#7` is written out.
pub fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for letter in line.chars() {
        match letter {
            '"' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            letter => words.last_mut().unwrap().push(letter),
        }
    }
    assert!(!is_quoted, "a quote is not closed: {line}");
    words.retain(|word| !word.is_empty());
    words.iter().map(|word| with_ids(word)).collect()
}

fn with_ids(word: &str) -> String {
    let mut parts = word.split('#');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        text += &event_id(part[..end].parse().unwrap());
        text += &part[end..];
    }
    text
}

pub fn split(words: &[String]) -> (Vec<&str>, Pairs) {
    let is_pair = |word: &&String| word.as_str() != "=>" && word.contains('=');
    let pairs = words.iter().filter(is_pair).filter_map(|word| word.split_once('='));
    let pairs = pairs.map(|(name, value)| pair(name, value)).collect();
    (words.iter().filter(|word| !is_pair(word)).map(String::as_str).collect(), pairs)
}

/// Rows that need not have the same columns.
pub fn csv(rows: &[Pairs]) -> String {
    let mut columns: Vec<&str> = Vec::new();
    for (name, _) in rows.iter().flatten() {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    if columns.is_empty() {
        // A plan without visits still has its header.
        columns = "contract visit_ref service service_level client_ref run planned_start \
                   planned_end carers_required"
            .split_whitespace()
            .collect();
    }
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(&columns).unwrap();
    for row in rows {
        let cell = |column: &&str| row.iter().find(|(name, _)| name == column).map(|(_, v)| v);
        writer.write_record(columns.iter().map(|c| cell(c).map_or("", |v| v))).unwrap();
    }
    String::from_utf8(writer.into_inner().unwrap()).unwrap()
}
