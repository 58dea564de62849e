//! The missed instant, in each of its branches (R18), as the alert `missed` shows it.

use super::story::{tell, tell_each};

#[test]
fn the_later_of_late_and_the_earliest_of_three() {
    // Each row: the visit, another line of the story, its missed instant.
    let rows = [
        ("an hour after the planned start", "02:00..02:30", "", "03:00"),
        ("the planned end, if that is later", "02:00..04:00", "", "04:00"),
        ("the planned end is the hour's", "02:00..03:00", "", "03:00"),
        ("the client's next planned start", "02:00..02:30", "visit V-2 C-1 02:40..03:00", "02:40"),
        ("not before it is late", "02:00..02:30", "visit V-2 C-1 02:20..03:00", "02:30"),
        ("nor at once after its start", "02:00..02:30", "visit V-2 C-1 02:00:01..03:00", "02:30"),
        ("at the same time is not next", "02:00..02:30", "visit V-2 C-1 02:00..02:50", "03:00"),
        ("an earlier one is not next", "02:00..02:30", "visit V-2 C-1 01:00..02:50", "03:00"),
        ("a next one after the hour", "02:00..02:30", "visit V-2 C-1 03:10..03:30", "03:00"),
        ("before a late planned end", "02:00..04:00", "visit V-2 C-1 03:10..03:30", "03:10"),
        ("another client's is not next", "02:00..02:30", "visit V-2 C-2 02:40..03:00", "03:00"),
        ("the end of service", "06:10..06:40", "", "07:00"),
        ("late after the end of service", "06:45..07:00", "", "07:15"),
        ("late at the end of service", "06:30..07:00", "", "07:00"),
        ("planned beyond the end of service", "06:10..07:40", "", "07:00"),
        ("planned from the end of service on", "07:00..07:30", "", "08:00"),
        ("planned after the end of service", "07:30..07:40", "", "08:30"),
        ("planned a second before it", "06:59:59..07:30", "", "07:29:59"),
        ("planned before service begins", "22:00..22:30", "", "23:00"),
        ("over midnight", "23:30..00:00", "", "00:30"),
    ];
    tell_each(rows, |(sentence, span, line, missed)| {
        format!("# {sentence}\nvisit V-1 C-1 {span}\n{line}\nalert V-1 missed {missed}")
    });
}

#[test]
fn of_the_next_planned_starts_those_that_are_not_cancelled() {
    let next = "visit V-2 C-1 02:40..03:00";
    let notice = "cancelled_at=2019-02-01T09:00";
    let rows = [
        ("cancelled by the client", format!("{next} {notice} cancelled_by=client"), "03:00"),
        ("cancelled by the provider", format!("{next} {notice} cancelled_by=provider"), "03:00"),
        ("an error", format!("{next} {notice} cancelled_by=error"), "03:00"),
        ("suspended", format!("{next}\nsuspended C-1 02:35..02:45 reason=away"), "03:00"),
        (
            "corrected to be cancelled",
            format!("{next}\ncorrect 02:00 V-2 outcome=cancelled"),
            "02:40",
        ),
        (
            "the next but one",
            format!("{next} {notice} cancelled_by=client\nvisit V-3 C-1 02:50..03:10"),
            "02:50",
        ),
    ];
    tell_each(rows, |(sentence, line, missed)| {
        format!("# {sentence}\nvisit V-1 C-1 02:00..02:30\n{line}\nalert V-1 missed {missed}")
    });
}

#[test]
fn time_specific_visits_and_other_policies() {
    let rows = [
        ("time-specific: late at 15 minutes", "", "visit V-2 C-1 02:10..03:00", "02:15"),
        ("time-specific: the next start", "", "visit V-2 C-1 02:20..03:00", "02:20"),
        ("time-specific: an hour", "", "", "03:00"),
    ];
    tell_each(rows, |(sentence, policy, line, missed)| {
        format!(
            "# {sentence}
             {policy}
             visit V-1 C-1 02:00..02:30 time_specific=true
             {line}
             alert V-1 missed {missed}"
        )
    });
    tell(
        "# missed after an hour and a half
         policy missed_after_minutes = 90
         visit V-1 C-1 02:00..02:30
         alert V-1 missed 03:30

         # other service hours
         policy service_hours = { from = \"22:00\", to = \"06:00\" }
         visit V-1 C-1 05:20..05:50
         alert V-1 missed 06:00

         # late later than the hour
         policy late_minutes = 75
         visit V-1 C-1 02:00..02:30
         alert V-1 missed 03:15",
    );
}

#[test]
fn what_starts_after_it() {
    tell(
        "# after the next planned start, although not an hour late
         visit V-1 C-1 02:00..02:30
         visit V-2 C-1 02:40..03:10
         w1 in 02:40:01 V-1
         w1 out 03:10 V-1
         => V-1 flags=after_missed;late;late_start

         # at that very instant it is not after
         visit V-1 C-1 02:00..02:30
         visit V-2 C-1 02:40..03:10
         w1 in 02:40 V-1
         w1 out 03:10 V-1
         => V-1 flags=late;late_start",
    );
}
