//! Senders that number their events (R9), and the alert `sequence_gap` (R21).

use super::story::tell;

#[test]
fn a_gap_that_is_still_open_after_fifteen_minutes() {
    // Number 3 is received at 02:30:01, so number 2 is overdue from 02:45:01 on.
    tell(
        "# it never closes
         w1 in 02:00 C-1 seq=1
         w1 out 02:30 C-1 seq=3
         alert - sequence_gap 02:45:01

         # it closes before its time
         w1 in 02:00 C-1 seq=1
         w1 out 02:30 C-1 seq=3
         w1 in 02:10 C-1 seq=2 got=02:45
         no alerts - sequence_gap

         # at the very instant the evidence counts first
         w1 in 02:00 C-1 seq=1
         w1 out 02:30 C-1 seq=3
         w1 in 02:10 C-1 seq=2 got=02:45:01
         no alerts - sequence_gap

         # at the very instant it counts first, whatever else is received then
         w1 in 02:00 C-1 seq=1
         w1 out 02:30 C-1 seq=3
         w1 in 02:40 C-1 seq=5 got=02:45:01
         w1 in 02:10 C-1 seq=2 got=02:45:01
         as of 02:50
         no alerts - sequence_gap

         # it closes a second later
         w1 in 02:00 C-1 seq=1
         w1 out 02:30 C-1 seq=3
         w1 in 02:10 C-1 seq=2 got=02:45:02
         alert - sequence_gap 02:45:01 over 02:45:02

         # before its time nothing is said
         w1 in 02:00 C-1 seq=1
         w1 out 02:30 C-1 seq=3
         as of 02:45:00
         no alerts - sequence_gap

         # numbers count from 1
         w1 in 02:00 C-1 seq=2
         alert - sequence_gap 02:15:01

         # the first is number 1, and nothing is missing
         w1 in 02:00 C-1 seq=1
         w1 out 02:30 C-1 seq=2
         no alerts - sequence_gap",
    );
}

#[test]
fn each_sender_counts_for_itself() {
    tell(
        "# one phone's numbers do not fill another's gap
         w1 in 02:00 C-1 seq=1
         w1 out 02:30 C-1 seq=3
         w2 in 02:10 C-1 seq=1
         w2 out 02:20 C-1 seq=2
         alert - sequence_gap 02:45:01

         # a telecare unit is a sender too
         w1 in 02:00 C-1 seq=1 via=D-1
         w1 out 02:30 C-1 seq=3 via=D-1
         alert - sequence_gap 02:45:01

         # two senders, two alerts
         w1 in 02:00 C-1 seq=2
         w2 in 02:10 C-1 seq=2
         w2 out 02:30 C-1 seq=1
         alert - sequence_gap 02:15:01
         alert - sequence_gap 02:25:01 over 02:30:01

         # one sender has one alert, which lasts while any gap does
         w1 in 02:00 C-1 seq=1
         w1 out 02:30 C-1 seq=3
         w1 in 02:40 C-1 seq=5
         w1 in 02:10 C-1 seq=2 got=03:00
         w1 out 02:50 C-1 seq=4 got=03:10
         alert - sequence_gap 02:45:01 over 03:10

         # a gap that closes makes room for the next
         w1 in 02:00 C-1 seq=1
         w1 out 02:30 C-1 seq=3
         w1 in 02:10 C-1 seq=2 got=03:00
         w1 in 03:20 C-1 seq=5
         alert - sequence_gap 02:45:01 over 03:00
         alert - sequence_gap 03:35:01",
    );
}
