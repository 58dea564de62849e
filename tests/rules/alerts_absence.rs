//! The alerts that exclude each other (R21): `tolerance`, `late`, `short_staffed`, `missed`,
//! `not_delivered`.

use super::story::tell;

#[test]
fn nobody_comes() {
    tell(
        "# each gives way to the next
         visit V-1 C-1 02:00..02:30
         alert V-1 tolerance 02:15 superseded 02:30
         alert V-1 late 02:30 superseded 03:00
         alert V-1 missed 03:00
         only these alerts

         # not before its instant
         visit V-1 C-1 02:00..02:30
         as of 02:14:59
         no alerts

         # at its instant
         visit V-1 C-1 02:00..02:30
         as of 02:15
         alert V-1 tolerance 02:15
         only these alerts

         # a time-specific visit is late at once
         visit V-1 C-1 02:00..02:30 time_specific=true
         alert V-1 late 02:15 superseded 03:00
         alert V-1 missed 03:00
         only these alerts

         # late and missed at the same instant: the gravest alone
         visit V-1 C-1 02:00..02:30
         visit V-2 C-1 02:20..04:00
         as of 02:31
         alert V-1 tolerance 02:15 superseded 02:30
         alert V-1 missed 02:30
         no alerts V-1 late",
    );
}

#[test]
fn somebody_comes() {
    tell(
        "# in time, and it is known in time
         visit V-1 C-1 02:00..02:30
         w1 in 02:14 V-1
         w1 out 02:30 V-1
         no alerts

         # evidence received at the very instant counts first
         visit V-1 C-1 02:00..02:30
         w1 in 02:14 V-1 got=02:15
         w1 out 02:30 V-1
         no alerts

         # a second too late
         visit V-1 C-1 02:00..02:30
         w1 in 02:15 V-1 got=02:15:01
         w1 out 02:30 V-1
         alert V-1 tolerance 02:15 staffed 02:15:01
         only these alerts

         # between the two instants
         visit V-1 C-1 02:00..02:30
         w1 in 02:20 V-1
         w1 out 02:40 V-1
         alert V-1 tolerance 02:15 staffed 02:20:01
         only these alerts

         # on time, and reported when it was late
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1 got=02:41
         w1 out 02:30 V-1 got=02:41
         alert V-1 tolerance 02:15 superseded 02:30
         alert V-1 late 02:30 staffed 02:41
         only these alerts

         # on time, and reported after it was missed: a withdrawal
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1 got=05:00
         w1 out 02:30 V-1 got=05:00
         alert V-1 tolerance 02:15 superseded 02:30
         alert V-1 late 02:30 superseded 03:00
         alert V-1 missed 03:00 staffed 05:00
         only these alerts

         # a check-out alone shows that somebody came
         visit V-1 C-1 02:00..02:30
         w1 out 02:20 V-1
         alert V-1 tolerance 02:15 staffed 02:20:01
         only these alerts",
    );
}

#[test]
fn not_enough_come() {
    tell(
        "# one of two
         visit V-1 C-1 02:00..02:30 carers_required=2
         w1 in 02:00 V-1
         w1 out 02:30 V-1
         alert V-1 tolerance 02:15 superseded 02:30
         alert V-1 late 02:30 superseded 03:00
         alert V-1 short_staffed 03:00
         only these alerts

         # the second comes after all
         visit V-1 C-1 02:00..02:30 carers_required=2
         w1 in 02:00 V-1
         w1 out 03:25 V-1
         w2 in 03:10 V-1
         w2 out 03:25 V-1
         alert V-1 tolerance 02:15 superseded 02:30
         alert V-1 late 02:30 superseded 03:00
         alert V-1 short_staffed 03:00 staffed 03:10:01
         only these alerts

         # missed at first, then one of two, then both
         visit V-1 C-1 02:00..02:30 carers_required=2
         w1 in 03:10 V-1
         w1 out 03:25 V-1
         w2 in 03:20 V-1
         w2 out 03:25 V-1
         alert V-1 tolerance 02:15 superseded 02:30
         alert V-1 late 02:30 superseded 03:00
         alert V-1 missed 03:00 over 03:10:01
         alert V-1 short_staffed 03:00 raised 03:10:01 staffed 03:20:01
         only these alerts

         # an informal carer is enough
         visit V-1 C-1 02:00..02:30 carers_required=2
         w1 in 02:00 V-1 informal=yes
         w1 out 02:30 V-1
         no alerts",
    );
}

#[test]
fn the_carer_says_that_it_was_missed() {
    tell(
        "# at its receipt, and no deadline after it
         visit V-1 C-1 02:00..02:30
         w1 vehicle_breakdown 01:00 V-1 got=01:10
         alert V-1 missed 01:10
         only these alerts

         # a deadline's alert that is open ends by the statement
         visit V-1 C-1 02:00..02:30
         w1 ran_out_of_time 02:20 V-1
         alert V-1 tolerance 02:15 statement 02:20:01
         alert V-1 missed 02:20:01
         only these alerts

         # missed already: it goes on
         visit V-1 C-1 02:00..02:30
         w1 other 02:20 V-1 got=03:10
         alert V-1 tolerance 02:15 superseded 02:30
         alert V-1 late 02:30 superseded 03:00
         alert V-1 missed 03:00
         only these alerts

         # somebody else comes
         visit V-1 C-1 02:00..02:30
         w1 carer_unavailable 01:00 V-1
         w2 in 02:05 V-1
         w2 out 02:30 V-1
         alert V-1 missed 01:00:01 staffed 02:05:01
         only these alerts",
    );
}

#[test]
fn the_carer_says_that_it_was_frustrated() {
    tell(
        "# at its receipt
         visit V-1 C-1 02:00..02:30
         w1 no_reply 02:05 V-1 got=02:06
         alert V-1 not_delivered 02:06
         only these alerts

         # a deadline's alert gives the statement as its end
         visit V-1 C-1 02:00..02:30
         w1 no_reply 02:35 V-1
         alert V-1 tolerance 02:15 superseded 02:30
         alert V-1 late 02:30 statement 02:35:01
         alert V-1 not_delivered 02:35:01
         only these alerts

         # missed, and then it is heard that nobody answered
         visit V-1 C-1 02:00..02:30
         w1 no_reply 02:05 V-1 got=03:10
         alert V-1 tolerance 02:15 superseded 02:30
         alert V-1 late 02:30 superseded 03:00
         alert V-1 missed 03:00 statement 03:10
         alert V-1 not_delivered 03:10
         only these alerts

         # the client comes to the door after all
         visit V-1 C-1 02:00..02:30
         w1 no_reply 02:05 V-1
         w1 in 02:12 V-1
         w1 out 02:35 V-1
         alert V-1 not_delivered 02:05:01 staffed 02:12:01
         only these alerts

         # refused at the door, once inside
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1
         w1 refused 02:10 V-1
         w1 out 02:11 V-1
         alert V-1 not_delivered 02:10:01
         only these alerts

         # and then the provider's fault
         visit V-1 C-1 02:00..02:30
         w1 no_reply 02:05 V-1
         w2 rota_error 02:20 V-1
         alert V-1 not_delivered 02:05:01 statement 02:20:01
         alert V-1 missed 02:20:01
         only these alerts

         # one of two comes after it: it is re-opened, and its deadlines hold again
         visit V-1 C-1 02:00..02:30 carers_required=2
         w1 no_reply 02:05 V-1
         w1 in 02:20 V-1
         w1 out 02:40 V-1
         as of 02:50
         alert V-1 not_delivered 02:05:01 over 02:20:01
         alert V-1 tolerance 02:15 raised 02:20:01 superseded 02:30
         alert V-1 late 02:30
         only these alerts",
    );
}

#[test]
fn cancelled_visits() {
    tell(
        "# cancelled by client or council: nothing
         visit V-1 C-1 02:00..02:30 cancelled_at=01:00 cancelled_by=client
         visit V-2 C-2 02:00..02:30 cancelled_at=2019-02-01T09:00 cancelled_by=council
         visit V-3 C-3 02:00..02:30 cancelled_at=2019-02-01T09:00 cancelled_by=error
         no alerts

         # cancelled by the provider: missed, when it was cancelled
         visit V-1 C-1 02:00..02:30 cancelled_at=2019-02-04T09:00 cancelled_by=provider
         alert V-1 missed 2019-02-04T09:00
         only these alerts

         # not before that
         visit V-1 C-1 02:00..02:30 cancelled_at=01:00 cancelled_by=provider
         as of 00:59:59
         no alerts

         # however late; the plan counts as it is known, from the beginning
         visit V-1 C-1 02:00..02:30 cancelled_at=05:00 cancelled_by=provider
         alert V-1 missed 05:00
         only these alerts

         # whoever comes, and whatever they say
         visit V-1 C-1 02:00..02:30 cancelled_at=01:00 cancelled_by=provider
         w1 in 02:00 V-1
         w1 refused 02:10 V-1
         w1 out 02:30 V-1
         alert V-1 missed 01:00
         only these alerts

         # nor is a suspended client missed
         suspended C-1 18:00..11:00 reason=in_hospital
         visit V-1 C-1 02:00..02:30
         no alerts",
    );
}

#[test]
fn a_condition_that_comes_to_hold_again() {
    tell(
        "# the check-in was another visit's: a new alert with the same due instant
         visit V-1 C-1 02:00..02:30
         visit V-2 C-2 02:00..02:30
         w1 in 02:16 V-1 id=#1
         place 02:25 #1 V-2
         as of 02:26
         alert V-1 tolerance 02:15 staffed 02:16:01
         alert V-1 tolerance 02:15 raised 02:25
         alert V-2 tolerance 02:15 staffed 02:25
         only these alerts

         # of a kind that had not been raised before
         visit V-1 C-1 02:00..02:30
         visit V-2 C-2 02:00..02:30
         w1 in 02:10 V-1 id=#1
         place 02:40 #1 V-2
         as of 02:45
         alert V-1 late 02:30 raised 02:40
         no alerts V-1 tolerance
         alert V-2 tolerance 02:15 superseded 02:30
         alert V-2 late 02:30 staffed 02:40

         # corrected, and the correction withdrawn
         visit V-1 C-1 02:00..02:30
         correct 03:10 V-1 outcome=frustrated
         correct 03:20 V-1 outcome=withdraw
         as of 04:00
         alert V-1 missed 03:00 corrected 03:10
         alert V-1 missed 03:00 raised 03:20

         # whatever the correction says, the coordinator knows
         visit V-1 C-1 02:00..02:30
         correct 02:20 V-1 outcome=missed
         alert V-1 tolerance 02:15 corrected 02:20
         only these alerts

         # corrected before its time
         visit V-1 C-1 02:00..02:30
         correct 01:00 V-1 outcome=cancelled
         no alerts

         # corrected at the very instant
         visit V-1 C-1 02:00..02:30
         correct 02:15 V-1 outcome=cancelled
         no alerts

         # the statement moves to another visit
         visit V-1 C-1 02:00..02:30
         visit V-2 C-2 02:00..02:30
         w1 no_reply 02:05 V-1 id=#1
         place 02:10 #1 V-2
         as of 02:20
         alert V-1 not_delivered 02:05:01 over 02:10
         alert V-1 tolerance 02:15
         alert V-2 not_delivered 02:05:01 raised 02:10
         only these alerts",
    );
}

#[test]
fn several_visits_have_their_own() {
    tell(
        "# each by its own planned start
         visit V-2 C-2 02:00..02:30
         visit V-1 C-1 02:00..02:30
         visit V-3 C-3 02:05..02:30
         as of 02:20
         alert V-1 tolerance 02:15
         alert V-2 tolerance 02:15
         alert V-3 tolerance 02:20
         only these alerts

         # the policy's instants
         policy tolerance_minutes = 5
         policy late_minutes = 10
         policy missed_after_minutes = 20
         visit V-1 C-1 02:00..02:15
         alert V-1 tolerance 02:05 superseded 02:10
         alert V-1 late 02:10 superseded 02:20
         alert V-1 missed 02:20
         only these alerts",
    );
}
