//! The same names for what readers look at without a lock: the memtable. Small enough that loom can try all
//! that may happen to it.

#[cfg(loom)]
pub use crate::sync::loomed::{
    Bytes, Mutex, MutexGuard, Word, atomic, atomic as mapped, make_words, model, word32, word64,
};
#[cfg(not(loom))]
pub use crate::sync::{Mutex, MutexGuard, atomic};
/// Atomics that are laid over mapped memory: what they look like matters, so shuttle has no say in them.
#[cfg(not(loom))]
pub use std::sync::atomic as mapped;
