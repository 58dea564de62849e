//! Statements: a visit was not delivered, and why (R15).

use super::story::{tell, tell_each};

#[test]
fn every_reason() {
    let rows = [
        ("no_reply", "frustrated"),
        ("client_absent", "frustrated"),
        ("refused", "frustrated"),
        ("in_hospital", "frustrated"),
        ("deceased", "frustrated"),
        ("unsafe_to_enter", "frustrated"),
        ("cancelled_at_door", "frustrated"),
        ("carer_unavailable", "missed"),
        ("vehicle_breakdown", "missed"),
        ("ran_out_of_time", "missed"),
        ("rota_error", "missed"),
        ("other", "missed"),
    ];
    tell_each(rows, |(reason, status)| {
        let alert = if status == "frustrated" { "not_delivered" } else { "missed" };
        format!(
            "# {reason}
             visit V-1 C-1 02:00..02:30
             w1 {reason} 02:05 V-1
             => V-1 status={status} reason={reason} present=0 start= end= flags=
             alert V-1 {alert} 02:05:01
             only these alerts"
        )
    });
}

#[test]
fn about_which_visit() {
    let rows = [
        ("the visit that it names", "05:00 V-1", "frustrated"),
        ("120:00 after the planned start", "04:00:00 C-1", "frustrated"),
        ("120:01 after: unplaced", "04:00:01 C-1", "missed"),
        ("120:00 before", "00:00:00 C-1", "frustrated"),
        ("120:01 before: unplaced", "23:59:59 C-1", "missed"),
        ("it names no visit of the night", "02:10 C-1 V-404", "frustrated"),
        ("another client's", "02:10 C-2", "missed"),
    ];
    tell_each(rows, |(sentence, statement, status)| {
        format!(
            "# {sentence}
             visit V-1 C-1 02:00..02:30
             w1 refused {statement}
             only V-1
             => V-1 status={status}"
        )
    });
    tell(
        "# the nearest planned start
         visit V-1 C-1 02:00..02:20
         visit V-2 C-1 03:00..03:20
         w1 refused 02:31 C-1
         => V-1 status=missed reason=
         => V-2 status=frustrated reason=refused

         # of equally near ones the earlier
         visit V-1 C-1 02:00..02:20
         visit V-2 C-1 03:00..03:20
         w1 refused 02:30 C-1
         => V-1 status=frustrated
         => V-2 status=missed

         # cancelled visits take part
         visit V-1 C-1 02:00..02:30 cancelled_at=2019-02-01T09:00 cancelled_by=client
         visit V-2 C-1 03:00..03:30
         w1 refused 02:10 C-1
         => V-1 status=cancelled
         => V-2 status=missed reason=

         # it makes no unplanned visit
         w1 no_reply 02:10 C-1
         only
         no alerts",
    );
}

#[test]
fn the_latest_counts() {
    tell(
        "# the later of two
         visit V-1 C-1 02:00..02:30
         w1 no_reply 02:05 V-1
         w1 carer_unavailable 02:20 V-1
         => V-1 status=missed reason=carer_unavailable

         # by when it happened, not by when it was received
         visit V-1 C-1 02:00..02:30
         w1 carer_unavailable 02:20 V-1
         w1 no_reply 02:05 V-1 got=02:40
         => V-1 status=missed reason=carer_unavailable

         # at the same instant the greater event id
         visit V-1 C-1 02:00..02:30
         w1 no_reply 02:05 V-1 id=#2
         w1 carer_unavailable 02:05 V-1 id=#1
         => V-1 status=frustrated reason=no_reply",
    );
}

#[test]
fn whether_it_stands() {
    tell(
        "# a check-in later re-opens the visit
         visit V-1 C-1 02:00..02:30
         w1 no_reply 02:05 V-1
         w1 in 02:10 V-1
         w1 out 02:35 V-1
         => V-1 status=delivered reason= start=02:10 call_minutes=25.00 flags=

         # a check-in at the same instant does not
         visit V-1 C-1 02:00..02:30
         w1 no_reply 02:05 V-1
         w1 in 02:05 V-1
         => V-1 status=frustrated reason=no_reply present=1 flags=no_check_out

         # a fraction of a second does
         visit V-1 C-1 02:00..02:30
         w1 no_reply 02:05 V-1
         w1 in 02:05:00.000001 V-1
         w1 out 02:30 V-1
         => V-1 status=delivered

         # refused after a check-in: frustrated
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1
         w1 refused 02:10 V-1
         w1 out 02:12 V-1
         => V-1 status=frustrated reason=refused present=1 start=02:05 call_minutes=7.00 flags=

         # a check-out later re-opens nothing
         visit V-1 C-1 02:00..02:30
         w1 no_reply 02:05 V-1
         w1 out 02:30 V-1
         => V-1 status=frustrated flags=no_check_in

         # another carer's check-in does
         visit V-1 C-1 02:00..02:30
         w1 no_reply 02:05 V-1
         w2 in 02:25 V-1
         w2 out 02:50 V-1
         => V-1 status=delivered deviation_seconds=1500 flags=late_start

         # a check-in at another visit does not
         visit V-1 C-1 02:00..02:30
         visit V-2 C-1 05:00..05:30
         w1 no_reply 02:05 V-1
         w1 in 05:00 V-2
         => V-1 status=frustrated

         # the latest counts, although an earlier one would be followed by a check-in
         visit V-1 C-1 02:00..02:30
         w1 no_reply 02:05 V-1
         w1 in 02:10 V-1
         w1 unsafe_to_enter 02:20 V-1
         => V-1 status=frustrated reason=unsafe_to_enter

         # a check-in counts by its effective time: its clock was ahead
         visit V-1 C-1 02:00..02:30
         w1 no_reply 02:05 V-1
         w1 in 02:30 V-1 got=02:04
         => V-1 status=frustrated start=02:04",
    );
}
