//! The board without a mouse, without scripts, and when nothing is heard.

use std::process::Command;

use nightrun::clock;
use serde_json::json;

use crate::driver::Browser;
use crate::stage::{AMY, event, people, plan, sign_in, token, visit};
use crate::support::daemon::Installation;

const TAB: char = '\u{e004}';
const ENTER: char = '\u{e007}';
/// More than there are stops on the pages of these tests.
const STOPS_MAX: usize = 60;

/// Goes from stop to stop until it is at one of that kind; each stop is to be seen.
async fn tab_to(browser: &Browser, css: &str) {
    for _ in 0..STOPS_MAX {
        browser.press(TAB).await;
        let seen = "const at = document.activeElement; const box = at.getBoundingClientRect(); \
                    const style = getComputedStyle(at); return [at.outerHTML.slice(0, 200), \
                    at === document.body || (style.outlineStyle !== 'none' && box.width > 0)]";
        let seen = browser.value(seen).await;
        assert_eq!(seen[1], json!(true), "where the focus is cannot be seen: {seen}");
        let there = format!("return document.activeElement.matches({})", json!(css));
        if browser.value(&there).await == json!(true) {
            return;
        }
    }
    panic!("{css} cannot be reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_mouse() {
    let installation = Installation::embedded();
    let daemon = installation.start().await;
    people(&installation);
    plan(&installation, &[visit("V-1", "C-1", "R1", 31)]);
    let browser = Browser::start(installation.http).await;
    browser.open("/").await;
    browser
        .find("input[name=token]")
        .await
        .send_keys(&token(&installation, "coordinator", &[]))
        .await
        .expect("typed");
    browser.press(ENTER).await;
    browser.find(".alert.high").await;
    tab_to(&browser, "a.skip").await;
    tab_to(&browser, ".alert.high form[id^=ack] button").await;
    browser.press(ENTER).await;
    browser.until_it_says("acknowledged by Jo").await;
    tab_to(&browser, ".alert.high details[id^=rang] summary").await;
    browser.press(ENTER).await;
    tab_to(&browser, "input[name=spoke_to]").await;
    for letter in "Ada".chars() {
        browser.press(letter).await;
    }
    tab_to(&browser, "form[id^=contact] button").await;
    browser.press(ENTER).await;
    browser.until_it_says("Client spoken to at").await;
    tab_to(&browser, ".visits a").await;
    browser.press(ENTER).await;
    browser.until_it_says("What the plan said").await;
    browser.close().await;
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_scripts() {
    let installation = Installation::embedded();
    let daemon = installation.start().await;
    people(&installation);
    plan(&installation, &[visit("V-1", "C-1", "R1", 31)]);
    let browser = Browser::start(installation.http).await;
    browser.runs_scripts(false).await;
    sign_in(&browser, &token(&installation, "coordinator", &[])).await;
    browser.click(".alert.high form[id^=ack] button").await;
    browser.find(".alert.high .acts").await;
    browser.click(".alert.high details[id^=rang] summary").await;
    browser.fill(".alert.high input[name=spoke_to]", "Ada").await;
    browser.click(".alert.high form[id^=contact] button").await;
    browser.find(".alert.high .contact.met, .alert.high .contact.late").await;
    browser.close().await;
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_that_hears_nothing_says_so_loudly() {
    let installation = Installation::embedded();
    let daemon = installation.start().await;
    people(&installation);
    plan(&installation, &[visit("V-1", "C-1", "R1", 5)]);
    let mut phone = installation.sender().await;
    let browser = Browser::start(installation.http).await;
    sign_in(&browser, &token(&installation, "coordinator", &[])).await;
    let signal = |name: &str| {
        let pid = daemon.pid().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().expect("kill").success());
    };
    signal("-STOP");
    browser.until("the warning", "!document.getElementById('silent').hidden").await;
    assert!(browser.client.title().await.expect("a title").starts_with("NOT LIVE"));
    browser.lets_everybody_in("a silent board").await;
    signal("-CONT");
    browser.until("its end", "document.getElementById('silent').hidden").await;
    // It goes on where it was.
    phone.say(AMY, &event("check_in", "C-1", clock::now())).await;
    browser.until_it_says("Amy Ash inside since").await;
    browser.close().await;
    daemon.terminate().await;
}
