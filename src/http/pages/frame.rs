//! What every page has around it: head, navigation, the place for loud news; and pages that say no.

use chrono_tz::Tz;
use maud::{DOCTYPE, Markup, html};

use super::assets;
use super::wall;
use crate::domain::calendar::Night;
use crate::domain::instant::{Instant, format_instant};
use crate::domain::refs::ContractId;

/// A page of somebody who is signed in.
pub struct Frame<'a> {
    /// What the page is called, in the browser's title.
    pub title: &'a str,
    /// Which page of the navigation it is.
    pub here: Here,
    /// The contract that it is about.
    pub contract: &'a ContractId,
    /// The contracts that the visitor may look at.
    pub contracts: &'a [ContractId],
    /// The night that it is about.
    pub night: Night,
    /// The present instant.
    pub now: Instant,
    /// The contract's zone.
    pub zone: Tz,
    /// Who looks.
    pub visitor: &'a str,
    /// Whether there is a session that can be ended.
    pub may_sign_out: bool,
    /// What shows that a form comes from a page of ours.
    pub csrf: &'a str,
    /// Whether the visitor may see where people are.
    pub sees_people: bool,
    /// Whether the page brings itself up to date.
    pub live: bool,
}

/// Which page it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Here {
    /// The night board.
    Board,
    /// Before the night.
    Plan,
    /// The map of the night.
    Map,
    /// How well it went.
    Performance,
    /// None of these.
    Elsewhere,
}

impl Frame<'_> {
    /// The page around its `<main>`.
    #[must_use]
    pub fn page(&self, main: &Markup) -> Markup {
        let live = if self.live { "yes" } else { "no" };
        html! {
            (DOCTYPE)
            html lang="en-GB" {
                (head(self.title, self.live))
                body data-live=(live) {
                    a.skip href="#main" { "Skip to the page" }
                    header.top {
                        (self.navigation())
                        p.clock {
                            time #clock datetime=(format_instant(self.now)) data-zone=(self.zone.name()) {
                                (wall::time(self.zone, self.now))
                            }
                        }
                    }
                    (loud())
                    (main)
                    footer {
                        p {
                            "nightrun · signed in as " (self.visitor) " · "
                            button #colours type="button" hidden { "Colours as this device has them" }
                        }
                    }
                }
            }
        }
    }

    fn navigation(&self) -> Markup {
        let about = format!("?contract={}&night={}", self.contract, self.night);
        let pages = [
            (Here::Board, "Board", format!("/{about}"), true),
            (Here::Plan, "Plan", format!("/plan{about}"), self.sees_people),
            (Here::Map, "Map", format!("/map{about}"), self.sees_people),
            (
                Here::Performance,
                "Performance",
                format!("/performance?contract={}", self.contract),
                true,
            ),
        ];
        html! {
            nav aria-label="Pages" {
                strong.brand { "nightrun" }
                @for (page, name, to, seen) in &pages {
                    @if *seen {
                        a href=(to) aria-current=[(*page == self.here).then_some("page")] { (name) }
                    }
                }
                @if self.contracts.len() > 1 {
                    form.inline action="/" method="get" {
                        label { "Contract "
                            select name="contract" {
                                @for contract in self.contracts {
                                    option value=(contract) selected[contract == self.contract] { (contract) }
                                }
                            }
                        }
                        button { "Go" }
                    }
                }
                @if self.may_sign_out {
                    form.inline action="/sign-out" method="post" {
                        input type="hidden" name="csrf" value=(self.csrf);
                        button { "Sign out" }
                    }
                }
            }
        }
    }
}

/// What stays when `<main>` is exchanged: that the page is dead, and what is new, for screen readers.
fn loud() -> Markup {
    html! {
        div #silent role="alert" hidden {
            p { strong { "This page has heard nothing from nightrun for 15 seconds." }
                " What it shows is old. Do not rely on it: ring the carers." }
        }
        p #news.aside role="status" aria-live="polite" {}
    }
}

fn head(title: &str, live: bool) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="dark";
            title { (title) " · nightrun" }
            link rel="icon" type="image/svg+xml" href=(assets::path(&assets::ICON));
            link rel="stylesheet" href=(assets::path(&assets::STYLE));
            script src=(assets::path(&assets::SCRIPT)) defer {}
            @if live {
                // Whoever has no JavaScript gets a new page every minute.
                noscript { meta http-equiv="refresh" content="60"; }
            }
        }
    }
}

/// A page for somebody who is not signed in, or may not see what was asked for.
#[must_use]
pub fn bare(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en-GB" {
            (head(title, false))
            body data-live="no" {
                header.top { nav aria-label="Pages" { a.brand href="/" { "nightrun" } } }
                main #main.narrow { h1 { (title) } (content) }
            }
        }
    }
}

/// A page that says no, and what to do.
#[must_use]
pub fn refusal(title: &str, what_to_do: &str) -> Markup {
    bare(title, &html! { p { (what_to_do) } p { a href="/" { "To the board" } } })
}
