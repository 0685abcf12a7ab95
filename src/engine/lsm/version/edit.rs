//! What the manifest of an LSM tree says of each live file.

use serde::{Deserialize, Serialize};

/// A live file, as an edit of the manifest describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LiveFile {
    /// No file, but the store itself; always number 0.
    Store(StoreMeta),
    /// A write-ahead log.
    Wal(WalMeta),
    /// A sorted table.
    Table(TableMeta),
}

impl LiveFile {
    /// What an edit says of the store itself, with its number.
    pub fn store(comparator: &str, last_seqno: u64) -> (u64, LiveFile) {
        (0, LiveFile::Store(StoreMeta { comparator: comparator.to_string(), last_seqno }))
    }
}

/// What is true of the store as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreMeta {
    /// The name of the order of its keys.
    pub comparator: String,
    /// No write after this one is in a table. Logs may hold later ones.
    pub last_seqno: u64,
}

/// A write-ahead log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalMeta {
    /// The first sequence number that it may hold.
    pub first_seqno: u64,
    /// Whether it still grows.
    pub state: WalState,
}

impl WalMeta {
    /// Bytes of its file that were durable when the manifest spoke of it last: all of a sealed one.
    pub fn durable(&self) -> u64 {
        match self.state {
            WalState::Sealed { len, .. } => len,
            WalState::Active { durable } => durable,
        }
    }
}

/// Whether a write-ahead log still grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WalState {
    /// It does, and so its tail may be torn; this many bytes were known to be durable.
    Active {
        /// Bytes from the beginning.
        durable: u64,
    },
    /// It never changes again.
    Sealed {
        /// Its size in bytes.
        len: u64,
        /// CRC-32C of all of it.
        checksum: u32,
        /// The last sequence number that it holds.
        last_seqno: u64,
    },
}

/// A sorted table: everything that can be known of it without opening it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableMeta {
    /// Its level, 0 to 6.
    pub level: u8,
    /// Its size in bytes.
    pub len: u64,
    /// What its footer says of its contents: tells it from another table that has its number.
    pub contents: u64,
    /// The internal key of its first entry.
    pub smallest: Vec<u8>,
    /// The internal key of its last entry.
    pub largest: Vec<u8>,
    /// The lowest sequence number in it.
    pub first_seqno: u64,
    /// The highest sequence number in it.
    pub last_seqno: u64,
    /// Its entries, tombstones included.
    pub entries: u64,
    /// Of these, tombstones.
    pub tombstones: u64,
    /// Of these, such as stand behind a newer one of their key: kept for somebody's snapshot.
    pub older: u64,
    /// Bytes of keys and values in it, before prefixes were shared and blocks compressed.
    pub raw_bytes: u64,
}
