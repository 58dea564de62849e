//! What others write and read: the formats of the world outside, read into the domain's types.
//!
//! Pure: knows nothing of async, files, clocks, SQL or the broker.

pub mod bank_holidays;
