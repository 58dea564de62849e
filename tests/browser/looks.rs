//! How the pages look: nobody is kept out, nothing is cut off, at any width. The pictures are those of
//! `docs/board.md`.

use nightrun::clock;
use serde_json::json;

use crate::driver::Browser;
use crate::stage::{AMY, BOLA, event, homeless, people, plan, sign_in, token, visit, visit_for};
use crate::support::daemon::{Installation, VISITS, ago};

#[tokio::test(flavor = "multi_thread")]
async fn a_night_from_quiet_to_busy() {
    let installation = Installation::embedded();
    let daemon = installation.start().await;
    people(&installation);
    let mut phone = installation.sender().await;
    let browser = Browser::start(installation.http).await;
    browser.open("/sign-in").await;
    browser.look("sign-in").await;
    browser.value("document.querySelector('main').innerHTML = '<img src=x>'; return 1").await;
    let barriers = browser.barriers().await.to_string();
    assert!(barriers.contains("image-alt"), "who looks can tell: {barriers}");
    sign_in(&browser, &token(&installation, "coordinator", &[])).await;

    // Everything as it should be.
    plan(
        &installation,
        &[
            visit("V-1", "C-1", "R1", 95),
            visit("V-2", "C-2", "R1", 50),
            visit("V-3", "C-3", "R1", 10),
            visit("V-4", "C-4", "R1", -40),
            visit_for(2, "V-5", "C-5", "R2", ago(65 * 60)),
            visit("V-6", "C-6", "R2", -15),
            visit("V-7", "C-7", "R2", -70),
        ],
    );
    for (carer, kind, client, minutes) in [
        (AMY, "check_in", "C-1", 96),
        (AMY, "check_out", "C-1", 67),
        (AMY, "check_in", "C-2", 49),
        (AMY, "check_out", "C-2", 20),
        (AMY, "check_in", "C-3", 8),
        (BOLA, "check_in", "C-5", 66),
        ("default/carer/cleo", "check_in", "C-5", 63),
        (BOLA, "check_out", "C-5", 36),
        ("default/carer/cleo", "check_out", "C-5", 36),
    ] {
        phone.say(carer, &event(kind, client, ago(minutes * 60))).await;
    }
    browser.until_it_says("Amy Ash inside since").await;
    browser.until_it_says("No alert is open.").await;
    browser.until_it_says("3 delivered").await;
    browser.picture("quiet").await;

    // Not so quiet: late, missed, and one of two there.
    plan(
        &installation,
        &[
            visit("V-8", "C-4", "R3", 75),
            visit("V-9", "C-6", "R3", 31),
            visit("V-10", "C-7", "R3", 18),
            visit_for(2, "V-11", "C-1", "R2", ago(33 * 60)),
        ],
    );
    phone.say(BOLA, &event("check_in", "C-1", ago(25 * 60))).await;
    browser.until("the alerts", "document.querySelectorAll('article.alert').length >= 4").await;
    browser.picture("late-and-missed").await;

    // Whose home is that?
    phone.say(AMY, &homeless()).await;
    browser.find("#unplaced").await;
    browser.picture("unplaced").await;

    // Dark, because it is night; light for whoever asks for it.
    browser.likes_light().await;
    let ground = "return getComputedStyle(document.body).backgroundColor";
    assert_eq!(browser.value(ground).await, json!("rgb(11, 16, 22)"));
    browser.click("#colours").await;
    assert_eq!(browser.value(ground).await, json!("rgb(255, 255, 255)"));
    browser.look("light").await;
    browser.click("#colours").await;

    browser.click("article.alert.critical details[id^=rang] summary").await;
    browser.click("article.alert.critical details[id^=put] summary").await;
    browser.look("forms").await;

    let mut far = event("check_out", "C-3", clock::now());
    far["position"] = json!({"lat": 51.4850, "lon": 0.3360, "accuracy_m": 9});
    phone.say(AMY, &far).await;
    browser.until_it_says("Off site").await;
    browser.open("/contracts/default/visits/V-3").await;
    browser.until_it_says("not at the home").await;
    browser.picture("story").await;
    browser.open("/map").await;
    browser.find(".map .off").await;
    browser.picture("map").await;
    // Somebody goes to hospital, and comes back.
    plan(&installation, &[visit("V-12", "C-5", "R2", -360)]);
    browser.open("/plan").await;
    browser.until_it_says("V-12 is outside service hours").await;
    browser.click("#away-now summary").await;
    browser.fill("#suspend input[name=client_ref]", "C-7").await;
    browser.fill("#suspend input[name=reason]", "in hospital").await;
    browser.look("plan").await;
    browser.click("#suspend button").await;
    browser.until_it_says("C-7 Gus Weir: in hospital").await;
    browser.until_it_says("until further notice").await;
    browser.open("/contracts/default/visits/V-7").await;
    browser.until("the suspension", "document.querySelector('.status.fr, .status.ca')").await;
    browser.open("/plan").await;
    browser.click("#s-C-7 button").await;
    browser.until("the return", "!document.querySelector('#s-C-7')").await;
    browser.open("/performance").await;
    browser.until_it_says("Punctuality").await;
    browser.picture("performance").await;
    browser.close().await;
    daemon.terminate().await;
}

/// A night on which the clocks go back: nine hours, and both half past ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_night_of_nine_hours() {
    let installation = Installation::embedded();
    let mut config = std::fs::read_to_string(installation.path("nightrun.toml")).expect("a file");
    config.push_str("[[contract]]\nid = \"thurrock\"\ntime_zone = \"Europe/London\"\n");
    installation.write("nightrun.toml", &config);
    let daemon = installation.start().await;
    let row = |name: &str, client: &str, start: &str, end: &str| {
        format!("thurrock,{name},Out of Hours,Planned,{client},R1,{start},{end},1")
    };
    installation.import(
        "visits",
        VISITS,
        &[
            row("V-1", "C-1", "2025-10-25T23:15:00", "2025-10-25T23:45:00"),
            row("V-2", "C-2", "2025-10-26T00:30:00Z", "2025-10-26T01:00:00Z"),
            row("V-3", "C-3", "2025-10-26T01:30:00Z", "2025-10-26T02:00:00Z"),
            row("V-4", "C-4", "2025-10-26T05:00:00", "2025-10-26T05:30:00"),
        ],
    );
    let mut phone = installation.sender().await;
    for (kind, client, at) in [
        ("check_in", "C-1", "2025-10-25T22:17:00Z"),
        ("check_out", "C-1", "2025-10-25T22:44:00Z"),
        ("check_in", "C-2", "2025-10-26T00:31:00Z"),
        ("check_out", "C-2", "2025-10-26T00:58:00Z"),
    ] {
        let mut event = event(kind, client, clock::now());
        event["occurred_at"] = json!(at);
        phone.say("thurrock/carer/amy", &event).await;
    }
    let browser = Browser::start(installation.http).await;
    sign_in(&browser, &token(&installation, "coordinator", &[])).await;
    browser.open("/?contract=thurrock&night=2025-10-25").await;
    browser.until_it_says("01:30 BST C-2 delivered").await;
    browser.until_it_says("01:30 GMT C-3 missed").await;
    browser.picture("clocks-go-back").await;
    browser.open("/?contract=thurrock&night=2025-03-29").await;
    let hours = "return [...document.querySelectorAll('.axis text:not(.half)')].map((one) => one.textContent).join(' ')";
    assert_eq!(
        browser.value(hours).await,
        json!("23:00 00:00 02:00 03:00 04:00 05:00 06:00 07:00")
    );

    // The council sees its own contract, by reference.
    browser.click("form[action='/sign-out'] button").await;
    sign_in(&browser, &token(&installation, "council", &["--contract", "thurrock"])).await;
    browser.open("/?contract=thurrock&night=2025-10-25").await;
    browser.until_it_says("01:30 BST C-2 delivered").await;
    assert!(!browser.text().await.contains("amy") && !browser.sees("main form").await);
    browser.look("council").await;
    for page in ["/map?contract=thurrock", "/?contract=default"] {
        browser.open(page).await;
        assert!(!browser.sees("#runs").await, "{page}");
    }
    browser.close().await;
    daemon.terminate().await;
}

/// Two runs are waited for, and no phone is heard.
#[tokio::test(flavor = "multi_thread")]
async fn a_board_that_is_blind() {
    let installation = Installation::embedded();
    let daemon = installation.start().await;
    people(&installation);
    let mut phone = installation.sender().await;
    let browser = Browser::start(installation.http).await;
    sign_in(&browser, &token(&installation, "coordinator", &[])).await;
    plan(
        &installation,
        &[
            visit("V-1", "C-1", "R1", 21),
            visit("V-2", "C-2", "R2", 18),
            visit("V-3", "C-3", "R2", -12),
        ],
    );
    browser.until_it_says("Monitoring is blind").await;
    browser.until_it_says("2 visits are at risk").await;
    browser.picture("blind").await;
    phone.say(AMY, &event("check_in", "C-1", clock::now())).await;
    browser.until("its end", "!document.querySelector('.banner.blind')").await;
    browser.until_it_says("unconfirmed").await;
    browser.close().await;
    daemon.terminate().await;
}
