//! The contract, behaviour by behaviour, on every engine.
//!
//! A behaviour is written once, as a function over `&dyn KvsEngine` (or over a store that can be
//! closed and opened again), and is a test of its own on each engine: `cursors::bitcask_tiny::...`.

#![expect(clippy::unwrap_used, reason = "a test may")]

#[macro_use]
mod common;

#[path = "contract/keys.rs"]
mod keys;

#[path = "contract/batches.rs"]
mod batches;

#[path = "contract/snapshots.rs"]
mod snapshots;

#[path = "contract/cursors.rs"]
mod cursors;

#[path = "contract/scans.rs"]
mod scans;

#[path = "contract/upkeep.rs"]
mod upkeep;

#[path = "contract/loading.rs"]
mod loading;

#[path = "contract/explaining.rs"]
mod explaining;

#[path = "contract/checkpoints.rs"]
mod checkpoints;

#[path = "contract/opening.rs"]
mod opening;

#[path = "contract/sharing.rs"]
mod sharing;
