//! Which attendance belongs to which planned visit (R11, steps 1 to 3).

use super::story::{tell, tell_each};

#[test]
fn the_visit_that_the_carer_names() {
    tell(
        "# however far away in time
         visit V-1 C-1 02:00..02:30
         w1 in 06:00 V-1
         w1 out 06:30 V-1
         only V-1
         => V-1 start=06:00 deviation_seconds=14400 flags=after_missed;late;late_start

         # although another is nearer
         visit V-1 C-1 02:00..02:30
         visit V-2 C-1 03:00..03:30
         w1 in 03:00 V-1
         => V-1 present=1 deviation_seconds=3600
         => V-2 present=0

         # a carer may name it twice
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w1 out 02:10 V-1
         w1 in 04:00 V-1
         w1 out 04:20 V-1
         only V-1
         => V-1 present=1 start=02:00 end=04:20 call_minutes=140.00

         # cancelled visits take part
         visit V-1 C-1 02:00..02:30 cancelled_at=2019-02-01T09:00 cancelled_by=client
         w1 in 02:05 C-1
         only V-1
         => V-1 status=cancelled present=1 flags=attended_cancelled;no_check_out",
    );
}

#[test]
fn the_window_of_two_hours_either_side() {
    // V-1 is planned from 02:00 to 02:30.
    let rows = [
        ("a check-in 120:00 after the planned start", "in 04:00:00", "V-1"),
        ("a check-in 120:01 after it", "in 04:00:01", "V-1 U-#1"),
        ("a fraction after the window", "in 04:00:00.001", "V-1 U-#1"),
        ("a check-in 120:00 before it", "in 00:00:00", "V-1"),
        ("a check-in 120:01 before it", "in 23:59:59", "U-#1 V-1"),
        ("a check-out alone, 120:00 after the planned end", "out 04:30:00", "V-1"),
        ("a check-out alone, 120:01 after it", "out 04:30:01", "V-1 U-#1"),
        ("a check-out alone, 120:00 before it", "out 00:30:00", "V-1"),
        ("a check-out alone, 120:01 before it", "out 00:29:59", "U-#1 V-1"),
    ];
    tell_each(rows, |(sentence, event, visits)| {
        format!("# {sentence}\nvisit V-1 C-1 02:00..02:30\nw1 {event} C-1 id=#1\nonly {visits}")
    });
    let rows = [
        ("a window of half an hour", "02:30:00", "V-1"),
        ("a second beyond it", "02:30:01", "V-1 U-#1"),
    ];
    tell_each(rows, |(sentence, at, visits)| {
        format!(
            "# {sentence}
             policy match_window_minutes = 30
             visit V-1 C-1 02:00..02:30
             w1 in {at} C-1 id=#1
             only {visits}"
        )
    });
}

#[test]
fn nearest_pairs_first() {
    tell(
        "# each to the nearer visit
         visit V-1 C-1 02:00..02:20
         visit V-2 C-1 03:00..03:20
         w1 in 02:29 C-1
         w2 in 02:31 C-1
         only V-1 V-2
         => V-1 start=02:29 present=1
         => V-2 start=02:31 present=1

         # a carer who has an attendance there gets no second one: it goes to the other visit
         visit V-1 C-1 02:00..02:20
         visit V-2 C-1 03:00..03:20
         w1 in 02:50 C-1
         w1 out 02:55 C-1
         w1 in 03:20 C-1
         w1 out 03:30 C-1
         only V-1 V-2
         => V-1 start=03:20 end=03:30
         => V-2 start=02:50 end=02:55

         # unless the first one was named: naming is no part of this step
         visit V-1 C-1 02:00..02:20
         visit V-2 C-1 03:00..03:20
         w1 in 02:50 V-2
         w1 out 02:55 V-2
         w1 in 03:20 V-2
         w1 out 03:30 V-2
         only V-1 V-2
         => V-1 present=0
         => V-2 start=02:50 end=03:30

         # two carers may share a visit
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 C-1
         w2 in 02:01 C-1
         only V-1
         => V-1 present=2

         # a tie goes to the earlier planned start
         visit V-2 C-1 02:00..02:20
         visit V-1 C-1 03:00..03:20
         w1 in 02:30 C-1
         => V-2 present=1
         => V-1 present=0

         # then to the smaller visit_ref
         visit V-2 C-1 02:00..02:30
         visit V-1 C-1 02:00..03:00
         w1 in 02:10 C-1
         => V-1 present=1
         => V-2 present=0

         # of one carer's two, as near as each other, the earlier
         visit V-1 C-1 02:00..02:30
         w1 in 01:50 C-1
         w1 out 01:51 C-1
         w1 in 02:10 C-1 id=#3
         w1 out 02:11 C-1
         only V-1 U-#3
         => V-1 start=01:50 end=01:51",
    );
}

#[test]
fn a_walk_to_the_car() {
    // w1 is at V-1 from 02:00 to 02:10.
    let rows = [
        ("15:00 after coming out", "in 02:25:00 C-1", "out 02:35 C-1", "V-1"),
        ("15:01 after coming out", "in 02:25:01 C-1", "out 02:35 C-1", "V-1 U-#1"),
        ("a fraction more than 15 minutes", "in 02:25:00.001 C-1", "out 02:35 C-1", "V-1 U-#1"),
        ("ends 15:00 before going in", "in 01:40 C-1", "out 01:45:00 C-1", "V-1"),
        ("ends 15:01 before going in", "in 01:40 C-1", "out 01:44:59 C-1", "U-#1 V-1"),
        ("a second after coming out", "in 02:10:01 C-1", "out 02:15 C-1", "V-1"),
    ];
    tell_each(rows, |(sentence, first, second, visits)| {
        format!(
            "# {sentence}
             visit V-1 C-1 02:00..02:30
             w1 in 02:00 V-1
             w1 out 02:10 V-1
             w1 {first} id=#1
             w1 {second}
             only {visits}
             => V-1 present=1"
        )
    });
    tell(
        "# again and again, until nothing more joins
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 C-1
         w1 out 02:05 C-1
         w1 in 02:30 C-1
         w1 out 02:35 C-1
         w1 in 02:15 C-1
         w1 out 02:20 C-1
         only V-1
         => V-1 present=1 start=02:00 end=02:35 call_minutes=35.00

         # it may lead out of the window
         visit V-1 C-1 02:00..02:30
         w1 in 03:50 C-1
         w1 out 04:10 C-1
         w1 in 04:20 C-1
         w1 out 04:30 C-1
         only V-1
         => V-1 start=03:50 end=04:30

         # only known times count: the first has no end
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 C-1
         w1 in 02:10 C-1 id=#2
         w1 out 02:20 C-1
         only V-1 U-#2

         # it is the same carer's walk, not another's
         visit V-1 C-1 02:00..02:30
         w1 in 05:00 V-1
         w1 out 05:10 V-1
         w1 in 05:15 C-1
         w2 in 05:15 C-1 id=#4
         only V-1 U-#4
         => V-1 present=1 flags=after_missed;late;late_start;no_check_out

         # the smallest gap first
         visit V-1 C-1 02:00..02:30
         visit V-2 C-1 05:00..05:30
         w1 in 02:00 V-1
         w1 out 02:10 V-1
         w1 in 02:22 C-1
         w1 out 02:32 C-1
         w1 in 02:40 V-2
         w1 out 02:50 V-2
         only V-1 V-2
         => V-1 end=02:10
         => V-2 start=02:22 end=02:50

         # of equal gaps the one to the earlier attendance
         visit V-1 C-1 02:00..02:30
         visit V-2 C-1 05:00..05:30
         w1 in 02:00 V-1
         w1 out 02:10 V-1
         w1 in 02:20 C-1
         w1 out 02:30 C-1
         w1 in 02:40 V-2
         w1 out 02:50 V-2
         => V-1 end=02:30
         => V-2 start=02:40",
    );
}
