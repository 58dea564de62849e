//! The other alerts that a replay can raise (R21): `overdue_checkout`, `off_site`, `unplanned_visit`,
//! `no_plan`. For `sequence_gap` see its own file.

use super::story::tell;

#[test]
fn a_carer_who_does_not_come_out() {
    // Planned end 02:30: overdue at 03:30.
    tell(
        "# for ever
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1
         alert V-1 overdue_checkout 03:30
         only these alerts

         # checked out in time
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1
         w1 out 03:29 V-1 got=03:30
         no alerts

         # not before its time
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1
         as of 03:29:59
         no alerts

         # checked out late
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1
         w1 out 03:40 V-1
         alert V-1 overdue_checkout 03:30 checked_out 03:40:01
         only these alerts

         # checked out in time, as is heard late
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1
         w1 out 02:30 V-1 got=05:00
         alert V-1 overdue_checkout 03:30 checked_out 05:00
         only these alerts

         # the policy's time
         policy overdue_checkout_minutes = 15
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1
         alert V-1 overdue_checkout 02:45
         only these alerts

         # heard of only when it was long overdue
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1 got=04:00
         alert V-1 overdue_checkout 03:30 raised 04:00

         # both are inside: one alert
         visit V-1 C-1 02:00..02:30 carers_required=2
         w1 in 02:00 V-1
         w2 in 02:00 V-1
         w1 out 03:40 V-1
         w2 out 03:50 V-1
         alert V-1 overdue_checkout 03:30 checked_out 03:50:01

         # a cancelled visit is dangerous too
         visit V-1 C-1 02:00..02:30 cancelled_at=2019-02-01T09:00 cancelled_by=client
         w1 in 02:05 V-1
         alert V-1 overdue_checkout 03:30
         only these alerts

         # so is one that was refused
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1
         w1 refused 02:10 V-1
         alert V-1 overdue_checkout 03:30
         alert V-1 not_delivered 02:10:01
         only these alerts

         # a correction of the visit brings nobody out
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1
         correct 03:40 V-1 outcome=delivered
         alert V-1 overdue_checkout 03:30
         only these alerts

         # it was another visit's check-in after all
         visit V-1 C-1 02:00..02:30
         visit V-2 C-2 05:00..05:30
         w1 in 02:05 V-1 id=#1
         place 03:40 #1 V-2
         as of 04:00
         alert V-1 overdue_checkout 03:30 over 03:40

         # an unplanned visit is overdue an hour after its hour
         w1 in 02:00 C-1 id=#1
         alert U-#1 overdue_checkout 04:00",
    );
}

#[test]
fn a_carer_who_was_seen_elsewhere() {
    tell(
        "# at another client's, later
         visit V-1 C-1 02:00..02:30
         visit V-2 C-2 03:40..04:10
         w1 in 02:05 V-1
         w1 in 03:40 V-2
         w1 out 04:00 V-2
         alert V-1 overdue_checkout 03:30 seen_elsewhere 03:40:01
         only these alerts

         # before its time: it is never raised
         visit V-1 C-1 02:00..02:30
         visit V-2 C-2 03:00..03:30
         w1 in 02:05 V-1
         w1 in 03:00 V-2
         w1 out 03:20 V-2
         no alerts V-1

         # what is heard later happened before
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1
         w1 out 02:00 C-2 got=03:40
         alert V-1 overdue_checkout 03:30

         # what is heard later happened after
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1
         w1 out 02:50 C-2 got=03:40
         alert V-1 overdue_checkout 03:30 seen_elsewhere 03:40

         # a statement is said somewhere too
         visit V-1 C-1 02:00..02:30
         visit V-2 C-2 03:40..04:10
         w1 in 02:05 V-1
         w1 no_reply 03:45 V-2
         alert V-1 overdue_checkout 03:30 seen_elsewhere 03:45:01

         # it is another carer who was
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1
         w2 in 03:40 C-2
         alert V-1 overdue_checkout 03:30

         # at the same client's it is not elsewhere
         visit V-1 C-1 02:00..02:30
         visit V-2 C-1 04:00..04:30
         w1 in 02:05 V-1
         w1 in 04:00 V-2
         w1 out 04:30 V-2
         alert V-1 overdue_checkout 03:30

         # of two who are inside one has been seen
         visit V-1 C-1 02:00..02:30 carers_required=2
         w1 in 02:00 V-1
         w2 in 02:00 V-1
         w1 in 03:00 C-2
         w1 out 03:10 C-2
         alert V-1 overdue_checkout 03:30

         # on another night, the same
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1
         w1 in 2019-02-05T12:30 C-2
         as of 2019-02-05T13:00
         alert V-1 overdue_checkout 03:30 seen_elsewhere 2019-02-05T12:30:01",
    );
}

#[test]
fn somebody_who_was_elsewhere() {
    tell(
        "# a check-in off site, which only a coordinator resolves
         client C-1 at=51.48,0.32
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1 at=51.5,0.32 got=02:10
         w1 out 02:30 V-1
         alert V-1 off_site 02:10
         only these alerts

         # one alert for the visit
         client C-1 at=51.48,0.32
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1 at=51.5,0.32
         w1 out 02:30 V-1 at=51.5,0.32
         alert V-1 off_site 02:00:01
         only these alerts

         # one for each visit
         client C-1 at=51.48,0.32
         visit V-1 C-1 02:00..02:30
         visit V-2 C-1 04:00..04:30
         w1 in 02:00 V-1
         w1 out 02:30 V-1 at=51.5,0.32
         w1 in 04:00 V-2 at=51.5,0.32
         w1 out 04:30 V-2
         alert V-1 off_site 02:30:01
         alert V-2 off_site 04:00:01
         only these alerts

         # the withdrawal of nothing else touches it
         client C-1 at=51.48,0.32
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1 at=51.5,0.32
         w1 out 02:30 V-1
         correct 08:00 V-1 outcome=delivered
         alert V-1 off_site 02:00:01",
    );
}

#[test]
fn a_visit_that_nobody_planned() {
    tell(
        "# it is told and over at once
         w1 in 02:00 C-1 id=#1 got=02:03
         w1 out 02:30 C-1
         alert U-#1 unplanned_visit 02:03 over 02:03
         only these alerts

         # a second carer makes no second one
         w1 in 02:00 C-1 id=#1
         w2 in 02:10 C-1
         w1 out 02:30 C-1
         w2 out 02:30 C-1
         alert U-#1 unplanned_visit 02:00:01 over 02:00:01
         only these alerts

         # an event that comes before it gives it another name, and makes no second one
         w1 in 02:10 C-1 id=#5
         w1 out 02:30 C-1
         w2 in 02:00 C-1 id=#1 got=03:00
         w2 out 02:30 C-1 got=03:00
         only U-#1
         alert U-#5 unplanned_visit 02:10:01 over 02:10:01
         only these alerts

         # two visits, two alerts
         w1 in 02:00 C-1 id=#1
         w1 out 02:30 C-1
         w2 in 02:00 C-2 id=#3
         w2 out 02:30 C-2
         alert U-#1 unplanned_visit 02:00:01 over 02:00:01
         alert U-#3 unplanned_visit 02:00:01 over 02:00:01
         only these alerts

         # it is neither late nor missed
         w1 in 05:00 C-1 id=#1
         w1 out 05:30 C-1
         no alerts U-#1 late
         no alerts U-#1 missed",
    );
}

#[test]
fn a_night_without_a_plan() {
    tell(
        "# the night after the last visit, two hours before service begins
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w1 out 02:30 V-1
         as of 2019-02-05T21:00
         alert - no_plan 2019-02-05T21:00
         only these alerts

         # not before
         visit V-1 C-1 02:00..02:30
         as of 2019-02-05T20:59:59
         no alerts - no_plan

         # a week long, and then it is no surprise any more
         visit V-1 C-1 02:00..02:30
         as of 2019-03-01T00:00
         alert - no_plan 2019-02-05T21:00
         alert - no_plan 2019-02-06T21:00
         alert - no_plan 2019-02-07T21:00
         alert - no_plan 2019-02-08T21:00
         alert - no_plan 2019-02-09T21:00
         alert - no_plan 2019-02-10T21:00
         alert - no_plan 2019-02-11T21:00

         # a night with a plan between two without
         visit V-1 C-1 02:00..02:30
         visit V-2 C-1 2019-02-07T02:00..2019-02-07T02:30
         as of 2019-02-07T22:00
         alert - no_plan 2019-02-05T21:00
         alert - no_plan 2019-02-07T21:00

         # local time
         night 2019-07-01
         visit V-1 C-1 02:00..02:30
         as of 2019-07-02T22:00
         alert - no_plan 2019-07-02T20:00:00Z

         # other service hours
         policy service_hours = { from = \"22:00\", to = \"06:00\" }
         visit V-1 C-1 02:00..02:30
         as of 2019-02-05T21:00
         alert - no_plan 2019-02-05T20:00

         # nothing was planned, so nothing is expected
         w1 in 02:00 C-1
         as of 2019-03-01T00:00
         no alerts - no_plan",
    );
}
