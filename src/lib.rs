//! nightrun knows, at night, whether somebody came.

pub mod apply;
pub mod backoff;
pub mod broker;
pub mod caseload;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod deliver;
pub mod domain;
pub mod files;
pub mod import;
pub mod ingest;
pub mod message;
pub mod mqtt;
pub mod placing;
pub mod publish;
pub mod replay;
pub mod report;
pub mod senders;
pub mod store;
pub mod watch;
pub mod wire;
pub mod writer;
