//! Visits of an import that is not in force yet, by the million: their values are bound one by one, for
//! an array in JSON costs more than the rows.

use std::fmt::Write;
use std::sync::LazyLock;

use super::sql::{Statement, Value, either};
use super::{Db, StoreError, night_text};
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

static MANY: LazyLock<Insert> = LazyLock::new(|| Insert::of(AT_ONCE));
static ONE: LazyLock<Insert> = LazyLock::new(|| Insert::of(1));

/// A statement for so many rows.
struct Insert {
    sqlite: String,
    postgres: String,
}

impl Insert {
    fn of(rows: usize) -> Self {
        let into = format!("INSERT INTO planned_visit ({}) VALUES ", COLUMNS.join(", "));
        let (mut sqlite, mut postgres) = (into.clone(), into);
        for place in 0..rows * COLUMNS.len() {
            let before = match (place, place % COLUMNS.len()) {
                (0, _) => "(",
                (_, 0) => "), (",
                _ => ", ",
            };
            // SQLite looks for numbers among all names, which takes long where there are many.
            let _ = write!(sqlite, "{before}?");
            let _ = write!(postgres, "{before}${}", place + 1);
        }
        sqlite.push(')');
        postgres.push(')');
        Self { sqlite, postgres }
    }

    fn statement(&'static self) -> Statement {
        either(&self.sqlite, &self.postgres)
    }
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
    let (many, rest) = visits.as_chunks::<AT_ONCE>();
    let many = many.iter().map(|visits| (&*MANY, visits.as_slice()));
    for (insert, visits) in many.chain(rest.chunks(1).map(|visit| (&*ONE, visit))) {
        let mut statement = insert.statement();
        for (visit, night) in visits {
            for value in values(import, visit, *night) {
                statement = statement.bind(value);
            }
        }
        statement.execute(db).await?;
    }
    Ok(())
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
