//! A simulated night: carers who play it over MQTT against a running daemon, and who know the
//! truth.
//!
//! A night is drawn from scripts ([`script`]), each of which states what must be known of its visit
//! in the end; [`night`] makes plan and events of them, from a seed. [`phones`] plays the events as
//! the protocol asks of apps, misbehaviours included. [`truth`] says what must be found in the
//! visit log, in Schedule 3 and among the alerts, and [`verify`] compares. The truth comes from the
//! scripts and from the moments of receipt, never from the code that it judges.

pub mod ear;
pub mod link;
pub mod night;
pub mod phones;
pub mod script;
pub mod scripts;
pub mod stage;
pub mod truth;
pub mod verify;
#[cfg(test)]
mod tests;
