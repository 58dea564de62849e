//! A night for the browser: people with names, homes with positions, visits by what is to be seen.

use chrono::TimeDelta;
use nightrun::clock;
use nightrun::domain::instant::Instant;
use serde_json::{Value, json};

use crate::driver::Browser;
use crate::support::daemon::{Installation, VISITS, ago, text};

pub const AMY: &str = "default/carer/amy";
pub const BOLA: &str = "default/carer/bola";

/// A row of the plan, for one carer unless said otherwise: reference, client, run, minutes ago.
pub fn visit(name: &str, client: &str, run: &str, minutes_ago: i64) -> String {
    visit_for(1, name, client, run, ago(minutes_ago * 60))
}

pub fn visit_for(carers: u8, name: &str, client: &str, run: &str, start: Instant) -> String {
    let (start, end) = (text(start), text(start + TimeDelta::minutes(30)));
    format!("default,{name},Out of Hours,Planned,{client},{run},{start},{end},{carers}")
}

/// Seven clients with names and homes, and two carers.
pub fn people(installation: &Installation) {
    let names = ["Ada Hall", "Ben Cole", "Cy Marsh", "Di Frost", "Ed Lane", "Flo Moor", "Gus Weir"];
    let clients: Vec<String> = (1_u32..)
        .zip(names)
        .map(|(number, name)| {
            let lat = 51.472 + 0.003 * f64::from(number);
            let lon = 0.325 + 0.004 * f64::from((number - 1) % 3);
            format!("default,C-{number},{lat:.5},{lon:.5},{name},01375 00000{number}")
        })
        .collect();
    installation.import("clients", "contract,client_ref,lat,lon,display_name,phone", &clients);
    let carers = ["default,amy,permanent,Amy Ash", "default,bola,agency,Bola Ade"];
    installation.import(
        "carers",
        "contract,carer_ref,employment,display_name",
        &carers.map(str::to_owned),
    );
}

pub fn plan(installation: &Installation, visits: &[String]) {
    installation.import("visits", VISITS, visits);
}

pub fn event(kind: &str, client: &str, at: Instant) -> Value {
    json!({
        "event_id": uuid::Uuid::new_v4().to_string(), "type": kind, "client_ref": client,
        "occurred_at": text(at), "method": "nfc",
    })
}

/// A check-in of which nobody can tell whose home it is about.
pub fn homeless() -> Value {
    json!({
        "event_id": uuid::Uuid::new_v4().to_string(), "type": "check_in",
        "occurred_at": text(clock::now()), "method": "manual",
    })
}

/// A new token with that role.
pub fn token(installation: &Installation, role: &str, more: &[&str]) -> String {
    let arguments = ["token", "create", "--role", role, "--name", "Jo"];
    let said = installation.run(arguments.iter().chain(more)).succeeded();
    let token = said.split_whitespace().find(|word| word.starts_with("nr_"));
    token.unwrap_or_else(|| panic!("there is no token in: {said}")).to_owned()
}

/// Signs in, and is on the board then.
pub async fn sign_in(browser: &Browser, token: &str) {
    browser.open("/").await;
    browser.fill("input[name=token]", token).await;
    browser.click("main button").await;
    browser.find("#runs").await;
}
