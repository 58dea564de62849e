//! The whole evening of a coordinator, by mouse.

use nightrun::clock;
use serde_json::json;

use crate::driver::Browser;
use crate::stage::{AMY, BOLA, event, homeless, people, plan, sign_in, token, visit};
use crate::support::daemon::Installation;
use crate::support::engine::{Engine, on_both_engines};

on_both_engines!(from_sign_in_to_sign_out);
async fn from_sign_in_to_sign_out(engine: Engine) {
    let installation = Installation::embedded().on(engine);
    let daemon = installation.start().await;
    people(&installation);
    let mut phone = installation.sender().await;
    let browser = Browser::start(installation.http).await;

    browser.open("/").await;
    browser.until_it_says("Sign in").await;
    browser.fill("input[name=token]", "nr_not-one").await;
    browser.click("main button").await;
    browser.find("#error").await;
    sign_in(&browser, &token(&installation, "coordinator", &[])).await;
    browser.until_it_says("No alert is open.").await;
    // Whatever comes now comes without loading the page again.
    browser.value("window.sameAsBefore = true; return true").await;

    // A visit is late.
    plan(
        &installation,
        &[
            visit("V-1", "C-1", "R1", 31),
            visit("V-2", "C-2", "R1", 70),
            visit("V-3", "C-3", "R1", 5),
        ],
    );
    browser.until("the alert", "document.querySelector('.alert.high')").await;
    browser.until_it_says("Late high").await;
    browser.until_it_says("C-1 Ada Hall").await;
    browser.until_it_says("Speak to the client by").await;
    browser
        .until("what is read out", "document.getElementById('news').textContent.includes('C-1')")
        .await;
    assert_eq!(browser.value("return window.sameAsBefore").await, json!(true));
    let late =
        browser.find(".alert.high").await.attr("id").await.expect("an answer").expect("an id");

    // What is typed meanwhile survives what comes meanwhile.
    browser.click(&format!("#{late} details[id^=rang] summary")).await;
    browser.fill(&format!("#{late} input[name=spoke_to]"), "Ada").await;
    phone.say(BOLA, &event("check_in", "C-3", clock::now())).await;
    browser.until_it_says("Bola Ade inside since").await;
    let typed = format!("return document.querySelector('#{late} input[name=spoke_to]').value");
    assert_eq!(browser.value(&typed).await, json!("Ada"));
    assert_eq!(browser.value("return document.activeElement.name").await, json!("spoke_to"));
    assert_eq!(browser.value("return window.sameAsBefore").await, json!(true));

    // She rings the client, and says so.
    browser.click(&format!("#{late} form[id^=contact] button")).await;
    browser.until_it_says("Client spoken to at").await;
    browser.until_it_says("spoke to Ada").await;
    browser.click(&format!("#{late} form[id^=ack] button")).await;
    browser.until_it_says("acknowledged by Jo").await;

    // The carer comes.
    phone.say(AMY, &event("check_in", "C-1", clock::now())).await;
    browser.until("its end", "!document.querySelector('.alert.high')").await;
    browser.until_it_says("Amy Ash inside since").await;

    // Nobody can tell where this belongs; she can.
    phone.say(AMY, &event("check_out", "C-1", clock::now())).await;
    phone.say(AMY, &homeless()).await;
    browser.find("#unplaced").await;
    browser.fill("#unplaced input[name=visit_ref]", "V-2").await;
    browser.fill("#unplaced input[name=reason]", "she rang").await;
    browser.click("#unplaced button").await;
    browser.until("its place", "!document.querySelector('#unplaced')").await;
    browser.until("the end of the miss", "!document.querySelector('.alert.critical')").await;

    // What was missed was frustrated; the return follows, and follows back.
    plan(&installation, &[visit("V-4", "C-4", "R1", 80)]);
    browser.find(".alert.critical").await;
    browser.open("/contracts/default/visits/V-4").await;
    let figure = |name: &str| format!("document.getElementById('row-{name}').textContent");
    let figures = |missed: &str, frustrated: &str| {
        format!(
            "{} === '{missed}' && {} === '{frustrated}'",
            figure("Missed"),
            figure("Frustrated")
        )
    };
    browser.until("a miss", &figures("1.00", "0.00")).await;
    browser.click("#put-right-visit summary").await;
    browser.click("#correct-visit option[value=frustrated]").await;
    browser.fill("#correct-visit input[name=reason]", "in_hospital").await;
    browser.click("#correct-visit button").await;
    browser.until("the correction", &figures("0.00", "1.00")).await;
    browser.until_it_says("in hospital, by Jo").await;
    browser.click("#take-back summary").await;
    browser.fill("#withdraw input[name=reason]", "it was another client").await;
    browser.click("#withdraw button").await;
    browser.until("the evidence", &figures("1.00", "0.00")).await;
    browser.until_it_says("withdrawn, it was another client, by Jo").await;

    // She goes home, and nobody else comes in.
    browser.click("form[action='/sign-out'] button").await;
    browser.find("input[name=token]").await;
    for page in ["/", "/map", "/performance", "/contracts/default/visits/V-4"] {
        browser.open(page).await;
        browser.find("input[name=token]").await;
        assert!(!browser.text().await.contains("V-4"), "{page}");
    }
    browser.close().await;
    daemon.terminate().await;
}
