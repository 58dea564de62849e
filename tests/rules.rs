//! The rules, R2 to R29, as nights that were worked by hand and are played through `nightrun replay`.
//!
//! Each file holds the tables of some rules. What a night says and how it is told is in
//! [`rules::story`].

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod rules {
    mod alerts_absence;
    mod alerts_other;
    mod attendances;
    mod corrections;
    mod flags;
    mod homes;
    mod matching;
    mod missed_instant;
    mod notice;
    mod once;
    mod people;
    mod punctuality;
    mod quantities;
    mod rows;
    mod sequence;
    mod statements;
    mod status;
    mod story;
    mod suspensions;
    mod time;
    mod unplanned;
}
