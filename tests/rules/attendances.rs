//! Attendances: one carer's check-ins and check-outs in order (R10).

use super::story::tell;

#[test]
fn check_in_opens_and_check_out_closes() {
    tell(
        "# one of each
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1
         w1 out 02:35 V-1
         only V-1
         => V-1 present=1 start=02:05 end=02:35 call_minutes=30.00 status=delivered flags=

         # at the same instant the check-in is first, whatever the ids
         visit V-1 C-1 02:00..02:30
         w1 in 02:10 V-1 id=#9
         w1 out 02:10 V-1 id=#1
         only V-1
         => V-1 start=02:10 end=02:10 call_minutes=0.00 flags=short

         # a check-out with none open shows that the carer was there, but not from when
         visit V-1 C-1 02:00..02:30
         w1 out 02:30 V-1
         only V-1
         => V-1 present=1 start= end=02:30 call_minutes= deviation_seconds= status=delivered
         => V-1 flags=no_check_in

         # a second check-out closes nothing, and belongs to nothing that is known
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 C-1
         w1 out 02:30 C-1
         w1 out 02:40 C-1 id=#3
         only V-1 U-#3
         => V-1 end=02:30 call_minutes=30.00 flags=
         => U-#3 present=1 start= end=02:40 call_minutes= flags=no_check_in;unplanned

         # each carer's are taken apart
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w2 out 02:30 V-1
         => V-1 present=2 end=02:30 flags=no_check_in;no_check_out",
    );
}

#[test]
fn a_check_in_soon_after_is_a_repeat() {
    tell(
        "# after five minutes exactly
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 C-1
         w1 in 02:05 C-1
         w1 out 02:30 C-1
         only V-1
         => V-1 present=1 start=02:00 call_minutes=30.00 flags=

         # a fraction later it leaves the open one without a check-out, and opens another
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w1 in 02:05:00.001 V-1
         w1 out 02:30 V-1
         only V-1
         => V-1 present=1 start=02:00 call_minutes=30.00 flags=no_check_out

         # which, if no visit is named, finds the visit taken
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 C-1
         w1 in 02:05:00.001 C-1 id=#2
         w1 out 02:30 C-1
         only V-1 U-#2
         => V-1 end= call_minutes= flags=no_check_out
         => U-#2 end=02:30

         # the five minutes run from the check-in that opened, not from its last repeat
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w1 in 02:04 V-1
         w1 in 02:08 V-1
         w1 out 02:30 V-1
         => V-1 flags=no_check_out

         # after the check-out no check-in is a repeat
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w1 out 02:01 V-1
         w1 in 02:02 V-1
         => V-1 start=02:00 end=02:01 flags=no_check_out

         # two at one instant: the smaller id opens, and gives its name
         w1 in 02:00 C-1 id=#7
         w1 in 02:00 C-1 id=#3
         only U-#3",
    );
}

#[test]
fn a_repeat_lends_two_things_and_counts_for_nothing_else() {
    tell(
        "# it lends its visit
         visit V-1 C-1 02:00..02:30
         visit V-2 C-1 05:00..05:30
         w1 in 02:00 C-1
         w1 in 02:03 V-2
         only V-1 V-2
         => V-1 status=missed present=0
         => V-2 present=1 start=02:00 deviation_seconds=-10800

         # it lends its informal carer, who counts from the attendance's check-in
         visit V-1 C-1 02:00..02:30 carers_required=2
         w1 in 02:00 V-1
         w1 in 02:04 V-1 informal=yes
         w1 out 02:30 V-1
         => V-1 present=2 start=02:00 status=delivered flags=

         # neither its place nor its lateness is flagged
         client C-1 at=51.48,0.32
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w1 in 02:04 V-1 at=52.48,0.32 got=04:00
         w1 out 02:30 V-1
         => V-1 flags=
         no alerts V-1 off_site

         # nor is its clock
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w1 in 02:40 V-1 got=02:04
         w1 out 02:30 V-1
         => V-1 flags=

         # it re-opens no visit that was refused
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w1 refused 02:02 V-1
         w1 in 02:04 V-1
         => V-1 status=frustrated reason=refused",
    );
}

#[test]
fn the_visit_of_an_attendance_is_the_first_that_is_named() {
    tell(
        "# by the check-in, before the check-out
         visit V-1 C-1 02:00..02:30
         visit V-2 C-1 05:00..05:30
         w1 in 03:00 V-1
         w1 out 03:30 V-2
         => V-1 present=1 end=03:30
         => V-2 present=0

         # by a repeat, before the check-out
         visit V-1 C-1 02:00..02:30
         visit V-2 C-1 05:00..05:30
         w1 in 02:00 C-1
         w1 in 02:01 V-2
         w1 out 02:30 V-1
         => V-1 present=0
         => V-2 present=1 end=02:30

         # by the check-out alone
         visit V-1 C-1 02:00..02:30
         visit V-2 C-1 05:00..05:30
         w1 in 02:00 C-1
         w1 out 02:30 V-2
         => V-1 present=0
         => V-2 present=1 start=02:00

         # a name that is no visit of this client's night is passed over
         visit V-1 C-1 02:00..02:30
         visit V-2 C-1 05:00..05:30
         w1 in 02:00 C-1 V-404
         w1 out 02:30 V-2
         => V-2 present=1 start=02:00 end=02:30

         # another client's visit is passed over
         visit V-1 C-1 02:00..02:30
         visit V-2 C-2 02:00..02:30
         w1 in 02:05 C-1 V-2
         => V-1 present=1 start=02:05
         => V-2 present=0 status=missed",
    );
}
