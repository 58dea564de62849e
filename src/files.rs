//! Import files: CSV or JSON Lines in, rows of the domain out, one at a time.
//!
//! Shared by the import and the replay, which therefore read a file alike. Guarantees that every
//! bad cell of every bad row is listed, with its line and what would be right; that no row is left
//! out without being listed; and that no message holds a person's name, number or free text. Keeps
//! the keys of the rows, to find those that come twice, but never the rows. Knows nothing of the
//! store: whether a row contradicts what was imported before is not seen here.

mod cells;
mod corrections;
mod csv;
mod events;
mod findings;
mod json;
mod lines;
mod records;
mod registers;
mod times;
mod values;
mod visits;

use std::collections::HashMap;
use std::io::{self, BufRead};
use std::marker::PhantomData;
use std::sync::Arc;

pub use cells::{Cells, Noted};
pub use events::EventLine;
pub use findings::{BadRow, Findings, LISTED_MAX, Listed, Warning};
pub use lines::RECORD_MAX_BYTES;

use crate::domain::policy::Contract;
use crate::domain::refs::ContractId;
use records::Records;

/// Finds a contract of the configuration.
pub type Contracts<'c> = dyn Fn(&ContractId) -> Option<Arc<Contract>> + Sync + 'c;

/// A column of a file, or a key of its objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    name: &'static str,
    in_header: bool,
    required: bool,
    shape: Shape,
}

/// What a column's value may be in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// A string, a number, true, false or null.
    Scalar,
    /// The same, or an array of references.
    List,
    /// Anything: the cell is its JSON text.
    Raw,
}

impl Column {
    const fn of(name: &'static str, in_header: bool, required: bool, shape: Shape) -> Self {
        Self { name, in_header, required, shape }
    }

    /// Every row has a value in it.
    #[must_use]
    pub const fn required(name: &'static str) -> Self {
        Self::of(name, true, true, Shape::Scalar)
    }

    /// A header has it, but its cells may be empty.
    #[must_use]
    pub const fn may_be_empty(name: &'static str) -> Self {
        Self::of(name, true, false, Shape::Scalar)
    }

    /// A file may do without it.
    #[must_use]
    pub const fn optional(name: &'static str) -> Self {
        Self::of(name, false, false, Shape::Scalar)
    }

    /// References joined by `;` or, in JSON, an array of them; a file may do without it.
    #[must_use]
    pub const fn list(name: &'static str) -> Self {
        Self::of(name, false, false, Shape::List)
    }

    /// Every row has it; its cell is the JSON text of the value, whatever that is.
    #[must_use]
    pub const fn raw(name: &'static str) -> Self {
        Self::of(name, true, true, Shape::Raw)
    }
}

/// A row that a file can hold.
pub trait FileRow: Sized {
    /// The columns of such a file.
    const COLUMNS: &'static [Column];
    /// Whether such a file is always JSON Lines, and not CSV either.
    const JSON_LINES_ONLY: bool = false;

    /// Reads one row.
    ///
    /// # Errors
    /// [`Noted`] when the row is bad: the cells have noted why. A row of which any cell was noted
    /// as bad is refused, even if this returns it.
    fn read(cells: &mut Cells<'_>) -> Result<Self, Noted>;
}

/// The good rows of a file, each with the number of the line on which it begins.
///
/// Good rows come also after bad ones, so that all bad ones are found: ask
/// [`Findings::is_good`] at the end, before anything that the rows brought about is kept. An error
/// is one of the input itself; nothing comes after it.
pub struct Rows<'c, T, I> {
    records: Records<I>,
    contracts: &'c Contracts<'c>,
    /// The line of each key, to find rows that come twice.
    seen: HashMap<Box<str>, u64>,
    findings: Findings,
    row: PhantomData<fn() -> T>,
}

impl<'c, T: FileRow, I: BufRead> Rows<'c, T, I> {
    /// Reads rows from the input. Nothing is read before the first is asked for.
    pub fn new(input: I, contracts: &'c Contracts<'c>) -> Self {
        Self {
            records: Records::new(input, T::COLUMNS, T::JSON_LINES_ONLY),
            contracts,
            seen: HashMap::new(),
            findings: Findings::default(),
            row: PhantomData,
        }
    }

    /// What was found in the rows so far.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// What was found, at the end.
    #[must_use]
    pub fn into_findings(self) -> Findings {
        self.findings
    }
}

impl<T: FileRow, I: BufRead> Iterator for Rows<'_, T, I> {
    type Item = io::Result<(u64, T)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.records.advance(&mut self.findings) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
            let record = self.records.current();
            let mut cells =
                Cells::new(record, T::COLUMNS, self.contracts, &mut self.seen, &mut self.findings);
            let row = T::read(&mut cells);
            if let (Ok(row), true) = (row, cells.all_good()) {
                return Some(Ok((record.line(), row)));
            }
        }
    }
}

#[cfg(test)]
mod tests;
