//! Visits that nobody planned (R11, step 4; R16).

use super::story::{tell, tell_each};

#[test]
fn an_unplanned_visit_is_normal_work() {
    tell(
        "# it has the policy's service, and no plan
         w1 in 02:00 C-1 id=#1
         w1 out 02:40 C-1 id=#2
         only U-#1
         => U-#1 night=2019-02-04 client_ref=C-1 service=\"Out of Hours\" service_level=Emergency
         => U-#1 run= planned_start= planned_end= carers_required= deviation_seconds=
         => U-#1 present=1 start=02:00 end=02:40 call_minutes=40.00 status=delivered reason=
         => U-#1 flags=unplanned

         # it is named after a check-out if that is its first event
         w1 out 02:40 C-1 id=#2
         only U-#2
         => U-#2 present=1 start= end=02:40 status=delivered flags=no_check_in;unplanned

         # its service is the policy's
         policy unplanned_service = \"Warden\"
         policy unplanned_service_level = \"Call-out\"
         w1 in 02:00 C-1 id=#1
         => U-#1 service=Warden service_level=Call-out

         # neither early nor late, neither short nor long
         w1 in 02:00 C-1 id=#1
         w1 out 02:01 C-1
         w2 in 02:00 C-2 id=#3
         w2 out 06:00 C-2
         => U-#1 call_minutes=1.00 flags=unplanned
         => U-#3 call_minutes=240.00 flags=unplanned",
    );
}

#[test]
fn who_joins_it() {
    // w1 comes at 02:00 (event 1).
    let rows = [
        ("another carer 30:00 later joins", "w2 in 02:30:00 C-1 id=#2", "U-#1", "2"),
        ("another carer 30:01 later does not", "w2 in 02:30:01 C-1 id=#2", "U-#1 U-#2", "1"),
        ("a fraction more is too much", "w2 in 02:30:00.001 C-1 id=#2", "U-#1 U-#2", "1"),
        ("who only checks out joins by that", "w2 out 02:30:00 C-1 id=#2", "U-#1", "2"),
        ("who only checks out 30:01 later", "w2 out 02:30:01 C-1 id=#2", "U-#1 U-#2", "1"),
        ("another client's visit is another", "w2 in 02:10:00 C-2 id=#2", "U-#1 U-#2", "1"),
        ("the same carer begins a new one", "w1 in 02:20:00 C-1 id=#2", "U-#1 U-#2", "1"),
    ];
    tell_each(rows, |(sentence, second, visits, present)| {
        format!(
            "# {sentence}
             w1 in 02:00 C-1 id=#1
             {second}
             only {visits}
             => U-#1 present={present}"
        )
    });
    tell(
        "# the carer comes back from the car
         w1 in 02:00 C-1 id=#1
         w1 out 02:05 C-1
         w1 in 02:20 C-1 id=#2
         w1 out 02:30 C-1
         only U-#1
         => U-#1 present=1 end=02:30 call_minutes=30.00

         # a second beyond a walk to the car it is a new visit
         w1 in 02:00 C-1 id=#1
         w1 out 02:05 C-1
         w1 in 02:20:01 C-1 id=#2
         only U-#1 U-#2

         # a walk to the car joins long after the visit began
         w1 in 02:00 C-1 id=#1
         w1 out 03:00 C-1
         w1 in 03:10 C-1
         w1 out 03:20 C-1
         only U-#1
         => U-#1 end=03:20

         # the half-hour is that of the first attendance, not of the last
         w1 in 02:00 C-1 id=#1
         w2 in 02:25 C-1
         w3 in 02:40 C-1 id=#3
         only U-#1 U-#3
         => U-#1 present=2

         # who could join two joins the one that was begun last
         w1 in 02:00 C-1 id=#1
         w1 out 02:38 C-1
         w2 in 02:31 C-1 id=#2
         w1 in 02:40 C-1
         w1 out 02:50 C-1
         only U-#1 U-#2
         => U-#1 present=1 end=02:38
         => U-#2 present=2 end=02:50

         # at the same time the carer decides who is first
         w2 in 02:00 C-1 id=#1
         w1 in 02:00 C-1 id=#2
         only U-#2
         => U-#2 present=2",
    );
}

#[test]
fn its_status_goes_by_an_hour_that_nobody_planned() {
    // First check-in 02:00, so planned end 03:00, and overdue at 04:00.
    tell(
        "# somebody is inside
         w1 in 02:00 C-1 id=#1
         as of 03:59:59
         => U-#1 status=in_progress flags=unplanned

         # an hour after its hour it is over
         w1 in 02:00 C-1 id=#1
         as of 04:00
         => U-#1 status=delivered flags=no_check_out;unplanned

         # they have left
         w1 in 02:00 C-1 id=#1
         w1 out 02:20 C-1
         as of 02:30
         => U-#1 status=delivered

         # one of two is inside
         w1 in 02:00 C-1 id=#1
         w1 out 02:20 C-1
         w2 in 02:10 C-1
         as of 03:00
         => U-#1 status=in_progress present=2

         # its hour begins with the first check-in, although a check-out is known before it
         w1 out 02:00 C-1 id=#1
         w2 in 02:20 C-1
         as of 04:19:59
         => U-#1 status=in_progress start=02:20 flags=no_check_in;unplanned",
    );
}

#[test]
fn a_name_means_the_visit_that_holds_the_event_for_ever() {
    tell(
        "# an earlier event arrives, and the visit has another name
         w1 in 02:10 C-1 id=#5
         w2 in 02:00 C-1 id=#1 got=04:00
         only U-#1
         => U-#1 present=2

         # what was decided under the old name still holds
         w1 in 02:10 C-1 id=#5
         w2 in 02:00 C-1 id=#1 got=04:00
         correct 03:00 U-#5 outcome=frustrated reason=\"called in error\"
         only U-#1
         => U-#1 status=frustrated reason=\"called in error\"
         => U-#1 flags=corrected;no_check_out;reported_late;unplanned

         # a later event of the visit names it too
         w1 in 02:10 C-1 id=#5
         w1 out 02:20 C-1 id=#6
         correct 03:00 U-#6 outcome=frustrated reason=x
         => U-#5 status=frustrated

         # an event placed at U-x joins the visit that holds event x
         w1 in 02:00 C-1 id=#1
         w1 out 02:30 C-1
         w2 in 05:00 C-2 id=#2
         place 08:00 #2 U-#1
         only U-#1
         => U-#1 present=2 client_ref=C-1",
    );
}

#[test]
fn what_names_a_visit_follows_the_event_that_it_names() {
    tell(
        "# an event is placed at U-x, and x is placed elsewhere afterwards
         visit V-1 C-2 02:00..02:30
         w1 in 02:00 C-1 id=#1
         w2 in 02:05 id=#2
         place 03:00 #2 U-#1
         place 04:00 #1 V-1
         only V-1
         => V-1 present=2

         # the same, when both events arrive after both decisions
         visit V-1 C-2 02:00..02:30
         w1 in 02:00 C-1 id=#1 got=05:00
         w2 in 02:05 id=#2 got=05:00
         place 03:00 #2 U-#1
         place 04:00 #1 V-1
         only V-1
         => V-1 present=2

         # an event names U-x, and x is heard of
         tag T-2 C-2
         w1 in 02:00 C-1 id=#1
         w2 in 02:05 U-#1 tag=T-2
         only U-#1
         => U-#1 present=2

         # an event names U-x, and x is heard of afterwards
         tag T-2 C-2
         w1 in 02:00 C-1 id=#1 got=02:10
         w2 in 02:05 U-#1 tag=T-2
         only U-#1
         => U-#1 present=2

         # the same, and nothing else says whose home it was
         w1 in 02:00 C-1 id=#1 got=02:10
         w2 in 02:05 U-#1
         only U-#1
         => U-#1 present=2",
    );
}
