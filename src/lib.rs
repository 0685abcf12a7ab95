//! Two complete key-value storage engines behind one contract.

pub mod codec;
pub mod engine;
pub mod error;
pub mod inspect;
pub mod record;
pub mod vfs;
pub mod worker;
