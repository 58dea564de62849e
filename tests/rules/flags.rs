//! Every flag that a replay can show (R20). `early`, `late_start`, `late`, `after_missed` are in the
//! tables of punctuality, `off_site` in those of homes.

use super::story::{tell, tell_each};

#[test]
fn short_and_overstay() {
    let rows = [
        ("75 % of half an hour is not short", "02:00..02:30", "02:22:30", ""),
        ("a fraction less is", "02:00..02:30", "02:22:29.999", "short"),
        ("150 % of half an hour is no overstay", "02:00..02:30", "02:45:00", ""),
        ("a fraction more is", "02:00..02:30", "02:45:00.001", "overstay"),
        ("75 % of forty minutes", "02:00..02:40", "02:30:00", ""),
        ("less than 75 % of forty minutes", "02:00..02:40", "02:29:59", "short"),
        ("150 % of forty minutes", "02:00..02:40", "03:00:00", ""),
        ("more than 150 % of forty minutes", "02:00..02:40", "03:00:01", "overstay"),
        ("a planned length of one second", "02:00..02:00:01", "02:00:00.740", "short"),
    ];
    tell_each(rows, |(sentence, span, out, flags)| {
        format!(
            "# {sentence}
             visit V-1 C-1 {span}
             w1 in 02:00 V-1
             w1 out {out} V-1
             => V-1 status=delivered flags={flags}"
        )
    });
    tell(
        "# not short while an attendance has no check-out
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w2 in 02:00 V-1
         w2 out 02:10 V-1
         => V-1 call_minutes=10.00 flags=no_check_out

         # an overstay all the same
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w2 in 02:00 V-1
         w2 out 02:46 V-1
         => V-1 flags=no_check_out;overstay

         # only if delivered: not in part
         visit V-1 C-1 02:00..02:30 carers_required=2
         w1 in 02:00 V-1
         w1 out 02:05 V-1
         => V-1 status=part_delivered flags=short_staffed

         # only if delivered: not in progress
         visit V-1 C-1 02:00..02:30
         w1 in 01:46 V-1
         w2 in 02:00 V-1
         w2 out 02:40 V-1
         as of 02:41
         => V-1 status=in_progress flags=

         # only if delivered: not frustrated
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w1 refused 02:03 V-1
         w1 out 02:04 V-1
         => V-1 status=frustrated flags=",
    );
}

#[test]
fn the_first_four_are_of_visits_in_progress_or_delivered() {
    tell(
        "# in progress
         visit V-1 C-1 02:00..02:30
         w1 in 03:05 V-1
         as of 03:06
         => V-1 status=in_progress flags=after_missed;late;late_start

         # not if it was frustrated after all
         visit V-1 C-1 02:00..02:30
         w1 in 02:40 V-1
         w1 refused 02:50 V-1
         => V-1 status=frustrated deviation_seconds=2400 flags=no_check_out

         # not if it is corrected to be missed
         visit V-1 C-1 02:00..02:30
         w1 in 02:40 V-1
         correct 08:00 V-1 outcome=missed
         => V-1 status=missed flags=corrected;no_check_out

         # if it is corrected to be delivered
         visit V-1 C-1 02:00..02:30
         w1 in 02:40 V-1
         w1 refused 02:50 V-1
         correct 08:00 V-1 outcome=delivered
         => V-1 status=delivered flags=corrected;late;late_start;no_check_out",
    );
}

#[test]
fn missing_halves() {
    tell(
        "# no check-out is nothing while in progress
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         as of 02:10
         => V-1 flags=

         # no check-in is something at once
         visit V-1 C-1 02:00..02:30 carers_required=2
         w1 out 02:10 V-1
         as of 02:15
         => V-1 status=in_progress flags=no_check_in

         # each of two
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w2 out 02:30 V-1
         => V-1 flags=no_check_in;no_check_out",
    );
}

#[test]
fn carers_whom_the_plan_does_not_list() {
    let rows = [
        ("one of the list", "carers=w1;w2", "w1", ""),
        ("one who is not in it", "carers=w1;w2", "w3", "unplanned_carer"),
        ("no list", "", "w3", ""),
    ];
    tell_each(rows, |(sentence, list, carer, flags)| {
        format!(
            "# {sentence}
             visit V-1 C-1 02:00..02:30 {list}
             {carer} in 02:00 V-1
             {carer} out 02:30 V-1
             => V-1 flags={flags}"
        )
    });
    tell(
        "# another one besides the planned one
         visit V-1 C-1 02:00..02:30 carers=w1
         w1 in 02:00 V-1
         w1 out 02:30 V-1
         w2 in 02:00 V-1
         w2 out 02:30 V-1
         => V-1 flags=unplanned_carer

         # who only makes a statement did not come
         visit V-1 C-1 02:00..02:30 carers=w1
         w2 no_reply 02:05 V-1
         => V-1 flags=",
    );
}

#[test]
fn at_two_places_at_once() {
    // w1 is at C-1 from 02:00 to 02:30.
    let rows = [
        ("a minute at both", "w1 in 02:29:00 V-2", "w1 out 03:00 V-2", "overlap"),
        ("less than a minute", "w1 in 02:29:00.001 V-2", "w1 out 03:00 V-2", ""),
        ("one after the other", "w1 in 02:30 V-2", "w1 out 03:00 V-2", ""),
        ("another carer", "w2 in 02:20 V-2", "w2 out 03:00 V-2", ""),
        ("an attendance that is not complete", "w1 in 02:20 V-2", "", ""),
    ];
    tell_each(rows, |(sentence, check_in, out, flag)| {
        let flags = if out.is_empty() { "no_check_out" } else { flag };
        format!(
            "# {sentence}
             visit V-1 C-1 02:00..02:30
             visit V-2 C-2 02:30..03:00
             w1 in 02:00 V-1
             w1 out 02:30 V-1
             {check_in}
             {out}
             => V-1 flags={flag}
             => V-2 flags={flags}"
        )
    });
    tell(
        "# an unplanned visit overlaps too
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w1 out 02:30 V-1
         w1 in 02:10 C-2 id=#3
         w1 out 02:20 C-2
         => V-1 flags=overlap
         => U-#3 flags=overlap;unplanned

         # in another contract it is another carer
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w1 out 02:30 V-1
         contract northgate
         visit V-2 C-2 02:00..02:30
         w1 in 02:00 V-2
         w1 out 02:30 V-2
         => V-1 flags=
         => V-2 flags=",
    );
}

#[test]
fn reported_late_and_clock_ahead() {
    let rows = [
        ("an hour", "w1 in 02:00 V-1 got=03:00:00", "w1 out 02:30 V-1", ""),
        (
            "a fraction more",
            "w1 in 02:00 V-1 got=03:00:00.001",
            "w1 out 02:30 V-1",
            "reported_late",
        ),
        ("a check-out", "w1 in 02:00 V-1", "w1 out 02:30 V-1 got=03:30:01", "reported_late"),
        (
            "the clock of a check-out",
            "w1 in 02:00 V-1",
            "w1 out 03:00 V-1 got=02:30",
            "clock_ahead",
        ),
        ("a statement", "w1 no_reply 02:00 V-1 got=03:00:01", "", "reported_late"),
        ("a statement's clock", "w1 no_reply 02:40 V-1 got=02:05", "", "clock_ahead"),
        (
            "a statement that does not count",
            "w1 no_reply 02:00 V-1 got=03:30",
            "w1 refused 02:05 V-1",
            "",
        ),
    ];
    tell_each(rows, |(sentence, first, second, flags)| {
        format!("# {sentence}\nvisit V-1 C-1 02:00..02:30\n{first}\n{second}\n=> V-1 flags={flags}")
    });
}

#[test]
fn cancelled_and_attended() {
    let rows = [
        ("a check-in", "w1 in 02:00 V-1\nw1 out 02:30 V-1", "attended_cancelled"),
        ("a check-out will do", "w1 out 02:30 V-1", "attended_cancelled;no_check_in"),
        ("a statement is no attendance", "w1 no_reply 02:00 V-1", ""),
        ("nobody", "", ""),
    ];
    tell_each(rows, |(sentence, line, flags)| {
        format!(
            "# {sentence}
             visit V-1 C-1 02:00..02:30 cancelled_at=2019-02-01T09:00 cancelled_by=client
             {line}
             => V-1 status=cancelled flags={flags}"
        )
    });
}

#[test]
fn an_unplanned_visit_has_what_is_not_of_a_plan() {
    tell(
        "# all that it can have
         client C-1 at=51.48,0.32
         w1 in 02:50 C-1 id=#1 got=02:10
         w2 out 02:20 C-1 at=51.5,0.32 got=08:00
         correct 09:00 U-#1 outcome=delivered
         only U-#1
         => U-#1 flags=clock_ahead;corrected;no_check_in;no_check_out;off_site;reported_late;unplanned",
    );
}
