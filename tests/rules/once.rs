//! Once, nothing lost, any order (R6, R7, R8).

use super::story::{files, tell};

#[test]
fn the_same_event_again_changes_nothing() {
    tell(
        "# a retry, even one that arrives hours later
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1 id=#1
         w1 in 02:05 V-1 id=#1 got=02:10
         w1 out 02:30 V-1 id=#2
         w1 in 02:05 V-1 id=#1 got=09:00
         w1 out 02:30 V-1 id=#2 got=09:00
         only V-1
         => V-1 present=1 start=02:05 end=02:30 call_minutes=25.00 status=delivered flags=

         # a retry says when it was sent, which is no part of the content
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1 id=#1 sent_at=2019-02-05T02:05:00Z
         w1 in 02:05 V-1 id=#1 sent_at=2019-02-05T02:09:00Z got=02:09
         w1 out 02:30 V-1
         => V-1 start=02:05 call_minutes=25.00 flags=

         # of two copies the one that was received first counts, wherever the file has it
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1 id=#1 got=09:00
         w1 in 02:05 V-1 id=#1 got=02:06
         w1 out 02:30 V-1
         => V-1 flags=
         no alerts",
    );
}

#[test]
fn an_id_that_is_used_again_is_rejected_and_the_first_stands() {
    tell(
        "# another type
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1 id=#1
         w1 out 02:30 V-1 id=#1
         => V-1 start=02:05 end= status=delivered flags=no_check_out

         # another time
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1 id=#1
         w1 in 02:20 V-1 id=#1
         w1 out 02:30 V-1 id=#2
         => V-1 start=02:05 call_minutes=25.00

         # another carer's topic
         visit V-1 C-1 02:00..02:30 carers_required=2
         w1 in 02:05 V-1 id=#1
         w2 in 02:05 V-1 id=#1 got=02:07
         => V-1 present=1 status=part_delivered

         # the first is the one that was received first
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1 id=#1 got=02:21
         w1 in 02:20 V-1 id=#1 got=02:20
         => V-1 start=02:20

         # a statement cannot be changed under its id
         visit V-1 C-1 02:00..02:30
         w1 no_reply 02:05 V-1 id=#1
         w1 carer_unavailable 02:10 V-1 id=#1
         => V-1 status=frustrated reason=no_reply

         # ids are those of one contract
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1 id=#1
         contract northgate
         visit V-2 C-1 02:00..02:30
         w1 in 02:20 V-2 id=#1
         => V-1 contract=thurrock start=02:05
         => V-2 contract=northgate start=02:20",
    );
}

#[test]
fn what_cannot_be_used_counts_for_nothing() {
    tell(
        "# a payload that claims another sender
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1 claims=w2
         only V-1
         => V-1 present=0 status=missed

         # a reason that does not exist
         visit V-1 C-1 02:00..02:30
         w1 felt_like_it 02:05 V-1
         => V-1 status=missed reason=

         # a bad value in an optional field drops the field, never the event
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1 tag=no/tag
         => V-1 start=02:05

         # clients, visits and tags that nobody has heard of are no reason to reject
         w1 in 02:05 C-404 id=#1 tag=T-404
         only U-#1
         => U-#1 client_ref=C-404",
    );
}

/// A night with something of everything; `lines` are its messages.
fn night(lines: &[&str]) -> Vec<String> {
    let plan = "# a night
        visit V-1 C-1 02:00..02:30 carers_required=2 carers=w1;w2
        visit V-2 C-1 02:50..03:20
        visit V-3 C-2 03:00..03:30
        visit V-4 C-3 04:00..04:30
        tag T-2 C-2
        correct 09:00 V-4 outcome=frustrated reason=family return_comment=agreed";
    files(&format!("{plan}\n{}", lines.join("\n")))
}

#[test]
fn the_same_messages_in_any_order_give_the_same_bytes() {
    let messages = [
        "w1 in 02:05 C-1 id=#1 got=02:41",
        "w2 in 02:06 C-1 id=#2 informal=yes",
        "w1 out 02:31 C-1 id=#3 got=02:32",
        "w2 out 02:35 C-1 id=#4 got=02:34",
        "w1 in 02:45 C-1 id=#5 got=05:00",
        "w1 no_reply 03:05 id=#6 tag=T-2",
        "w1 in 03:25 id=#7 tag=T-2",
        "w2 in 05:00 C-4 id=#8",
        "w2 out 05:10 C-4 id=#9 got=05:09",
        "w1 in 02:05 C-1 id=#1 got=06:00",
    ];
    let told = night(&messages);
    assert!(told[0].contains("delivered") && told[1].contains("staffed"), "{told:?}");
    let mut reversed = messages;
    reversed.reverse();
    assert_eq!(night(&reversed), told);
    for shift in 1..messages.len() {
        let mut rotated = messages;
        rotated.rotate_left(shift);
        rotated.swap(0, shift);
        assert_eq!(night(&rotated), told, "rotated by {shift}");
    }
    let twice = [messages.as_slice(), &messages].concat();
    assert_eq!(night(&twice), told, "everything twice");
}

#[test]
fn an_order_of_arrival_is_not_an_order_of_events() {
    tell(
        "# the check-out arrives before the check-in
         visit V-1 C-1 02:00..02:30
         w1 out 02:30 V-1 got=02:31
         w1 in 02:05 V-1 got=02:40
         => V-1 start=02:05 end=02:30 call_minutes=25.00 flags=

         # what has not been received yet is not known
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1 got=02:40
         as of 02:39:59
         => V-1 status=late present=0 start=

         # what is received at the present instant is
         visit V-1 C-1 02:00..02:30
         w1 in 02:05 V-1 got=02:40
         as of 02:40
         => V-1 status=in_progress present=1 start=02:05",
    );
}
