//! Reading single values: each either is what its key asks for, or a mistake that says what is.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use ::config::{Value, ValueKind};
use chrono::{Datelike, NaiveDate, NaiveTime, TimeDelta};

use super::keys;
use super::layers::{ENVIRONMENT, Values, read_file};
use super::mistakes::{Mistake, Notes};
use crate::domain::instant::{YEAR_MAX, YEAR_MIN};

/// Most minutes that a policy may give: half a day, the length of a night at most.
const MINUTES_MAX: i64 = 720;
/// Most hours that a policy may give: a month.
const HOURS_MAX: i64 = 720;

/// Longest value that a mistake repeats, in characters.
const SHOWN_MAX_CHARS: usize = 60;

/// A section, or a `[[contract]]` table.
pub(super) struct Table<'a> {
    /// What a mistake calls it: `log`, or `[[contract]] 2 ("north")`.
    pub(super) name: String,
    /// What stands between its name and a key's.
    pub(super) separator: &'static str,
    /// Where it was written.
    pub(super) origin: &'a str,
    /// Its values.
    pub(super) values: Option<&'a Values>,
    /// Where values come from that it leaves out.
    pub(super) defaults: Option<&'a Values>,
}

impl<'a> Table<'a> {
    /// A section of the merged layers.
    pub(super) fn section(name: &str, merged: &'a Values) -> Self {
        let values = match merged.get(name).map(|section| &section.kind) {
            Some(ValueKind::Table(values)) => Some(values),
            _ => None,
        };
        let origin = super::layers::BUILT_IN_ORIGIN;
        Self { name: name.to_owned(), separator: ".", origin, values, defaults: None }
    }

    /// The value of a key that may be left out.
    pub(super) fn optional(&self, key: &str) -> Option<Entry<'a>> {
        let value = self.values?.get(key).or_else(|| self.defaults?.get(key))?;
        let origin = value.origin().unwrap_or(self.origin);
        let name = if origin == ENVIRONMENT {
            keys::variable(&self.name, key)
        } else {
            format!("{}{}{key}", self.name, self.separator)
        };
        Some(Entry { name, origin, kind: &value.kind, secret: keys::is_secret(&self.name, key) })
    }

    /// Reads the value of a key that has a default.
    pub(super) fn read<T>(
        &self,
        key: &str,
        notes: &mut Notes,
        read: impl FnOnce(&Entry<'a>) -> Result<T, Mistake>,
    ) -> Option<T> {
        let missing = || self.mistake(format_args!("{key} is missing"));
        notes.take(self.optional(key).ok_or_else(missing).and_then(|entry| read(&entry)))
    }

    /// Reads the value of a key that may be left out.
    pub(super) fn read_optional<T>(
        &self,
        key: &str,
        notes: &mut Notes,
        read: impl FnOnce(&Entry<'a>) -> Result<T, Mistake>,
    ) -> Result<Option<T>, Noted> {
        match self.optional(key) {
            Some(entry) => notes.take(read(&entry)).map(Some).ok_or(Noted),
            None => Ok(None),
        }
    }

    /// Reads a text that is given by the first key or, without the newline at its end, by the file that
    /// the second one names.
    pub(super) fn text_or_file<T>(
        &self,
        [key, file_key]: [&str; 2],
        notes: &mut Notes,
        read: impl Fn(&Entry<'a>, &str) -> Result<T, Mistake>,
    ) -> Result<Option<T>, Noted> {
        let given = self.read_optional(key, notes, |entry| read(entry, entry.text()?));
        let from_file = self.read_optional(file_key, notes, |entry| {
            let text = read_file(&entry.path()?).map_err(|why| entry.wrong(why))?;
            let line = text.strip_suffix('\n').unwrap_or(&text);
            read(entry, line.strip_suffix('\r').unwrap_or(line))
        });
        if let (Some(given), Some(file)) = (self.optional(key), self.optional(file_key)) {
            let (name, origin) = (given.name(), given.origin);
            notes.add(file.mistake(format_args!(
                "the {key} is also given by {name} ({origin}): leave one of the two out"
            )));
            return Err(Noted);
        }
        Ok(given?.or(from_file?))
    }

    /// A mistake in this table, not in a single one of its keys.
    pub(super) fn mistake(&self, what: impl Display) -> Mistake {
        Mistake::new(self.origin, format_args!("{}: {what}", self.name))
    }
}

/// There was a mistake, and it is noted.
#[derive(Clone, Copy)]
pub(super) struct Noted;

/// The value of a key.
pub(super) struct Entry<'a> {
    name: String,
    /// Where it was written.
    pub(super) origin: &'a str,
    /// The value itself.
    pub(super) kind: &'a ValueKind,
    secret: bool,
}

impl<'a> Entry<'a> {
    /// What a mistake calls it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The mistake that this is not what it should be. `right` says what would be.
    pub(super) fn wrong(&self, right: impl Display) -> Mistake {
        let name = &self.name;
        match self.shown() {
            Some(value) => Mistake::new(self.origin, format_args!("{name} is {value}: {right}")),
            None => self.mistake(right),
        }
    }

    /// A mistake about this key that does not repeat its value.
    pub(super) fn mistake(&self, what: impl Display) -> Mistake {
        Mistake::new(self.origin, format_args!("{}: {what}", self.name))
    }

    /// The value as a mistake may repeat it. Not a secret, nor what may hold one (a URL with a
    /// password in it has an @).
    fn shown(&self) -> Option<String> {
        match self.kind {
            _ if self.secret => None,
            ValueKind::String(text) if text.contains('@') => None,
            ValueKind::String(text) if text.chars().count() > SHOWN_MAX_CHARS => {
                let beginning: String = text.chars().take(SHOWN_MAX_CHARS).collect();
                Some(format!("{beginning:?}..."))
            }
            ValueKind::String(text) => Some(format!("{text:?}")),
            ValueKind::Table(_) => Some("a table".to_owned()),
            ValueKind::Array(_) => Some("a list".to_owned()),
            other => Some(other.to_string()),
        }
    }

    /// Text, in quotes (or a date or time without, which the parser hands on as text).
    pub(super) fn text(&self) -> Result<&'a str, Mistake> {
        match self.kind {
            ValueKind::String(text) => Ok(text),
            _ => Err(self.wrong("write text in quotes")),
        }
    }

    /// Text of 1 to `max_chars` characters, none of them a control character, not only blanks.
    pub(super) fn text_up_to(&self, max_chars: usize) -> Result<String, Mistake> {
        let text = self.text()?;
        let fits = text.chars().count() <= max_chars && !text.chars().any(char::is_control);
        if fits && !text.trim().is_empty() {
            Ok(text.to_owned())
        } else {
            Err(self.wrong(format_args!(
                "write 1 to {max_chars} characters, not only blanks and no control characters"
            )))
        }
    }

    /// Yes or no.
    pub(super) fn boolean(&self) -> Result<bool, Mistake> {
        match self.kind {
            ValueKind::Boolean(value) => Ok(*value),
            // The environment knows texts only.
            ValueKind::String(text) if text == "true" => Ok(true),
            ValueKind::String(text) if text == "false" => Ok(false),
            _ => Err(self.wrong("write true or false")),
        }
    }

    /// One of the words, for what it stands for.
    pub(super) fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, Mistake> {
        let text = self.text()?;
        words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            let (others, last) = words.split_at(words.len().saturating_sub(1));
            self.wrong(format_args!("write {} or {}", others.join(", "), last.concat()))
        })
    }

    /// A whole number of minutes.
    pub(super) fn minutes(&self) -> Result<TimeDelta, Mistake> {
        match self.kind {
            ValueKind::I64(minutes) if (0..=MINUTES_MAX).contains(minutes) => {
                Ok(TimeDelta::minutes(*minutes))
            }
            _ => Err(self.wrong(format_args!(
                "write a whole number of minutes from 0 to {MINUTES_MAX}, without quotes"
            ))),
        }
    }

    /// A whole number of hours, at least one.
    pub(super) fn hours(&self) -> Result<TimeDelta, Mistake> {
        match self.kind {
            ValueKind::I64(hours) if (1..=HOURS_MAX).contains(hours) => {
                Ok(TimeDelta::hours(*hours))
            }
            _ => Err(self.wrong(format_args!(
                "write a whole number of hours from 1 to {HOURS_MAX}, without quotes"
            ))),
        }
    }

    /// A whole number of something; in the environment it is text.
    pub(super) fn whole(&self, what: &str, range: &RangeInclusive<i64>) -> Result<i64, Mistake> {
        let number = match self.kind {
            ValueKind::I64(number) => Some(*number),
            ValueKind::String(text) if self.origin == ENVIRONMENT => text.parse().ok(),
            _ => None,
        };
        number.filter(|number| range.contains(number)).ok_or_else(|| {
            let (from, to) = (range.start(), range.end());
            self.wrong(format_args!("write a whole number of {what} from {from} to {to}"))
        })
    }

    /// A list of texts, at least one, each as `read` has it.
    pub(super) fn list<T>(
        &self,
        right: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, Mistake> {
        let read = |value: &Value| match &value.kind {
            ValueKind::String(text) => read(text),
            _ => None,
        };
        let values = match self.kind {
            ValueKind::Array(values) if !values.is_empty() => values.iter().map(read).collect(),
            _ => None,
        };
        values.ok_or_else(|| self.mistake(right))
    }

    /// A whole number of seconds.
    pub(super) fn seconds(&self, range: &RangeInclusive<i64>) -> Result<u64, Mistake> {
        let seconds = match self.kind {
            ValueKind::I64(seconds) => Some(*seconds),
            // The environment knows texts only.
            ValueKind::String(text) => text.parse().ok(),
            _ => None,
        };
        let seconds = seconds.filter(|seconds| range.contains(seconds));
        seconds.and_then(|seconds| u64::try_from(seconds).ok()).ok_or_else(|| {
            let (from, to) = (range.start(), range.end());
            self.wrong(format_args!(
                "write a whole number of seconds from {from} to {to}, without quotes"
            ))
        })
    }

    /// A number of metres.
    pub(super) fn metres(&self, range: &RangeInclusive<f64>) -> Result<f64, Mistake> {
        let metres = match self.kind {
            // Exact: what is beyond the precision of a double is far beyond the range too.
            #[allow(clippy::cast_precision_loss, reason = "such a number is out of range")]
            ValueKind::I64(metres) => *metres as f64,
            ValueKind::Float(metres) => *metres,
            _ => f64::NAN,
        };
        if range.contains(&metres) {
            Ok(metres)
        } else {
            let (from, to) = (range.start(), range.end());
            Err(self.wrong(format_args!("write a number of metres from {from} to {to}")))
        }
    }

    /// A date, with or without quotes.
    pub(super) fn date(&self) -> Result<NaiveDate, Mistake> {
        // Written back it must be the same: chrono alone would take "2019- 1-28" too.
        let text = self.text().unwrap_or_default();
        let date = text.parse().ok().filter(|date: &NaiveDate| date.to_string() == text);
        date.filter(|date| (YEAR_MIN..=YEAR_MAX).contains(&date.year()))
            .ok_or_else(|| self.wrong("write a date as \"2019-01-28\""))
    }

    /// A time of day, to the minute. Without quotes TOML wants the seconds too.
    pub(super) fn time_of_day(&self) -> Result<NaiveTime, Mistake> {
        let text = self.text().unwrap_or_default();
        let text = if text.len() == 8 { text.strip_suffix(":00").unwrap_or(text) } else { text };
        NaiveTime::parse_from_str(text, "%H:%M")
            .ok()
            .filter(|time| time.format("%H:%M").to_string() == text)
            .ok_or_else(|| self.wrong("write a time of day as \"23:00\""))
    }

    /// An address and a port.
    pub(super) fn socket(&self) -> Result<SocketAddr, Mistake> {
        self.text()?.parse().map_err(|_| {
            self.wrong("write an address and a port, as \"127.0.0.1:8080\" or \"[::1]:8080\"")
        })
    }

    /// The path of a file.
    pub(super) fn path(&self) -> Result<PathBuf, Mistake> {
        match self.text()? {
            "" => Err(self.wrong("write the path of a file")),
            path => Ok(path.into()),
        }
    }
}
