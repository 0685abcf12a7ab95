//! Two complete key-value storage engines behind one contract.

pub mod codec;
pub mod error;
pub mod vfs;
