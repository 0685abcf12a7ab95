//! What threads meet at: locks, atomics, channels, threads, and pointers that are swapped.
//!
//! Engines and workers take these names from here and from nowhere else (`tests/layers.rs` holds that).
//! In every usual build they are those of parking_lot, arc-swap and the standard library, and nothing
//! comes in between. Two other builds put something else behind the same names:
//!
//! | build | what is behind the names | what it explores |
//! |---|---|---|
//! | `--cfg shuttle` | shuttle's: each use is a place where another thread may go on | schedules of whole engines, chosen at random: `tests/schedules.rs` |
//! | `--cfg loom` | loom's, for [`unlocked`] alone | every schedule of the memtable, and every order in which memory may show its stores |
//!
//! `Arc`, `Weak` and `OnceLock` are the standard library's in all of them: under shuttle a clone or an
//! initialisation is one step, and nothing in the engines waits inside of one.
//!
//! How to run, and what was found, is in `notes/schedules.md`.

#[cfg(shuttle)]
mod shuttled;
#[cfg(shuttle)]
pub use shuttled::{
    ArcSwap, ArcSwapOption, Condvar, Guard, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic, hint, mpsc, thread, time,
};

#[cfg(loom)]
mod loomed;
pub mod unlocked;

#[cfg(not(shuttle))]
pub use arc_swap::{ArcSwap, ArcSwapOption, Guard};
#[cfg(not(shuttle))]
pub use parking_lot::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
#[cfg(not(shuttle))]
pub use std::sync::{atomic, mpsc};
#[cfg(not(shuttle))]
pub use std::{hint, thread, time};
