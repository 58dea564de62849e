//! What must hold of any bytes that somebody sends, imports or configures: one function for each fuzz
//! target. They panic where it does not hold, and know of the program only what is public.

mod config;
mod event;
mod file;
mod times;
mod value;

pub use config::config;
pub use event::event;
pub use file::file;
pub use times::times;
pub use value::{bank_holidays, status, topic, value};

use std::sync::LazyLock;

use nightrun::domain::policy::Contract;

/// What a target asserts of any input.
pub type Check = fn(&[u8]);

/// Every target, by its name.
pub const ALL: [(&str, Check); 8] = [
    ("bank_holidays", bank_holidays),
    ("config", config),
    ("event", event),
    ("file", file),
    ("status", status),
    ("times", times),
    ("topic", topic),
    ("value", value),
];

/// The first line, and what comes after it.
fn first_line(input: &[u8]) -> Option<(&str, &[u8])> {
    let end = input.iter().position(|byte| *byte == b'\n')?;
    Some((std::str::from_utf8(&input[..end]).ok()?, &input[end + 1..]))
}

/// The contract `default`, as it is built in.
static BUILT_IN: LazyLock<Contract> = LazyLock::new(|| {
    let settings = nightrun::config::load(None, []).expect("what is built in is right");
    settings.default_contract("default".parse().expect("a reference"))
});

/// What a person reads: bounded, and nothing in it that a terminal obeys.
#[track_caller]
fn check_shown(shown: &str, max_chars: usize) {
    assert!(!shown.is_empty());
    assert!(shown.chars().count() <= max_chars, "{} characters", shown.chars().count());
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
}
