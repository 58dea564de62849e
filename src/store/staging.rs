//! Visits of an import that is not in force yet, by the million: bound one by one in SQLite, by `COPY` in
//! PostgreSQL, for an array in JSON costs more than the rows.

use std::sync::LazyLock;

use super::sql::{Tx, Value, sql};
use super::{Db, StoreError, lines, night_text};
use crate::domain::calendar::Night;
use crate::domain::plan::PlannedVisit;
use crate::domain::quantity::Quantity;
use crate::domain::refs::{CarerRef, RunRef};

const COLUMNS: [&str; 17] = [
    "import_id",
    "contract",
    "visit_ref",
    "client_ref",
    "night",
    "service",
    "service_level",
    "run",
    "start_at",
    "end_at",
    "carers_required",
    "carers",
    "time_specific",
    "quantity",
    "cancelled_at",
    "cancelled_by",
    "cancel_reason",
];

/// Rows of one statement.
const AT_ONCE: usize = 50;

static MANY: LazyLock<String> = LazyLock::new(|| insert(AT_ONCE));
static ONE: LazyLock<String> = LazyLock::new(|| insert(1));

/// A statement of SQLite for so many rows.
fn insert(rows: usize) -> String {
    // Without numbers: it looks for these among all names, which takes long where there are many.
    let row = format!("({})", ["?"; COLUMNS.len()].join(", "));
    let rows = vec![row; rows].join(", ");
    format!("INSERT INTO planned_visit ({}) VALUES {rows}", COLUMNS.join(", "))
}

/// Appends visits to an import that is not in force yet.
///
/// # Errors
/// When the database fails.
pub async fn visits(
    db: &mut Db,
    import: i64,
    visits: &[(PlannedVisit, Night)],
) -> Result<(), StoreError> {
    if let Tx::Postgres { tx, .. } = &mut db.tx {
        let begin = format!("COPY planned_visit ({}) FROM STDIN", COLUMNS.join(", "));
        let mut copy = tx.copy_in_raw(&begin).await?;
        return match copy.send(copied(import, visits)).await {
            Ok(_) => Ok(copy.finish().await.map(drop)?),
            Err(failed) => Err(failed.into()),
        };
    }
    let (many, rest) = visits.as_chunks::<AT_ONCE>();
    let many = many.iter().map(|visits| (MANY.as_str(), visits.as_slice()));
    for (insert, visits) in many.chain(rest.chunks(1).map(|visit| (ONE.as_str(), visit))) {
        let mut statement = sql(insert);
        for (visit, night) in visits {
            for value in values(import, visit, *night) {
                statement = statement.bind(value);
            }
        }
        statement.execute(db).await?;
    }
    Ok(())
}

/// Rows as `COPY` reads them.
fn copied(import: i64, visits: &[(PlannedVisit, Night)]) -> Vec<u8> {
    let mut rows = Vec::new();
    for (visit, night) in visits {
        for (place, value) in values(import, visit, *night).into_iter().enumerate() {
            if place > 0 {
                rows.push(b'\t');
            }
            match value {
                Value::Text(Some(text)) => lines::write_text(&text, &mut rows),
                Value::Number(Some(number)) => lines::write_number(number, &mut rows),
                Value::Bytes(_) | Value::Text(None) | Value::Number(None) => {
                    rows.extend(lines::NULL);
                }
            }
        }
        rows.push(b'\n');
    }
    rows
}

fn values(import: i64, visit: &PlannedVisit, night: Night) -> [Value; COLUMNS.len()] {
    let carers: Vec<&str> = visit.carers.iter().map(CarerRef::as_str).collect();
    let cancellation = visit.cancellation.as_ref();
    [
        import.into(),
        visit.contract.as_str().into(),
        visit.visit_ref.as_str().into(),
        visit.client_ref.as_str().into(),
        night_text(night).into(),
        visit.service.as_str().into(),
        visit.service_level.as_str().into(),
        visit.run.as_ref().map(RunRef::to_string).into(),
        visit.start.timestamp_micros().into(),
        visit.end.timestamp_micros().into(),
        i64::from(visit.carers_required).into(),
        carers.join(";").into(),
        i64::from(visit.time_specific).into(),
        visit.quantity.map(Quantity::to_exact).into(),
        cancellation.map(|cancellation| cancellation.at.timestamp_micros()).into(),
        cancellation.map(|cancellation| cancellation.by.to_string()).into(),
        cancellation.and_then(|cancellation| cancellation.reason.clone()).into(),
    ]
}
