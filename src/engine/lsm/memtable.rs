//! The memtable: the newest entries, in memory and in order, until they are flushed to a table.
//!
//! ```text
//! writer() ─ one at a time ─> Tree ──> Arena     nodes and entries, one behind the other, freed at once
//! get, cursor ── no lock ──────┘
//! ```
//!
//! An entry is never changed once it is there: a key that is set again gets another entry, with a
//! higher sequence number, which stands before the old one. So a reader needs no lock, only a sequence
//! number up to which all is there: it does not look at what stands above.
//!
//! Most stores have a skip list here. Why this one has a tree, with figures, is in `notes/decisions/0014-memtable.md`.

mod arena;
pub mod cursor;
mod head;
#[cfg(test)]
#[cfg(loom)]
mod loom_tests;
mod node;
mod permutation;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;
mod tree;
mod writer;

use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::key::{self, Kind, seek_trailer, split, trailer};
use crate::sync::unlocked::atomic::{AtomicU64, Ordering};
use cursor::MemtableCursor;
use std::sync::Arc;
use tree::Tree;
use writer::Writer;

/// Entries that are not in a table yet.
#[derive(Debug)]
pub struct Memtable {
    /// Shared with cursors.
    tree: Arc<Tree>,
    /// The lowest and the highest sequence number; `u64::MAX` and 0 if there is none.
    first_seqno: AtomicU64,
    last_seqno: AtomicU64,
}

/// What a memtable has to say of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Which write it was.
    pub seqno: u64,
    /// Whether it set the key or removed it.
    pub kind: Kind,
    /// The value; empty for a tombstone.
    pub value: &'a [u8],
}

impl Memtable {
    /// An empty memtable. The hint, the bytes at which it will be sealed, says how large the blocks of
    /// its arena are. It takes a few kilobytes; more comes as it fills.
    pub fn new(order: Order, capacity_hint_bytes: usize) -> Memtable {
        let tree = Arc::new(Tree::new(order, capacity_hint_bytes));
        Memtable { tree, first_seqno: AtomicU64::new(u64::MAX), last_seqno: AtomicU64::new(0) }
    }

    /// The right to insert, for one at a time. Waits for another who has it: take it once for a batch,
    /// not once for an entry.
    pub fn writer(&self) -> MemtableWriter<'_> {
        MemtableWriter { table: self, tree: Writer::new(&self.tree) }
    }

    /// The newest entry of a key with a sequence number of at most `at`. No lock, no allocation.
    #[inline]
    pub fn get(&self, user_key: &[u8], at: u64) -> Option<Entry<'_>> {
        self.tree.get(user_key, seek_trailer(at)).map(entry)
    }

    /// A cursor over the entries. It may outlive the memtable, and keeps its memory.
    pub fn cursor(&self) -> MemtableCursor {
        MemtableCursor::new(Arc::clone(&self.tree))
    }

    /// Bytes of memory that are in use: keys, values and all that is around them.
    pub fn bytes(&self) -> u64 {
        self.tree.bytes()
    }

    /// How many entries there are.
    pub fn len(&self) -> u64 {
        self.tree.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The lowest sequence number; 0 if there is none.
    pub fn first_seqno(&self) -> u64 {
        match self.first_seqno.load(Ordering::Acquire) {
            u64::MAX => 0,
            seqno => seqno,
        }
    }

    /// The highest sequence number; 0 if there is none.
    pub fn last_seqno(&self) -> u64 {
        self.last_seqno.load(Ordering::Acquire)
    }
}

fn entry(entry: node::Entry<'_>) -> Entry<'_> {
    let (_, trailer) = split(entry.key());
    let kind = Kind::of(trailer).expect("the writer made the trailer of a kind");
    Entry { seqno: key::seqno(trailer), kind, value: entry.value() }
}

/// The right to insert into a memtable.
#[derive(Debug)]
pub struct MemtableWriter<'a> {
    table: &'a Memtable,
    tree: Writer<'a>,
}

impl MemtableWriter<'_> {
    /// Inserts an entry, which cursors meet from now on. One key has one entry with a sequence number,
    /// at most; no number is above [`MAX_SEQNO`](key::MAX_SEQNO).
    ///
    /// Panics if the key has more than 65,535 bytes, or the value 4 GiB.
    #[inline]
    pub fn insert(&mut self, user_key: &[u8], seqno: u64, kind: Kind, value: &[u8]) {
        debug_assert!(seqno <= key::MAX_SEQNO);
        self.tree.insert(user_key, trailer(seqno, kind), value);
        let (first, last) = (&self.table.first_seqno, &self.table.last_seqno);
        // Stored by one at a time, so a load and a store are enough.
        if seqno < first.load(Ordering::Relaxed) {
            first.store(seqno, Ordering::Release);
        }
        if seqno > last.load(Ordering::Relaxed) {
            last.store(seqno, Ordering::Release);
        }
    }
}
