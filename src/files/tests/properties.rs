//! What holds of any file.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

fn read_as_every_kind(file: &[u8]) {
    read::<PlannedVisit>(file);
    read::<ClientRow>(file);
    read::<CarerRow>(file);
    read::<DeviceRow>(file);
    read::<TagRow>(file);
    read::<Suspension>(file);
    read::<Correction>(file);
    read::<EventLine>(file);
}

/// Cells that come near to what is right.
fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("default".to_owned()),
        Just("V-1".to_owned()),
        Just("client".to_owned()),
        "[12]",
        "(1969|1970|2019|9999)-(01|03|10|12)-(01|27|31)[T ](00|01|02|23):[0-5]0(:60|)(Z|[+-]23:59|)",
        "(,|\"|\n|\r|;|é|\u{0}|x){0,8}",
    ]
}

/// A visit of which each cell is right, in the order of the columns.
const GOOD: [&str; 15] = [
    "default",
    "V-1",
    "S",
    "L",
    "K-1",
    "",
    "2019-02-04T02:00",
    "2019-02-04T02:30",
    "1",
    "C-1;C-2",
    "true",
    "0.5",
    "2019-02-01T02:00Z",
    "client",
    "",
];

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(file in prop::collection::vec(any::<u8>(), 0..300)) {
        read_as_every_kind(&file);
    }

    #[test]
    fn no_text_makes_the_reader_panic(file in "([,\"\n\r{}:\\[\\]]|[a-z]|\\PC){0,200}") {
        read_as_every_kind(file.as_bytes());
        read_as_every_kind(format!("{{{file}").as_bytes());
    }

    #[test]
    fn every_row_of_a_plan_is_either_read_or_listed(
        changes in prop::collection::vec(prop::collection::vec((0..15_usize, cell()), 0..3), 0..5),
    ) {
        let names: Vec<_> = PlannedVisit::COLUMNS.iter().map(|column| column.name).collect();
        let row = |(number, changes): (usize, Vec<(usize, String)>)| {
            let mut row = GOOD.map(str::to_owned);
            row[1] = format!("V-{number}");
            for (column, cell) in changes {
                row[column] = cell;
            }
            row
        };
        let rows: Vec<_> = changes.into_iter().enumerate().map(row).collect();
        let quoted = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
        let mut csv = names.join(",");
        let mut json = String::new();
        for row in &rows {
            csv.push('\n');
            csv.push_str(&row.iter().map(quoted).collect::<Vec<_>>().join(","));
            let members: serde_json::Map<_, _> = names
                .iter()
                .zip(row)
                .map(|(name, cell)| ((*name).to_owned(), cell.clone().into()))
                .collect();
            json.push_str(&serde_json::Value::Object(members).to_string());
            json.push('\n');
        }
        let (good, findings) = read::<PlannedVisit>(csv.as_bytes());
        let bad: HashSet<_> =
            findings.bad.first().iter().map(|bad| bad.line).collect();
        prop_assert_eq!(good.len() + bad.len(), rows.len());
        if !rows.is_empty() {
            // The same cells in JSON Lines are as good or bad.
            let (from_json, json_findings) = read::<PlannedVisit>(json.as_bytes());
            let visits = |rows: Vec<(u64, PlannedVisit)>| {
                rows.into_iter().map(|(_, visit)| visit).collect::<Vec<_>>()
            };
            prop_assert_eq!(visits(good), visits(from_json));
            prop_assert_eq!(findings.bad.first().len(), json_findings.bad.first().len());
        }
    }
}
