//! Versions: which tables are live, level by level, at one moment.

pub mod edit;
