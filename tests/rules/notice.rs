//! Cancellations and the notice that was given (R22).

use super::story::{tell, tell_each};

/// The night and time of a visit of half an hour, the last instant of notice, and the sentence.
fn notice(rows: &[(&str, &str, &str)]) {
    let moments =
        [("11:59:59", "cancelled"), ("12:00:00", "cancelled"), ("12:00:01", "frustrated")];
    let cases = rows.iter().flat_map(|row| moments.map(|moment| (row, moment)));
    tell_each(cases, |((sentence, start, day), (time, status))| {
        let end = start[..11].to_owned() + &start[11..14] + "59";
        format!(
            "# {sentence}: notice on {day} at {time}
             visit V-1 C-1 {start}..{end} cancelled_at={day}T{time} cancelled_by=client
             as of 2030-01-01T00:00
             => V-1 status={status} reason=
             no alerts V-1"
        )
    });
}

#[test]
fn noon_on_the_working_day_before() {
    notice(&[
        ("a Wednesday at two in the morning", "2019-02-06T02:00", "2019-02-05"),
        ("a Tuesday before midnight, of the same night", "2019-02-05T23:30", "2019-02-04"),
        ("Wednesday begins at midnight", "2019-02-06T00:00", "2019-02-05"),
        ("a Saturday", "2019-02-09T02:00", "2019-02-08"),
        ("a Sunday", "2019-02-10T02:00", "2019-02-08"),
        ("a Monday", "2019-02-11T02:00", "2019-02-08"),
        ("a Tuesday", "2019-02-12T02:00", "2019-02-11"),
        ("in summer, by the wall clock", "2019-07-03T00:30", "2019-07-02"),
    ]);
}

#[test]
fn bank_holidays_are_no_working_days() {
    notice(&[
        ("the Tuesday after a bank holiday Monday", "2019-05-07T02:00", "2019-05-03"),
        ("the bank holiday Monday itself", "2019-05-06T02:00", "2019-05-03"),
        ("the Wednesday after it", "2019-05-08T02:00", "2019-05-07"),
        ("the Tuesday after Easter", "2019-04-23T02:00", "2019-04-18"),
        ("Good Friday itself", "2019-04-19T02:00", "2019-04-18"),
        ("the day after Boxing Day", "2019-12-27T02:00", "2019-12-24"),
        ("Boxing Day", "2019-12-26T02:00", "2019-12-24"),
        ("the second of January", "2020-01-02T02:00", "2019-12-31"),
        ("New Year's Day", "2020-01-01T00:00", "2019-12-31"),
        ("a Boxing Day that is a Saturday is kept on Monday", "2020-12-29T02:00", "2020-12-24"),
    ]);
}

#[test]
fn bank_holidays_that_are_only_once() {
    notice(&[
        ("4 May 2020 was an ordinary Monday", "2020-05-05T02:00", "2020-05-04"),
        ("8 May 2020 was a holiday instead", "2020-05-09T02:00", "2020-05-07"),
        ("and the Monday after it", "2020-05-11T02:00", "2020-05-07"),
        ("30 May 2022 was an ordinary Monday", "2022-05-31T02:00", "2022-05-30"),
        ("2 and 3 June 2022 were the jubilee", "2022-06-06T02:00", "2022-06-01"),
        ("the Friday of the jubilee", "2022-06-03T02:00", "2022-06-01"),
        ("19 September 2022 was the funeral", "2022-09-20T02:00", "2022-09-16"),
        ("8 May 2023 was the coronation", "2023-05-09T02:00", "2023-05-05"),
        ("and 1 May 2023 the usual Monday", "2023-05-02T02:00", "2023-04-28"),
    ]);
}

#[test]
fn who_cancelled() {
    let rows = [
        ("the council, in time", "cancelled_at=2019-02-04T12:00 cancelled_by=council", "cancelled"),
        (
            "the council, too late",
            "cancelled_at=2019-02-04T12:00:01 cancelled_by=council",
            "frustrated",
        ),
        (
            "a fraction of a second too late",
            "cancelled_at=2019-02-04T12:00:00.000001 cancelled_by=client",
            "frustrated",
        ),
        (
            "with an offset",
            "cancelled_at=2019-02-04T13:00:00+01:00 cancelled_by=client",
            "cancelled",
        ),
        ("after it had begun", "cancelled_at=02:10 cancelled_by=client", "frustrated"),
        ("the provider, in time", "cancelled_at=2019-02-01T09:00 cancelled_by=provider", "missed"),
        ("the provider, late", "cancelled_at=01:00 cancelled_by=provider", "missed"),
        ("an error", "cancelled_at=2019-02-01T09:00 cancelled_by=error", "void"),
        ("an error that was found late", "cancelled_at=05:00 cancelled_by=error", "void"),
    ];
    tell_each(rows, |(sentence, cancellation, status)| {
        format!(
            "# {sentence}
             visit V-1 C-1 02:00..02:30 {cancellation} cancel_reason=\"a reason\"
             => V-1 status={status} reason=\"a reason\" flags="
        )
    });
    tell(
        "# when without who is a bad row
         visit V-1 C-1 02:00..02:30 cancelled_at=2019-02-01T09:00
         fails cancelled_by

         # who without when is one too
         visit V-1 C-1 02:00..02:30 cancelled_by=client
         fails cancelled_at",
    );
}
