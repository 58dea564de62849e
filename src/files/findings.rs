//! What is wrong or remarkable in a file, bounded, with its line and column.

use std::fmt;

/// How many bad cells, and how many warnings, of one file are listed; the rest are counted.
pub const LISTED_MAX: usize = 1_000;

/// Most characters of a bad value that a message quotes.
const QUOTED_MAX_CHARS: usize = 40;

/// A bad cell, or a bad row as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// The line of the file on which the row begins, from 1.
    pub line: u64,
    /// The column; `None` if it is the row as a whole.
    pub column: Option<String>,
    /// What is wrong, and what would be right.
    pub reason: String,
}

/// Something remarkable about a row that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The line of the file on which the row begins, from 1.
    pub line: u64,
    /// The column; `None` if it is the row as a whole.
    pub column: Option<String>,
    /// What is remarkable, and how the row was read.
    pub text: String,
}

fn write(f: &mut fmt::Formatter<'_>, line: u64, column: Option<&str>, what: &str) -> fmt::Result {
    match column {
        Some(column) => write!(f, "line {line}, {column}: {what}"),
        None => write!(f, "line {line}: {what}"),
    }
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.line, self.column.as_deref(), &self.reason)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.line, self.column.as_deref(), &self.text)
    }
}

/// The first [`LISTED_MAX`] of something, and how many more there were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    first: Vec<T>,
    more: u64,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { first: Vec::new(), more: 0 }
    }
}

impl<T> Listed<T> {
    pub(crate) fn push(&mut self, item: T) {
        if self.first.len() < LISTED_MAX {
            self.first.push(item);
        } else {
            self.more += 1;
        }
    }

    /// Those that are listed, in the order of the file.
    #[must_use]
    pub fn first(&self) -> &[T] {
        &self.first
    }

    /// How many there were beyond those.
    #[must_use]
    pub fn more(&self) -> u64 {
        self.more
    }

    /// Whether there were none at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }
}

/// Writes one to a line, then `and N more` if there were.
impl<T: fmt::Display> fmt::Display for Listed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for item in &self.first {
            writeln!(f, "{item}")?;
        }
        match self.more {
            0 => Ok(()),
            more => writeln!(f, "and {more} more"),
        }
    }
}

/// What was found in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// What is bad: with any, nothing of the file counts.
    pub bad: Listed<BadRow>,
    /// What is remarkable, and was accepted.
    pub warnings: Listed<Warning>,
}

impl Findings {
    /// Whether every row was good.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.bad.is_empty()
    }

    pub(super) fn bad(&mut self, line: u64, column: Option<&str>, reason: impl Into<String>) {
        let column = column.map(str::to_owned);
        self.bad.push(BadRow { line, column, reason: reason.into() });
    }

    pub(super) fn warn(&mut self, line: u64, column: &str, text: impl Into<String>) {
        self.warnings.push(Warning { line, column: Some(column.to_owned()), text: text.into() });
    }
}

/// The beginning of a bad value, with whatever a terminal might obey escaped.
pub(super) fn escaped(value: &str) -> String {
    let shown = value.chars().take(QUOTED_MAX_CHARS).flat_map(char::escape_debug);
    let cut = if value.chars().nth(QUOTED_MAX_CHARS).is_some() { "..." } else { "" };
    shown.chain(cut.chars()).collect()
}

/// The same, in quotes.
pub(super) fn quoted(value: &str) -> String {
    format!("\"{}\"", escaped(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_quotes_little_and_nothing_that_a_terminal_obeys() {
        for (value, shown) in [
            ("V 1", "\"V 1\"".to_owned()),
            ("\u{1b}[31m\r\n", "\"\\u{1b}[31m\\r\\n\"".to_owned()),
            ("\u{202e}", "\"\\u{202e}\"".to_owned()),
            (&"é".repeat(40), format!("\"{}\"", "é".repeat(40))),
            (&"x".repeat(41), format!("\"{}...\"", "x".repeat(40))),
        ] {
            assert_eq!(quoted(value), shown);
        }
    }

    #[test]
    fn the_list_is_bounded_and_says_how_much_it_leaves_out() {
        let mut findings = Findings::default();
        for line in 1..=1_002 {
            findings.bad(line, Some("run"), "no");
        }
        findings.bad(1_003, None, "no");
        let text = findings.bad.to_string();
        assert!(text.starts_with("line 1, run: no\nline 2, run: no\n"));
        assert!(text.ends_with("line 1000, run: no\nand 3 more\n"));
        assert_eq!((findings.bad.first().len(), findings.bad.more()), (LISTED_MAX, 3));
        assert!(!findings.is_good() && findings.warnings.is_empty());
    }
}
