//! What is wrong with a configuration: everything, said at once, one mistake on a line.
//!
//! A mistake names its place and what would be right. It never shows what may be a secret.

use std::fmt;

/// One mistake: where, what, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake(String);

impl Mistake {
    /// A mistake in that file, or in the environment.
    pub(super) fn new(origin: &str, what: impl fmt::Display) -> Self {
        Self(format!("{origin}: {what}"))
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All mistakes of a configuration: at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// The mistakes, one after the other.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// Where mistakes are gathered while the reading goes on.
#[derive(Default)]
pub(super) struct Notes(Vec<Mistake>);

impl Notes {
    /// Notes a mistake.
    pub(super) fn add(&mut self, mistake: Mistake) {
        self.0.push(mistake);
    }

    /// What was read; if it is a mistake, it is noted.
    pub(super) fn take<T>(&mut self, read: Result<T, Mistake>) -> Option<T> {
        read.map_err(|mistake| self.add(mistake)).ok()
    }

    /// What was read in the end, unless there was any mistake.
    pub(super) fn finish<T>(mut self, read: Option<T>) -> Result<T, Mistakes> {
        match read {
            Some(read) if self.0.is_empty() => Ok(read),
            _ => {
                // Whatever yields nothing has noted why; should it not have, this is still an error.
                if self.0.is_empty() {
                    self.add(Mistake::new("configuration", "cannot be read"));
                }
                Err(Mistakes(self.0))
            }
        }
    }
}
