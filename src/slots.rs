//! The slots of a fleet: several daemons on one database, each with numbered sessions at one broker.

pub mod observer;
