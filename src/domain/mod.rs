//! What the service knows: plan, evidence, nights, visits, alerts and quantities.
//!
//! Pure: knows nothing of async, I/O, clocks, SQL or wire formats. The present instant is an
//! argument.

pub mod calendar;
pub mod correction;
pub mod event;
pub mod holidays;
pub mod instant;
pub mod plan;
pub mod policy;
pub mod quantity;
pub mod refs;
pub mod register;
