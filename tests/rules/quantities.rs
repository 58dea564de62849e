//! What a visit adds to Schedule 3 (R27).

use super::story::{tell, tell_each};

#[test]
fn by_final_status() {
    let both = "w1 in 02:00 V-1\n w1 out 02:30 V-1\n w2 in 02:00 V-1\n w2 out 02:30 V-1";
    let one = "w1 in 02:00 V-1\n w1 out 02:30 V-1";
    let early = "cancelled_at=2019-02-01T09:00 cancelled_by";
    let rows = [
        ("delivered", "", both, "Actual=1.00 Frustrated=0.00 Cancelled=0.00 Missed=0.00"),
        ("part delivered", "", one, "Actual=0.50 Frustrated=0.00 Cancelled=0.00 Missed=0.50"),
        ("frustrated", "", "w1 refused 02:00 V-1", "Actual=0.00 Frustrated=1.00 Missed=0.00"),
        (
            "missed, as they say",
            "",
            "w1 other 02:00 V-1",
            "Actual=0.00 Frustrated=0.00 Missed=1.00",
        ),
        ("missed by its instant", "", "", "Actual=0.00 Cancelled=0.00 Missed=1.00"),
        ("cancelled", &format!("{early}=client"), "", "Actual=0.00 Cancelled=1.00 Missed=0.00"),
        (
            "by the provider",
            &format!("{early}=provider"),
            "",
            "Actual=0.00 Cancelled=0.00 Missed=1.00",
        ),
    ];
    tell_each(rows, |(sentence, plan, lines, row)| {
        format!(
            "# {sentence}
             visit V-1 C-1 02:00..02:30 carers_required=2 {plan}
             {lines}
             rows C-1
             row C-1 {row} Extra=0.00"
        )
    });
}

#[test]
fn part_delivered_is_present_of_required() {
    let rows = [
        ("1 of 2", "carers_required=2", "w1", "Actual=0.50 Missed=0.50"),
        ("1 of 3", "carers_required=3", "w1", "Actual=0.33 Missed=0.67"),
        ("2 of 3", "carers_required=3", "w1 w2", "Actual=0.67 Missed=0.33"),
        ("1 of 4", "carers_required=4", "w1", "Actual=0.25 Missed=0.75"),
        ("3 of 4", "carers_required=4", "w1 w2 w3", "Actual=0.75 Missed=0.25"),
        ("of a quantity", "carers_required=2 quantity=2.5", "w1", "Actual=1.25 Missed=1.25"),
        (
            "half of a half of a half",
            "carers_required=2 quantity=0.25",
            "w1",
            "Actual=0.13 Missed=0.13",
        ),
        (
            "a fifth, to 2 of 3",
            "carers_required=3 quantity=0.2",
            "w1 w2",
            "Actual=0.13 Missed=0.07",
        ),
    ];
    tell_each(rows, |(sentence, plan, carers, row)| {
        let line = |carer| format!("{carer} in 02:00 V-1\n{carer} out 02:30 V-1\n");
        let lines: String = carers.split(' ').map(line).collect();
        format!("# {sentence}\nvisit V-1 C-1 02:00..02:30 {plan}\n{lines}\nrow C-1 {row}")
    });
}

#[test]
fn the_planned_quantity() {
    let hour = "policy unit = \"hour\"";
    let rows = [
        ("a visit is one", "", "02:00..02:45", "", "1.00"),
        ("three quarters of an hour", hour, "02:00..02:45", "", "0.75"),
        ("twenty minutes", hour, "02:00..02:20", "", "0.33"),
        ("forty minutes", hour, "02:00..02:40", "", "0.67"),
        ("eight hours", hour, "23:00..07:00", "", "8.00"),
        ("as the plan states it", "", "02:00..02:45", "quantity=2.5", "2.50"),
        ("as the plan states it, in hours", hour, "02:00..02:45", "quantity=1.5", "1.50"),
        ("none", "", "02:00..02:45", "quantity=0", "0.00"),
        ("half of a hundredth is rounded up", "", "02:00..02:45", "quantity=0.005", "0.01"),
        ("less is rounded down", "", "02:00..02:45", "quantity=0.0049", "0.00"),
        ("2.675 is 2.68", "", "02:00..02:45", "quantity=2.675", "2.68"),
        ("eighteen seconds are 0.005 hours", hour, "02:00..02:00:18", "", "0.01"),
    ];
    tell_each(rows, |(sentence, policy, span, plan, missed)| {
        format!(
            "# {sentence}\n{policy}\nvisit V-1 C-1 {span} {plan}\nrow C-1 Missed={missed} Actual=0.00"
        )
    });
    tell(
        "# half an hour is half an hour when the clocks go forward
         policy unit = \"hour\"
         night 2019-03-30
         visit V-1 C-1 00:30..02:30
         visit V-2 C-2 01:30..02:00
         row C-1 Missed=2.00
         row C-2 Missed=0.50

         # and when they go back
         policy unit = \"hour\"
         night 2019-10-26
         visit V-1 C-1 00:30..02:30
         row C-1 Missed=2.00

         # exact inside: three thirds are one
         policy unit = \"hour\"
         visit V-1 C-1 01:00..01:20
         visit V-2 C-1 03:00..03:20
         visit V-3 C-1 05:00..05:20
         row C-1 Missed=1.00

         # exact inside: 0.004 and 0.004
         visit V-1 C-1 02:00..02:30 quantity=0.004
         visit V-2 C-1 05:00..05:30 quantity=0.004
         row C-1 Missed=0.01",
    );
}

#[test]
fn unplanned_visits_are_extra() {
    let hour = "policy unit = \"hour\"";
    let rows = [
        (
            "one is one",
            "",
            "w1 in 02:00 C-1\nw1 out 02:40 C-1",
            "Extra=1.00 Actual=1.00 Minutes=40",
        ),
        (
            "in hours",
            hour,
            "w1 in 02:00 C-1\nw1 out 02:40 C-1",
            "Extra=0.67 Actual=0.67 Minutes=40",
        ),
        (
            "an unknown duration is no hours",
            hour,
            "w1 in 02:00 C-1",
            "Extra=0.00 Actual=0.00 Visits=1 Minutes=0",
        ),
        ("an unknown duration is a visit", "", "w1 in 02:00 C-1", "Extra=1.00 Actual=1.00"),
        (
            "two carers, one visit, counted once",
            hour,
            "w1 in 02:00 C-1\nw2 in 02:10 C-1\nw1 out 02:30 C-1\nw2 out 02:30 C-1",
            "Extra=0.50 Actual=0.50 Visits=1",
        ),
    ];
    tell_each(rows, |(sentence, policy, lines, row)| {
        format!(
            "# {sentence}
             {policy}
             {lines}
             rows C-1
             row C-1 Service=\"Out of Hours\" Level=Emergency {row} Frustrated=0.00 Missed=0.00"
        )
    });
    tell(
        "# it says so if it does not know how long
         policy unit = \"hour\"
         w1 in 02:00 C-1 id=#1
         row C-1 Comments=\"Extra: 2019-02-05 02:00 U-#1; Call Duration: 1 visit unknown\"

         # it has its own row
         visit V-1 C-1 02:00..02:30
         w1 in 05:00 C-1
         w1 out 05:10 C-1
         rows C-1 C-1
         row C-1 Service=\"Night care\" Missed=1.00 Extra=0.00 Actual=0.00
         row C-1 Service=\"Out of Hours\" Missed=0.00 Extra=1.00 Actual=1.00

         # or not, if the policy says so: actual = planned + extra - missed
         policy unplanned_service = \"Night care\"
         policy unplanned_service_level = \"Planned\"
         visit V-1 C-1 02:00..02:30
         w1 in 05:00 C-1
         w1 out 05:10 C-1
         rows C-1
         row C-1 Missed=1.00 Extra=1.00 Actual=1.00 Visits=1 Minutes=10

         # not before it is delivered
         w1 in 02:00 C-1
         as of 02:30
         rows C-1
         row C-1 Extra=0.00 Actual=0.00 Visits=0 Comments=\"Provisional: 1 visit not final\"",
    );
}
