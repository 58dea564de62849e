//! Values of cells: text in, value or the reason out. A reason says what would be right, and quotes
//! references, dates and words, never free text.

use std::fmt::Display;
use std::str::FromStr;

use chrono::{Datelike, NaiveDate};

use super::findings::quoted;
use crate::domain::instant::{Instant, YEAR_MAX, YEAR_MIN, parse_instant};

/// A reference, a quantity, an event id: whatever says for itself what it is.
pub(super) fn parsed<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{}: {error}", quoted(text)))
}

/// An instant with an offset.
pub(super) fn instant(text: &str) -> Result<Instant, String> {
    parse_instant(text).map_err(|error| format!("{}: {error}", quoted(text)))
}

/// A date, `YYYY-MM-DD`.
pub(super) fn date(text: &str) -> Result<NaiveDate, String> {
    let is_shaped = text.len() == 10
        && text.bytes().enumerate().all(|(index, byte)| match index {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    text.parse()
        .ok()
        .filter(|date: &NaiveDate| is_shaped && (YEAR_MIN..=YEAR_MAX).contains(&date.year()))
        .ok_or_else(|| {
            format!("{}: write a date as 2019-02-04, from {YEAR_MIN} to {YEAR_MAX}", quoted(text))
        })
}

/// One of some words.
pub(super) fn word<T: Copy>(words: &[(&str, T)]) -> impl Fn(&str) -> Result<T, String> {
    move |text| {
        words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
            let known = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
            format!("{}: must be one of {known}", quoted(text))
        })
    }
}

/// Text that people read.
pub(super) fn line_of(max_chars: usize) -> impl Fn(&str) -> Result<String, String> {
    move |text| {
        if text.chars().count() > max_chars {
            Err(format!("too long: at most {max_chars} characters"))
        } else if text.chars().any(char::is_control) {
            Err("must not contain control characters, line breaks among them".to_owned())
        } else {
            Ok(text.to_owned())
        }
    }
}

/// A number within bounds.
pub(super) fn number(from: f64, to: f64) -> impl Fn(&str) -> Result<f64, String> {
    move |text| {
        text.parse()
            .ok()
            .filter(|number| (from..=to).contains(number))
            .ok_or_else(|| format!("must be a number from {from} to {to}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_date() {
        for text in ["1970-01-01", "2020-02-29", "9999-12-31"] {
            assert_eq!(date(text).unwrap().to_string(), text);
        }
        for text in [
            "1969-12-31",
            "2019-02-29",
            "2019-2-04",
            "2019- 2-04",
            "+019-02-04",
            "04/02/2019",
            "2019-02-04T",
            "２０",
        ] {
            assert!(date(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_a_number_within_bounds() {
        for (text, good) in [
            ("90", true),
            ("-90.0", true),
            ("5e1", true),
            ("90.0001", false),
            ("NaN", false),
            ("inf", false),
            ("51,5", false),
            ("", false),
        ] {
            assert_eq!(number(-90.0, 90.0)(text).is_ok(), good, "{text:?}");
        }
    }

    #[test]
    fn free_text_is_measured_in_characters_and_never_quoted() {
        assert_eq!(line_of(3)("éàü").as_deref(), Ok("éàü"));
        for text in ["Mary", "M\ty", "M\ny", "\u{85}M"] {
            let reason = line_of(3)(text).unwrap_err();
            assert!(!reason.contains('M'), "{reason}");
        }
    }
}
