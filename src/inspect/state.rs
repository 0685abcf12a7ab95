//! What a record is to its store.

use std::fmt;

/// What a record is to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// A get finds it.
    Live,
    /// No get finds it: a later write has replaced it, or its group never happened.
    Dead,
    /// A removal: never found, but needed while something older can be.
    Tombstone,
    /// Not a key's record.
    Other,
    /// The store could not be read.
    Unknown,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::Live => "live",
            State::Dead => "dead",
            State::Tombstone => "tomb",
            State::Other => "-",
            State::Unknown => "?",
        })
    }
}
