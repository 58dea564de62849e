//! Reports: rows in, bytes out. Pure: reads no clock and no database.

pub mod alerts;
pub mod ledger;
pub mod notification;
pub mod schedule3;
pub mod visits;

use std::borrow::Cow;

/// A CSV writer by the interface's rules: LF line ends, quotes only where needed.
fn csv_writer() -> csv::Writer<Vec<u8>> {
    csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(Vec::new())
}

/// The bytes that were written. Writing to memory does not fail.
fn csv_bytes(writer: csv::Writer<Vec<u8>>) -> Vec<u8> {
    writer.into_inner().unwrap_or_default()
}

/// Adds a row. Writing to memory does not fail, and all rows are of one length.
fn csv_row<'a>(writer: &mut csv::Writer<Vec<u8>>, cells: impl IntoIterator<Item = Cow<'a, str>>) {
    let cells: Vec<Cow<'_, str>> = cells.into_iter().collect();
    let written = writer.write_record(cells.iter().map(|cell| cell.as_bytes()));
    debug_assert!(written.is_ok());
}

/// Free text as a cell that no spreadsheet runs as a formula: one that begins like a formula gets an
/// apostrophe before it.
fn harmless(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}").into()
    } else {
        text.into()
    }
}
