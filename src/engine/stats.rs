//! What a store holds and what it costs, in the same words for both engines.

use serde::Serialize;

/// A look at a store at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// The engine's name.
    pub engine: &'static str,
    /// Keys that are there.
    pub keys: u64,
    /// The sequence number of the newest write.
    pub seqno: u64,
    /// Bytes of all files that belong to the store.
    pub disk_bytes: u64,
    /// Of these, bytes of records that a get can still reach.
    pub live_bytes: u64,
    /// Bytes of records that no get can reach: overwritten, removed, or such that say so:
    /// tombstones, and what a clean close writes.
    pub dead_bytes: u64,
    /// Bytes that the engine keeps in memory to find the values.
    pub memory_bytes: u64,
    /// Snapshots, cursors included, that are held.
    pub snapshots: u64,
    /// The store's data files.
    pub files: Vec<FileStats>,
    /// What the engine did since it was opened.
    pub counters: Vec<Counter>,
    /// Why writes are refused, if they are.
    pub poisoned: Option<String>,
}

/// One data file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileStats {
    /// Its name.
    pub name: String,
    /// What it is: `active`, `sealed`, a level.
    pub state: String,
    /// Its size.
    pub bytes: u64,
    /// Bytes of its records that a get can still reach.
    pub live_bytes: u64,
    /// The lowest sequence number that it may hold.
    pub first_seqno: u64,
    /// The highest sequence number that it may hold.
    pub last_seqno: u64,
}

/// Something counted since the store was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counter {
    /// What.
    pub name: &'static str,
    /// How many.
    pub value: u64,
}
