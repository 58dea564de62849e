//! What the service knows: plan, evidence, nights, visits, alerts and quantities.
//!
//! Pure: knows nothing of async, I/O, clocks, SQL or wire formats. The present instant is an
//! argument. The modules in the order of the flow:

pub mod words;
pub mod instant;
pub mod refs;
pub mod quantity;
pub mod calendar;
pub mod holidays;
pub mod policy;
pub mod plan;
pub mod register;
pub mod event;
pub mod sequence;
pub mod correction;
pub mod grid;
pub mod neighbours;
pub mod place;
pub mod attendance;
pub mod matching;
pub mod visit;
pub mod judge;
pub mod overlap;
pub mod alert;
pub mod contact;
pub mod recipient;
pub mod punctuality;
pub mod role;
pub mod wording;
pub mod schedule3;
pub mod plan_check;
pub mod casebook;
