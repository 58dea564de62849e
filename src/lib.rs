//! nightrun knows, at night, whether somebody came.

pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod files;
pub mod message;
pub mod replay;
pub mod report;
pub mod wire;
