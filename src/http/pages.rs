//! The pages of nightrun: the night board, a visit's story, the map of a night, how well it went, and
//! the way in.
//!
//! They are made on the server and work without JavaScript; with it they bring themselves up to date.
//! What draws them is pure: views in, markup out. No page has a script or a style of its own.

pub mod alerts;
pub mod assets;
pub mod board;
pub mod controls;
pub mod eyes;
pub mod frame;
pub mod lanes;
pub mod map;
pub mod performance;
pub mod plan;
pub mod serve;
pub mod sign_in;
pub mod story;
pub mod wall;
pub mod words;

pub use self::serve::{doors, in_words, open};

#[cfg(test)]
mod examples;
#[cfg(test)]
mod tests;
