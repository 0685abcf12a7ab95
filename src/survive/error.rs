//! What can go wrong when a store is put to the test, beside what the test finds.

use thiserror::Error;

/// Why an experiment could not be made.
#[derive(Debug, Error)]
pub enum Error {
    /// The store failed where nothing was done to it.
    #[error(transparent)]
    Store(#[from] crate::error::Error),
    /// The store said something wrong before anything was done to it.
    #[error("{0}")]
    Wrong(String),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Plan(String),
    /// Somebody interrupted it.
    #[error("interrupted")]
    Interrupted,
}

/// What an experiment returns.
pub type Result<T> = std::result::Result<T, Error>;
