//! Schedule 3 as CSV, with the columns that the council's data specification lists.

use std::borrow::Cow;

use crate::domain::schedule3::Row;

/// The columns, in order.
pub const COLUMNS: [&str; 13] = [
    "Service",
    "Service Level Type",
    "Client Reference",
    "Start Date",
    "Actual Quantity",
    "Frustrated Quantity",
    "Cancelled Quantity",
    "Missed Quantity",
    "Extra Quantity",
    "Number of Visits",
    "Call Duration",
    "End Date",
    "Comments",
];

/// Writes rows, which are in order.
#[must_use]
pub fn csv(rows: &[Row]) -> Vec<u8> {
    let mut writer = super::csv_writer();
    super::csv_row(&mut writer, COLUMNS.map(Cow::from));
    for row in rows {
        let cells: [Cow<'_, str>; 13] = [
            super::harmless(&row.key.service),
            super::harmless(&row.key.service_level),
            row.key.client.as_str().into(),
            super::visits::night(row.key.start_date).into(),
            row.actual.to_string().into(),
            row.frustrated.to_string().into(),
            row.cancelled.to_string().into(),
            row.missed.to_string().into(),
            row.extra.to_string().into(),
            row.visits.to_string().into(),
            row.call_minutes.to_string().into(),
            row.end_date.map_or(String::new(), super::visits::night).into(),
            super::harmless(&row.comments),
        ];
        super::csv_row(&mut writer, cells);
    }
    super::csv_bytes(writer)
}
