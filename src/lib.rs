//! Two complete key-value storage engines behind one contract.

#[cfg(feature = "cli")]
pub mod cli;
pub mod codec;
pub mod engine;
pub mod error;
pub mod record;
pub mod vfs;
pub mod worker;
