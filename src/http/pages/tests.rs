//! Whole pages: what is on them, what is kept from a council, and what they weigh.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::assets;
use super::board::Board;
use super::examples::{
    after, alert, at, client, contract, coordinator, event, instant, names, night, row, visits,
};
use super::eyes::Eyes;
use super::frame::{Frame, Here};
use super::lanes::LISTED_MAX;
use super::map::Map;
use super::performance::Performance;
use super::story::Story;
use crate::domain::alert::AlertKind;
use crate::domain::contact::{Act, Contact, ContactOutcome, Deed};
use crate::domain::correction::{Correction, CorrectionKind, Outcome};
use crate::domain::event::EventKind;
use crate::domain::plan::{LatLon, PlannedVisit};
use crate::domain::punctuality::Tally;
use crate::domain::register::Registers;
use crate::domain::schedule3::{Schedule3, row_key};
use crate::store::evidence::Recorded;
use crate::view::{EventView, NightView, StoryView};

/// The most that a first page may weigh, with its style, its script and its sign.
const PAGE_MAX_BYTES: usize = 300_000;

fn drawn(view: &NightView, eyes: Eyes<'_>) -> String {
    Board { view, eyes, run: None, trouble: None }.main().into_string()
}

fn of_coordinator(view: &NightView) -> String {
    let (contract, names) = (contract(), names());
    drawn(view, coordinator(&contract, &names))
}

/// Each of these is there, in this order.
fn in_order(page: &str, words: &[&str]) {
    let mut rest = page;
    for word in words {
        let at = rest.find(word).unwrap_or_else(|| panic!("{word:?} is not there, or too early"));
        rest = &rest[at..];
    }
}

/// A night with one visit delivered, one in progress, one late, one missed; and its alerts.
fn busy() -> NightView {
    let now = "2019-02-04T02:31:00Z";
    let plan = vec![
        row("V-1", "2019-02-04T00:00:00Z", 30),
        PlannedVisit {
            client_ref: "C-2".parse().unwrap(),
            ..row("V-2", "2019-02-04T02:15:00Z", 30)
        },
        PlannedVisit {
            client_ref: "C-3".parse().unwrap(),
            ..row("V-3", "2019-02-04T01:59:00Z", 60)
        },
        PlannedVisit {
            client_ref: "C-4".parse().unwrap(),
            run: None,
            ..row("V-4", "2019-02-04T01:00:00Z", 30)
        },
    ];
    let events = vec![
        event(1, EventKind::CheckIn, "amy", "C-1", "2019-02-04T00:02:00Z"),
        event(2, EventKind::CheckOut, "amy", "C-1", "2019-02-04T00:28:00Z"),
        event(3, EventKind::CheckIn, "amy", "C-2", "2019-02-04T02:16:00Z"),
    ];
    let visits = visits(plan, events, Registers::default(), now);
    let of = |name: &str| visits.iter().find(|visit| visit.visit_ref.as_str() == name);
    let alerts = vec![
        alert(1, AlertKind::Tolerance, of("V-2"), "2019-02-04T02:30:00Z"),
        after(alert(2, AlertKind::Late, of("V-3"), "2019-02-04T02:29:00Z"), Vec::new(), now),
        alert(3, AlertKind::Missed, of("V-4"), "2019-02-04T02:00:00Z"),
    ];
    night(visits, alerts, now)
}

#[test]
fn what_is_not_safe_comes_first() {
    let page = of_coordinator(&busy());
    in_order(
        &page,
        &[
            "Night of Sunday 3 February 2019",
            "Missed <span class=\"severity\">critical",
            "Late <span class=\"severity\">high",
            "Speak to the client by 02:29",
            "2 min too late",
            "Tolerance <span class=\"severity\">warning",
            "Run R1",
            "3 visits: 1 late · 1 in progress · 1 delivered",
            "00:00 C-1 Mrs &lt;Jones&gt;</a> <b>delivered</b> 00:02–00:28",
            "02:15 C-2</a> <b>in progress</b> Amy Ash inside since 02:16",
            "No run",
            "01:00 C-4</a> <b>missed</b>",
        ],
    );
    for form in ["acknowledge", "contact", "resolve"] {
        let action = format!("action=\"/alerts/00000000-0000-0000-0000-000000000003/{form}\"");
        assert!(page.contains(&action), "{action}");
    }
    assert!(page.contains("action=\"/contracts/default/visits/V-4/corrections\""));
    assert_eq!(
        page.matches("<form").count(),
        page.matches("name=\"csrf\" value=\"its-own\"").count()
    );
}

#[test]
fn the_contact_clock_says_what_came_of_it() {
    let visit = super::examples::planned("V-1", "2019-02-04T02:00:00Z", 30);
    let due = "2019-02-04T02:15:00Z";
    let spoke = |at: &str, outcome: ContactOutcome| Act {
        at: instant(at),
        by: "jo".to_owned(),
        note: Some("worried".to_owned()),
        deed: Deed::Contact(Contact {
            spoke_to: "Mrs Jones".to_owned(),
            outcome,
            at: instant(at),
            new_time: Some(instant("2019-02-04T03:10:00Z")),
            reason: None,
        }),
    };
    for (acts, now, says) in [
        (vec![], "2019-02-04T02:20:00Z", "Speak to the client by 02:30: "),
        (vec![], "2019-02-04T02:20:00Z", "10 min left"),
        (vec![], "2019-02-04T02:33:00Z", "3 min too late"),
        (
            vec![spoke("2019-02-04T02:25:00Z", ContactOutcome::LeftMessage)],
            "2019-02-04T02:26:00Z",
            "4 min left",
        ),
        (
            vec![spoke("2019-02-04T02:25:00Z", ContactOutcome::Spoke)],
            "2019-02-04T02:26:00Z",
            "spoken to at 02:25, in time",
        ),
        (
            vec![spoke("2019-02-04T02:35:00Z", ContactOutcome::Spoke)],
            "2019-02-04T02:36:00Z",
            "spoken to at 02:35, too late",
        ),
        (
            vec![spoke("2019-02-04T02:25:00Z", ContactOutcome::Spoke)],
            "2019-02-04T02:26:00Z",
            "02:25 jo spoke to Mrs Jones, new time 03:10: worried",
        ),
    ] {
        let alert = after(alert(1, AlertKind::Tolerance, Some(&visit), due), acts, now);
        let page = of_coordinator(&night(vec![visit.clone()], vec![alert], now));
        assert!(page.contains(says), "{says}");
    }
}

#[test]
fn both_half_past_ones_are_told_apart() {
    let now = "2019-10-27T00:45:00Z";
    let plan = vec![
        row("V-1", "2019-10-27T00:30:00Z", 30),
        PlannedVisit {
            client_ref: "C-2".parse().unwrap(),
            ..row("V-2", "2019-10-27T01:30:00Z", 30)
        },
    ];
    let page = of_coordinator(&night(visits(plan, vec![], Registers::default(), now), vec![], now));
    let label = ">01<tspan>:30</tspan></text>";
    in_order(&page, &[label, ">BST</text>", label, ">GMT</text>"]);
    in_order(&page, &["01:30 BST C-1", "01:30 GMT C-2"]);
    assert!(page.contains("viewBox=\"0 0 540 "), "nine hours");
    // A quarter to two, the first time: 165 minutes after 23:00.
    assert!(page.contains("id=\"n\" d=\"M165 0"), "{page}");
}

#[test]
fn what_makes_the_board_doubtful_is_on_top_of_it() {
    let now = "2019-02-04T02:31:00Z";
    let mut blind = alert(1, AlertKind::MonitoringBlind, None, "2019-02-04T02:20:00Z");
    blind.message.visits_at_risk = vec!["V-7".parse().unwrap()];
    let mut gap = alert(2, AlertKind::SequenceGap, None, "2019-02-04T02:21:00Z");
    gap.message.detail = "amy's phone: message 7 has not arrived".to_owned();
    let view = night(vec![], vec![gap, blind], now);
    let (contract, names) = (contract(), names());
    let eyes = coordinator(&contract, &names);
    let board = Board { view: &view, eyes, run: None, trouble: Some("the disk is full") };
    let page = board.main().into_string();
    in_order(
        &page,
        &[
            "Monitoring is blind</strong> since 02:20",
            "One visit is at risk",
            "the disk is full",
            "Events are missing.",
            "message 7",
            "<h1>",
        ],
    );
    assert!(
        !page.contains("/alerts/00000000-0000-0000-0000-000000000001/resolve"),
        "it ends by itself"
    );
    let council = drawn(&view, Eyes { sees_people: false, may_act: false, ..eyes });
    assert!(council.contains("Monitoring is blind") && !council.contains("amy"), "{council}");
}

/// An event without a client, as it was recorded.
fn unplaced() -> Recorded {
    let event = event(9, EventKind::CheckIn, "amy", "", "2019-02-04T02:20:00Z");
    Recorded { id: 1, event, client: None, night: "2019-02-03".parse().unwrap(), by: None }
}

#[test]
fn an_event_without_a_place_comes_with_the_visits_that_it_may_be_about() {
    let mut view = busy();
    view.unplaced.push(unplaced());
    let page = of_coordinator(&view);
    in_order(
        &page,
        &[
            "Events without a place",
            "Amy Ash checked in 02:20:00",
            "/contracts/default/events/00000000-0000-0000-0000-000000000009/place",
            // The nearest first.
            "<option value=\"V-2\">02:15 C-2, in progress",
            "<option value=\"V-3\">01:59 C-3, late",
            "<option value=\"V-4\">01:00 C-4, missed",
        ],
    );
}

fn story(view: &StoryView, eyes: Eyes<'_>) -> String {
    let contract = contract();
    let mut rows = Schedule3::default();
    rows.add(&contract, &view.visit);
    let row = rows.rows().unwrap().into_iter().next();
    Story { view, row: row.as_ref(), eyes }.main().into_string()
}

/// The story of a visit that was made 300 m off, and corrected.
fn corrected() -> StoryView {
    let now = "2019-02-04T09:00:00Z";
    let home = LatLon { lat: 51.48, lon: 0.32 };
    let mut registers = Registers::default();
    registers.put_client(&client("C-1", Some(home)));
    let check_in =
        at(event(1, EventKind::CheckIn, "amy", "C-1", "2019-02-04T02:02:00Z"), 51.4827, 0.32);
    let plan = PlannedVisit {
        carers: vec!["amy".parse().unwrap()],
        ..row("V-1", "2019-02-04T02:00:00Z", 30)
    };
    let visit = visits(vec![plan], vec![check_in.clone()], registers.clone(), now).remove(0);
    let recorded = Recorded {
        id: 1,
        event: check_in,
        client: Some("C-1".parse().unwrap()),
        night: visit.night,
        by: Some(crate::domain::place::PlacedBy::Client),
    };
    let contract = std::sync::Arc::new(contract());
    StoryView {
        notifications: Vec::new(),
        row: row_key(&contract, &visit),
        now: instant(now),
        versions: Vec::new(),
        events: vec![EventView { recorded, raw: None, handed_in: None, placed_at: None }],
        corrections: vec![Correction {
            at: instant("2019-02-04T08:00:00Z"),
            by: "jo <b>".to_owned(),
            contract: contract.id.clone(),
            reason: Some("rota_error".to_owned()),
            comment: Some("<script>".to_owned()),
            return_comment: Some("told the council".to_owned()),
            what: CorrectionKind::Outcome {
                visit_ref: visit.visit_ref.clone(),
                outcome: Outcome::Missed,
            },
        }],
        alerts: vec![alert(4, AlertKind::OffSite, Some(&visit), "2019-02-04T02:02:04Z")],
        contract,
        visit,
        registers,
        names: names(),
    }
}

#[test]
fn a_story_is_whole() {
    let (contract, names) = (contract(), names());
    let page = story(&corrected(), coordinator(&contract, &names));
    in_order(
        &page,
        &[
            "V-1 <small>C-1 Mrs &lt;Jones&gt;",
            "Off site",
            "02:00–02:30",
            "action=\"/contracts/default/visits/V-1/corrections\"",
            "id=\"row-Actual\">1.00",
            "Amy Ash",
            "Mon 4 Feb 02:02:00",
            "Mon 4 Feb 02:02:04",
            "not at the home: 300 m from it ± 8, fence 150 m",
            "Mon 4 Feb 08:00:00",
            "missed</b>, rota error, by jo &lt;b&gt;. Inside: &lt;script&gt;. For the return: told the council",
        ],
    );
}

#[test]
fn a_council_sees_references_only_and_can_do_nothing() {
    let (contract, names) = (contract(), names());
    let eyes = coordinator(&contract, &names);
    let eyes = Eyes { sees_people: false, may_act: false, ..eyes };
    let mut view = busy();
    view.unplaced.push(unplaced());
    for page in [drawn(&view, eyes), story(&corrected(), eyes)] {
        assert!(page.contains("C-1"), "{page}");
        for word in ["Jones", "01375", "amy", "Amy", "51.48", "300 m", "<form", "jo ", "script"] {
            assert!(!page.contains(word), "{word}: {page}");
        }
    }
}

#[test]
fn a_map_shows_homes_and_where_carers_were() {
    let story = corrected();
    let view = NightView {
        registers: story.registers.clone(),
        ..night(vec![story.visit], vec![], "2019-02-04T09:00:00Z")
    };
    let (contract, names) = (contract(), names());
    let page = Map { view: &view, eyes: coordinator(&contract, &names) }.main().into_string();
    in_order(
        &page,
        &[
            "class=\"fence\"",
            "r=\"150.0\"",
            "class=\"away\"",
            "class=\"made off\"",
            "100 m</text>",
            "300 m, outside the fence",
        ],
    );
    let nowhere = night(vec![], vec![], "2019-02-04T09:00:00Z");
    let page = Map { view: &nowhere, eyes: coordinator(&contract, &names) }.main().into_string();
    assert!(page.contains("No home and no event of this night has a position."));
}

#[test]
fn a_week_in_numbers() {
    let tally = Tally {
        planned: 12,
        to_deliver: 10,
        within_tolerance: 8,
        start_unknown: 1,
        late: 1,
        missed: 1,
        contacts_due: 2,
        contacts_in_time: 1,
    };
    let week = "2019-01-28".parse().unwrap();
    let weeks = BTreeMap::from([(week, tally)]);
    let well = Tally { to_deliver: 3, within_tolerance: 3, ..Tally::default() };
    let clients = BTreeMap::from([("C-1".parse().unwrap(), tally), ("C-2".parse().unwrap(), well)]);
    let (contract, names) = (contract(), names());
    let eyes = coordinator(&contract, &names);
    let page = Performance { eyes, from: week, weeks: &weeks, clients: &clients };
    let page = page.main().into_string();
    in_order(
        &page,
        &[
            "Punctuality</h2>",
            "height=\"80.0\"",
            "class=\"target\" d=\"M0 15h30\"",
            "80.0 %, below target",
            "Contact within 30 minutes",
            "50.0 %",
            "Missed</h2>",
            "8.3 %",
            "Clients",
            "C-1 Mrs &lt;Jones&gt;",
        ],
    );
    assert!(!page.contains("C-2"), "all was well there");
    let nothing =
        Performance { eyes, from: week, weeks: &BTreeMap::new(), clients: &BTreeMap::new() };
    in_order(&nothing.main().into_string(), &["Punctuality", "Every visit of these weeks"]);
}

/// A night of so many visits in runs of ten: a fifth of each run is over, one is in progress.
fn large(number: usize, now: &str) -> NightView {
    let begin = instant("2019-02-03T23:00:00Z");
    let mut plan = Vec::new();
    let mut events = Vec::new();
    for index in 0..number {
        let name = format!("V-2019-02-03-{index:05}");
        let client = format!("C-{index:06}");
        let start = begin + TimeDelta::minutes(48 * i64::try_from(index % 10).unwrap());
        let came = (start + TimeDelta::minutes(3)).to_rfc3339();
        plan.push(PlannedVisit {
            client_ref: client.parse().unwrap(),
            run: Some(format!("R-{:03}", index / 10).parse().unwrap()),
            ..row(&name, &start.to_rfc3339(), 30)
        });
        let id = u128::try_from(index).unwrap() * 2 + 1;
        let carer = format!("carer-{:03}", index / 10);
        if instant(&came) < instant(now) {
            events.push(event(id, EventKind::CheckIn, &carer, &client, &came));
        }
        let left = (start + TimeDelta::minutes(29)).to_rfc3339();
        if instant(&left) < instant(now) {
            events.push(event(id + 1, EventKind::CheckOut, &carer, &client, &left));
        }
    }
    let visits = visits(plan, events, Registers::default(), now);
    let alerts = (visits.iter().take(300).enumerate())
        .map(|(index, visit)| {
            alert(u128::try_from(index).unwrap() + 1, AlertKind::Late, Some(visit), now)
        })
        .collect();
    night(visits, alerts, now)
}

#[test]
fn a_page_stays_below_its_weight() {
    let whole: usize = assets::total_bytes();
    for number in [LISTED_MAX, LISTED_MAX + 10, 2_000] {
        let view = large(number, "2019-02-04T02:31:00Z");
        let main = of_coordinator(&view).len();
        let bytes = main + whole;
        println!("{number} visits: {main} bytes of board, {bytes} in all");
        assert!(bytes < PAGE_MAX_BYTES, "{number} visits: {bytes} bytes");
    }
}

#[test]
fn in_a_large_night_every_run_has_its_page() {
    let view = large(2_000, "2019-02-04T02:31:00Z");
    let (contract, names) = (contract(), names());
    let eyes = coordinator(&contract, &names);
    let all = drawn(&view, eyes);
    assert!(
        all.contains("night=2019-02-03&amp;run=R-007\">Run R-007</a> <small>10 visits: "),
        "its page"
    );
    assert!(!all.contains("V-2019-02-03-00079"), "what is still to come is not listed");
    let run = Board { view: &view, eyes, run: Some("R-007"), trouble: None }.main().into_string();
    assert!(run.contains("V-2019-02-03-00079") && !run.contains("Run R-008"));
}

#[test]
fn no_page_has_a_script_or_a_style_of_its_own() {
    let (contract, names) = (contract(), names());
    let eyes = coordinator(&contract, &names);
    let view = busy();
    let frame = Frame {
        title: "Board",
        here: Here::Board,
        contract: &contract.id,
        contracts: &[contract.id.clone(), "other".parse().unwrap()],
        night: view.night,
        now: view.now,
        zone: contract.zone,
        visitor: "jo <i>",
        may_sign_out: true,
        csrf: "its-own",
        sees_people: true,
        live: true,
    };
    let board = Board { view: &view, eyes, run: None, trouble: None }.main();
    let page = frame.page(&board).into_string();
    for word in [" style=", "<style", " onclick", "javascript:", "<i>"] {
        assert!(!page.contains(word), "{word}");
    }
    assert_eq!(page.matches("<script").count(), 1);
    assert!(page.contains("<script src=\"/assets/board-"));
    assert_eq!(page.matches("<h1").count(), 1);
    assert_eq!(page.matches("<main").count(), 1);
}
