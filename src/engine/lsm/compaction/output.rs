//! Two questions that a compaction asks of each user key that it writes, in ascending order.

use crate::engine::lsm::compaction::Compaction;
use crate::engine::lsm::compaction::targets::Limits;
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::version::TableFile;
use std::cmp::Ordering;
use std::sync::Arc;

/// A table that overlaps more than so many tables' worth of the level below is not made, and not moved
/// there: to merge it later would take too long.
pub const MAX_OVERLAP: u64 = 10;

/// Whether no level below the output can hold a user key, so that a tombstone of it hides nothing.
///
/// Proof that no table elsewhere can hold an entry that the tombstone hides:
///
/// 1. Such an entry is older, so it is not in a level above, nor in a newer table of level 0.
/// 2. Of the levels from the inputs' to the output's, all tables that overlap take part; of level 0
///    all older ones that do.
/// 3. While the compaction runs, others bring only newer entries of the key above the output, and put
///    below it only what was below already.
///
/// So only the levels below the output are left, as they were when it was picked. The tombstone must
/// also be older than every snapshot; that is for the caller to see to.
#[derive(Clone, Debug)]
pub struct Base<'a> {
    order: &'a Order,
    levels: Vec<&'a [Arc<TableFile>]>,
}

impl<'a> Base<'a> {
    /// For a compaction's output.
    pub fn of(compaction: &'a Compaction, order: &'a Order) -> Base<'a> {
        Base { order, levels: compaction.deeper.iter().map(Vec::as_slice).collect() }
    }

    /// Whether it is so for this key. Keys are asked for in ascending order: each level's tables are
    /// walked along once.
    pub fn is_base_for(&mut self, user_key: &[u8]) -> bool {
        let order = self.order;
        self.levels.iter_mut().all(|tables| {
            while let Some((first, rest)) = tables.split_first()
                && order.compare(first.largest_user(), user_key) == Ordering::Less
            {
                *tables = rest;
            }
            tables.first().is_none_or(|table| order.compare(user_key, table.smallest_user()).is_lt())
        })
    }
}

/// Where an output table ends and the next begins.
#[derive(Clone, Debug)]
pub struct Cutter<'a> {
    order: &'a Order,
    table_bytes: u64,
    grandparents: &'a [Arc<TableFile>],
    overlap: u64,
}

impl<'a> Cutter<'a> {
    /// For a compaction's output.
    pub fn of(compaction: &'a Compaction, limits: &Limits, order: &'a Order) -> Cutter<'a> {
        let grandparents = compaction.grandparents();
        Cutter { order, table_bytes: limits.table_bytes, grandparents, overlap: 0 }
    }

    /// Whether a new table begins with this user key, given the bytes that the present one has; 0 if
    /// there is none. Ask once for each user key that is written, with its first entry: so the versions
    /// of a key are never parted.
    ///
    /// A table ends when it is full, when it overlaps too much of the level below, and where a table
    /// of that level ends if it is nearly full: then fewer tables there share keys with two of ours.
    pub fn cuts_before(&mut self, user_key: &[u8], bytes: u64) -> bool {
        let passed = self.pass(user_key, bytes);
        let is_aligned = passed && bytes >= self.table_bytes / 2;
        let is_full = bytes >= self.table_bytes || self.overlap > MAX_OVERLAP * self.table_bytes;
        let cuts = bytes > 0 && (is_full || is_aligned);
        if cuts {
            self.overlap = 0;
        }
        cuts
    }

    /// Leaves the grandparents behind that end before this key; whether there were any.
    fn pass(&mut self, user_key: &[u8], bytes: u64) -> bool {
        let before = self.grandparents.len();
        while let Some((first, rest)) = self.grandparents.split_first()
            && self.order.compare(first.largest_user(), user_key) == Ordering::Less
        {
            // Those before the first key of a table do not overlap it.
            self.overlap += if bytes > 0 { first.meta.len } else { 0 };
            self.grandparents = rest;
        }
        self.grandparents.len() < before
    }
}
