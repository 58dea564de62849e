//! What the broker handed over: rows of an `events` file, JSON Lines.
//!
//! Whether a message is an event is not judged here: one that was rejected is read all the same.

use super::cells::{Cells, Noted};
use super::values::instant;
use super::{Column, FileRow};
use crate::domain::instant::Instant;

/// A message as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLine {
    /// Its line in the file, from 1.
    pub line: u64,
    /// The topic, as it was.
    pub topic: String,
    /// When the daemon took it from the broker.
    pub received_at: Instant,
    /// The JSON text of the payload, byte for byte as the file has it.
    pub payload: Vec<u8>,
}

impl FileRow for EventLine {
    const COLUMNS: &'static [Column] =
        &[Column::raw("topic"), Column::required("received_at"), Column::raw("payload")];
    const JSON_LINES_ONLY: bool = true;

    fn read(cells: &mut Cells<'_>) -> Result<Self, Noted> {
        let topic = cells.required("topic", |json| {
            serde_json::from_str(json).map_err(|_| "must be a string".to_owned())
        });
        let received_at = cells.required("received_at", instant);
        let payload = cells.required("payload", |json| Ok(json.as_bytes().to_vec()));
        Ok(Self { line: cells.line(), topic: topic?, received_at: received_at?, payload: payload? })
    }
}
