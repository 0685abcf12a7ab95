//! The laboratory: one workload on any engine, what it cost, where, and why.
//!
//! ```text
//! workload ─ distribution ─ keys          what is called, of which key, with which value
//!     │
//!   runner ──────────> Subject            an engine between two meters, or a peer
//!     │  └ expected                       what every read is held against
//!     v
//!   report                                rates, latencies, ledger, memory, samples over time
//!     │
//!   compare ─ theory ─ advise ─ page      the same steps on several configurations, side by side
//! ```
//!
//! Two meters stand at the ends of the pipe: [`Metered`](crate::engine::metered::Metered) counts what the
//! user asked for, [`CountingDisk`](crate::vfs::counting::CountingDisk) what the disk did. What the words
//! mean, in one place for every output:
//!
//! - **write amplification**: bytes written to files, for whatever cause, for each byte of the keys and
//!   values that the user set, and of the keys that the user removed;
//! - **read amplification**: bytes read from files, by calls or through maps, for each byte of the keys and
//!   values that the user got;
//! - **space amplification**: bytes of all files, for each byte of the keys and values that are there.
//!
//! A run in **steps** has no threads and a disk in memory: the same seed makes the same calls, and leaves
//! the same ledger, to the byte. Times are not told then.
//!
//! Workloads are those of YCSB (Cooper et al., 2010) and of LevelDB's and RocksDB's `db_bench`.

pub mod advise;
pub mod compare;
pub mod distribution;
pub mod error;
pub mod expected;
pub mod keys;
pub mod lab;
pub mod measure;
pub mod page;
pub mod plan;
pub mod recording;
pub mod replay;
pub mod report;
pub mod runner;
pub mod subject;
pub mod theory;
pub mod trace;
pub mod workload;
