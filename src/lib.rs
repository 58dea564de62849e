//! nightrun knows, at night, whether somebody came.
//!
//! Pairs of carers drive rounds between the homes of people who cannot turn over in bed, reach the
//! toilet or take their medicine alone. Their phones, and telecare units in the homes, say over MQTT
//! when a carer comes and goes. nightrun matches that to the plan of the night, raises what is late
//! or missed the moment it is, and turns the same evidence into the council's Schedule 3 return.
//!
//! # The flow
//!
//! ```text
//! broker ─ mqtt, broker ─▶ message ─ wire ─▶ event ─ placing ─▶ client's night ─ reconcile ─▶ visits ─┐
//!                             └ unusable: kept as rejected           ▲                                ├ assess(…, now)
//!                 files ─▶ import ─▶ plan, registers ─ apply ────────┤                                │
//!                                              time ─ watch ─────────┘                                ▼
//!                  one transaction: events, alerts, outbox, the next deadline ◀──────────────── alerts
//!                     ├ commit, then PUBACK (writer), then receipts and alerts (deliver ─▶ publish)
//!                     ├ notifications ─ notify ─▶ people
//!                     ├ report ─▶ visit log, Schedule 3
//!                     └ ledger: the same against what arrived, counted as it came
//! ```
//!
//! A client's night is reconciled whole, by one pure function ([`domain::visit::reconcile`]): late,
//! repeated and disordered evidence, a changed plan, the ticking of a deadline, a correction and a
//! replay are all the same call. The rules that it follows are numbered (R1 …) in `docs/rules.md`.
//!
//! # Glossary
//!
//! *Client*: the person who is visited. *Visit*: one planned, or unplanned, attendance at one
//! client's home. *Run*: a round of visits of one night. *Night*: from noon to noon, named by the date
//! on which it begins. *Event*: what a device said. *Attendance*: one carer's check-in and check-out at
//! one visit. *Statement*: an event which says that a visit was not delivered, and why. *Correction*: a
//! coordinator's decision about a visit. *Alert*: what is wrong. *Notification*: telling somebody.
//!
//! *Slot*: one of the sessions at the broker that the daemons of one database share.
//!
//! # Invariants
//!
//! 1. Acknowledged means committed ([`writer`]).
//! 2. The same message twice is the message once ([`ingest`]).
//! 3. Any order of arrival gives the same visits ([`domain`]).
//! 4. At most one open alert per visit and kind ([`domain::alert`]).
//! 5. What is to be published leaves the outbox only when the broker has it ([`deliver`]).
//! 6. Every queue, batch and payload has a bound, named where it is kept.
//! 7. Nothing in [`domain`], [`wire`] or [`report`] reads a clock, draws a random number or touches
//!    the outside.
//! 8. Evidence is appended, never edited or deleted ([`store::evidence`]; the database refuses both).
//! 9. Every Schedule 3 row balances, or the return is not written ([`domain::schedule3`]).
//! 10. No personal data in logs and errors: references only.
//! 11. At a broker with users nobody speaks for another ([`wire::user`]).
//! 12. A notification waits until it is sent, has failed, or is not needed ([`notify`]).

// What it knows.
pub mod domain;
pub mod wire;

// What it does, in the order of the flow.
pub mod message;
pub mod mqtt;
pub mod broker;
pub mod slots;
pub mod arrived;
pub mod ingest;
pub mod placing;
pub mod telling;
pub mod caseload;
pub mod senders;
pub mod sight;
pub mod hearing;
pub mod blindness;
pub mod watch;
pub mod import;
pub mod apply;
pub mod writer;
pub mod deliver;
pub mod notify;
pub mod publish;
pub mod health;
pub mod tokens;
pub mod metrics;
pub mod http;
pub mod heartbeat;
pub mod daemon;
pub mod replay;
pub mod simulate;
pub mod book;
pub mod returns;
pub mod ledger;
pub mod acts;
pub mod view;

// What it talks through.
pub mod backoff;
pub mod cli;
pub mod clock;
pub mod config;
pub mod files;
pub mod parallel;
pub mod report;
pub mod store;
pub mod tls;
pub mod users;
