//! Whose home (R12), by which version of a register (R8), and where it was made (R19).

use super::story::{tell, tell_each};

// One thousandth of a degree of latitude is 111.26 m here; one of longitude is 69.47 m.
const REGISTERS: &str = "
    client C-1 at=51.48,0.32
    client C-2 at=51.49,0.32
    tag T-1 C-1
    tag T-2 C-2
    device D-1 C-1
    device D-2 C-2
    visit V-1 C-1 02:00..02:30
    visit V-2 C-2 02:00..02:30";

#[test]
fn the_first_of_five_that_says_whose_home() {
    let rows = [
        ("the client, whatever else it says", "C-1 V-2 tag=T-2 via=D-2 at=51.49,0.32", "V-1"),
        ("the visit's client", "V-1 tag=T-2 via=D-2 at=51.49,0.32", "V-1"),
        ("the tag's client", "tag=T-1 via=D-2 at=51.49,0.32", "V-1"),
        ("the device's client", "via=D-1 at=51.49,0.32", "V-1"),
        ("the client at whose home the position is", "at=51.48,0.32", "V-1"),
        ("a visit that nobody knows is passed over", "V-404 tag=T-1", "V-1"),
        ("a tag that nobody knows is passed over", "tag=T-404 via=D-1", "V-1"),
        ("a device that nobody knows is passed over", "via=D-404 at=51.48,0.32", "V-1"),
    ];
    tell_each(rows, |(sentence, event, visit)| {
        format!(
            "# {sentence}
             {REGISTERS}
             w1 in 02:05 {event}
             only V-1 V-2
             => {visit} present=1
             => V-2 present=0"
        )
    });
    let rows = [
        ("nothing says it", ""),
        ("a tag that nobody knows", "tag=T-404"),
        ("a device that nobody knows", "via=D-404"),
        ("a position at nobody's home", "at=51.485,0.32"),
    ];
    tell_each(rows, |(sentence, event)| {
        format!(
            "# unplaced, so it is no visit's: {sentence}
             {REGISTERS}
             w1 in 02:05 {event} id=#1
             only V-1 V-2
             => V-1 present=0
             => V-2 present=0"
        )
    });
}

#[test]
fn a_position_between_neighbours() {
    // C-2 lives 55.6 m north of C-1: their fences overlap.
    let rows = [
        ("one has the carer in its list", "carers=w9", "carers=w1", "0 1"),
        ("both have", "carers=w1", "carers=w1;w2", "0 0"),
        ("neither has, and there are two", "carers=w9", "", "0 0"),
    ];
    tell_each(rows, |(sentence, first, second, present)| {
        let (first_present, second_present) = present.split_once(' ').unwrap();
        format!(
            "# {sentence}
             client C-1 at=51.48,0.32
             client C-2 at=51.4805,0.32
             visit V-1 C-1 02:00..02:30 {first}
             visit V-2 C-2 02:00..02:30 {second}
             w1 in 02:05 at=51.4802,0.32
             only V-1 V-2
             => V-1 present={first_present}
             => V-2 present={second_present}"
        )
    });
    tell(
        "# only one of them has a visit in that night
         client C-1 at=51.48,0.32
         client C-2 at=51.4805,0.32
         visit V-1 C-1 02:00..02:30
         visit V-2 C-2 2019-02-06T02:00..2019-02-06T02:30
         w1 in 02:05 at=51.4802,0.32
         => V-1 present=1

         # neither has
         client C-1 at=51.48,0.32
         visit V-1 C-1 2019-02-06T02:00..2019-02-06T02:30
         w1 in 02:05 at=51.48,0.32
         only V-1

         # two visits of one client are one client
         client C-1 at=51.48,0.32
         visit V-1 C-1 02:00..02:30
         visit V-2 C-1 05:00..05:30
         w1 in 02:05 at=51.48,0.32
         => V-1 present=1

         # a statement is placed by its position too
         client C-1 at=51.48,0.32
         visit V-1 C-1 02:00..02:30
         w1 no_reply 02:05 at=51.48,0.32
         => V-1 status=frustrated",
    );
}

#[test]
fn the_version_in_force_when_it_happened() {
    // Moved on 5 February: 23:30 is the day before, 00:30 the day itself; both are one night.
    tell(
        "# a telecare unit that moves to another home does not take its old events along
         device D-1 C-1
         device D-1 C-2 from=2019-02-05
         visit V-1 C-1 23:30..00:00
         visit V-2 C-2 00:30..01:00
         w1 in 23:30 via=D-1 got=08:00
         w2 in 00:30 via=D-1 got=08:00
         only V-1 V-2
         => V-1 present=1
         => V-2 present=1

         # nor does a tag
         tag T-1 C-1
         tag T-1 C-2 from=2019-02-05
         visit V-1 C-1 23:30..00:00
         visit V-2 C-2 00:30..01:00
         w1 in 23:30 tag=T-1 got=08:00
         w2 in 00:30 tag=T-1 got=08:00
         only V-1 V-2
         => V-1 present=1
         => V-2 present=1

         # before its first version it is in nobody's home
         tag T-1 C-1 from=2019-02-05
         visit V-1 C-1 23:30..00:00
         w1 in 23:30 tag=T-1 id=#1
         only V-1
         => V-1 present=0

         # midnight is local
         night 2019-07-01
         tag T-1 C-1
         tag T-1 C-2 from=2019-07-02
         w1 in 2019-07-01T22:59:59Z tag=T-1 id=#1
         w2 in 2019-07-01T23:00:00Z tag=T-1 id=#2
         => U-#1 client_ref=C-1
         => U-#2 client_ref=C-2

         # a client who moves
         client C-1 at=51.48,0.32
         client C-1 at=52.48,0.32 from=2019-02-05
         visit V-1 C-1 23:30..00:00
         visit V-2 C-1 03:30..04:00
         w1 in 23:30 V-1 at=51.48,0.32
         w1 out 00:00 V-1 at=52.48,0.32
         w2 in 03:30 V-2 at=51.48,0.32
         w2 out 04:00 V-2 at=52.48,0.32
         => V-1 flags=
         => V-2 flags=off_site",
    );
}

#[test]
fn inside_and_outside_the_fence() {
    let rows = [
        ("145 m away", "", "at=51.4813,0.32", ""),
        ("156 m away", "", "at=51.4814,0.32", "off_site"),
        ("156 m away to the south", "", "at=51.4786,0.32", "off_site"),
        ("139 m to the east, where a degree is shorter", "", "at=51.48,0.322", ""),
        ("153 m to the east", "", "at=51.48,0.3222", "off_site"),
        ("156 m away, give or take 10", "", "at=51.4814,0.32,10", ""),
        ("156 m away, give or take 5", "", "at=51.4814,0.32,5", "off_site"),
        ("an accuracy of -1 is dropped, the position stays", "", "at=51.4814,0.32,-1", "off_site"),
        ("an accuracy of -1 makes nothing worse", "", "at=51.4813,0.32,-1", ""),
        ("111 m away, and a fence of 112", "fence_m=112", "at=51.481,0.32", ""),
        ("111 m away, and a fence of 111", "fence_m=111", "at=51.481,0.32", "off_site"),
        ("a fence of 1 km", "fence_m=1000", "at=51.4886,0.32", ""),
        ("whatever its method says", "", "at=51.4814,0.32 method=nfc tag=T-1", "off_site"),
        ("from the client's own unit, all the same", "", "at=51.4814,0.32 via=D-1", "off_site"),
        ("no position, the client's tag", "", "tag=T-1", ""),
        ("no position, another's tag: not known", "", "tag=T-2", ""),
        ("no position at all: not known", "", "method=manual", ""),
    ];
    tell_each(rows, |(sentence, client, event, flags)| {
        format!(
            "# {sentence}
             client C-1 at=51.48,0.32 {client}
             tag T-1 C-1
             tag T-2 C-2
             device D-1 C-1
             visit V-1 C-1 02:00..02:30
             w1 in 02:00 V-1 {event}
             w1 out 02:30 V-1
             only V-1
             => V-1 present=1 start=02:00 status=delivered flags={flags}"
        )
    });
    tell(
        "# the policy's fence
         policy fence_m = 160
         client C-1 at=51.48,0.32
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1 at=51.4814,0.32
         w1 out 02:30 V-1
         => V-1 flags=

         # a check-out is made somewhere too
         client C-1 at=51.48,0.32
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1
         w1 out 02:30 V-1 at=51.5,0.32
         => V-1 flags=off_site

         # a statement is not judged by where it was made
         client C-1 at=51.48,0.32
         visit V-1 C-1 02:00..02:30
         w1 no_reply 02:00 V-1 at=51.5,0.32
         => V-1 flags=

         # a client whose position nobody knows
         client C-1
         visit V-1 C-1 02:00..02:30
         w1 in 02:00 V-1 at=51.5,0.32
         w1 out 02:30 V-1
         => V-1 flags=",
    );
}
