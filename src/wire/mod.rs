//! The formats of the world outside: topics and payloads of version 1, and published lists.
//!
//! Pure: reads no clock and touches nothing outside. Nothing that arrives makes it panic, and no
//! text that it makes for an error repeats what arrived: payloads hold personal data.

pub mod alert;
pub mod asyncapi;
pub mod bank_holidays;
pub mod event_payload;
mod json;
pub mod payload;
pub mod receipt;
pub mod records;
pub mod rejection;
pub mod schema;
pub mod status;
mod text;
pub mod topic;
pub mod user;
