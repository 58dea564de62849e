//! nightrun knows, at night, whether somebody came.

pub mod clock;
pub mod domain;
pub mod files;
pub mod message;
