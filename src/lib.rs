//! nightrun knows, at night, whether somebody came.

pub mod backoff;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod files;
pub mod message;
pub mod mqtt;
pub mod publish;
pub mod replay;
pub mod report;
pub mod store;
pub mod wire;
