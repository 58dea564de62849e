//! nightrun knows, at night, whether somebody came.

pub mod backoff;
pub mod broker;
pub mod clock;
pub mod domain;
pub mod message;
pub mod mqtt;
pub mod publish;
