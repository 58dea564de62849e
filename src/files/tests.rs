//! Whole files, hand-worked.

use std::fmt::Debug;
use std::io::Read;

use chrono::{NaiveTime, Weekday};

use super::*;
use crate::domain::calendar::{DatedBy, ServiceHours};
use crate::domain::correction::{Correction, CorrectionKind, Outcome};
use crate::domain::holidays::BankHolidays;
use crate::domain::instant::{Instant, format_instant, minutes};
use crate::domain::plan::{CarerRow, ClientRow, DeviceRow, PlannedVisit, Suspension, TagRow};
use crate::domain::policy::{Policy, Unit};

fn contract(id: &ContractId) -> Option<Arc<Contract>> {
    let policy = Policy {
        effective_from: None,
        service_hours: ServiceHours {
            from: NaiveTime::from_hms_opt(23, 0, 0).unwrap(),
            to: NaiveTime::from_hms_opt(7, 0, 0).unwrap(),
        },
        tolerance: minutes(15),
        late: minutes(30),
        time_specific_late: minutes(15),
        missed_after: minutes(60),
        match_window: minutes(120),
        overdue_checkout: minutes(60),
        device_silent_after: minutes(24 * 60),
        fence_m: 150.0,
        week_starts_on: Weekday::Mon,
        dated_by: DatedBy::Night,
        periods_from: "2019-01-28".parse().unwrap(),
        unit: Unit::Visit,
        unplanned_service: "Out of Hours".to_owned(),
        unplanned_service_level: "Emergency".to_owned(),
    };
    let zone = chrono_tz::Europe::London;
    let contract = Contract::new(id.clone(), zone, policy, Vec::new(), BankHolidays::default());
    (id.as_str() == "default").then(|| Arc::new(contract))
}

fn read<T: FileRow>(file: &[u8]) -> (Vec<(u64, T)>, Findings) {
    let mut rows = Rows::<T, _>::new(file, &contract);
    let good = rows.by_ref().map(Result::unwrap).collect();
    (good, rows.into_findings())
}

/// What is bad in the file, each `line, column: reason` up to the first `;`.
#[track_caller]
fn check_bad<T: FileRow + Debug>(file: &str, bad: &[&str]) {
    let (_, findings) = read::<T>(file.as_bytes());
    let got: Vec<String> = findings.bad.first().iter().map(BadRow::to_string).collect();
    assert_eq!(got.len(), bad.len(), "{got:#?}");
    for (got, bad) in got.iter().zip(bad) {
        assert!(got.starts_with(bad), "{got:?}, not {bad:?}");
    }
}

#[track_caller]
fn only<T: FileRow + Debug>(file: &str) -> T {
    let (mut rows, findings) = read::<T>(file.as_bytes());
    assert!(findings.is_good(), "{findings:?}");
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows.remove(0).1
}

#[test]
fn headers() {
    for (header, bad) in [
        ("", &["line 1: the file is empty"][..]),
        ("\n \n", &["line 1: the file is empty"]),
        ("Mary Smith,07700 900123", &["line 1: no header row"]),
        ("contract;carer_ref;employment", &["line 1: no header row"]),
        ("contract,carer_ref", &["line 1, employment: the header has no such column"]),
        (
            "\ncontract,carer_ref,employment,Col\u{1b}our,carer_ref",
            &[
                "line 2, Col\\u{1b}our: no such column; they are contract, carer_ref",
                "line 2, carer_ref: the column is there twice",
            ],
        ),
        ("contract,carer_ref,employment,", &["line 1: a column has no name; they are contract"]),
        ("contract,carer_ref,\"employment", &["line 1: a quote is opened"]),
        ("contract,carer_ref,employment", &[]),
    ] {
        check_bad::<CarerRow>(header, bad);
    }
}

#[test]
fn rows_that_are_not_rows() {
    let (rows, findings) = read::<CarerRow>(
        b"contract,carer_ref,employment,display_name\r\n\
          \r\n\
          default,C-1,permanent,\"Ann\xc3\xa9\"\r\n\
          default,C-2,permanent,\"A\xff\r\n\
          B\"\r\n\
          default,C-3,permanent,\"A\"B\r\n\
          default,C-4,permanent,\"A\r\n\
          default,C-5,permanent,B",
    );
    assert_eq!(
        findings.bad.to_string(),
        "line 4: not UTF-8: save the file with that encoding\n\
         line 6: text between a closing quote and the comma; a quote inside quotes is written twice\n\
         line 7: a quote is opened in this row and never closed; the rest of the file was not read\n"
    );
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].0, 3);
    assert_eq!(rows[0].1.display_name.as_deref(), Some("Anné"));

    let long = "x".repeat(RECORD_MAX_BYTES);
    let file = format!(
        "contract,carer_ref,employment\n{long}y\ndefault,\"\n{long},\ndefault,C-1,agency\n"
    );
    check_bad::<CarerRow>(
        &file,
        &["line 2: the row is longer than 1048576 bytes", "line 3: a quote is opened"],
    );
}

#[test]
fn objects_that_are_not_rows() {
    let file = "{\"contract\":\"default\",\"carer_ref\":\"C-1\",\"employment\":\"agency\",\"colour\":1}\n\
                \n\
                [1]\n\
                {\"contract\":\"default\"\n\
                {\"contract\":null,\"contract\":\"default\",\"carer_ref\":[],\"employment\":\"Agency\"}\n\
                {\"contract\":\"default\",\"carer_ref\":\"C-1\",\"employment\":\"agency\"}\n";
    check_bad::<CarerRow>(
        file,
        &[
            "line 1, colour: no such key; they are contract, carer_ref, employment, display_name",
            "line 3: not a JSON object",
            "line 4: not valid JSON from byte 21 of the line on",
            "line 5, contract: the key is there twice",
            "line 5, carer_ref: must be a string, a number, true, false or null",
            "line 5, employment: \"Agency\": must be one of permanent, temporary, agency",
            "line 6, carer_ref: the row of line 1 has the same contract and carer_ref",
        ],
    );
}

const EVENT: &str = "6e6f7468-0000-4000-8000-000000000001";

#[test]
fn corrections() {
    let line = |members: &str| {
        format!(
            "{{\"at\":\"2019-02-04T09:00:00Z\",\"by\":\"Ann\",\"contract\":\"default\",{members}}}\n"
        )
    };
    let file = [
        "\"visit_ref\":\"V-1\",\"outcome\":\"missed\",\"reason\":\"no carer\",\"return_comment\":\"x\"",
        "\"visit_ref\":\"U-1\",\"outcome\":\"withdraw\"",
        &format!("\"event_id\":\"{EVENT}\",\"place\":\"V-1\",\"visit_ref\":null"),
        "\"visit_ref\":\"V-1\",\"comment\":\"rang back\"",
    ]
    .map(line)
    .concat();
    let (rows, findings) = read::<Correction>(file.as_bytes());
    assert!(findings.is_good(), "{findings:?}");
    assert_eq!(rows[0].1.reason.as_deref(), Some("no carer"));
    assert_eq!(rows[0].1.return_comment.as_deref(), Some("x"));
    assert_eq!(rows[3].1.comment.as_deref(), Some("rang back"));
    let visit = |name: &str| name.parse().unwrap();
    assert_eq!(
        rows.into_iter().map(|(_, row)| row.what).collect::<Vec<_>>(),
        [
            CorrectionKind::Outcome { visit_ref: visit("V-1"), outcome: Outcome::Missed },
            CorrectionKind::Withdraw { visit_ref: visit("U-1") },
            CorrectionKind::Place { event_id: EVENT.parse().unwrap(), visit_ref: visit("V-1") },
            CorrectionKind::Comment { visit_ref: visit("V-1") },
        ]
    );

    let bad = [
        "\"visit_ref\":\"V-1\"",
        "\"visit_ref\":\"V-1\",\"outcome\":\"missed\",\"place\":\"V-2\"",
        &format!("\"event_id\":\"{EVENT}\",\"outcome\":\"missed\""),
        "\"outcome\":\"missed\",\"reason\":\"x\"",
        "\"visit_ref\":\"V-1\",\"outcome\":\"done\",\"event_id\":\"7\"",
    ]
    .map(line)
    .concat();
    let local = "{\"at\":\"2019-02-04T09:00\",\"contract\":\"default\",\"visit_ref\":\"V-1\",\"comment\":\"x\"}";
    let whole = "must have visit_ref with outcome or a comment, or event_id with place";
    check_bad::<Correction>(
        &format!("{bad}{local}\n"),
        &[
            &format!("line 1: {whole}"),
            &format!("line 2: {whole}"),
            &format!("line 3: {whole}"),
            &format!("line 4: {whole}"),
            "line 5, event_id: \"7\":",
            "line 5, outcome: \"done\": must be one of delivered, frustrated, missed, cancelled, withdraw",
            "line 6, at: \"2019-02-04T09:00\": not an instant",
            "line 6, by: is missing",
        ],
    );
    check_bad::<Correction>("at,by,contract\n", &["line 1: not valid JSON"]);
    check_bad::<Correction>("", &[]);
}

#[test]
fn events_keep_their_payload_byte_for_byte() {
    let file = "{\"topic\":\" nightrun/v1/default/carer/C-1/event\",\"received_at\":\
                \"2019-02-04T02:00:00Z\",\"payload\": {\"b\" : 1.0, \"a\":\"\\u00e9\", \"b\":2} }\n\
                \n\
                {\"topic\":\"x\",\"received_at\":\"2019-02-04T02:00:00Z\",\"payload\":\"text\"}\n\
                {\"topic\":\"x\",\"received_at\":\"2019-02-04T02:00:00Z\",\"payload\":null}\n";
    let (rows, findings) = read::<EventLine>(file.as_bytes());
    assert!(findings.is_good(), "{findings:?}");
    let payloads: Vec<_> =
        rows.iter().map(|(_, row)| std::str::from_utf8(&row.payload).unwrap()).collect();
    assert_eq!(payloads, ["{\"b\" : 1.0, \"a\":\"\\u00e9\", \"b\":2}", "\"text\"", "null"]);
    assert_eq!(rows[0].1.topic, " nightrun/v1/default/carer/C-1/event");
    assert_eq!(format_instant(rows[0].1.received_at), "2019-02-04T02:00:00Z");
    assert_eq!(rows.iter().map(|(_, row)| row.line).collect::<Vec<_>>(), [1, 3, 4]);

    check_bad::<EventLine>(
        "{\"topic\":1,\"received_at\":\"2019-02-04T02:00\",\"qos\":1}\n",
        &[
            "line 1, qos: no such key; they are topic, received_at, payload",
            "line 1, topic: must be a string",
            "line 1, received_at: \"2019-02-04T02:00\": not an instant",
            "line 1, payload: is missing",
        ],
    );
}

#[test]
fn an_error_of_the_input_is_told_once_and_ends_the_rows() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let input = b"contract,carer_ref,employment\ndefault,C-1,agency\n".chain(Broken);
    let mut rows = Rows::<CarerRow, _>::new(io::BufReader::new(input), &contract);
    assert!(rows.next().unwrap().is_ok());
    assert!(rows.next().unwrap().is_err());
    assert!(rows.next().is_none());
}

#[test]
fn rows_can_be_read_on_another_thread() {
    fn is_send<T: Send>(_: &T) {}
    is_send(&Rows::<PlannedVisit, _>::new(&b""[..], &contract));
}

mod properties;
mod registers;
mod visits;
