//! Suspensions: visits as if cancelled by the council when the provider was told (R22a).

use super::story::{tell, tell_each};

#[test]
fn when_the_provider_was_told() {
    // The visit is on Tuesday 5 February: notice is in time until Monday at noon.
    let rows = [
        ("in time", "notified_at=2019-02-04T12:00", "cancelled"),
        ("a second too late", "notified_at=2019-02-04T12:00:01", "frustrated"),
        ("days before", "notified_at=2019-01-29T09:00", "cancelled"),
        ("after the visit", "notified_at=09:00", "frustrated"),
        ("not said: told when it began", "", "frustrated"),
    ];
    tell_each(rows, |(sentence, told, status)| {
        format!(
            "# {sentence}
             suspended C-1 2019-02-04T12:00:01..2019-02-07T12:00 reason=in_hospital {told}
             visit V-1 C-1 02:00..02:30
             => V-1 status={status} reason=in_hospital
             no alerts"
        )
    });
}

#[test]
fn which_visits_it_holds() {
    let rows = [
        ("it begins at the planned start", "02:00..05:00", "02:00..02:30", "frustrated"),
        ("it begins after the planned start", "02:00:01..05:00", "02:00..02:30", "missed"),
        ("it ends at the planned start", "18:00..02:00", "02:00..02:30", "missed"),
        ("it ends a second after it", "18:00..02:00:01", "02:00..02:30", "frustrated"),
        ("it has no end", "18:00..", "02:00..02:30", "frustrated"),
    ];
    tell_each(rows, |(sentence, suspension, visit, status)| {
        format!(
            "# {sentence}
             suspended C-1 {suspension} reason=away
             visit V-1 C-1 {visit}
             visit V-2 C-2 {visit}
             => V-1 status={status}
             => V-2 status=missed reason="
        )
    });
    tell(
        "# away for two weekends
         suspended C-1 2019-02-04T18:00..2019-02-05T18:00 reason=first notified_at=2019-02-01T09:00
         suspended C-1 2019-02-06T18:00..2019-02-07T18:00 reason=second notified_at=2019-02-01T09:00
         visit V-1 C-1 2019-02-05T02:00..2019-02-05T02:30
         visit V-2 C-1 2019-02-06T02:00..2019-02-06T02:30
         visit V-3 C-1 2019-02-07T02:00..2019-02-07T02:30
         as of 2019-02-08T12:00
         => V-1 status=cancelled reason=first
         => V-2 status=missed reason=
         => V-3 status=cancelled reason=second

         # a visit's own cancellation stands
         suspended C-1 2019-02-04T18:00..2019-02-05T18:00 reason=away notified_at=2019-02-01T09:00
         visit V-1 C-1 02:00..02:30 cancelled_at=2019-02-01T09:00 cancelled_by=error
         => V-1 status=void reason=

         # somebody comes all the same
         suspended C-1 2019-02-04T18:00..2019-02-05T18:00 reason=away notified_at=2019-02-01T09:00
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w1 out 02:30 V-1
         => V-1 status=cancelled reason=away present=1 flags=attended_cancelled
         row C-1 Actual=0.00 Cancelled=1.00 Visits=0 End=
         row C-1 Comments=\"Cancelled: 2019-02-05 02:00 V-1 away\"",
    );
}
