//! The plan.

use super::*;
use crate::domain::plan::CancelledBy;
use crate::domain::refs::CarerRef;

const VISITS: &str = "contract,visit_ref,service,service_level,client_ref,run,planned_start,\
                      planned_end,carers_required";

#[test]
fn a_visit_with_everything_reads_alike_from_csv_and_json_lines() {
    let csv = "\u{feff}quantity, carers ,visit_ref,contract,service,service_level,client_ref,run,\
               planned_start,planned_end,carers_required,time_specific,cancelled_at,cancelled_by,\
               cancel_reason\r\n\
               0.5,C-1; C-2,V-1,default,\"Night, \"\"wake\"\"\",L2, K-1 ,R-1,2019-02-04 02:00,\
               2019-02-04T02:30,2,true,2019-02-01T12:00,council,in hospital\r\n";
    let json = "\n  {\"quantity\": 0.5, \"carers\": [\"C-1\", \"C-2\"], \"visit_ref\": \"V-1\", \
                \"contract\": \"default\", \"service\": \"Night, \\\"wake\\\"\", \
                \"service_level\": \"L2\", \"client_ref\": \"K-1\", \"run\": \"R-1\", \
                \"planned_start\": \"2019-02-04T02:00Z\", \"planned_end\": \"2019-02-04T02:30Z\", \
                \"carers_required\": 2, \"time_specific\": true, \
                \"cancelled_at\": \"2019-02-01T12:00:00Z\", \"cancelled_by\": \"council\", \
                \"cancel_reason\": \"in hospital\"}\n";
    let visit: PlannedVisit = only(csv);
    assert_eq!(visit, only(json));
    assert_eq!(visit.service, "Night, \"wake\"");
    assert_eq!(visit.run.as_ref().unwrap().as_str(), "R-1");
    assert_eq!(format_instant(visit.start), "2019-02-04T02:00:00Z");
    assert_eq!(visit.length(), minutes(30));
    assert_eq!((visit.carers_required, visit.time_specific), (2, true));
    let carers: Vec<_> = visit.carers.iter().map(CarerRef::as_str).collect();
    assert_eq!(carers, ["C-1", "C-2"]);
    assert_eq!(visit.quantity.unwrap().to_exact(), "0.5");
    let cancellation = visit.cancellation.unwrap();
    assert_eq!(format_instant(cancellation.at), "2019-02-01T12:00:00Z");
    assert_eq!(cancellation.by, CancelledBy::Council);
    assert_eq!(cancellation.reason.as_deref(), Some("in hospital"));
}

#[test]
fn a_visit_with_nothing_optional() {
    let row = "default,V-1,S,L,K-1,,2019-02-04T02:00,2019-02-04T02:30,1";
    let json = "{\"contract\":\"default\",\"visit_ref\":\"V-1\",\"service\":\"S\",\"service_level\":\"L\",\
                \"client_ref\":\"K-1\",\"run\":null,\"planned_start\":\"2019-02-04T02:00\",\
                \"planned_end\":\"2019-02-04T02:30\",\"carers_required\":\"1\",\"carers\":[]}";
    let visit: PlannedVisit = only(&format!("{VISITS}\n{row}"));
    assert_eq!(visit, only(json));
    assert!(visit.run.is_none() && visit.carers.is_empty() && !visit.time_specific);
    assert!(visit.quantity.is_none() && visit.cancellation.is_none());
}

#[test]
fn every_bad_cell_of_every_bad_row_is_listed() {
    let file = format!(
        "{VISITS},carers,time_specific,quantity,cancelled_at,cancelled_by,cancel_reason\n\
         default,V-1,S,L,K-1,,2019-02-04T02:00,2019-02-04T02:30,1,,,,,,\n\
         nowhere,V 2,,L\tL,K/1,R 1,2019-02-04,2019-02-04T25:00,5,C-1;C-1,yes,-1,x,nurse,\n\
         default,U-3,S,L,K-1,,2019-02-04T02:30,2019-02-04T02:30,0,C-1;,,,2019-02-04T00:00Z,,x\n\
         default,V-1,S,L,K-1,,,,,,,,,client,\n\
         other,V-5,S,L,K-1,,2019-02-04T02:30,2019-02-04T02:00,1,,,,,,x\n\
         default,V-6,S,L,K-1,,1969-02-04T02:00,2019-02-04T02:30,1,,,,,,\n\
         default,V-7,S\n\
         default,V-8,{},L,K-1,,2019-02-04T02:00,2019-02-04T02:30,1,,,,,,\n",
        "x".repeat(101)
    );
    check_bad::<PlannedVisit>(
        &file,
        &[
            "line 3, contract: \"nowhere\": the configuration has no such contract",
            "line 3, visit_ref: \"V 2\": a reference is 1 to 64",
            "line 3, service: is missing",
            "line 3, service_level: must not contain control characters",
            "line 3, client_ref: \"K/1\": a reference",
            "line 3, run: \"R 1\": a reference",
            "line 3, planned_start: \"2019-02-04\": write a time as 2019-02-04T02:00",
            "line 3, planned_end: \"2019-02-04T25:00\": write a time",
            "line 3, carers_required: \"5\": must be one of 1, 2, 3, 4",
            "line 3, carers: \"C-1\" is there twice",
            "line 3, time_specific: \"yes\": must be one of true, false",
            "line 3, quantity: \"-1\": a quantity is",
            "line 3, cancelled_at: \"x\": write a time",
            "line 3, cancelled_by: \"nurse\": must be one of client, council, provider, error",
            "line 4, visit_ref: \"U-3\": U- begins the names of unplanned visits only",
            "line 4, planned_end: must be after planned_start",
            "line 4, carers_required: \"0\": must be",
            "line 4, carers: \"\": a reference",
            "line 4, cancelled_by: is missing; cancelled_at needs it",
            "line 5, visit_ref: the row of line 2 has the same contract and visit_ref",
            "line 5, planned_start: is missing",
            "line 5, planned_end: is missing",
            "line 5, carers_required: is missing",
            "line 5, cancelled_at: is missing; cancelled_by needs it",
            "line 6, contract: \"other\": the configuration",
            "line 6, planned_end: must be after planned_start",
            "line 6, cancel_reason: needs cancelled_at and cancelled_by",
            "line 7, planned_start: \"1969-02-04T02:00\": the year is not between 1970 and 9999",
            "line 8: the row has 3 cells, the header 15",
            "line 9, service: too long: at most 100 characters",
        ],
    );
    let (good, _) = read::<PlannedVisit>(file.as_bytes());
    assert_eq!(good.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2]);
}

#[test]
fn warnings_name_the_row_and_say_how_it_was_read() {
    let file = format!(
        "{VISITS},cancelled_at,cancelled_by\n\
         default,V-1,S,L,K-1,,2019-02-04T23:00,2019-02-05T07:00,1,,\n\
         default,V-2,S,L,K-1,,2019-02-04T22:59,2019-02-04T23:30,1,,\n\
         default,V-3,S,L,K-1,,2019-02-05T06:30,2019-02-05T07:01,1,,\n\
         default,V-4,S,L,K-1,,2019-03-31T01:30,2019-03-31T02:00,1,2019-10-27T01:00,error\n\
         default,V-5,S,L,K-1,,2019-02-05T12:00,2019-02-05T12:30,1,,\n"
    );
    let (rows, findings) = read::<PlannedVisit>(file.as_bytes());
    assert!(findings.is_good());
    assert_eq!(rows.len(), 5);
    assert_eq!(
        findings.warnings.to_string(),
        "line 3, planned_start: V-2: planned outside the service hours, 23:00 to 07:00\n\
         line 4, planned_end: V-3: planned outside the service hours, 23:00 to 07:00\n\
         line 5, planned_start: V-4: the local time 2019-03-31 01:30 does not occur, because the clocks \
         go forward; its length is that on the clock face; read as 2019-03-31 02:30 +01:00 to \
         2019-03-31 03:00 +01:00, 30 minutes\n\
         line 5, cancelled_at: the local time 2019-10-27 01:00 occurs twice, because the clocks go \
         back; read as 2019-10-27 01:00 +01:00\n\
         line 6, planned_start: V-5: planned outside the service hours, 23:00 to 07:00\n"
    );
}
