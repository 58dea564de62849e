//! The rows of Schedule 3 (R28) and their comments (R29).

use super::story::{files, tell, tell_each};

#[test]
fn one_row_for_each_service_level_client_and_week() {
    tell(
        "# each of the four makes a row, and they are in this order
         visit V-6 C-2 2019-02-05T02:00..2019-02-05T02:30
         visit V-5 C-1 2019-02-12T02:00..2019-02-12T02:30
         visit V-4 C-1 2019-02-05T02:00..2019-02-05T02:30
         visit V-3 C-1 2019-02-05T02:00..2019-02-05T02:30 service_level=Urgent
         visit V-2 C-3 2019-02-05T02:00..2019-02-05T02:30 service=Laundry service_level=Z
         visit V-1 C-10 2019-02-05T02:00..2019-02-05T02:30
         as of 2019-02-20T12:00
         rows C-3 C-1 C-1 C-10 C-2 C-1
         row C-1 Level=Planned Week=2019-02-04 Missed=1.00
         row C-1 Level=Planned Week=2019-02-11 Missed=1.00
         row C-1 Level=Urgent Week=2019-02-04 Missed=1.00
         row C-3 Service=Laundry Level=Z Missed=1.00

         # a week's visits are summed
         visit V-1 C-1 2019-02-05T02:00..2019-02-05T02:30
         visit V-2 C-1 2019-02-11T02:00..2019-02-11T02:30
         w1 in 2019-02-05T02:00 V-1
         w1 out 2019-02-05T02:30 V-1
         as of 2019-02-12T12:00
         rows C-1
         row C-1 Week=2019-02-04 Actual=1.00 Missed=1.00 Visits=1 Minutes=30 End=2019-02-04

         # nothing happened
         rows",
    );
}

#[test]
fn number_duration_and_end() {
    tell(
        "# delivered, part delivered and unplanned visits count
         policy unplanned_service = \"Night care\"
         policy unplanned_service_level = \"Planned\"
         visit V-1 C-1 23:30..00:00
         visit V-2 C-1 02:00..02:30 carers_required=2
         visit V-3 C-1 05:00..05:30
         visit V-4 C-1 06:20..06:50 cancelled_at=2019-02-01T09:00 cancelled_by=client
         w1 in 23:30 V-1
         w1 out 23:55 V-1
         w1 in 02:00 V-2
         w1 out 02:30 V-2
         w2 no_reply 05:00 V-3
         w2 in 09:00 C-1
         w2 out 09:10 C-1
         rows C-1
         row C-1 Actual=2.50 Frustrated=1.00 Cancelled=1.00 Missed=0.50 Extra=1.00
         row C-1 Visits=3 Minutes=65 End=2019-02-04

         # the last night on which the client received something
         visit V-1 C-1 2019-02-05T02:00..2019-02-05T02:30
         visit V-2 C-1 2019-02-06T02:00..2019-02-06T02:30
         visit V-3 C-1 2019-02-07T02:00..2019-02-07T02:30
         w1 in 2019-02-06T02:00 V-2
         w1 out 2019-02-06T02:30 V-2
         w1 in 2019-02-05T02:00 V-1
         w1 out 2019-02-05T02:30 V-1
         as of 2019-02-08T12:00
         row C-1 Actual=2.00 Missed=1.00 Visits=2 End=2019-02-05

         # not to be at home is to receive nothing
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w1 refused 02:05 V-1
         w1 out 02:06 V-1
         row C-1 Visits=0 Minutes=0 End=",
    );
    let rows = [
        ("20 s over are cut off", "02:30:20", "05:30:00", "60"),
        ("twice 20 s are rounded up, in the sum", "02:30:20", "05:30:20", "61"),
        ("half a minute is rounded up", "02:30:15", "05:30:15", "61"),
        ("just under half a minute", "02:30:15", "05:30:14.999", "60"),
    ];
    tell_each(rows, |(sentence, first, second, minutes)| {
        format!(
            "# {sentence}
             visit V-1 C-1 02:00..02:30
             visit V-2 C-1 05:00..05:30
             w1 in 02:00 V-1
             w1 out {first} V-1
             w1 in 05:00 V-2
             w1 out {second} V-2
             row C-1 Minutes={minutes}"
        )
    });
}

#[test]
fn what_does_not_count() {
    let void = "cancelled_at=2019-02-01T09:00 cancelled_by=error";
    tell(&format!(
        "# void visits alone make no row
         visit V-1 C-1 02:00..02:30 {void}
         rows

         # beside others they are said
         visit V-1 C-1 02:00..02:30 {void}
         visit V-2 C-1 03:00..03:30 {void}
         visit V-3 C-1 05:00..05:30
         w1 in 05:00 V-3
         w1 out 05:30 V-3
         rows C-1
         row C-1 Actual=1.00 Cancelled=0.00 Visits=1 Comments=\"Void: 2 visits\"

         # a visit that is not final makes a row, and counts nowhere
         visit V-1 C-1 02:00..02:30
         as of 01:00
         rows C-1
         row C-1 Actual=0.00 Frustrated=0.00 Cancelled=0.00 Missed=0.00 Extra=0.00 Visits=0
         row C-1 Minutes=0 End= Comments=\"Provisional: 1 visit not final\"

         # nor does one in progress
         visit V-1 C-1 02:00..02:30
         visit V-2 C-1 05:00..05:30
         w1 in 02:00 V-1
         as of 02:10
         row C-1 Actual=0.00 Visits=0 Minutes=0 End= Comments=\"Provisional: 2 visits not final\"",
    ));
}

#[test]
fn comments_in_their_order() {
    let void = "cancelled_at=2019-02-01T09:00 cancelled_by=error";
    let late = "cancelled_at=23:30 cancelled_by=client";
    let early = "cancelled_at=2019-02-01T09:00 cancelled_by=council cancel_reason=respite";
    tell(&format!(
        "# every section
         policy unplanned_service = \"Night care\"
         policy unplanned_service_level = \"Planned\"
         visit V-1 C-1 23:10..23:20 {void}
         visit V-2 C-1 23:30..23:40 carers_required=2
         visit V-3 C-1 23:50..00:00
         visit V-4 C-1 00:10..00:20 {late}
         visit V-5 C-1 00:30..00:40 {early}
         visit V-6 C-1 00:50..01:00
         visit V-7 C-1 01:10..01:20
         visit V-8 C-1 01:30..01:40
         visit V-9 C-1 06:40..07:00
         w1 in 23:30 V-2
         w1 out 23:40 V-2
         w1 unsafe_to_enter 23:50 V-3
         w1 rota_error 00:50 V-6
         w1 in 01:30 V-8
         w1 in 04:30 C-1 id=#1
         w1 out 04:40 C-1
         correct 04:45 V-8 return_comment=\"phone was flat\"
         as of 04:50
         rows C-1
         row C-1 Actual=2.50 Frustrated=2.00 Cancelled=1.00 Missed=2.50 Extra=1.00 Visits=3 Minutes=20
         row C-1 Comments=\"Provisional: 1 visit not final; Void: 1 visit; \
         Actual: 2019-02-04 23:30 V-2 1 of 2 present; \
         Frustrated: 2019-02-04 23:50 V-3 unsafe_to_enter, 2019-02-05 00:10 V-4; \
         Cancelled: 2019-02-05 00:30 V-5 respite; \
         Missed: 2019-02-05 00:50 V-6 rota_error, 2019-02-05 01:10 V-7; \
         Extra: 2019-02-05 04:30 U-#1; Call Duration: 1 visit unknown; phone was flat\"",
    ));
}

#[test]
fn items_in_order_of_time() {
    tell(
        "# by planned start, not by name
         visit V-1 C-1 05:00..05:30
         visit V-2 C-1 02:00..02:30
         visit V-3 C-1 23:30..00:00
         row C-1 Comments=\"Missed: 2019-02-04 23:30 V-3, 2019-02-05 02:00 V-2, 2019-02-05 05:00 V-1\"

         # local date and time
         night 2019-07-01
         visit V-1 C-1 00:30..01:00
         row C-1 Comments=\"Missed: 2019-07-02 00:30 V-1\"

         # what people typed, in order of time
         visit V-1 C-1 05:00..05:30
         visit V-2 C-1 02:00..02:30
         correct 08:00 V-1 outcome=frustrated reason=flood return_comment=\"road closed\"
         correct 09:00 V-2 outcome=frustrated reason=flood return_comment=\"bridge closed\"
         row C-1 Comments=\"Frustrated: 2019-02-05 02:00 V-2 flood, 2019-02-05 05:00 V-1 flood; \
         bridge closed; road closed\"

         # two unknown durations
         visit V-1 C-1 02:00..02:30
         visit V-2 C-1 05:00..05:30
         w1 in 02:00 V-1
         w2 in 05:00 V-2
         row C-1 Visits=2 Comments=\"Call Duration: 2 visits unknown\"

         # the start of an unplanned visit is its first check-in
         w1 out 02:00 C-1 id=#1
         w2 in 02:20 C-1
         w2 out 02:40 C-1
         row C-1 Comments=\"Extra: 2019-02-05 02:20 U-#1\"",
    );
}

#[test]
fn columns_lines_and_quotes() {
    let story = "# two rows, one with a comma
        visit V-1 C-1 02:00..02:30 service=\"Night care, waking\"
        visit V-2 C-2 02:00..02:30
        w1 in 02:05 V-2
        w1 out 02:35 V-2";
    let [visits, alerts, rows] = files(story).try_into().unwrap();
    assert_eq!(
        visits,
        "contract,night,visit_ref,client_ref,service,service_level,run,planned_start,planned_end,\
         carers_required,present,start,end,call_minutes,deviation_seconds,status,reason,flags\n\
         thurrock,2019-02-04,V-1,C-1,\"Night care, waking\",Planned,,2019-02-05T02:00:00Z,\
         2019-02-05T02:30:00Z,1,0,,,,,missed,,\n\
         thurrock,2019-02-04,V-2,C-2,Night care,Planned,,2019-02-05T02:00:00Z,\
         2019-02-05T02:30:00Z,1,1,2019-02-05T02:05:00Z,2019-02-05T02:35:00Z,30.00,300,delivered,,\n"
    );
    assert_eq!(
        alerts,
        "contract,night,visit_ref,kind,due_at,raised_at,resolved_at,resolution\n\
         thurrock,2019-02-04,V-1,tolerance,2019-02-05T02:15:00Z,2019-02-05T02:15:00Z,\
         2019-02-05T02:30:00Z,superseded\n\
         thurrock,2019-02-04,V-1,late,2019-02-05T02:30:00Z,2019-02-05T02:30:00Z,\
         2019-02-05T03:00:00Z,superseded\n\
         thurrock,2019-02-04,V-1,missed,2019-02-05T03:00:00Z,2019-02-05T03:00:00Z,,\n"
    );
    assert_eq!(
        rows,
        "Service,Service Level Type,Client Reference,Start Date,Actual Quantity,\
         Frustrated Quantity,Cancelled Quantity,Missed Quantity,Extra Quantity,Number of Visits,\
         Call Duration,End Date,Comments\n\
         Night care,Planned,C-2,2019-02-04,1.00,0.00,0.00,0.00,0.00,1,30,2019-02-04,\n\
         \"Night care, waking\",Planned,C-1,2019-02-04,0.00,0.00,0.00,1.00,0.00,0,0,,\
         Missed: 2019-02-05 02:00 V-1\n"
    );
}

#[test]
fn the_visit_log_in_its_order() {
    tell(
        "# by night, planned start or first event, client, visit
         visit V-5 C-1 2019-02-06T02:00..2019-02-06T02:30
         visit V-4 C-2 02:00..02:30
         visit V-3 C-1 02:00..02:40
         visit V-2 C-1 02:00..02:30
         visit V-1 C-1 05:00..05:30
         w1 out 04:00 C-3 id=#1
         w1 in 09:00 C-3 id=#2
         as of 2019-02-07T12:00
         only V-2 V-3 V-4 U-#1 V-1 U-#2 V-5

         # two contracts, one after the other
         contract thurrock
         visit V-1 C-1 02:00..02:30
         contract northgate
         visit V-2 C-1 05:00..05:30
         only V-2 V-1
         => V-2 contract=northgate",
    );
}
