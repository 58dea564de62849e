//! What became of a visit at some instant (R16).

use super::story::{tell, tell_each};

#[test]
fn nobody_has_come_yet() {
    // Planned from 02:00 to 02:30: late after 02:30, missed from 03:00 on.
    let rows = [
        ("a second before its start", "", "01:59:59", "planned"),
        ("at its start", "", "02:00:00", "due"),
        ("up to and including 15 minutes", "", "02:15:00", "due"),
        ("a fraction more", "", "02:15:00.000001", "overdue"),
        ("a second more", "", "02:15:01", "overdue"),
        ("up to and including 30 minutes", "", "02:30:00", "overdue"),
        ("a fraction more than 30", "", "02:30:00.000001", "late"),
        ("a second more than 30", "", "02:30:01", "late"),
        ("a second before the missed instant", "", "02:59:59", "late"),
        ("a fraction before it", "", "02:59:59.999999", "late"),
        ("from the missed instant on", "", "03:00:00", "missed"),
        ("and for ever", "", "2019-03-05T12:00", "missed"),
        ("time-specific: up to 15 minutes", "time_specific=true", "02:15:00", "due"),
        ("time-specific: a second more is late", "time_specific=true", "02:15:01", "late"),
        ("time-specific: missed", "time_specific=true", "03:00:00", "missed"),
        ("not time-specific, said aloud", "time_specific=false", "02:15:01", "overdue"),
    ];
    tell_each(rows, |(sentence, plan, now, status)| {
        format!(
            "# {sentence}
             visit V-1 C-1 02:00..02:30 {plan}
             as of {now}
             => V-1 status={status} present=0 start= end= call_minutes= reason= flags="
        )
    });
}

#[test]
fn enough_have_come() {
    // Planned end 02:30, so that a carer may be inside until 03:30.
    tell(
        "# somebody is inside
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1
         as of 02:06
         => V-1 status=in_progress present=1 start=02:05 flags=

         # until an hour after the planned end
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1
         as of 03:29:59.999999
         => V-1 status=in_progress flags=

         # from then on it is delivered, without a check-out
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1
         as of 03:30
         => V-1 status=delivered end= flags=no_check_out

         # by the policy's allowance
         policy overdue_checkout_minutes = 20
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1
         as of 02:50
         => V-1 status=delivered flags=no_check_out

         # they have left
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w1 out 02:25 V-1
         as of 02:26
         => V-1 status=delivered flags=

         # one of two is still inside
         visit V-1 C-1 02:00..02:30 carers_required=2
         w1 in 02:00 V-1
         w2 in 02:01 V-1
         w1 out 02:25 V-1
         as of 02:26
         => V-1 status=in_progress end=02:25

         # inside is who checked in last and not out
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w1 in 02:10 V-1
         w1 out 02:20 V-1
         as of 02:21
         => V-1 status=delivered flags=no_check_out

         # back from the car, inside again
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w1 out 02:10 V-1
         w1 in 02:15 V-1
         as of 02:21
         => V-1 status=in_progress

         # nobody without a check-in is inside
         visit V-1 C-1 02:00..02:30
         w1 out 02:10 V-1
         as of 02:21
         => V-1 status=delivered

         # somebody is there before the planned start
         visit V-1 C-1 02:00..02:30
         w1 in 01:50 V-1
         as of 01:55
         => V-1 status=in_progress",
    );
}

#[test]
fn somebody_has_come_but_not_enough() {
    tell(
        "# before the missed instant it is in progress
         visit V-1 C-1 02:00..02:30 carers_required=2
         w1 in 02:05 V-1
         as of 02:59:59
         => V-1 status=in_progress present=1 start= flags=

         # even if they have left again
         visit V-1 C-1 02:00..02:30 carers_required=2
         w1 in 02:05 V-1
         w1 out 02:20 V-1
         as of 02:59:59
         => V-1 status=in_progress end=02:20

         # from then on it is delivered in part
         visit V-1 C-1 02:00..02:30 carers_required=2
         w1 in 02:05 V-1
         as of 03:00
         => V-1 status=part_delivered flags=no_check_out;short_staffed

         # until the second comes
         visit V-1 C-1 02:00..02:30 carers_required=2
         w1 in 02:05 V-1
         w2 in 03:10 V-1
         as of 03:11
         => V-1 status=in_progress present=2 start=03:10 flags=after_missed;late;late_start

         # two of three
         visit V-1 C-1 02:00..02:30 carers_required=3
         w1 in 02:00 V-1
         w1 out 02:30 V-1
         w2 in 02:00 V-1
         w2 out 02:30 V-1
         => V-1 status=part_delivered present=2 call_minutes=30.00 flags=short_staffed",
    );
}

#[test]
fn the_first_that_applies() {
    let cancelled = "cancelled_at=2019-02-04T09:00 cancelled_by=council cancel_reason=respite";
    tell_each(
        [
            ("a correction, before a cancellation", "correct 08:00 V-1 outcome=missed", "missed"),
            ("a cancellation, before a statement", "w1 other 02:10 V-1", "cancelled"),
            ("a cancellation, before who came", "w1 in 02:10 V-1", "cancelled"),
        ],
        |(sentence, line, status)| {
            format!(
                "# {sentence}
                 visit V-1 C-1 02:00..02:30 {cancelled}
                 {line}
                 => V-1 status={status}"
            )
        },
    );
    tell(
        "# a statement that stands, before who came
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w1 vehicle_breakdown 02:10 V-1
         => V-1 status=missed present=1

         # a statement, before its planned start
         visit V-1 C-1 02:00..02:30
         w1 carer_unavailable 00:30 V-1
         as of 01:00
         => V-1 status=missed

         # a cancellation is known from the beginning
         visit V-1 C-1 02:00..02:30 cancelled_at=2019-02-04T09:00 cancelled_by=council
         as of 2019-02-01T00:00
         => V-1 status=cancelled",
    );
}
