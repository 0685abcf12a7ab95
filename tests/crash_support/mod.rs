//! What the crash tests share.

pub(crate) mod experiments;
pub(crate) mod forgotten;
