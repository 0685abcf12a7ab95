//! What the crash tests share.

pub(crate) mod experiments;
pub(crate) mod forgotten;
pub(crate) mod history;
pub(crate) mod lives;
pub(crate) mod oracle;
pub(crate) mod sites;
pub(crate) mod workloads;
