//! What coordinators decide: outcomes, withdrawals, comments (R16) and places (R12).

use super::story::{tell, tell_each};

#[test]
fn an_outcome_is_what_the_correction_says() {
    let rows = [
        ("delivered", "Actual=1.00 Visits=1 End=2019-02-04"),
        ("frustrated", "Actual=0.00 Frustrated=1.00 Visits=0 End="),
        ("missed", "Actual=0.00 Missed=1.00 Visits=0 End="),
        ("cancelled", "Actual=0.00 Cancelled=1.00 Visits=0 End="),
    ];
    tell_each(rows, |(outcome, row)| {
        format!(
            "# nobody came, and it is corrected to {outcome}
             visit V-1 C-1 02:00..02:30
             correct 08:00 V-1 outcome={outcome} reason=\"paper sheet\"
             => V-1 status={outcome} reason=\"paper sheet\" present=0 start= flags=corrected
             row C-1 {row}"
        )
    });
    tell(
        "# not before it is made
         visit V-1 C-1 02:00..02:30
         correct 08:00 V-1 outcome=delivered
         as of 07:59:59
         => V-1 status=missed flags=

         # at the instant at which it is made
         visit V-1 C-1 02:00..02:30
         correct 08:00 V-1 outcome=delivered
         as of 08:00
         => V-1 status=delivered flags=corrected

         # without a reason
         visit V-1 C-1 02:00..02:30
         w1 no_reply 02:05 V-1
         correct 08:00 V-1 outcome=missed
         => V-1 status=missed reason= flags=corrected

         # the evidence stays what it was
         visit V-1 C-1 02:00..02:30
         w1 in 02:40 V-1
         w1 out 03:10 V-1
         correct 08:00 V-1 outcome=frustrated reason=x
         => V-1 present=1 start=02:40 end=03:10 call_minutes=30.00 deviation_seconds=2400

         # what the provider could not help
         visit V-1 C-1 02:00..02:30 cancelled_at=2019-02-01T09:00 cancelled_by=error
         correct 08:00 V-1 outcome=cancelled
         => V-1 status=cancelled flags=corrected
         row C-1 Cancelled=1.00

         # a visit that was half done counts whole
         visit V-1 C-1 02:00..02:30 carers_required=2
         w1 in 02:00 V-1
         w1 out 02:30 V-1
         correct 08:00 V-1 outcome=delivered
         => V-1 status=delivered present=1 flags=corrected
         row C-1 Actual=1.00 Missed=0.00 Comments=

         # a visit in progress is final
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1
         correct 02:10 V-1 outcome=delivered
         as of 02:11
         => V-1 status=delivered flags=corrected;no_check_out",
    );
}

#[test]
fn the_latest_outcome_until_it_is_withdrawn() {
    tell(
        "# the latest
         visit V-1 C-1 02:00..02:30
         correct 09:00 V-1 outcome=frustrated reason=later
         correct 08:00 V-1 outcome=delivered reason=earlier
         => V-1 status=frustrated reason=later

         # withdrawn
         visit V-1 C-1 02:00..02:30
         w1 no_reply 02:05 V-1
         correct 08:00 V-1 outcome=delivered reason=x return_comment=typed
         correct 09:00 V-1 outcome=withdraw
         => V-1 status=frustrated reason=no_reply flags=
         row C-1 Comments=\"Frustrated: 2019-02-05 02:00 V-1 no_reply\"

         # withdrawing uncovers no older one
         visit V-1 C-1 02:00..02:30
         correct 07:00 V-1 outcome=cancelled
         correct 08:00 V-1 outcome=delivered
         correct 09:00 V-1 outcome=withdraw
         => V-1 status=missed flags=

         # decided anew
         visit V-1 C-1 02:00..02:30
         correct 08:00 V-1 outcome=delivered
         correct 09:00 V-1 outcome=withdraw
         correct 10:00 V-1 outcome=cancelled
         => V-1 status=cancelled flags=corrected

         # of another visit
         visit V-1 C-1 02:00..02:30
         visit V-2 C-1 05:00..05:30
         correct 08:00 V-2 outcome=delivered
         => V-1 status=missed flags=
         => V-2 status=delivered",
    );
}

#[test]
fn comments_decide_nothing() {
    tell(
        "# one for the return
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w1 out 02:30 V-1
         correct 08:00 V-1 return_comment=\"key safe was changed\"
         => V-1 status=delivered flags=
         row C-1 Comments=\"key safe was changed\"

         # an internal one stays inside
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w1 out 02:30 V-1
         correct 08:00 V-1 comment=\"ask again\"
         row C-1 Comments=

         # so does that of an outcome, and the other one goes out
         visit V-1 C-1 02:00..02:30
         correct 08:00 V-1 outcome=delivered reason=sheet comment=inside return_comment=outside
         row C-1 Comments=\"Call Duration: 1 visit unknown; outside\"",
    );
}

#[test]
fn a_coordinator_places_an_event() {
    tell(
        "# that was unplaced
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 id=#1
         w1 out 02:30 id=#2
         place 08:00 #1 V-1
         place 08:00 #2 V-1
         only V-1
         => V-1 status=delivered start=02:05 end=02:30 flags=

         # not before it is decided
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 id=#1
         place 08:00 #1 V-1
         as of 07:59:59
         => V-1 status=missed

         # that was at another client's
         visit V-1 C-1 02:00..02:30
         visit V-2 C-2 02:00..02:30
         w1 in 02:05 V-1 id=#1
         place 08:00 #1 V-2
         only V-1 V-2
         => V-1 status=missed present=0
         => V-2 status=delivered present=1

         # the latest place counts
         visit V-1 C-1 02:00..02:30
         visit V-2 C-2 02:00..02:30
         w1 in 02:05 C-9 id=#1
         place 09:00 #1 V-2
         place 08:00 #1 V-1
         => V-1 present=0
         => V-2 present=1

         # a statement too
         visit V-1 C-1 02:00..02:30
         w1 refused 02:05 id=#1
         place 08:00 #1 V-1
         => V-1 status=frustrated reason=refused

         # beyond the window
         visit V-1 C-1 02:00..02:30
         w1 in 06:00 C-1 id=#1
         place 08:00 #1 V-1
         only V-1
         => V-1 present=1 deviation_seconds=14400

         # before it has been received
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 id=#1 got=09:00
         place 08:00 #1 V-1
         => V-1 present=1",
    );
}
