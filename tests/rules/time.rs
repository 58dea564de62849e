//! Instants, local times, nights, weeks and effective times (R1 to R5).

use super::story::{tell, tell_each};

#[test]
fn local_times_of_a_plan_on_the_nights_when_the_clocks_change() {
    // Night of 30 March 2019: 00:59:59 GMT is followed by 02:00 BST. Night of 26 October 2019: 01:59:59
    // BST is followed by 01:00 GMT.
    let rows = [
        ("01:30 never occurs, and is 02:30 BST", "03-31T01:30..2019-03-31T02:00", "01:30 02:00"),
        ("half an hour into the gap", "03-31T00:45..2019-03-31T01:15", "00:45 01:15"),
        ("a length is that of the clock face", "03-31T00:30..2019-03-31T02:30", "00:30 02:30"),
        ("after the gap it is BST", "03-31T02:30..2019-03-31T03:00", "01:30 02:00"),
        ("a start with an offset", "03-31T00:30:00Z..2019-03-31T02:30", "00:30 01:30"),
        ("an end with an offset", "03-31T01:30..2019-03-31T03:00:00+01:00", "01:30 02:00"),
        ("01:30 occurs twice, and is the first", "10-27T01:30..2019-10-27T02:00", "00:30 01:00"),
        ("an hour on the clock face", "10-27T01:30..2019-10-27T02:30", "00:30 01:30"),
        ("from before into the hour", "10-27T00:59..2019-10-27T01:29", "23:59 00:29"),
        ("the second 01:30, by its offset", "10-27T01:30:00Z..2019-10-27T02:00:00Z", "01:30 02:00"),
        (
            "each by itself, if one has an offset",
            "10-27T01:30..2019-10-27T02:00:00Z",
            "00:30 02:00",
        ),
        ("after the hour it is GMT", "10-27T02:00..2019-10-27T02:30", "02:00 02:30"),
        ("an ordinary summer night", "07-02T02:00..2019-07-02T02:30", "01:00 01:30"),
        ("an ordinary winter night", "02-05T02:00..2019-02-05T02:30", "02:00 02:30"),
    ];
    tell_each(rows, |(sentence, span, utc)| {
        let day = &span[..5];
        let (start, end) = utc.split_once(' ').unwrap();
        let start_day = if start == "23:59" { "10-26" } else { day };
        format!(
            "# {sentence}
             visit V-1 C-1 2019-{span}
             => V-1 planned_start=2019-{start_day}T{start}:00Z planned_end=2019-{day}T{end}:00Z"
        )
    });
}

#[test]
fn a_row_at_a_change_of_the_clocks_is_accepted_with_a_warning_that_names_it() {
    tell_each(
        ["2019-03-31T01:30..2019-03-31T02:00", "2019-10-27T01:30..2019-10-27T02:00"],
        |span| format!("# {span}\nvisit V-77 C-1 {span}\nonly V-77\nwarned V-77"),
    );
    tell(
        "# on any other night nothing is said
         visit V-77 C-1 01:30..02:00
         not warned V-77",
    );
}

#[test]
fn an_end_at_or_before_its_start_is_a_bad_row() {
    tell(
        "# the same time
         visit V-1 C-1 02:00..02:00
         fails planned_end

         # before it
         visit V-1 C-1 02:30..02:00
         fails planned_end

         # at the start once the repeated hour is read as its first occurrence
         visit V-1 C-1 2019-10-27T01:30..2019-10-27T00:30:00Z
         fails planned_end

         # one bad row, and nothing is replayed
         visit V-1 C-1 02:00..02:30
         visit V-2 C-1 04:00..03:30
         fails \"line 3\"",
    );
}

#[test]
fn a_contract_has_its_own_zone() {
    tell(
        "# two in the morning in Paris
         policy time_zone = \"Europe/Paris\"
         visit V-1 C-1 02:00..02:30
         => V-1 planned_start=2019-02-05T01:00:00Z night=2019-02-04",
    );
}

#[test]
fn a_night_runs_from_local_noon_to_local_noon() {
    tell(
        "# a visit planned a second before noon belongs to the night before
         visit V-1 C-1 2019-02-05T11:59:59..2019-02-05T12:30
         => V-1 night=2019-02-04

         # at noon a night begins
         visit V-1 C-1 2019-02-05T12:00..2019-02-05T12:30
         => V-1 night=2019-02-05

         # in summer noon is at 11:00 UTC
         visit V-1 C-1 2019-07-02T10:59:59Z..2019-07-02T12:00:00Z
         visit V-2 C-1 2019-07-02T11:00:00Z..2019-07-02T12:00:00Z
         => V-1 night=2019-07-01
         => V-2 night=2019-07-02

         # an event belongs to the night of its effective time, to the fraction of a second
         as of 2019-02-05T18:00
         w1 in 2019-02-05T11:59:59.999999 C-1 id=#1
         w2 in 2019-02-05T12:00:00 C-1 id=#2
         => U-#1 night=2019-02-04
         => U-#2 night=2019-02-05

         # a visit of the next night cannot be attended before noon
         as of 2019-02-05T18:00
         visit V-1 C-1 2019-02-05T12:00..2019-02-05T12:30
         w1 in 2019-02-05T11:59 V-1 id=#1
         w1 out 2019-02-05T12:30 V-1 id=#2
         only U-#1 V-1
         => V-1 start= end=2019-02-05T12:30 present=1 flags=no_check_in
         => U-#1 night=2019-02-04 present=1 end=

         # nor after the next noon
         as of 2019-02-05T18:00
         visit V-1 C-1 2019-02-05T11:30..2019-02-05T12:30
         w1 in 2019-02-05T12:00 V-1 id=#1
         => V-1 status=missed
         => U-#1 night=2019-02-05 service=\"Out of Hours\"

         # the last night of the year
         night 2019-12-31
         visit V-1 C-1 2019-12-31T23:30..2020-01-01T00:30
         visit V-2 C-1 2020-01-01T00:00..2020-01-01T00:30
         => V-1 night=2019-12-31
         => V-2 night=2019-12-31",
    );
}

#[test]
fn the_service_night_lasts_seven_hours_in_march_and_nine_in_october() {
    // A visit at 06:20 is late at 06:50, and missed at the end of service, 07:00 on the wall clock.
    let rows = [
        ("a night of eight hours", "2019-02-04", "2019-02-05T07:00:00Z"),
        ("a night of seven hours ends at 06:00 UTC", "2019-03-30", "2019-03-31T06:00:00Z"),
        ("a night of nine hours ends at 07:00 UTC", "2019-10-26", "2019-10-27T07:00:00Z"),
        ("a night of summer ends at 06:00 UTC", "2019-07-01", "2019-07-02T06:00:00Z"),
    ];
    tell_each(rows, |(sentence, night, end)| {
        format!(
            "# {sentence}
             night {night}
             visit V-1 C-1 06:20..06:50
             alert V-1 missed {end}"
        )
    });
    tell(
        "# a quarter of an hour is a quarter of an hour when the clocks go forward
         night 2019-03-30
         visit V-1 C-1 00:50..01:20
         w1 in 2019-03-31T02:05:00+01:00 V-1
         => V-1 deviation_seconds=900

         # and when they go back
         night 2019-10-26
         visit V-1 C-1 01:50..02:20
         w1 in 2019-10-27T01:05:00Z V-1
         => V-1 planned_start=2019-10-27T00:50:00Z deviation_seconds=900",
    );
}

#[test]
fn a_visit_planned_outside_service_hours_is_accepted_with_a_warning() {
    let rows = [
        ("from the first minute to the last", "23:00..07:00", "not warned"),
        ("before service begins", "21:00..21:30", "warned"),
        ("after service ends", "08:00..08:30", "warned"),
    ];
    tell_each(rows, |(sentence, span, warned)| {
        format!("# {sentence}\nvisit V-77 C-1 {span}\nonly V-77\n{warned} V-77")
    });
}

#[test]
fn weeks_and_the_dates_of_visits() {
    // 2019-02-04 is a Monday. All visits are delivered, so that End Date shows the visit's date.
    let sunday = "policy week_starts_on = \"sunday\"\npolicy periods_from = \"2019-01-27\"";
    let start = "policy dated_by = \"start\"";
    let both = format!("{sunday}\n{start}");
    let rows = [
        ("Sunday night is the last of a week", "", "2019-02-10", "02:00", "2019-02-04 2019-02-10"),
        ("Monday night is the first", "", "2019-02-04", "23:30", "2019-02-04 2019-02-04"),
        ("dated by its start", start, "2019-02-10", "02:00", "2019-02-11 2019-02-11"),
        ("before midnight it is the night", start, "2019-02-10", "23:59", "2019-02-04 2019-02-10"),
        ("midnight is the next day", start, "2019-02-10", "00:00", "2019-02-11 2019-02-11"),
        ("a week that begins on Sunday", sunday, "2019-02-10", "02:00", "2019-02-10 2019-02-10"),
        ("its last night is Saturday's", sunday, "2019-02-09", "02:00", "2019-02-03 2019-02-09"),
        ("Saturday night by its start", &both, "2019-02-09", "02:00", "2019-02-10 2019-02-10"),
        ("the year's last night", "", "2019-12-31", "02:00", "2019-12-30 2019-12-31"),
        ("the year's last night by start", start, "2019-12-31", "02:00", "2019-12-30 2020-01-01"),
        ("a summer's midnight is local", start, "2019-07-07", "00:30", "2019-07-08 2019-07-08"),
    ];
    tell_each(rows, |(sentence, policy, night, at, dates)| {
        let (week, end) = dates.split_once(' ').unwrap();
        let hour = &at[..2];
        let next = if hour == "23" { "00:29".into() } else { format!("{hour}:59") };
        format!(
            "# {sentence}
             {policy}
             night {night}
             visit V-1 C-1 {at}..{next}
             w1 in {at} V-1
             w1 out {next} V-1
             rows C-1
             row C-1 Week={week} End={end} Visits=1"
        )
    });
    tell(
        "# the week in which the year ends is one week
         night 2020-01-01
         visit V-1 C-1 2019-12-30T23:30..2019-12-31T00:00
         visit V-2 C-1 2020-01-02T02:00..2020-01-02T02:30
         rows C-1
         row C-1 Week=2019-12-30 Missed=2.00",
    );
}

#[test]
fn the_time_that_counts() {
    let rows = [
        ("two minutes ahead are believed", "02:07:00", "02:07:00", ""),
        ("a fraction more is not", "02:07:00.001", "02:05:00", "clock_ahead"),
        ("a second more is not", "02:07:01", "02:05:00", "clock_ahead"),
        ("a phone that is a year ahead", "2020-02-05T02:05", "02:05:00", "clock_ahead"),
        ("a clock that is behind is believed", "02:01:00", "02:01:00", ""),
    ];
    tell_each(rows, |(sentence, occurred, start, flags)| {
        format!(
            "# {sentence}
             visit V-1 C-1 02:00..02:30
             w1 in {occurred} V-1 got=02:05
             w1 out 02:30 V-1
             only V-1
             => V-1 start={start} flags={flags}"
        )
    });
    tell(
        "# evidence a week old is still evidence
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1 got=2019-02-12T09:00
         w1 out 02:30 V-1 got=2019-02-12T09:00
         as of 2019-02-12T10:00
         => V-1 status=delivered start=02:05 end=02:30 call_minutes=25.00 flags=reported_late

         # a clock that is ahead moves no event into another night
         visit V-1 C-1 02:00..02:30
         w1 in 2019-02-05T14:00 C-1 got=02:20
         => V-1 night=2019-02-04 start=02:20 deviation_seconds=1200",
    );
}
