//! Records of a file, CSV or JSON Lines alike: the cells of a row in the order of its columns.

use std::io::{self, BufRead};
use std::ops::Range;

use super::csv::{Fed, Splitter};
use super::findings::{Findings, escaped};
use super::lines::{Line, Lines, RECORD_MAX_BYTES};
use super::{Column, json};

/// A cell of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell<'a> {
    /// Empty, or not there.
    Absent,
    /// What it says, trimmed.
    Text(&'a str),
    /// It has been noted as bad.
    Noted,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Absent,
    Text(Range<usize>),
    Noted,
}

/// One row, not yet understood.
#[derive(Debug, Default)]
pub(super) struct Record {
    line: u64,
    text: String,
    /// Of each column the place in `text`.
    cells: Vec<Place>,
    has_noted: bool,
}

impl Record {
    /// The line on which it begins.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Whether nothing bad was noted about it.
    pub(super) fn is_good(&self) -> bool {
        !self.has_noted
    }

    /// The cell of the column with that index.
    pub(super) fn cell(&self, index: usize) -> Cell<'_> {
        match self.cells.get(index) {
            None | Some(Place::Absent) => Cell::Absent,
            Some(Place::Noted) => Cell::Noted,
            Some(Place::Text(range)) => match self.text[range.clone()].trim() {
                "" => Cell::Absent,
                text => Cell::Text(text),
            },
        }
    }

    fn begin(&mut self, line: u64) {
        self.line = line;
        self.text.clear();
        self.cells.clear();
        self.has_noted = false;
    }
}

enum Format {
    /// Nothing has been read yet.
    Unknown,
    JsonLines,
    /// Of each cell in a row the index of its column.
    Csv(Vec<usize>),
    /// Nothing more is to be read.
    Over,
}

pub(super) struct Records<I> {
    lines: Lines<I>,
    columns: &'static [Column],
    format: Format,
    record: Record,
}

impl<I: BufRead> Records<I> {
    pub(super) fn new(input: I, columns: &'static [Column], json_lines_only: bool) -> Self {
        let format = if json_lines_only { Format::JsonLines } else { Format::Unknown };
        let record = Record::default();
        Self { lines: Lines::new(input), columns, format, record }
    }

    /// The record that was read last.
    pub(super) fn current(&self) -> &Record {
        &self.record
    }

    /// Reads the next record that has the form of one; `false` at the end. The others are noted.
    pub(super) fn advance(&mut self, findings: &mut Findings) -> io::Result<bool> {
        let outcome = self.read_on(findings);
        if !matches!(outcome, Ok(true)) {
            self.format = Format::Over;
        }
        outcome
    }

    fn read_on(&mut self, findings: &mut Findings) -> io::Result<bool> {
        while !matches!(self.format, Format::Over) {
            let Some(line) = self.lines.next()? else {
                if matches!(self.format, Format::Unknown) {
                    let reason = format!("the file is empty; the columns are {}", self.names());
                    findings.bad(1, None, reason);
                }
                return Ok(false);
            };
            let number = self.lines.number();
            self.record.begin(number);
            let (text, is_utf8) = match line {
                Line::Text(text) => (text, true),
                Line::NotUtf8(text) => (text, false),
                Line::TooLong => {
                    findings.bad(number, None, too_long());
                    if matches!(self.format, Format::Unknown) {
                        return Ok(false);
                    }
                    continue;
                }
            };
            if text.trim().is_empty() {
                continue;
            }
            if matches!(self.format, Format::Unknown) && text.trim_start().starts_with('{') {
                self.format = Format::JsonLines;
            }
            let good = if matches!(self.format, Format::JsonLines) {
                if !is_utf8 {
                    findings.bad(number, None, NOT_UTF8);
                }
                is_utf8 && self.read_object(&text, findings)
            } else {
                self.read_csv(&text, is_utf8, findings)?
            };
            if good {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn names(&self) -> String {
        self.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    fn read_object(&mut self, line: &str, findings: &mut Findings) -> bool {
        let number = self.record.line;
        let json::Object(members) = match json::object(line) {
            Ok(object) => object,
            Err(reason) => {
                findings.bad(number, None, reason);
                return false;
            }
        };
        self.record.cells.resize(self.columns.len(), Place::Absent);
        for (name, value) in members {
            let Some(index) = self.index(&name) else {
                self.unknown(&name, "key", findings);
                self.record.has_noted = true;
                continue;
            };
            let begin = self.record.text.len();
            let is_repeated = self.record.cells[index] != Place::Absent;
            let cell = match json::cell(value, self.columns[index].shape) {
                _ if is_repeated => Err("the key is there twice"),
                cell => cell,
            };
            self.record.cells[index] = match cell {
                Ok(text) => {
                    // Null, too, is a value that a second one would contradict.
                    self.record.text.push_str(text.as_deref().unwrap_or_default());
                    Place::Text(begin..self.record.text.len())
                }
                Err(reason) => {
                    findings.bad(number, Some(&name), reason);
                    self.record.has_noted = true;
                    Place::Noted
                }
            };
        }
        true
    }

    fn read_csv(
        &mut self,
        first: &str,
        is_utf8: bool,
        findings: &mut Findings,
    ) -> io::Result<bool> {
        let number = self.record.line;
        let mut is_utf8 = is_utf8;
        let mut splitter = Splitter::new();
        let mut fed = splitter.feed(first);
        while fed == Fed::Open {
            let text = match self.lines.next()? {
                Some(Line::Text(text)) => Some(text),
                Some(Line::NotUtf8(text)) => {
                    is_utf8 = false;
                    Some(text)
                }
                Some(Line::TooLong) | None => None,
            };
            let fits = |text: &String| splitter.text.len() + text.len() <= RECORD_MAX_BYTES;
            let Some(text) = text.filter(fits) else {
                findings.bad(number, None, NEVER_CLOSED);
                self.format = Format::Over;
                return Ok(false);
            };
            fed = splitter.feed(&text);
        }
        if !is_utf8 {
            findings.bad(number, None, NOT_UTF8);
        }
        if fed == Fed::TextAfterQuote {
            findings.bad(number, None, TEXT_AFTER_QUOTE);
        }
        let good = is_utf8 && fed == Fed::Complete;
        match &self.format {
            Format::Csv(order) if good => {
                if order.len() != splitter.cells.len() {
                    let (has, wants) = (splitter.cells.len(), order.len());
                    let reason = format!("the row has {has} cells, the header {wants}");
                    findings.bad(number, None, reason);
                    return Ok(false);
                }
                self.record.text = splitter.text;
                self.record.cells.resize(self.columns.len(), Place::Absent);
                for (index, cell) in order.iter().zip(splitter.cells) {
                    self.record.cells[*index] = Place::Text(cell);
                }
                Ok(true)
            }
            Format::Unknown => {
                let order = if good { self.read_header(&splitter, findings) } else { None };
                self.format = order.map_or(Format::Over, Format::Csv);
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    fn unknown(&self, name: &str, what: &str, findings: &mut Findings) {
        let known = self.names();
        if name.is_empty() {
            // At the end of a spreadsheet's header, mostly: one comma too many.
            findings.bad(self.record.line, None, format!("a {what} has no name; they are {known}"));
        } else {
            let reason = format!("no such {what}; they are {known}");
            findings.bad(self.record.line, Some(&escaped(name)), reason);
        }
    }

    /// The order of the columns; `None` if the header is bad, and then no row can be understood.
    fn read_header(&self, header: &Splitter, findings: &mut Findings) -> Option<Vec<usize>> {
        let number = self.record.line;
        let names = || header.cells.iter().map(|cell| header.text[cell.clone()].trim());
        // Without a header the first row is data, and may hold a person's name: it is not quoted.
        if !names().any(|name| self.index(name).is_some()) {
            let known = self.names();
            let reason = format!("no header row; the columns, joined by commas, are {known}");
            findings.bad(number, None, reason);
            return None;
        }
        let mut good = true;
        let mut order = Vec::new();
        for name in names() {
            match self.index(name) {
                Some(index) if order.contains(&index) => {
                    findings.bad(number, Some(name), "the column is there twice");
                    good = false;
                }
                Some(index) => order.push(index),
                None => {
                    self.unknown(name, "column", findings);
                    good = false;
                }
            }
        }
        for (index, column) in self.columns.iter().enumerate() {
            if column.in_header && !order.contains(&index) {
                findings.bad(number, Some(column.name), "the header has no such column");
                good = false;
            }
        }
        good.then_some(order)
    }
}

const NOT_UTF8: &str = "not UTF-8: save the file with that encoding";

const NEVER_CLOSED: &str =
    "a quote is opened in this row and never closed; the rest of the file was not read";
const TEXT_AFTER_QUOTE: &str =
    "text between a closing quote and the comma; a quote inside quotes is written twice";

fn too_long() -> String {
    format!("the row is longer than {RECORD_MAX_BYTES} bytes")
}
