//! Compaction: tables of one level are merged into the level below, and what nobody can see is left out.
//!
//! Three steps, as in Bitcask's merge. *Pick* decides, looking at descriptions of tables only
//! ([`picker`], [`idle`]). *Run* writes new tables and returns what it did. *Install* puts an edit into
//! the manifest and the new version in the place of the old; the compactor does that.
//!
//! ```text
//! level 4      [f.....m]              inputs
//! level 5   [c..g][h....n]            below: all that share a key with the inputs; the output goes here
//! level 6  [a.d][e.f][g..k][l..o]     deeper: nothing is read; says where to cut, which tombstones to keep
//! ```
//!
//! # What is kept true
//!
//! 1. *Newer above older.* Of two entries of a user key, the newer is in a level above, or in the same
//!    table. So a table of level 0 takes along all older ones of level 0 that it overlaps; the tables
//!    below that overlap are always merged; and jobs that run side by side never pass each other
//!    ([`busy`]).
//! 2. *One table a level for a user key.* Inputs grow until their ends lie between user keys, and
//!    outputs are cut between user keys only. LevelDB broke this twice (its issues 184 and 320), and
//!    showed old values.
//! 3. *Every pick makes progress.* Data only goes down; a table is rewritten in its own level only if
//!    all its tombstones are known to vanish. So picking comes to rest.

pub mod busy;
pub mod idle;
pub mod jobs;
pub mod output;
pub mod picker;
pub mod run;
pub mod simulate;
pub mod span;
pub mod targets;

use crate::engine::lsm::compaction::span::Span;
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::version::TableFile;
use std::sync::Arc;

/// Why a compaction is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Level 0 has too many tables, or too many bytes.
    Level0,
    /// A level has more bytes than it should.
    Size,
    /// Somebody asked for a range of keys.
    Range,
    /// Upper levels may hide too much that is obsolete below.
    Space,
    /// A table at the bottom has tombstones that nothing needs.
    Tombstones,
}

/// What a compaction reads, and where it writes.
#[derive(Clone, Debug)]
pub struct Compaction {
    /// The level of the inputs.
    pub level: u8,
    /// The level that is written. The same as `level` only where a table at the bottom loses its
    /// tombstones.
    pub output_level: u8,
    /// Tables of `level`, in the version's order: level 0's newest first, others by key.
    pub inputs: Vec<Arc<TableFile>>,
    /// Tables of `output_level` that are merged with them, by key.
    pub below: Vec<Arc<TableFile>>,
    /// The tables that overlap, of each level below the output: first those of `output_level + 1`.
    pub deeper: Vec<Vec<Arc<TableFile>>>,
    /// Why.
    pub reason: Reason,
    /// Nothing needs to be read or written: the inputs become tables of the output level as they are.
    pub is_move: bool,
}

impl Compaction {
    /// All tables that go: the inputs, and those below.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<TableFile>> {
        self.inputs.iter().chain(&self.below)
    }

    /// All keys that it may write.
    pub fn span(&self, order: &Order) -> Span<'_> {
        Span::of_all(self.tables(), order).expect("a compaction has an input")
    }

    /// The tables of the level below the output that overlap: what the output will be merged with, one
    /// day.
    pub fn grandparents(&self) -> &[Arc<TableFile>] {
        self.deeper.first().map_or(&[], Vec::as_slice)
    }
}

/// Bytes of some tables' files.
pub fn bytes<'a>(tables: impl IntoIterator<Item = &'a Arc<TableFile>>) -> u64 {
    tables.into_iter().map(|table| table.meta.len).sum()
}
