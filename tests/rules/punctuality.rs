//! Deviation, tolerance, late (R17).

use super::story::{tell, tell_each};

#[test]
fn from_early_to_after_the_missed_instant() {
    // Planned from 02:00 to 02:30, late after 02:30, missed at 03:00; each call takes half an hour.
    let rows = [
        ("on the dot", "02:00:00", "02:30", 0, ""),
        ("fifteen minutes late is within tolerance", "02:15:00", "02:45", 900, ""),
        ("just under fifteen minutes", "02:14:59.999999", "02:45", 899, ""),
        ("a fraction more than fifteen is not", "02:15:00.000001", "02:45", 900, "late_start"),
        ("a second more is not", "02:15:01", "02:45", 901, "late_start"),
        ("thirty minutes is not late", "02:30:00", "03:00", 1800, "late_start"),
        ("just under thirty minutes", "02:29:59.999999", "03:00", 1799, "late_start"),
        (
            "a fraction more than thirty is late",
            "02:30:00.000001",
            "03:00",
            1800,
            "late;late_start",
        ),
        ("a second more is late", "02:30:01", "03:00", 1801, "late;late_start"),
        ("at the missed instant", "03:00:00", "03:30", 3600, "late;late_start"),
        ("after it", "03:00:00.000001", "03:30", 3600, "after_missed;late;late_start"),
        ("a second after it", "03:00:01", "03:30", 3601, "after_missed;late;late_start"),
        ("fifteen minutes early is within tolerance", "01:45:00", "02:15", -900, ""),
        ("just under fifteen minutes early", "01:45:00.000001", "02:15", -899, ""),
        ("a fraction earlier is not", "01:44:59.999999", "02:15", -900, "early"),
        ("a second earlier is not", "01:44:59", "02:15", -901, "early"),
        ("whole seconds, towards zero", "02:00:01.999", "02:30", 1, ""),
        ("towards zero from below", "01:59:58.001", "02:30", -1, ""),
        ("less than a second is none", "01:59:59.001", "02:30", 0, ""),
    ];
    tell_each(rows, |(sentence, check_in, out, deviation, flags)| {
        format!(
            "# {sentence}
             visit V-1 C-1 02:00..02:30
             w1 in {check_in} V-1
             w1 out {out} V-1
             => V-1 status=delivered deviation_seconds={deviation} flags={flags}"
        )
    });
}

#[test]
fn a_time_specific_visit_has_no_allowance() {
    let rows = [
        ("fifteen minutes", "02:15:00", "02:45", ""),
        ("a fraction more is late", "02:15:00.000001", "02:45", "late;late_start"),
        ("a second more is late", "02:15:01", "02:45", "late;late_start"),
        ("early is early", "01:44:59", "02:15", "early"),
        ("at the missed instant", "03:00:00", "03:30", "late;late_start"),
    ];
    tell_each(rows, |(sentence, check_in, out, flags)| {
        format!(
            "# {sentence}
             visit V-1 C-1 02:00..02:30 time_specific=true
             w1 in {check_in} V-1
             w1 out {out} V-1
             => V-1 flags={flags}"
        )
    });
}

#[test]
fn the_policy_says_what_is_late() {
    let policy = "policy tolerance_minutes = 10\n policy late_minutes = 20\n \
                  policy time_specific_late_minutes = 5";
    let rows = [
        ("within its tolerance", "", "02:10:00", "02:40", ""),
        ("beyond its tolerance", "", "02:10:01", "02:40", "late_start"),
        ("early by its tolerance", "", "01:49:59", "02:20", "early"),
        ("not yet late", "", "02:20:00", "02:50", "late_start"),
        ("late", "", "02:20:01", "02:50", "late;late_start"),
        ("time-specific, on time", "time_specific=true", "02:05:00", "02:35", ""),
        ("time-specific, late", "time_specific=true", "02:05:01", "02:35", "late"),
    ];
    tell_each(rows, |(sentence, plan, check_in, out, flags)| {
        format!(
            "# {sentence}
             {policy}
             visit V-1 C-1 02:00..02:30 {plan}
             w1 in {check_in} V-1
             w1 out {out} V-1
             => V-1 flags={flags}"
        )
    });
    tell(
        "# a visit is judged by the version in force on its night
         policy tolerance_minutes = 15
         policy from 2019-02-04
         policy tolerance_minutes = 10
         visit V-1 C-1 2019-02-04T02:00..2019-02-04T02:30
         visit V-2 C-1 2019-02-05T02:00..2019-02-05T02:30
         w1 in 2019-02-04T02:12 V-1
         w1 out 2019-02-04T02:40 V-1
         w1 in 2019-02-05T02:12 V-2
         w1 out 2019-02-05T02:40 V-2
         => V-1 night=2019-02-03 flags=
         => V-2 night=2019-02-04 flags=late_start",
    );
}

#[test]
fn who_counts_as_the_start() {
    tell(
        "# the first of two is on time, and the second pair of hands late
         visit V-1 C-1 02:00..02:30 carers_required=2
         w1 in 02:00 V-1
         w2 in 02:40 V-1
         w1 out 02:44 V-1
         w2 out 02:44 V-1
         => V-1 deviation_seconds=2400 flags=late;late_start

         # an unknown start is neither early nor late
         visit V-1 C-1 02:00..02:30
         w1 out 04:00 V-1
         => V-1 status=delivered deviation_seconds= flags=no_check_in

         # by the effective time, not by the receipt
         visit V-1 C-1 02:00..02:30
         w1 in 02:14 V-1 got=02:50
         w1 out 02:44 V-1 got=02:50
         => V-1 deviation_seconds=840 flags=",
    );
}
