//! Who was present, and when a visit started and ended (R13, R14).

use super::story::{tell, tell_each};

#[test]
fn how_many_were_present() {
    tell(
        "# distinct carers
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w2 in 02:01 V-1
         w3 out 02:30 V-1
         => V-1 present=3

         # one carer who came twice
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w1 out 02:05 V-1
         w1 in 02:10 V-1
         => V-1 present=1

         # an informal carer is a second pair of hands, without a phone
         visit V-1 C-1 02:00..02:30 carers_required=2
         w1 in 02:05 V-1 informal=yes
         w1 out 02:35 V-1
         => V-1 present=2 start=02:05 status=delivered flags=

         # two say so: it is one informal carer, from the earlier
         visit V-1 C-1 02:00..02:30 carers_required=3
         w1 in 02:05 V-1 informal=yes
         w2 in 02:10 V-1 informal=yes
         => V-1 present=3 start=02:10

         # from that check-in on, not from the carer's first
         visit V-1 C-1 02:00..02:30 carers_required=2
         w1 in 02:00 V-1
         w1 out 02:10 V-1
         w1 in 02:20 V-1 informal=yes
         w1 out 02:30 V-1
         => V-1 present=2 start=02:20 deviation_seconds=1200

         # a check-out cannot say so
         visit V-1 C-1 02:00..02:30 carers_required=2
         w1 in 02:00 V-1
         w1 out 02:30 V-1 informal=yes
         => V-1 present=1 status=part_delivered

         # an informal carer may be more than was asked for
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1 informal=yes
         => V-1 present=2 start=02:00 status=delivered",
    );
}

#[test]
fn a_double_handed_visit_starts_with_the_second_pair_of_hands() {
    tell(
        "# when the second has checked in
         visit V-1 C-1 02:00..02:30 carers_required=2
         w1 in 02:00 V-1
         w2 in 02:10 V-1
         w1 out 02:35 V-1
         w2 out 02:31 V-1
         => V-1 present=2 start=02:10 end=02:35 call_minutes=35.00 deviation_seconds=600
         => V-1 status=delivered flags=

         # a third does not change it
         visit V-1 C-1 02:00..02:30 carers_required=2
         w3 in 02:20 V-1
         w1 in 02:00 V-1
         w2 in 02:10 V-1
         => V-1 present=3 start=02:10

         # each counts from the first check-in
         visit V-1 C-1 02:00..02:30 carers_required=2
         w1 in 02:00 V-1
         w1 out 02:05 V-1
         w1 in 02:15 V-1
         w2 in 02:10 V-1
         => V-1 start=02:10

         # staffed only by counting one without a check-in: the start is unknown
         visit V-1 C-1 02:00..02:30 carers_required=2
         w1 in 02:00 V-1
         w2 out 02:30 V-1
         w1 out 02:30 V-1
         => V-1 present=2 start= deviation_seconds= call_minutes=30.00 status=delivered
         => V-1 flags=no_check_in

         # enough have checked in: one more without changes nothing
         visit V-1 C-1 02:00..02:30 carers_required=2
         w1 in 02:00 V-1
         w2 in 02:20 V-1
         w3 out 02:25 V-1
         => V-1 present=3 start=02:20

         # not staffed, no start
         visit V-1 C-1 02:00..02:30 carers_required=2
         w1 in 02:00 V-1
         w1 out 02:30 V-1
         => V-1 present=1 start= end=02:30 call_minutes=30.00 deviation_seconds=

         # four are wanted
         visit V-1 C-1 02:00..02:30 carers_required=4
         w1 in 02:00 V-1
         w2 in 02:01 V-1
         w3 in 02:02 V-1 informal=yes
         => V-1 present=4 start=02:02",
    );
}

#[test]
fn how_long_it_took() {
    tell(
        "# counted once however many came
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w2 in 02:05 V-1
         w1 out 02:20 V-1
         w2 out 02:30 V-1
         => V-1 end=02:30 call_minutes=30.00

         # unknown without a check-out
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         => V-1 end= call_minutes=

         # unknown without a check-in
         visit V-1 C-1 02:00..02:30
         w1 out 02:30 V-1
         => V-1 end=02:30 call_minutes=

         # unknown if they are the wrong way round
         visit V-1 C-1 02:00..02:30
         w1 out 02:00 V-1
         w2 in 02:10 V-1
         => V-1 start=02:10 end=02:00 call_minutes= flags=no_check_in;no_check_out

         # somebody's check-in and somebody else's check-out will do
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w2 out 02:25 V-1
         => V-1 call_minutes=25.00",
    );
    let rows = [
        ("0.3 s is half of a hundredth, and is rounded up", "02:30:00.300", "30.01"),
        ("a thousandth less is rounded down", "02:30:00.299", "30.00"),
        ("0.9 s is 1.5 hundredths", "02:30:00.900", "30.02"),
        ("twenty seconds are a third of a minute", "02:30:20", "30.33"),
        ("forty are two thirds", "02:30:40", "30.67"),
    ];
    tell_each(rows, |(sentence, out, minutes)| {
        format!(
            "# {sentence}
             visit V-1 C-1 02:00..02:30
             w1 in 02:00 V-1
             w1 out {out} V-1
             => V-1 call_minutes={minutes}"
        )
    });
}
