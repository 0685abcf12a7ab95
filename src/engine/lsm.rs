//! LSM: a leveled log-structured merge tree.

pub mod comparator;
pub mod iter;
pub mod key;
pub mod options;
pub mod table;
pub mod version;
pub mod wal;
