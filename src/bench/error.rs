//! What ends a run.

/// Why a run ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] crate::error::Error),

    /// A store of somebody else failed.
    #[error("{store}: {reason}")]
    Peer {
        /// Its name.
        store: &'static str,
        /// What it said.
        reason: String,
    },

    /// A read did not find what was written: the store is wrong, and has no figures.
    #[error("{call} of key {key}: {reason}")]
    Wrong {
        /// What was asked.
        call: &'static str,
        /// Of which key.
        key: String,
        /// What is wrong with the answer.
        reason: String,
    },

    /// The run can not be made as it was asked for; says why.
    #[error("{0}")]
    Plan(String),

    /// Somebody asked the run to end.
    #[error("interrupted")]
    Interrupted,
}

/// The result of a run.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A run that can not be made.
    pub fn plan(reason: impl Into<String>) -> Error {
        Error::Plan(reason.into())
    }
}
