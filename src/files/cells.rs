//! The cells of one row, as the rows of the domain read them; notes what is bad about them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::findings::{Findings, quoted};
use super::records::{Cell, Record};
use super::times::{self, Written};
use super::{Column, Contracts, values};
use crate::domain::instant::Instant;
use crate::domain::policy::Contract;
use crate::domain::refs::ContractId;

const MISSING: &str = "is missing; every row needs it";

/// The reason has been noted: only [`Cells`] makes one, so that no row is refused without a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted(());

/// One row, and where what is bad about it is noted.
pub struct Cells<'r> {
    record: &'r Record,
    columns: &'static [Column],
    contracts: &'r Contracts<'r>,
    seen: &'r mut HashMap<Box<str>, u64>,
    findings: &'r mut Findings,
    good: bool,
}

impl<'r> Cells<'r> {
    pub(super) fn new(
        record: &'r Record,
        columns: &'static [Column],
        contracts: &'r Contracts<'r>,
        seen: &'r mut HashMap<Box<str>, u64>,
        findings: &'r mut Findings,
    ) -> Self {
        Self { record, columns, contracts, seen, findings, good: record.is_good() }
    }

    /// Whether nothing bad has been noted about the row.
    pub(super) fn all_good(&self) -> bool {
        self.good
    }

    /// The line on which the row begins.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.record.line()
    }

    fn cell(&self, name: &str) -> Cell<'r> {
        let index = self.columns.iter().position(|column| column.name == name);
        debug_assert!(index.is_some(), "{name} is not among the columns");
        index.map_or(Cell::Absent, |index| self.record.cell(index))
    }

    /// Whether the row says anything there, good or bad.
    pub(super) fn has(&self, name: &str) -> bool {
        self.cell(name) != Cell::Absent
    }

    /// Notes what is wrong with a cell.
    pub(super) fn bad(&mut self, name: &str, reason: impl Into<String>) -> Noted {
        self.note(Some(name), reason)
    }

    /// Notes what is wrong with the row as a whole.
    pub(super) fn bad_row(&mut self, reason: impl Into<String>) -> Noted {
        self.note(None, reason)
    }

    fn note(&mut self, name: Option<&str>, reason: impl Into<String>) -> Noted {
        self.good = false;
        self.findings.bad(self.line(), name, reason);
        Noted(())
    }

    /// Notes what is remarkable about a row that is accepted.
    pub(super) fn warn(&mut self, name: &str, text: impl Into<String>) {
        self.findings.warn(self.line(), name, text);
    }

    /// What the cell says; `None` if it is empty.
    pub(super) fn optional<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Noted> {
        match self.cell(name) {
            Cell::Absent => Ok(None),
            Cell::Noted => Err(Noted(())),
            Cell::Text(text) => match parse(text) {
                Ok(value) => Ok(Some(value)),
                Err(reason) => Err(self.bad(name, reason)),
            },
        }
    }

    /// What the cell says, which must say something.
    pub(super) fn required<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, Noted> {
        match self.optional(name, parse)? {
            Some(value) => Ok(value),
            None => Err(self.bad(name, MISSING)),
        }
    }

    /// The contract of the row.
    pub(super) fn contract(&mut self) -> Result<Arc<Contract>, Noted> {
        let contracts = self.contracts;
        self.required("contract", |text| {
            let id: ContractId = values::parsed(text)?;
            contracts(&id)
                .ok_or_else(|| format!("{}: the configuration has no such contract", quoted(text)))
        })
    }

    /// A time that stands by itself (R2), local if it has no offset. A warning says how it was read
    /// if the clocks change there.
    pub(super) fn time(
        &mut self,
        name: &str,
        contract: Result<&Contract, Noted>,
    ) -> Result<Option<Instant>, Noted> {
        let Some(written) = self.optional(name, times::written)? else { return Ok(None) };
        let zone = match (written, contract) {
            (Written::Instant(at), _) => return Ok(Some(at)),
            (Written::Local(_), Err(noted)) => return Err(noted),
            (Written::Local(_), Ok(contract)) => contract.zone,
        };
        match times::resolve(zone, written) {
            Err(reason) => Err(self.bad(name, reason)),
            Ok((at, change)) => {
                if let Some(change) = change {
                    let read_as = times::shown(zone, at);
                    self.warn(name, format!("{change}; read as {read_as}"));
                }
                Ok(Some(at))
            }
        }
    }

    /// The same, of a cell that must say something.
    pub(super) fn required_time(
        &mut self,
        name: &str,
        contract: Result<&Contract, Noted>,
    ) -> Result<Instant, Noted> {
        match self.time(name, contract)? {
            Some(at) => Ok(at),
            None => Err(self.bad(name, MISSING)),
        }
    }

    /// Refuses the row if an earlier one has the same key. `parts` are of the grammar of references,
    /// so that joining them keeps different keys apart.
    pub(super) fn once(&mut self, name: &str, key_columns: &str, parts: &[&str]) {
        let line = self.line();
        let earlier = match self.seen.entry(parts.join("/").into()) {
            Entry::Occupied(earlier) => *earlier.get(),
            Entry::Vacant(place) => {
                place.insert(line);
                return;
            }
        };
        self.bad(name, format!("the row of line {earlier} has the same {key_columns}"));
    }
}
